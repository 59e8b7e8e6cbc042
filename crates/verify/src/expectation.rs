//! What a side of an incident is expected to show. Every key that is present must hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{spec}` is not an expectation: {detail}")]
pub struct SpecError {
    /// The text as it came, shortened.
    pub spec: String,
    /// What is wrong.
    pub detail: String,
}

impl Side {
    /// Adds one `key=value`, as `--expect` takes it.
    pub fn add(&mut self, spec: &str) -> Result<(), SpecError> {
        let refuse =
            |detail: &str| SpecError { spec: spec.chars().take(80).collect(), detail: detail.to_owned() };
        let (key, value) = spec.split_once('=').ok_or_else(|| refuse("write it as key=value"))?;
        let text = Some(value.to_owned());
        match key {
            "exit" => self.exit = Some(value.parse().map_err(|_| refuse("an exit code is a number"))?),
            "signal" => self.signal = text,
            "stdout_exact" => self.stdout_exact = text,
            "stdout_contains" => self.stdout_contains = text,
            "stderr_contains" => self.stderr_contains = text,
            "faulting_function" => self.faulting_function = text,
            "repeated_function" => self.repeated_function = text,
            "cpu_budget_milliseconds" => {
                let budget = value.parse().map_err(|_| refuse("a budget is a number of milliseconds"))?;
                self.cpu_budget_milliseconds = Some(budget);
            }
            _ => {
                return Err(refuse(
                    "the keys are exit, signal, stdout_exact, stdout_contains, stderr_contains, faulting_function, \
                     repeated_function, cpu_budget_milliseconds",
                ));
            }
        }
        self.check().map_err(|detail| refuse(&detail))
    }

    /// Checks signals, sizes and budgets.
    pub fn check(&self) -> Result<(), String> {
        if let Some(signal) = &self.signal
            && signal_number(signal).is_none()
        {
            return Err(format!("`{signal}` is not the name of a signal that ends programs"));
        }
        if self.cpu_budget_milliseconds.is_some_and(|budget| !(1..=MAX_BUDGET_MILLISECONDS).contains(&budget))
        {
            return Err(format!("a budget has 1 to {MAX_BUDGET_MILLISECONDS} milliseconds"));
        }
        let texts = [
            &self.stdout_exact,
            &self.stdout_contains,
            &self.stderr_contains,
            &self.faulting_function,
            &self.repeated_function,
        ];
        if texts.iter().any(|text| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT)) {
            return Err(format!("a text has at most {MAX_TEXT} bytes"));
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
}
