//! Who owns what is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest tenant name.
pub const MAX_TENANT_LENGTH: usize = 40;

/// A tenant's name: 1 to 40 of `a-z`, `0-9`, `-`; it starts with a letter or digit. It stands in
/// object names and log origins, so nothing else can be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct TenantId(String);

/// Why a text is no tenant's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a tenant's name (1 to 40 of a-z, 0-9 and -, not starting with -)")]
pub struct TenantError {
    /// The text, shortened.
    pub text: String,
}

impl TenantId {
    /// The tenant of an installation for one.
    pub fn local() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        let fits = (1..=MAX_TENANT_LENGTH).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(TenantError { text: text.chars().take(60).collect() })
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in ["", "-a", "a/b", "..", "A", "a b", "a+b", &"a".repeat(41)] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
        assert!("a".repeat(40).parse::<TenantId>().is_ok());
    }
}
