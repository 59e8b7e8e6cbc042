//! The evidence of a release in one file that needs nobody to be believed.

use std::collections::{BTreeMap, BTreeSet};

use assay_access::{Permission, Principal};
use assay_evidence::{PublicKey, Sha256, Statement, predicate};
use assay_gate::Ruling;
use assay_notary::InclusionProof;
use assay_verify::ReplayVerdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decisions::{StoredDecision, evaluate_again};
use crate::{ArtifactRef, Control, ControlError, ControlResult};

/// The largest bundle that is read.
pub const MAX_BUNDLE_BYTES: usize = 64 << 20;
/// The bundle's version.
const BUNDLE_VERSION: u32 = 1;

/// Decision, verdicts, proofs, checkpoint and key of one release. Each statement comes with its
/// inclusion proof.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_VERSION`].
    pub version: u32,
    /// The release.
    pub release: String,
    /// Its artifacts: role and digest.
    pub artifacts: BTreeMap<String, Vec<Sha256>>,
    /// The key that signs statements and checkpoints.
    pub public_key: String,
    /// The decision's statement.
    pub decision: Sha256,
    /// All statements.
    pub statements: Vec<InclusionProof>,
}

/// One statement of a bundle, verified.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleStatement {
    /// Its digest.
    pub statement: Sha256,
    /// Its predicate type.
    pub predicate_type: String,
    /// Its place in the log.
    pub index: u64,
    /// The predicate.
    pub predicate: serde_json::Value,
}

/// What verifying a bundle found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleReport {
    /// The release.
    pub release: String,
    /// The ruling, as the decision's statement says.
    pub decision: Option<Ruling>,
    /// How many statements hold.
    pub statements: usize,
    /// Whether all of it holds.
    pub verified: bool,
    /// Whether the key is one that the reader named; without one, the bundle's own is used.
    pub key: String,
    /// What does not hold.
    pub problems: Vec<String>,
    /// The statements that hold.
    #[serde(skip)]
    pub verified_statements: Vec<BundleStatement>,
}

impl Control {
    /// Gathers the newest decision of a release with all it stands on.
    pub async fn bundle(&self, principal: &Principal, release: &str) -> ControlResult<Bundle> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let found = self.release(principal, release).await?;
        let newest = self.decisions(principal, release).await?.into_iter().next();
        let decided = newest.ok_or_else(|| ControlError::Undecided { name: release.to_owned() })?;
        let mut wanted = BTreeSet::from([decided.statement]);
        let verdicts = decided.document.decision.evidence_digests.clone();
        let mut open: Vec<Sha256> = verdicts;
        while let Some(digest) = open.pop() {
            if wanted.insert(digest) {
                open.extend(self.stands_on(principal, &digest).await?);
            }
        }
        let notary = self.verifier().notary();
        let mut statements = Vec::new();
        for digest in wanted {
            statements.push(notary.prove(tenant, &digest).await?);
        }
        let log =
            notary.log(tenant).await?.ok_or_else(|| ControlError::Undecided { name: release.to_owned() })?;
        let mut artifacts: BTreeMap<String, Vec<Sha256>> = BTreeMap::new();
        for ArtifactRef { role, digest, .. } in found.artifacts {
            artifacts.entry(role).or_default().push(digest);
        }
        Ok(Bundle {
            version: BUNDLE_VERSION,
            release: release.to_owned(),
            artifacts,
            public_key: log.key.to_string(),
            decision: decided.statement,
            statements,
        })
    }

    /// The statements that a verdict refers to: the one it was carried from, the proof, the witness.
    async fn stands_on(&self, principal: &Principal, digest: &Sha256) -> ControlResult<Vec<Sha256>> {
        let accepted = self.verifier().notary().statement(principal.tenant(), digest).await?;
        if accepted.statement.predicate_type != predicate::REPLAY_VERDICT {
            return Ok(Vec::new());
        }
        let Ok(verdict) = serde_json::from_value::<ReplayVerdict>(accepted.statement.predicate) else {
            return Ok(Vec::new());
        };
        let witness = self.verifier().witness(principal, &verdict.witness).await?.0.statement;
        Ok([Some(witness), verdict.carried_from, verdict.delta_proof].into_iter().flatten().collect())
    }
}

