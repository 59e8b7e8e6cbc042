//! Releases, decisions and the evidence that is handed over.
//!
//! # Design constraints
//! - There is no second verify pipeline here: verdicts come from `verify`, the ruling from `gate`.
//! - A decision keeps everything it was made from, so that it can be made again to the same hash.
//! - The gate sees only statements included in the head that the decision pins.

mod decisions;
mod error;
mod evidence;
mod releases;
mod sql;

pub use decisions::{Decided, Explained, ExplainedRule, Replayed, StoredDecision, Verified};
pub use error::{ControlError, ControlResult};
pub use evidence::{Bundle, BundleReport, BundleStatement, MAX_BUNDLE_BYTES, verify_bundle};
pub use releases::{ArtifactRef, NewRelease, Release};
pub use sql::MIGRATIONS;

use assay_store::Store;
use assay_verify::Verifier;

/// The policy of a verification that names none.
pub const DEFAULT_POLICY: &str = include_str!("../../../policies/default.toml");

/// Releases and their decisions.
#[derive(Clone)]
pub struct Control {
    verifier: Verifier,
}

impl Control {
    /// Over `verifier`.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }

    /// The verifier below.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn store(&self) -> &Store {
        self.verifier.notary().store()
    }
}
