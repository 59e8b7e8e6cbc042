//! Policies: typed requirements in TOML.

use std::collections::BTreeSet;

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::Mode;

/// The largest policy that is read.
pub const MAX_POLICY_BYTES: usize = 256 << 10;
/// The most requirements in one policy.
pub const MAX_REQUIREMENTS: usize = 256;

/// A policy as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Policy {
    /// Names the policy in reports.
    pub name: String,
    /// All of these must pass. None at all denies.
    #[serde(default, rename = "requirement")]
    pub requirements: Vec<Requirement>,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Names the requirement in reports, unique within the policy.
    pub id: String,
    /// What it asks for.
    pub rule: Rule,
}

/// What a requirement can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Every incident in scope is `not_reproduced` in every artifact of its role. Reproduced
    /// fails; inconclusive, or no artifact to ask, is unknown.
    IncidentsNotReproduced {
        /// Only these incidents; all where empty.
        #[serde(default)]
        incidents: BTreeSet<String>,
        /// The modes that are accepted; all where empty. Another one is unknown.
        #[serde(default)]
        modes: BTreeSet<Mode>,
    },
    /// At least this many incidents have evidence. Fewer is unknown.
    MinimumIncidents {
        /// How many.
        count: u32,
    },
    /// Every verdict's statement is included in the pinned head. Otherwise unknown.
    StatementsIncluded {},
    /// The runs behind the verdicts are at most this old. Otherwise unknown.
    MaximumAge {
        /// In hours.
        hours: u32,
    },
}

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Past [`MAX_POLICY_BYTES`] or [`MAX_REQUIREMENTS`].
    #[error("the policy is past a limit: {detail}")]
    TooLarge {
        /// Which limit.
        detail: String,
    },
    /// Not the TOML of a policy.
    #[error("not a policy: {detail}")]
    Malformed {
        /// What the reader met.
        detail: String,
    },
    /// Two requirements of one name.
    #[error("two requirements are named `{id}`")]
    Duplicate {
        /// The name.
        id: String,
    },
}

impl Policy {
    /// Reads a policy; unknown keys and types are refused.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            let detail = format!("{} bytes, at most {MAX_POLICY_BYTES}", text.len());
            return Err(PolicyError::TooLarge { detail });
        }
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Malformed { detail: error.to_string() })?;
        if policy.requirements.len() > MAX_REQUIREMENTS {
            let detail = format!("{} requirements, at most {MAX_REQUIREMENTS}", policy.requirements.len());
            return Err(PolicyError::TooLarge { detail });
        }
        let mut seen = BTreeSet::new();
        for requirement in &policy.requirements {
            if !seen.insert(&requirement.id) {
                return Err(PolicyError::Duplicate { id: requirement.id.clone() });
            }
        }
        Ok(policy)
    }

    /// The digest of the policy's text, by which decisions name it.
    pub fn digest_of(text: &str) -> Sha256 {
        Sha256::of(text.as_bytes())
    }
}
