//! Verify, decide, and decide again.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, predicate};
use assay_gate::{Artifact, Decision, Evidence, EvidenceItem, Policy, Ruling, Verdict, evaluate};
use assay_notary::Notary;
use assay_store::{StoreError, query};
use assay_verify::{IncidentVerdict, Target, Unknown, Verification};
use serde::{Deserialize, Serialize};

use crate::{Control, ControlError, ControlResult, DEFAULT_POLICY, sql};

/// A decision with everything it was made from: predicate of `stella.ops/gateDecision@v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredDecision {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// The release.
    pub release: String,
    /// What was looked at.
    pub evidence: Evidence,
    /// The policy's text.
    pub policy: String,
}

/// What verifying a release answers.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Verified {
    /// The release.
    pub release: String,
    /// Whether it may go.
    pub decision: Ruling,
    /// Why, sorted.
    #[serde(rename = "reasonCodes")]
    pub reason_codes: Vec<String>,
    /// The verdicts, by incident.
    pub verdicts: Vec<IncidentVerdict>,
    /// Incidents that nothing could be said of.
    pub unknown: Vec<Unknown>,
    /// How long verifying took.
    pub milliseconds: f64,
    /// How long replaying everything took, when it ran.
    pub replay_all_milliseconds: f64,
    /// The decision's id.
    #[serde(rename = "decisionId")]
    pub decision_id: String,
    /// The decision's statement.
    pub statement: Sha256,
    /// Digest over everything the decision was made from.
    #[serde(rename = "determinismHash")]
    pub determinism_hash: Sha256,
}

/// A decision in a list.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// Its id.
    pub id: String,
    /// Its statement.
    pub statement: Sha256,
    /// The document.
    #[serde(flatten)]
    pub document: StoredDecision,
}

/// A decision with each rule and the evidence it used.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// Its id.
    pub id: String,
    /// The release.
    pub release: String,
    /// The ruling.
    pub decision: Ruling,
    /// Why, sorted.
    pub reason_codes: Vec<String>,
    /// Each rule.
    pub rules: Vec<ExplainedRule>,
    /// Digest over everything.
    pub determinism_hash: Sha256,
    /// The policy's digest.
    pub policy_digest: Sha256,
    /// When it was made.
    pub evaluated_at_utc: Timestamp,
    /// The log's head that it pins.
    pub checkpoint: String,
}

/// One rule with its evidence.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRule {
    /// The requirement's id.
    pub rule: String,
    /// How it came out.
    pub outcome: assay_gate::Outcome,
    /// Why.
    pub reason_codes: Vec<String>,
    /// What it used.
    pub evidence: Vec<EvidenceItem>,
}

/// A decision that was made again.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Its id.
    pub id: String,
    /// The ruling now.
    pub decision: Ruling,
    /// Whether the second evaluation gave the same hash.
    pub same: bool,
    /// The hash now.
    pub determinism_hash: Sha256,
    /// Each rule now.
    pub rules: Vec<assay_gate::RuleOutcome>,
}

impl Control {
    /// Verifies a release, decides, states and publishes the decision.
    #[expect(clippy::too_many_arguments, reason = "one request, field by field")]
    pub async fn verify_release(
        &self,
        principal: &Principal,
        name: &str,
        baseline: Option<&str>,
        policy_text: Option<&str>,
        jobs: usize,
        now: Timestamp,
        progress: &(dyn Fn(&IncidentVerdict) + Send + Sync),
    ) -> ControlResult<Verified> {
        principal.require(Permission::Verify)?;
        let policy_text = policy_text.unwrap_or(DEFAULT_POLICY);
        let policy = Policy::parse(policy_text)?;
        let release = self.release(principal, name).await?;
        let baseline = match baseline {
            Some(name) => self.release(principal, name).await?.targets(),
            None => Vec::new(),
        };
        let verification =
            self.verifier.verify(principal, &release.targets(), &baseline, jobs, now, progress).await?;
        let tenant = principal.tenant();
        let evidence = self.evidence(tenant, name, &release.targets(), &verification).await?;
        let at = Timestamp::now();
        let decision = evaluate(&policy, Policy::digest_of(policy_text), &evidence, at);
        let document =
            StoredDecision { decision, release: name.to_owned(), evidence, policy: policy_text.to_owned() };
        let (id, statement) = self.state(tenant, &document, &release.targets(), at).await?;
        Ok(Verified {
            release: name.to_owned(),
            decision: document.decision.decision,
            reason_codes: document.decision.reason_codes,
            verdicts: verification.verdicts,
            unknown: verification.unknown,
            milliseconds: verification.milliseconds,
            replay_all_milliseconds: verification.replay_all_milliseconds,
            decision_id: id,
            statement,
            determinism_hash: document.decision.determinism_hash,
        })
    }

