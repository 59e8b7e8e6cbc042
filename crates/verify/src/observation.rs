//! The observation of a run: what is compared between replays and with expectations.

use std::collections::BTreeMap;

use assay_evidence::{Sha256, json};
use assay_witness::{Ending, Fault, RunReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::demangle::demangle;
use crate::divergence::frame_text;
use crate::expectation::signal_name;

/// What a run showed, without anything that may differ between exact replays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// How it ended: `exit 0`, `SIGSEGV`, `limit cpu-time`, `unsupported ...`, `deadlock`.
    pub ending: String,
    /// Digest of the standard output.
    pub stdout: Sha256,
    /// Digest of the standard error.
    pub stderr: Sha256,
    /// The fault that ended it, or the panic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultSummary>,
}

/// A fault by the names of its frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultSummary {
    /// The signal, or `panic`.
    pub signal: String,
    /// `module+offset name`, innermost first, at most [`MAX_FRAMES`].
    pub frames: Vec<String>,
}

/// Frames that an observation keeps.
pub const MAX_FRAMES: usize = 32;

impl Observation {
    /// The observation of `report`.
    pub fn of(report: &RunReport) -> Self {
        Self {
            ending: ending_text(&report.ending),
            stdout: report.stdout.digest,
            stderr: report.stderr.digest,
            fault: decisive_fault(report).map(FaultSummary::of),
        }
    }

    /// Its digest: equal observations are the same observation.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&json::canonical(self).expect("an observation holds strings and digests"))
    }
}

impl FaultSummary {
    fn of(fault: &Fault) -> Self {
        let frames = fault.frames.iter().take(MAX_FRAMES).map(frame_text).collect();
        Self { signal: fault_name(fault), frames }
    }
}

/// The name of a fault: a signal, or `panic` for a captured call of the panic runtime.
pub(crate) fn fault_name(fault: &Fault) -> String {
    if fault.signal == 0 { "panic".to_owned() } else { signal_name(fault.signal) }
}

/// An ending in words that are stable.
pub(crate) fn ending_text(ending: &Ending) -> String {
    match ending {
        Ending::Exited { code } => format!("exit {code}"),
        Ending::Signalled { signal } => signal_name(*signal),
        Ending::Deadlocked => "deadlock".to_owned(),
        Ending::LimitExceeded { limit } => {
            let name = serde_json::to_value(limit).ok().and_then(|value| value.as_str().map(str::to_owned));
            format!("limit {}", name.unwrap_or_default())
        }
        Ending::Unsupported { code, .. } => format!("unsupported {code}"),
    }
}

/// The fault that explains the ending: the one behind an abort where a handler turned a fault into
/// one (Rust's stack overflow), the last one otherwise. A run that ended well has none, however
/// many faults it handled; a panic counts when the program failed.
pub(crate) fn decisive_fault(report: &RunReport) -> Option<&Fault> {
    const ABORT: i32 = 6;
    match report.ending {
        Ending::Exited { code: 0 } => None,
        Ending::Exited { .. } => report.faults.iter().rev().find(|fault| fault.signal == 0),
        _ => {
            let last = report.faults.last()?;
            let before = report.faults.iter().rev().find(|fault| fault.signal != ABORT);
            if last.signal == ABORT { before.or(Some(last)) } else { Some(last) }
        }
    }
}

/// Demangled names of the fault's frames, innermost first.
pub(crate) fn fault_names(fault: &Fault) -> Vec<String> {
    fault.frames.iter().filter_map(|frame| frame.symbol.as_deref().map(demangle)).collect()
}

/// The name that stands most often in a stack, and how often.
pub(crate) fn most_repeated(names: &[String]) -> Option<(&String, usize)> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count)
}
