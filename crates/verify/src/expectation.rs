//! What a side of an incident is expected to show. Every key that is present must hold.

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern::{self, PatternError};

/// The guard band of processor time: more than budget x 4 is over, at most budget / 4 is within,
/// anything between is neither.
pub const GUARD_FACTOR: u64 = 4;
/// The longest text in an expectation.
const MAX_TEXT: usize = 64 << 10;
/// The largest budget, 15 minutes.
const MAX_BUDGET_MILLISECONDS: u64 = 900_000;

/// What one side shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The program ended by itself with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The program was ended by this signal, such as `SIGSEGV`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The standard output is this, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_exact: Option<String>,
    /// The standard output contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_contains: Option<String>,
    /// The standard error contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr_contains: Option<String>,
    /// This regular expression (Rust's `regex` over bytes: linear time, no look-around) is found in the first
    /// 64 KiB of the standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_pattern: Option<String>,
    /// The same of the standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr_pattern: Option<String>,
    /// The fingerprint of the stack at the fault that ended the run, as `assay stack fingerprint` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_fingerprint: Option<Sha256>,
    /// The name of the innermost frame in the incident's package contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faulting_function: Option<String>,
    /// The name that repeats most in the fault's stack contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeated_function: Option<String>,
    /// Processor time: over four times this (vulnerable) or within a quarter of it (fixed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_budget_milliseconds: Option<u64>,
}

/// Why an expectation is refused.
#[derive(Debug, thiserror::Error)]
#[error("`{spec}` is not an expectation")]
pub struct SpecError {
    /// The text as it came, shortened.
    pub spec: String,
    /// What is wrong.
    #[source]
    pub reason: SideError,
}

/// What is wrong with one side of an expectation.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// No `=` in it.
    #[error("write it as key=value")]
    Form,
    /// A key that there is none of.
    #[error("the keys are {}", KEYS.join(", "))]
    Key,
    /// A number that is none.
    #[error("{what} is a number")]
    Number {
        /// What should be one.
        what: &'static str,
    },
    /// A fingerprint that is no digest.
    #[error("a fingerprint is a digest, as `assay stack fingerprint` prints it")]
    Fingerprint(#[source] assay_evidence::DigestError),
    /// A signal that ends no program, or none at all.
    #[error("`{name}` is not the name of a signal that ends programs")]
    Signal {
        /// The name that was given.
        name: String,
    },
    /// A budget outside of what is waited for.
    #[error("a budget has 1 to {MAX_BUDGET_MILLISECONDS} milliseconds")]
    Budget,
    /// A text that is too long.
    #[error("a text has at most {MAX_TEXT} bytes")]
    Text,
    /// A pattern that does not compile, or says nothing.
    #[error("{key} is refused")]
    Pattern {
        /// Which key holds it.
        key: &'static str,
        /// Why.
        #[source]
        source: PatternError,
    },
}

/// What `--expect` takes.
const KEYS: [&str; 11] = [
    "exit",
    "signal",
    "stdout_exact",
    "stdout_contains",
    "stdout_pattern",
    "stderr_contains",
    "stderr_pattern",
    "faulting_function",
    "repeated_function",
    "stack_fingerprint",
    "cpu_budget_milliseconds",
];

