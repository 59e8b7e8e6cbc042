//! Points in time: microseconds since 1970 UTC inside, RFC 3339 outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, microseconds since 1970-01-01T00:00:00Z. Never read from a clock in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is no time.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an RFC 3339 time")]
pub struct TimestampError {
    /// The text as it came, shortened to 64 characters.
    pub text: String,
}

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads the system's clock: for rooms that may (never an engine).
    pub fn now() -> Self {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    /// This time and `seconds` more.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok());
        f.write_str(text.as_deref().unwrap_or("out-of-range"))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refuse = || TimestampError { text: text.chars().take(64).collect() };
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refuse())?;
        i64::try_from(time.unix_timestamp_nanos() / 1000).map(Self).map_err(|_| refuse())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_example() {
        // RFC 3339 section 5.8.
        let time: Timestamp = "1985-04-12T23:20:50.52Z".parse().unwrap();
        assert_eq!(time.micros(), 482_196_050_520_000);
        assert_eq!(time.to_string(), "1985-04-12T23:20:50.52Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
