//! A run as it is kept: everything that judging and carrying over need.

use assay_binary::Address;
use assay_evidence::{Sha256, json};
use assay_witness::{Ending, LimitKind, RunReport, RuntimeCoverage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observation::Observation;

/// One replay's result, kept as a blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredRun {
    /// The witness.
    pub witness: Sha256,
    /// The artifact under test.
    pub artifact: Sha256,
    /// What it showed.
    pub observation: Observation,
    /// Digest of the event trace.
    pub trace: Sha256,
    /// Virtual events.
    pub events: u64,
    /// Executed units of the subject, by entry address.
    pub executed: Vec<Address>,
    /// How many places outside every known function were executed.
    pub unknown_code: u64,
    /// Whether code that lies in no file was executed.
    pub generated_code: bool,
    /// Whether the subject opened its own file, where the loader does not; none where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_file_opened: Option<bool>,
    /// Whether the run was cut off at its processor time.
    pub cut_off: bool,
    /// Processor time in microseconds.
    pub cpu_micros: u64,
    /// Digest of the environment class.
    pub environment: Sha256,
    /// How long the replay took, in milliseconds.
    pub milliseconds: f64,
    /// For a program that an interpreter runs: what it executed, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceObservation>,
}

/// What a second, observed replay told of an interpreted program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SourceObservation {
    /// What was executed.
    Covered(RuntimeCoverage),
    /// Why that is not known, as a stable code.
    Uncovered {
        /// The code.
        code: String,
    },
}

impl StoredRun {
    pub(crate) fn of(
        witness: Sha256,
        artifact: Sha256,
        subject_path: &str,
        report: &RunReport,
        milliseconds: f64,
        source: Option<SourceObservation>,
    ) -> Self {
        let in_subject =
            report.functions_executed.iter().filter(|function| function.module.path == subject_path);
        let opened = report.files_opened.iter().any(|file| file.path == subject_path);
        Self {
            witness,
            artifact,
            observation: Observation::of(report),
            trace: report.trace_digest,
            events: report.events,
            executed: in_subject.map(|function| function.offset).collect(),
            unknown_code: report.unknown_code.len() as u64,
            generated_code: report.generated_code,
            own_file_opened: Some(opened && !loaded_as_library(report, subject_path)),
            cut_off: matches!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime }),
            cpu_micros: report.cpu_micros,
            environment: environment_digest(report),
            milliseconds,
            source,
        }
    }
}

/// Whether the loader opens the subject itself: it does so for every mapped file but the first program,
/// which the kernel maps.
fn loaded_as_library(report: &RunReport, subject_path: &str) -> bool {
    let name = subject_path.rsplit('/').next().unwrap_or_default();
    let is_library = name.contains(".so");
    is_library && report.modules.iter().any(|module| module.module.path == subject_path)
}

/// The digest of the environment class that a run belongs to.
pub(crate) fn environment_digest(report: &RunReport) -> Sha256 {
    class_digest(&report.environment_class)
}

pub(crate) fn class_digest(class: &assay_witness::EnvironmentClass) -> Sha256 {
    Sha256::of(
        &json::canonical(class).expect("an environment class holds strings, digests and small numbers"),
    )
}
