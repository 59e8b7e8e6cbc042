//! An immutable index over the traces of known incidents.

mod build;
mod contain;
mod explain;
mod format;
mod search;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use format::{INDEX_VERSION, MAX_ITEMS};

use crate::model::Model;
use crate::trace::{MAX_TRACE_FRAMES, Trace};
use format::Layout;

/// One known trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The incident it belongs to; several items may belong to one.
    pub incident: String,
    /// The trace.
    pub trace: Trace,
    /// When it was reported, microseconds since 1970 UTC, where known.
    pub time: Option<i64>,
}

/// Why an index cannot be built or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// More than [`MAX_ITEMS`], or more tokens than its numbers can count.
    #[error("the index is too large: {items} traces; at most {MAX_ITEMS} fit")]
    TooLarge {
        /// How many traces were given.
        items: usize,
    },
    /// Not an index, or cut short.
    #[error("the bytes are not a stack index: {detail}")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// Written by another version.
    #[error("the stack index has version {found}; this program reads {INDEX_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The bytes were damaged.
    #[error("the stack index does not match its checksum")]
    Checksum,
}

/// One incident that a trace may belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The incident.
    pub incident: String,
    /// How probable it is that the trace is this incident, 0 to 1.
    pub probability: f64,
    /// The score that the probability is calibrated from; higher is more alike.
    pub score: f64,
    /// Which frames agreed and which did not, in words.
    pub explanation: Vec<String>,
}

/// The incidents that a trace may belong to, the most probable first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchResult {
    /// At most as many as were asked for.
    pub matches: Vec<Match>,
    /// Whether none passes [`MATCH_THRESHOLD`]: the incident is new.
    pub new: bool,
}

/// The probability from which a match counts.
pub const MATCH_THRESHOLD: f64 = 0.4;

/// An immutable index; `B` holds its bytes (a vector, or a mapped file).
#[derive(Clone, Debug)]
pub struct Index<B = Vec<u8>> {
    bytes: B,
    layout: Layout,
    model: Model,
    /// The model's weight of each depth.
    depths: Vec<f64>,
}

impl Index<Vec<u8>> {
    /// Builds an index over `items`.
    pub fn build(items: &[Item]) -> Result<Self, IndexError> {
        Self::from_bytes(build::bytes(items)?)
    }
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Opens an index; its size, version and checksum are verified.
    pub fn from_bytes(bytes: B) -> Result<Self, IndexError> {
        let layout = Layout::read(bytes.as_ref())?;
        Ok(Self { bytes, layout, model: Model::default(), depths: Vec::new() }.with_model(Model::default()))
    }

    /// The same index under another model.
    pub fn with_model(mut self, model: Model) -> Self {
        self.depths = (0..=MAX_TRACE_FRAMES).map(|depth| (1.0 + depth as f64).powf(-model.alpha)).collect();
        self.model = model;
        self
    }

    /// The index as bytes, to be kept and opened again.
    pub fn to_bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The number of traces.
    pub fn len(&self) -> usize {
        self.layout.traces as usize
    }

    /// Whether it holds no trace.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The incidents that `trace` may belong to, at most `limit`.
    pub fn match_trace(&self, trace: &Trace, limit: usize) -> MatchResult {
        self.match_at(trace, None, limit)
    }

    /// [`Index::match_trace`] of a trace reported at `time` (microseconds since 1970 UTC).
    pub fn match_at(&self, trace: &Trace, time: Option<i64>, limit: usize) -> MatchResult {
        let found = self.search(trace, time, limit, |_| true);
        let new = found.first().is_none_or(|best| best.probability < MATCH_THRESHOLD);
        let slots = self.slots_of(trace);
        let matches = found.iter().map(|found| self.explained(trace, &slots, found)).collect();
        MatchResult { matches, new }
    }
}
