//! The predicates that this room signs.

use assay_binary::Frame;
use assay_evidence::Sha256;
use assay_gate::{Mode, Verdict};
use assay_witness::{Provenance, SubjectToolchain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observation::Observation;

/// Predicate of `stella.ops/microWitness@v1`: a capsule that makes an incident happen. Its
/// subjects are the recorded artifact and the capsule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MicroWitness {
    /// The incident.
    pub incident: String,
    /// The capsule's OCI manifest digest: the witness's id.
    pub witness: Sha256,
    /// The role of the artifact under test.
    pub role: String,
    /// The recorded artifact.
    pub artifact: Sha256,
    /// What the recorded run showed.
    pub observation: Observation,
    /// The observation's digest.
    pub observation_digest: Sha256,
    /// Digest of the event trace at the fixed layout.
    pub trace_digest: Sha256,
    /// Whether the observation or the executed functions depend on where things lie.
    pub layout_sensitive: bool,
    /// Replays that admitted it.
    pub replays: u32,
    /// The functions that a run must reach to say anything, by name.
    pub recorded_path: Vec<String>,
    /// The runner's version.
    pub runner_version: String,
    /// Digest of the environment class.
    pub environment: Sha256,
    /// What was done to the capsule after it was recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
    /// What compiled the recorded artifact, or why that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub toolchain: Option<SubjectToolchain>,
    /// The signed statements about the capsule's subjects that the capsule holds.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub provenance: Vec<Provenance>,
}

/// The bundle that a witness came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportedFrom {
    /// The digest of the bundle's bytes.
    pub bundle: Sha256,
    /// The id of the key that signed it.
    pub key: String,
    /// The witness's statement there.
    pub statement: Sha256,
}

/// What was done to a capsule after it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// The witness that it was made smaller from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub minimized_from: Option<Sha256>,
    /// What was replaced in it by pseudonyms.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redaction: Option<assay_witness::redact::RedactionRecord>,
    /// The bundle that it came in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub imported_from: Option<ImportedFrom>,
}

/// Predicate of `stella.ops/replayVerdict@v1`: what a witness says of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayVerdict {
    /// The incident.
    pub incident: String,
    /// The witness.
    pub witness: Sha256,
    /// The role under test.
    pub role: String,
    /// The artifact under test.
    pub artifact: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// `replayed` or `carried_over`; a cached verdict is the statement it was cached from.
    pub mode: Mode,
    /// Why, as a stable code.
    pub reason: String,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// What the run showed (of the run that was carried over, if it was).
    pub observation: Observation,
    /// Digest of the event trace.
    pub trace_digest: Sha256,
    /// The verdict's cache key.
    pub cache_key: Sha256,
    /// For a carried-over verdict: the statement of the verdict that was carried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carried_from: Option<Sha256>,
    /// For a carried-over verdict: the statement of the delta proof.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delta_proof: Option<Sha256>,
    /// Why it could not be carried over, where that was tried.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_carried: Vec<String>,
    /// The runner's version.
    pub runner_version: String,
    /// Digest of the environment class.
    pub environment: Sha256,
}

/// Predicate of `stella.ops/stackFingerprint@v1`: the stack of an incident, as captured by the
/// runner at the fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackFingerprint {
    /// The incident.
    pub incident: String,
    /// The witness whose run was captured.
    pub witness: Sha256,
    /// The signal, or `panic`.
    pub signal: String,
    /// The normalised stack's fingerprint.
    pub fingerprint: Sha256,
    /// The frames as captured, innermost first.
    pub frames: Vec<Frame>,
}

/// Predicate of `stella.ops/patchSignature@v1`: what a fix of an incident looks like in machine code. Its
/// subjects are the two builds that it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedPatch {
    /// The incident.
    pub incident: String,
    /// The digest of the signature's bytes.
    pub signature: Sha256,
    /// The build that has the incident.
    pub vulnerable: Sha256,
    /// The build that has the fix.
    pub fixed: Sha256,
    /// The version of the normaliser that made it.
    pub normaliser_version: u32,
    /// How many functions it looks at.
    pub functions: u32,
    /// The bundle that it came in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub imported_from: Option<ImportedFrom>,
}
