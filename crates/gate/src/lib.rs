//! The gate: policy + evidence + now -> decision.
//!
//! # Design constraints
//! - Pure: no clock, network, file or randomness; the same input gives the same bytes.
//! - Three-valued: pass, fail, unknown. Unknown never promotes, and an empty policy denies.
//! - Reason codes are sorted and stable; they name the incident they speak of.

mod decision;
mod evaluate;
mod evidence;
mod policy;

pub use decision::{Decision, Outcome, RuleOutcome, Ruling};
pub use evaluate::evaluate;
pub use evidence::{Artifact, Evidence, EvidenceItem, Mode, Verdict};
pub use policy::{MAX_POLICY_BYTES, MAX_REQUIREMENTS, Policy, PolicyError, Requirement, Rule};