impl Side {
    /// Adds one `key=value`, as `--expect` takes it.
    ///
    /// # Errors
    /// A key that there is none of, or a value that does not fit it.
    pub fn add(&mut self, spec: &str) -> Result<(), SpecError> {
        let refuse = |reason| SpecError { spec: spec.chars().take(80).collect(), reason };
        let (key, value) = spec.split_once('=').ok_or_else(|| refuse(SideError::Form))?;
        self.set(key, value).map_err(refuse)?;
        self.check().map_err(refuse)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SideError> {
        let number = |what| move |_| SideError::Number { what };
        let text = Some(value.to_owned());
        match key {
            "exit" => self.exit = Some(value.parse().map_err(number("an exit code"))?),
            "signal" => self.signal = text,
            "stdout_exact" => self.stdout_exact = text,
            "stdout_contains" => self.stdout_contains = text,
            "stdout_pattern" => self.stdout_pattern = text,
            "stderr_contains" => self.stderr_contains = text,
            "stderr_pattern" => self.stderr_pattern = text,
            "faulting_function" => self.faulting_function = text,
            "repeated_function" => self.repeated_function = text,
            "stack_fingerprint" => {
                self.stack_fingerprint = Some(value.parse().map_err(SideError::Fingerprint)?);
            }
            "cpu_budget_milliseconds" => {
                let budget = value.parse().map_err(number("a budget, in milliseconds,"))?;
                self.cpu_budget_milliseconds = Some(budget);
            }
            _ => return Err(SideError::Key),
        }
        Ok(())
    }

    /// Checks signals, sizes, budgets and patterns.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(&self) -> Result<(), SideError> {
        if let Some(name) = &self.signal
            && signal_number(name).is_none()
        {
            return Err(SideError::Signal { name: name.clone() });
        }
        if self.cpu_budget_milliseconds.is_some_and(|budget| !(1..=MAX_BUDGET_MILLISECONDS).contains(&budget))
        {
            return Err(SideError::Budget);
        }
        let texts = [
            &self.stdout_exact,
            &self.stdout_contains,
            &self.stderr_contains,
            &self.faulting_function,
            &self.repeated_function,
        ];
        if texts.iter().any(|text| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT)) {
            return Err(SideError::Text);
        }
        let patterns = [("stdout_pattern", &self.stdout_pattern), ("stderr_pattern", &self.stderr_pattern)];
        for (key, text) in patterns {
            let Some(text) = text else { continue };
            pattern::check(text).map_err(|source| SideError::Pattern { key, source })?;
        }
        Ok(())
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const SIGNALS: [(&str, i32); 12] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGSEGV", 11),
    ("SIGPIPE", 13),
    ("SIGTERM", 15),
];

/// The number of a signal on x86-64 Linux.
pub(crate) fn signal_number(name: &str) -> Option<i32> {
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of a signal.
pub(crate) fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("signal {number}"), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        let mut side = Side::default();
        side.add("signal=SIGSEGV").unwrap();
        side.add("stdout_contains=a=b").unwrap();
        assert_eq!(side.stdout_contains.as_deref(), Some("a=b"));
        for spec in ["signal=SIGNAL", "exit=x", "colour=red", "exit", "cpu_budget_milliseconds=0"] {
            assert!(Side::default().add(spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn a_fingerprint_is_a_digest() {
        let digest = Sha256::of(b"a stack");
        let mut side = Side::default();
        side.add(&format!("stack_fingerprint={digest}")).unwrap();
        assert_eq!(side.stack_fingerprint, Some(digest));
        for value in ["", "total", "sha256:abc", &digest.to_string()[..70]] {
            let error = side.add(&format!("stack_fingerprint={value}")).unwrap_err();
            assert!(matches!(error.reason, SideError::Fingerprint(_)), "{value}: {error:?}");
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_told_apart() {
        for key in ["stdout_pattern", "stderr_pattern"] {
            let error = Side::default().add(&format!("{key}=a(b")).unwrap_err();
            assert!(
                matches!(error.reason, SideError::Pattern { key: found, .. } if found == key),
                "{error:?}"
            );
            Side::default().add(&format!("{key}=a(b)=c")).unwrap();
        }
    }

    #[test]
    fn every_key_that_is_named_is_taken() {
        let digest = Sha256::of(b"").to_string();
        for key in KEYS {
            let value = match key {
                "signal" => "SIGBUS",
                "stack_fingerprint" => &digest,
                _ => "7",
            };
            let mut side = Side::default();
            side.add(&format!("{key}={value}")).unwrap();
            assert!(serde_json::to_value(&side).unwrap().get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn what_was_written_before_there_were_patterns_has_the_same_bytes() {
        let old = r#"{"exit":1,"stderr_contains":"panicked"}"#;
        let side: Side = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&side).unwrap(), old);
    }
}
