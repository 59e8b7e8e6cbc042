//! in-toto Statement v1 (in-toto/attestation, spec/v1/statement.md).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, JsonError};
use crate::{Envelope, PrivateKey, Sha256, dsse};

/// The statement's type URI.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The most subjects one statement names.
pub const MAX_SUBJECTS: usize = 256;

/// The predicate types that Assay signs, `stella.ops/<name>@v1`.
pub mod predicate {
    /// A recorded capsule and its observation.
    pub const MICRO_WITNESS: &str = "stella.ops/microWitness@v1";
    /// What a witness said of an artifact.
    pub const REPLAY_VERDICT: &str = "stella.ops/replayVerdict@v1";
    /// The normalised stack of an incident.
    pub const STACK_FINGERPRINT: &str = "stella.ops/stackFingerprint@v1";
    /// What a fix of an incident looks like in machine code.
    pub const PATCH_SIGNATURE: &str = "stella.ops/patchSignature@v1";
    /// Why a run of one artifact holds for another.
    pub const DELTA_PROOF: &str = "stella.ops/deltaProof@v1";
    /// Why a run of an interpreted program holds for another build of it.
    pub const SOURCE_DELTA_PROOF: &str = "stella.ops/sourceDeltaProof@v1";
    /// A release's decision.
    pub const GATE_DECISION: &str = "stella.ops/gateDecision@v1";
}

/// A statement: subjects and one predicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What the statement is about.
    pub subject: Vec<Subject>,
    /// Names the predicate's form.
    pub predicate_type: String,
    /// The predicate itself.
    pub predicate: Value,
}

/// One artifact by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// A name for people.
    pub name: String,
    /// Digests by algorithm; `sha256` in lower hex is always there.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// A subject by its SHA-256 digest.
    pub fn new(name: impl Into<String>, digest: Sha256) -> Self {
        Self { name: name.into(), digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]) }
    }

    /// The SHA-256 digest, where there is a well-formed one.
    pub fn sha256(&self) -> Option<Sha256> {
        format!("sha256:{}", self.digest.get("sha256")?).parse().ok()
    }
}

impl Statement {
    /// A statement of `predicate` about `subject`.
    pub fn new<P: Serialize>(
        predicate_type: &str,
        subject: Vec<Subject>,
        predicate: &P,
    ) -> Result<Self, JsonError> {
        let predicate = serde_json::to_value(predicate)
            .map_err(|error| JsonError::Shape { detail: error.to_string() })?;
        let statement_type = STATEMENT_TYPE.to_owned();
        Ok(Self { statement_type, subject, predicate_type: predicate_type.to_owned(), predicate })
    }

    /// Signs the canonical form of the statement.
    pub fn sign(&self, key: &PrivateKey) -> Result<Envelope, JsonError> {
        Ok(Envelope::sign(dsse::IN_TOTO_PAYLOAD, json::canonical(self)?, key))
    }

    /// Reads a payload strictly: the right type, 1 to [`MAX_SUBJECTS`] subjects, each with SHA-256.
    pub fn parse(payload: &[u8]) -> Result<Self, JsonError> {
        let statement: Self = json::from_strict(payload)?;
        let refuse = |detail: &str| JsonError::Shape { detail: detail.to_owned() };
        if statement.statement_type != STATEMENT_TYPE {
            return Err(refuse("`_type` is not in-toto Statement v1"));
        }
        if statement.subject.is_empty() || statement.subject.len() > MAX_SUBJECTS {
            return Err(refuse("a statement has 1 to 256 subjects"));
        }
        if statement.subject.iter().any(|subject| subject.sha256().is_none()) {
            return Err(refuse("every subject needs a sha256 digest"));
        }
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let subject = vec![Subject::new("app", Sha256::of(b"app"))];
        let statement =
            Statement::new(predicate::REPLAY_VERDICT, subject, &serde_json::json!({"a": 1})).unwrap();
        let key = PrivateKey::from_seed(&[3; 32]);
        let envelope = statement.sign(&key).unwrap();
        assert_eq!(Statement::parse(envelope.payload_unverified()).unwrap(), statement);
        for (from, to) in
            [("v1\"", "v2\""), ("sha256", "sha1"), ("\"predicate\":", "\"extra\":1,\"predicate\":")]
        {
            let text =
                String::from_utf8(envelope.payload_unverified().to_vec()).unwrap().replacen(from, to, 1);
            assert!(Statement::parse(text.as_bytes()).is_err(), "{from} -> {to}");
        }
    }
}