/// Verifies a bundle offline, against `key` if one is named and the bundle's own otherwise.
pub fn verify_bundle(bundle: &Bundle, key: Option<&PublicKey>) -> ControlResult<BundleReport> {
    if bundle.version != BUNDLE_VERSION {
        let detail = format!("version {} is not known (this is {BUNDLE_VERSION})", bundle.version);
        return Err(ControlError::Bundle { detail });
    }
    let own: PublicKey = bundle
        .public_key
        .parse()
        .map_err(|error: assay_evidence::KeyError| ControlError::Bundle { detail: error.to_string() })?;
    let trusted = key.unwrap_or(&own);
    let mut problems = Vec::new();
    if *trusted != own {
        problems.push(format!("the bundle is signed by {}, not by {}", own.id(), trusted.id()));
    }
    let mut statements: BTreeMap<Sha256, Statement> = BTreeMap::new();
    let mut verified = Vec::new();
    for proof in &bundle.statements {
        match proof.verify(trusted) {
            Ok(statement) => {
                verified.push(BundleStatement {
                    statement: proof.statement,
                    predicate_type: statement.predicate_type.clone(),
                    index: proof.index,
                    predicate: statement.predicate.clone(),
                });
                statements.insert(proof.statement, statement);
            }
            Err(error) => problems.push(format!("{}: {error}", proof.statement)),
        }
    }
    let decision = check_decision(bundle, &statements, &mut problems);
    Ok(BundleReport {
        release: bundle.release.clone(),
        decision,
        statements: verified.len(),
        verified: problems.is_empty(),
        key: trusted.id().to_string(),
        problems,
        verified_statements: verified,
    })
}

/// The decision must be about this release and these artifacts, give its hash again, and every
/// verdict it used must be in the bundle and say what the evidence says.
fn check_decision(
    bundle: &Bundle,
    statements: &BTreeMap<Sha256, Statement>,
    problems: &mut Vec<String>,
) -> Option<Ruling> {
    let Some(statement) = statements.get(&bundle.decision) else {
        problems.push("the decision's statement is missing".to_owned());
        return None;
    };
    let document: StoredDecision = match serde_json::from_value(statement.predicate.clone()) {
        Ok(document) if statement.predicate_type == predicate::GATE_DECISION => document,
        _ => {
            problems.push("the decision's statement holds no decision".to_owned());
            return None;
        }
    };
    if document.release != bundle.release {
        problems.push("the decision is about another release".to_owned());
    }
    let decided: BTreeSet<(&str, Sha256)> = document
        .evidence
        .artifacts
        .iter()
        .map(|artifact| (artifact.role.as_str(), artifact.digest))
        .collect();
    let listed: BTreeSet<(&str, Sha256)> = bundle
        .artifacts
        .iter()
        .flat_map(|(role, digests)| digests.iter().map(|digest| (role.as_str(), *digest)))
        .collect();
    if decided != listed {
        problems.push("the decision is about other artifacts".to_owned());
    }
    match evaluate_again(&document) {
        Ok(again) if again == document.decision => {}
        _ => problems.push("the decision does not follow from its evidence".to_owned()),
    }
    for item in &document.evidence.items {
        let Some(digest) = item.statement else { continue };
        let verdict: Option<ReplayVerdict> = statements
            .get(&digest)
            .filter(|statement| statement.predicate_type == predicate::REPLAY_VERDICT)
            .and_then(|statement| serde_json::from_value(statement.predicate.clone()).ok());
        let agrees = verdict.as_ref().is_some_and(|verdict| {
            verdict.incident == item.incident
                && verdict.verdict == item.verdict
                && item.artifact.as_ref().is_some_and(|artifact| artifact.digest == verdict.artifact)
        });
        if !agrees {
            problems
                .push(format!("the verdict {digest} on {} is missing or says something else", item.incident));
        }
        for needed in verdict.iter().flat_map(|verdict| [verdict.carried_from, verdict.delta_proof]).flatten()
        {
            if !statements.contains_key(&needed) {
                problems.push(format!("the statement {needed} that a verdict stands on is missing"));
            }
        }
    }
    Some(document.decision.decision)
}
