//! The policy: which kinds are sought, patterns of one's own, and what recording does about them.

use std::sync::Arc;

use assay_evidence::Sha256;
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Kind;

/// The version of a policy file.
pub const POLICY_VERSION: u32 = 1;
/// Most bytes of a policy file.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;
/// Most patterns of one's own.
pub const MAX_PATTERNS: usize = 256;
/// Most bytes of one pattern.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Most entries of each list.
pub const MAX_ENTRIES: usize = 1024;
/// Most bytes that one compiled pattern may take.
const MAX_COMPILED: usize = 1 << 20;

/// What recording does when something is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFinding {
    /// Says so and goes on.
    #[default]
    Warn,
    /// Refuses to keep the witness.
    Refuse,
    /// Redacts it, as `--redact` does.
    Redact,
}

/// A pattern of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The name of its findings, `snake_case`.
    pub name: String,
    /// A regular expression in the syntax of Rust's `regex`: linear time, no look-around.
    pub pattern: String,
    /// The group that holds the value; 0 is the whole match.
    #[serde(default)]
    pub group: usize,
}

/// What is sought and what is done about it; a TOML file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`POLICY_VERSION`].
    pub version: u32,
    /// What recording does when something is found.
    #[serde(default)]
    pub on_finding: OnFinding,
    /// Built-in kinds that are not sought.
    #[serde(default)]
    pub disabled: Vec<String>,
    /// Values that are no finding wherever they stand.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// Folders of the capsule whose files are a system's own and are not inputs.
    #[serde(default = "Policy::system_folders")]
    pub system: Vec<String>,
    /// Patterns of one's own.
    #[serde(default, rename = "pattern")]
    pub patterns: Vec<Pattern>,
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not the form of a policy.
    #[error("not a redaction policy: {detail}")]
    Malformed {
        /// What the reader met.
        detail: String,
    },
    /// More of something than its limit.
    #[error("the policy has too many or too large: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// No built-in kind of that name.
    #[error("`{name}` is no kind of finding")]
    UnknownKind {
        /// The name.
        name: String,
    },
    /// A pattern that cannot be used.
    #[error("the pattern `{name}` is refused: {detail}")]
    Pattern {
        /// Its name.
        name: String,
        /// Why.
        detail: String,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: POLICY_VERSION,
            on_finding: OnFinding::Warn,
            disabled: Vec::new(),
            allowed: Vec::new(),
            system: Self::system_folders(),
            patterns: Vec::new(),
        }
    }
}

impl Policy {
    fn system_folders() -> Vec<String> {
        ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store"].map(str::to_owned).to_vec()
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// Anything that is unknown, malformed or past its limit.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooMuch { what: "bytes" });
        }
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Malformed { detail: error.to_string() })?;
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), PolicyError> {
        if self.version != POLICY_VERSION {
            let detail = format!("version {} is not {POLICY_VERSION}", self.version);
            return Err(PolicyError::Malformed { detail });
        }
        if self.patterns.len() > MAX_PATTERNS {
            return Err(PolicyError::TooMuch { what: "patterns" });
        }
        if [&self.disabled, &self.allowed, &self.system].iter().any(|list| list.len() > MAX_ENTRIES) {
            return Err(PolicyError::TooMuch { what: "entries of a list" });
        }
        if let Some(name) =
            self.disabled.iter().find(|name| !Kind::ALL.iter().any(|kind| kind.name() == **name))
        {
            return Err(PolicyError::UnknownKind { name: name.clone() });
        }
        self.patterns.iter().try_for_each(check_pattern)
    }

    /// The policy's digest, for the records that name it.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&serde_json::to_vec(self).expect("a policy holds only strings and numbers"))
    }

    pub(super) fn compiled(&self) -> Vec<(Kind, Regex, usize)> {
        let one =
            |own: &Pattern| Some((Kind::Custom(Arc::from(own.name.as_str())), compile(own).ok()?, own.group));
        self.patterns.iter().filter_map(one).collect()
    }

    pub(super) fn wants(&self, kind: &Kind, value: &[u8]) -> bool {
        !self.disabled.iter().any(|name| kind.name() == name)
            && !self.allowed.iter().any(|allowed| allowed.as_bytes() == value)
    }

    /// Whether a path of a capsule belongs to the system rather than to the inputs.
    pub(super) fn is_system(&self, path: &str) -> bool {
        self.system.iter().any(|folder| crate::capsule::is_within(path, folder))
    }
}

fn compile(own: &Pattern) -> Result<Regex, PolicyError> {
    RegexBuilder::new(&own.pattern)
        .unicode(false)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| PolicyError::Pattern { name: own.name.clone(), detail: error.to_string() })
}

fn check_pattern(own: &Pattern) -> Result<(), PolicyError> {
    let refuse = |detail: &str| PolicyError::Pattern { name: own.name.clone(), detail: detail.to_owned() };
    let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if own.name.is_empty() || own.name.len() > 64 || !own.name.bytes().all(name) {
        return Err(refuse("a name is 1 to 64 lower-case letters, digits and _"));
    }
    if own.pattern.len() > MAX_PATTERN_BYTES {
        return Err(PolicyError::TooMuch { what: "bytes of a pattern" });
    }
    let compiled = compile(own)?;
    if own.group >= compiled.captures_len() {
        return Err(refuse("it has no such group"));
    }
    if compiled.is_match(b"") {
        return Err(refuse("it matches nothing at all, and so everywhere"));
    }
    Ok(())
}