    /// The evidence of a verification, pinned to the log's head.
    async fn evidence(
        &self,
        tenant: &TenantId,
        release: &str,
        targets: &[Target],
        verification: &Verification,
    ) -> ControlResult<Evidence> {
        let notary = self.verifier.notary();
        let head = notary.head(tenant).await?;
        let size = head.as_ref().map_or(0, |head| head.size);
        let checkpoint = head.map(|head| checkpoint_body(&head.note)).unwrap_or_default();
        let statements: Vec<Sha256> = verification.verdicts.iter().map(|verdict| verdict.statement).collect();
        let included = notary.included(tenant, &statements, size).await?;
        let item = |verdict: &IncidentVerdict| EvidenceItem {
            incident: verdict.incident.clone(),
            artifact: Some(Artifact { role: verdict.role.clone(), digest: verdict.artifact }),
            verdict: verdict.verdict,
            mode: Some(verdict.mode),
            reason: verdict.reason.clone(),
            statement: Some(verdict.statement),
            included: included.contains(&verdict.statement),
            observed_at: Some(verdict.observed_at),
        };
        let mut items: Vec<EvidenceItem> = verification.verdicts.iter().map(item).collect();
        items.extend(verification.unknown.iter().map(|unknown| EvidenceItem {
            incident: unknown.incident.clone(),
            artifact: None,
            verdict: Verdict::Inconclusive,
            mode: None,
            reason: unknown.reason.clone(),
            statement: None,
            included: false,
            observed_at: None,
        }));
        let artifact = |target: &Target| Artifact { role: target.role.clone(), digest: target.digest };
        Ok(Evidence::new(release.to_owned(), targets.iter().map(artifact).collect(), items, checkpoint))
    }

