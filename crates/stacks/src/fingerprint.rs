//! A stable name for a normalised trace.

use assay_evidence::{Sha256, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trace::{NORMALIZER_VERSION, Trace};

/// How many frames, from the innermost, a fingerprint covers.
pub const FINGERPRINT_FRAMES: usize = 8;

/// The digest of the innermost application frames under one version of the normaliser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprint {
    /// SHA-256 of the canonical JSON of `frames` and `version`.
    pub digest: Sha256,
    /// The frames it covers, innermost first; a trailing `*` marks recursion.
    pub frames: Vec<String>,
    /// The normaliser's version.
    pub version: u32,
}

/// Names a trace. Frames of the language's own library count only where there is nothing else:
/// whether they show depends on inlining.
pub fn fingerprint(trace: &Trace) -> Fingerprint {
    let own = trace.frames.iter().any(|frame| !frame.standard);
    let frames: Vec<String> = trace
        .frames
        .iter()
        .filter(|frame| !(own && frame.standard))
        .take(FINGERPRINT_FRAMES)
        .map(|frame| format!("{}{}", frame.key(), if frame.repeated { "*" } else { "" }))
        .collect();
    let body = serde_json::json!({ "frames": frames, "version": NORMALIZER_VERSION });
    let bytes = json::canonical(&body).expect("strings and one small number are always canonical");
    Fingerprint { digest: Sha256::of(&bytes), frames, version: NORMALIZER_VERSION }
}
