//! What the gate looks at.

use assay_evidence::{Sha256, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a witness said of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The incident happens in this artifact.
    Reproduced,
    /// Positive evidence that it does not.
    NotReproduced,
    /// Neither can be said.
    Inconclusive,
}

/// How a verdict was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The witness ran.
    Replayed,
    /// The same witness had run on the same bytes.
    Cached,
    /// A delta proof carries another build's run over.
    CarriedOver,
}

/// One piece of evidence: an incident and what is known of it in one artifact, or that no
/// artifact could be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceItem {
    /// The incident.
    pub incident: String,
    /// The artifact's role and digest; none where no artifact of the release matches.
    pub artifact: Option<Artifact>,
    /// What the witness said.
    pub verdict: Verdict,
    /// How it was come by; none without an artifact.
    pub mode: Option<Mode>,
    /// Why, as a stable code.
    pub reason: String,
    /// The verdict's statement.
    pub statement: Option<Sha256>,
    /// Whether the statement is included in the pinned head.
    pub included: bool,
    /// When the run behind the verdict happened.
    pub observed_at: Option<Timestamp>,
}

/// An artifact of the release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Its role.
    pub role: String,
    /// Its bytes.
    pub digest: Sha256,
}

/// Everything that one decision looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The release.
    pub release: String,
    /// Its artifacts, sorted.
    pub artifacts: Vec<Artifact>,
    /// The evidence, sorted by [`Evidence::new`].
    pub items: Vec<EvidenceItem>,
    /// The log's head that is pinned: the checkpoint's origin, size and root line.
    pub checkpoint: String,
}

impl Evidence {
    /// Sorts everything, so that equal evidence has equal bytes.
    pub fn new(
        release: String,
        mut artifacts: Vec<Artifact>,
        mut items: Vec<EvidenceItem>,
        checkpoint: String,
    ) -> Self {
        artifacts.sort();
        items.sort();
        Self { release, artifacts, items, checkpoint }
    }
}