    async fn state(
        &self,
        tenant: &TenantId,
        document: &StoredDecision,
        targets: &[Target],
        now: Timestamp,
    ) -> ControlResult<(String, Sha256)> {
        let notary = self.verifier.notary();
        let subjects =
            targets.iter().map(|target| Subject::new(target.role.clone(), target.digest)).collect();
        let statement = Statement::new(predicate::GATE_DECISION, subjects, document)?;
        let prepared = notary.prepare(tenant, statement, now).await?;
        let row = sql::DecisionRow {
            id: prepared.digest().hex()[..16].to_owned(),
            release: document.release.clone(),
            document: serde_json::to_string(document).unwrap_or_default(),
            statement: *prepared.digest(),
        };
        let ruling = serde_json::to_value(document.decision.decision).unwrap_or_default();
        let ruling = ruling.as_str().unwrap_or_default().to_owned();
        let (row_ref, prepared, ruling) = (&row, &prepared, &ruling);
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                Notary::accept(&tx, tenant, prepared).await?;
                sql::insert_decision(&tx, tenant, row_ref, ruling, now).await
            })
            .await;
        written?;
        notary.publish(tenant, now).await?;
        Ok((row.id, row.statement))
    }

    /// A decision by id, by its statement's digest, or the newest of a release's name.
    pub async fn decision(&self, principal: &Principal, name: &str) -> ControlResult<Decided> {
        principal.require(Permission::ReadEvidence)?;
        let (db, tenant) = (self.store().database(), principal.tenant());
        let id = name.strip_prefix("sha256:").map_or(name, |hex| hex.get(..16).unwrap_or(hex));
        let row = match sql::decision(db, tenant, id).await? {
            Some(row) => Some(row),
            None => sql::decisions(db, tenant, name).await?.into_iter().next(),
        };
        decided(row.ok_or_else(|| ControlError::UnknownDecision { id: name.to_owned() })?)
    }

    /// The decisions of a release, newest first.
    pub async fn decisions(&self, principal: &Principal, release: &str) -> ControlResult<Vec<Decided>> {
        principal.require(Permission::ReadEvidence)?;
        let rows = sql::decisions(self.store().database(), principal.tenant(), release).await?;
        rows.into_iter().map(decided).collect()
    }

    /// The newest decision of a release, if it was decided.
    pub async fn newest_decision(
        &self,
        principal: &Principal,
        release: &str,
    ) -> ControlResult<Option<Decided>> {
        principal.require(Permission::ReadEvidence)?;
        let row = sql::newest_decision(self.store().database(), principal.tenant(), release).await?;
        row.map(decided).transpose()
    }

    /// A decision with each rule and the evidence it used.
    pub async fn explain(&self, principal: &Principal, name: &str) -> ControlResult<Explained> {
        let decided = self.decision(principal, name).await?;
        let StoredDecision { decision, release, evidence, .. } = decided.document;
        let used = |rule: &assay_gate::RuleOutcome| {
            let named = |item: &&EvidenceItem| {
                let by_statement = item.statement.is_some_and(|digest| rule.evidence.contains(&digest));
                by_statement || rule.reason_codes.iter().any(|code| code.contains(item.incident.as_str()))
            };
            evidence.items.iter().filter(named).cloned().collect()
        };
        let rules = decision.rules.iter().map(|rule| ExplainedRule {
            rule: rule.rule.clone(),
            outcome: rule.outcome,
            reason_codes: rule.reason_codes.clone(),
            evidence: used(rule),
        });
        Ok(Explained {
            id: decided.id,
            release,
            decision: decision.decision,
            reason_codes: decision.reason_codes.clone(),
            rules: rules.collect(),
            determinism_hash: decision.determinism_hash,
            policy_digest: decision.policy_digest,
            evaluated_at_utc: decision.evaluated_at_utc,
            checkpoint: evidence.checkpoint.clone(),
        })
    }

    /// Makes a decision again from what it keeps.
    pub async fn redecide(&self, principal: &Principal, name: &str) -> ControlResult<Replayed> {
        let decided = self.decision(principal, name).await?;
        let again = evaluate_again(&decided.document)?;
        Ok(Replayed {
            id: decided.id,
            decision: again.decision,
            same: again == decided.document.decision,
            determinism_hash: again.determinism_hash,
            rules: again.rules,
        })
    }

    /// Counts decisions by ruling, for metrics.
    pub async fn count_decisions(&self) -> ControlResult<Vec<(String, u64)>> {
        let sql = "SELECT ruling, COUNT(*) AS n FROM decisions GROUP BY ruling ORDER BY ruling";
        let rows = self.store().database().all(query(sql)).await?;
        rows.iter().map(|row| Ok((row.text("ruling")?, row.count("n")?))).collect()
    }
}

/// Evaluates a kept decision's policy over its evidence at its time.
pub(crate) fn evaluate_again(document: &StoredDecision) -> ControlResult<Decision> {
    let policy = Policy::parse(&document.policy)?;
    let digest = Policy::digest_of(&document.policy);
    let evidence = &document.evidence;
    Ok(evaluate(&policy, digest, evidence, document.decision.evaluated_at_utc))
}

fn decided(row: sql::DecisionRow) -> ControlResult<Decided> {
    let document = serde_json::from_str(&row.document)
        .map_err(|error| StoreError::Column { column: "document".to_owned(), detail: error.to_string() })?;
    Ok(Decided { id: row.id, statement: row.statement, document })
}

/// The three lines of a checkpoint without its signatures.
fn checkpoint_body(note: &[u8]) -> String {
    let text = String::from_utf8_lossy(note);
    text.lines().take(3).collect::<Vec<_>>().join("\n")
}
