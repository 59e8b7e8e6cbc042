//! Incidents as people define them (`incident.toml`, or JSON over the API).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expectation::{Side, SideError};

/// The largest definition that is read.
const MAX_DEFINITION_BYTES: usize = 1 << 20;
/// The longest id or alias.
const MAX_ID_LENGTH: usize = 100;
/// The most aliases.
const MAX_ALIASES: usize = 64;

/// A known failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentDefinition {
    /// The id that everything refers to, such as a RustSec, CVE or ticket id.
    pub id: String,
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// Other ids of the same incident.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where the package is published, such as `crates.io`; empty for the owner's own code.
    #[serde(default)]
    pub ecosystem: String,
    /// The package whose code fails.
    #[serde(default)]
    pub package: String,
    /// The version that fails.
    #[serde(default)]
    pub vulnerable: String,
    /// The version that does not.
    #[serde(default)]
    pub fixed: String,
    /// Where the facts come from.
    #[serde(default)]
    pub source: Vec<String>,
    /// What sort of failure it is.
    #[serde(default)]
    pub kind: Kind,
    /// The role of the artifact that shows it.
    pub role: String,
    /// What each side shows.
    #[serde(default)]
    pub expect: Expectations,
    /// What matters to carry-over, and prose.
    #[serde(default)]
    pub facts: Facts,
}

/// What sort of failure an incident is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A signal or a panic.
    #[default]
    Crash,
    /// Both sides end well and print something else.
    Output,
    /// Processor time.
    Budget,
}

/// What both sides show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// The side with the incident.
    #[serde(default)]
    pub vulnerable: Side,
    /// The side without it; none where only the reached path can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Side>,
}

/// Facts about an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The failure is undefined behaviour: nothing may be inferred from unchanged code.
    #[serde(default)]
    pub undefined_behaviour: bool,
    /// What goes wrong, in prose.
    #[serde(default)]
    pub summary: String,
}

/// Why a definition is refused.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// Not the form of a definition.
    #[error("not an incident's definition: {detail}")]
    Malformed {
        /// What the reader met.
        detail: String,
    },
    /// A field breaks its rule.
    #[error("the incident's `{field}` is refused: {detail}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        detail: String,
    },
    /// What a side is expected to show breaks a rule.
    #[error("the incident's `{field}` is refused")]
    Side {
        /// Which.
        field: &'static str,
        /// Why.
        #[source]
        source: SideError,
    },
}

impl IncidentDefinition {
    /// Reads `incident.toml`; keys of the corpus that are not facts (the trigger) are passed over.
    pub fn from_toml(text: &str) -> Result<Self, IncidentError> {
        if text.len() > MAX_DEFINITION_BYTES {
            let detail = format!("{} bytes, at most {MAX_DEFINITION_BYTES}", text.len());
            return Err(IncidentError::Malformed { detail });
        }
        let definition: Self =
            toml::from_str(text).map_err(|error| IncidentError::Malformed { detail: error.to_string() })?;
        definition.check()?;
        Ok(definition)
    }

    /// Checks ids, role and expectations.
    pub fn check(&self) -> Result<(), IncidentError> {
        let refuse = |field, detail: &str| IncidentError::Field { field, detail: detail.to_owned() };
        if !is_id(&self.id) {
            return Err(refuse("id", "1 to 100 letters, digits and -._"));
        }
        if self.aliases.len() > MAX_ALIASES || self.aliases.iter().any(|alias| !is_id(alias)) {
            return Err(refuse("aliases", "at most 64, each 1 to 100 letters, digits and -._"));
        }
        if !is_role(&self.role) {
            return Err(refuse("role", "1 to 100 letters, digits and -._+"));
        }
        let sides = [
            ("expect.vulnerable", Some(&self.expect.vulnerable)),
            ("expect.fixed", self.expect.fixed.as_ref()),
        ];
        for (field, side) in sides {
            side.map_or(Ok(()), Side::check).map_err(|source| IncidentError::Side { field, source })?;
        }
        Ok(())
    }

    /// The package's name as symbols spell it.
    pub(crate) fn package_path(&self) -> Option<String> {
        (!self.package.is_empty()).then(|| format!("{}::", self.package.replace('-', "_")))
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
}

/// Whether `text` can name a role.
pub(crate) fn is_role(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b))
}
