//! What the gate says.

use assay_evidence::{Sha256, Timestamp, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The decision itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Every requirement passed.
    Allow,
    /// At least one failed.
    Deny,
    /// None failed, and at least one is unknown.
    Pending,
}

/// How one requirement came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be said.
    Unknown,
}

/// One requirement with the evidence it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleOutcome {
    /// The requirement's id.
    pub rule: String,
    /// How it came out.
    pub outcome: Outcome,
    /// Why, as sorted codes; empty for a pass.
    pub reason_codes: Vec<String>,
    /// The statements it used, sorted.
    pub evidence: Vec<Sha256>,
}

/// A decision: predicate body of `stella.ops/gateDecision@v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether the release may go.
    pub decision: Ruling,
    /// Why, sorted.
    pub reason_codes: Vec<String>,
    /// The policy's text by digest.
    pub policy_digest: Sha256,
    /// Every statement that was looked at, sorted.
    pub evidence_digests: Vec<Sha256>,
    /// Digest over policy, evidence, time and result: a second evaluation must give it again.
    pub determinism_hash: Sha256,
    /// The `now` of the evaluation.
    pub evaluated_at_utc: Timestamp,
    /// Each requirement with its outcome, in the policy's order.
    pub rules: Vec<RuleOutcome>,
}

/// What the determinism hash covers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Covered<'a, E: Serialize> {
    pub policy_digest: &'a Sha256,
    pub evidence: &'a E,
    pub evaluated_at_utc: Timestamp,
    pub decision: Ruling,
    pub rules: &'a [RuleOutcome],
}

impl<E: Serialize> Covered<'_, E> {
    pub(crate) fn hash(&self) -> Sha256 {
        let bytes = json::canonical(self).expect("evidence holds strings, digests and times only");
        Sha256::of(&bytes)
    }
}
