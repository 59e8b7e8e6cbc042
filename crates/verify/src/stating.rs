//! Stating the verdicts that were carried over, many in one commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, predicate};
use assay_gate::{Mode, Verdict};
use assay_notary::{Notary, Prepared};
use assay_store::{StoreError, StoreResult, Tx};

use crate::carry::{Carried, CarryProof};
use crate::pipeline::Asked;
use crate::predicates::ReplayVerdict;
use crate::sql::{self, VerdictRow};
use crate::{Verifier, VerifyResult};

/// Verdicts that one commit takes: a crash loses so many at most, and other writers wait for so many.
const BATCH: usize = 256;

/// A question whose run another build's run stands for.
pub(crate) struct ToState<'a> {
    pub asked: &'a Asked<'a>,
    pub key: Sha256,
    pub carried: Carried,
    /// How long finding it out took, in milliseconds.
    pub milliseconds: f64,
}

/// What a verdict's statement is about.
pub(crate) fn subject(asked: &Asked<'_>) -> Vec<Subject> {
    vec![Subject::new(asked.target.role.clone(), asked.target.digest)]
}

impl VerdictRow {
    /// The row of a verdict that was stated; its time is still to be filled in.
    pub(crate) fn stated(
        body: &ReplayVerdict,
        run: Sha256,
        replay_milliseconds: f64,
        statement: Sha256,
        now: Timestamp,
    ) -> Self {
        Self {
            cache_key: body.cache_key,
            incident: body.incident.clone(),
            witness: body.witness,
            artifact: body.artifact,
            verdict: body.verdict,
            mode: body.mode,
            reason: body.reason.clone(),
            reached: body.reached,
            run,
            milliseconds: 0.0,
            replay_milliseconds,
            statement,
            observed_at: now,
            created_at: now,
        }
    }
}

impl Verifier {
    /// States carried verdicts: a proof that several rest on once, and a batch in one commit. The rows are
    /// in the order of `all`; there is none where the verdict that a run was carried from no longer stands.
    pub(crate) async fn state_carried(
        &self,
        tenant: &TenantId,
        all: &[ToState<'_>],
        now: Timestamp,
    ) -> VerifyResult<Vec<Option<VerdictRow>>> {
        let mut rows = Vec::with_capacity(all.len());
        let mut proofs = HashMap::new();
        for batch in all.chunks(BATCH) {
            rows.extend(self.state_batch(tenant, batch, &mut proofs, now).await?);
        }
        Ok(rows)
    }

    async fn state_batch(
        &self,
        tenant: &TenantId,
        batch: &[ToState<'_>],
        proofs: &mut HashMap<ProofKey, Sha256>,
        now: Timestamp,
    ) -> VerifyResult<Vec<Option<VerdictRow>>> {
        let started = Instant::now();
        let proofs_of_batch = self.prepare_proofs(tenant, batch, proofs, now).await?;
        let bodies: Vec<ReplayVerdict> = batch.iter().map(|one| body(one, proofs[&proof_key(one)])).collect();
        let statement = |(one, body): (&ToState<'_>, &ReplayVerdict)| {
            Statement::new(predicate::REPLAY_VERDICT, subject(one.asked), body)
        };
        let statements = batch.iter().zip(&bodies).map(statement).collect::<Result<Vec<_>, _>>()?;
        let verdicts = self.notary().prepare_all(tenant, statements, now).await?;
        let share = started.elapsed().as_secs_f64() * 1000.0 / batch.len() as f64;
        let row = |((one, body), stated): ((&ToState<'_>, &ReplayVerdict), &Prepared)| {
            let source = &one.carried.source;
            let took = one.carried.run.milliseconds;
            let mut row = VerdictRow::stated(body, source.run, took, *stated.digest(), now);
            // As old as the run is that it rests on.
            row.observed_at = source.observed_at;
            row.milliseconds = one.milliseconds + share;
            row
        };
        let rows: Vec<VerdictRow> = batch.iter().zip(&bodies).zip(&verdicts).map(row).collect();
        let (rows_ref, proofs_ref, verdicts_ref) = (&rows, &proofs_of_batch, &verdicts);
        let written: Result<Vec<Option<VerdictRow>>, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                for prepared in proofs_ref {
                    Notary::accept(&tx, tenant, prepared).await?;
                }
                let mut stated = Vec::with_capacity(batch.len());
                for ((one, row), verdict) in batch.iter().zip(rows_ref).zip(verdicts_ref) {
                    stated.push(match sql::stands(&tx, tenant, &one.carried.source).await? {
                        true => Some(settle(&tx, tenant, row, verdict).await?),
                        false => None,
                    });
                }
                Ok(stated)
            })
            .await;
        Ok(written?)
    }

    /// Signs the proofs that were not signed before, and notes what they are called.
    async fn prepare_proofs(
        &self,
        tenant: &TenantId,
        batch: &[ToState<'_>],
        proofs: &mut HashMap<ProofKey, Sha256>,
        now: Timestamp,
    ) -> VerifyResult<Vec<Prepared>> {
        let mut new: HashMap<ProofKey, &ToState<'_>> = HashMap::new();
        for one in batch {
            let key = proof_key(one);
            if !proofs.contains_key(&key) {
                new.insert(key, one);
            }
        }
        let (keys, ones): (Vec<ProofKey>, Vec<&ToState<'_>>) = new.into_iter().unzip();
        let statements = ones.into_iter().map(proof_statement).collect::<Result<Vec<_>, _>>()?;
        let prepared = self.notary().prepare_all(tenant, statements, now).await?;
        proofs.extend(keys.into_iter().zip(prepared.iter().map(|prepared| *prepared.digest())));
        Ok(prepared)
    }
}

/// States a verdict, unless its question was answered while it was sought: what stands then.
pub(crate) async fn settle(
    tx: &Tx,
    tenant: &TenantId,
    row: &VerdictRow,
    prepared: &Prepared,
) -> StoreResult<VerdictRow> {
    let known = sql::answered(tx, tenant, &row.cache_key).await?;
    if let Some(known) = known.filter(|known| known.verdict != Verdict::Inconclusive) {
        return Ok(known);
    }
    Notary::accept(tx, tenant, prepared).await?;
    sql::insert_verdict(tx, tenant, row).await?;
    Ok(row.clone())
}

/// One proof under one role: what makes its statement one.
type ProofKey = (usize, String);

/// Equal proofs of one pair are one value, which lives as long as the verdicts that are stated.
fn proof_key(one: &ToState<'_>) -> ProofKey {
    (Arc::as_ptr(&one.carried.proof).cast::<u8>() as usize, one.asked.target.role.clone())
}

fn proof_statement(one: &ToState<'_>) -> Result<Statement, assay_evidence::JsonError> {
    let role = &one.asked.target.role;
    let subjects = vec![
        Subject::new(format!("{role} (run)"), one.carried.source.artifact),
        Subject::new(role.clone(), one.asked.target.digest),
    ];
    match &*one.carried.proof {
        CarryProof::Binary(proof) => Statement::new(predicate::DELTA_PROOF, subjects, proof),
        CarryProof::Source(proof) => Statement::new(predicate::SOURCE_DELTA_PROOF, subjects, proof),
    }
}

fn body(one: &ToState<'_>, proof: Sha256) -> ReplayVerdict {
    let Carried { source, run, .. } = &one.carried;
    ReplayVerdict {
        incident: one.asked.definition.id.clone(),
        witness: one.asked.witness.id,
        role: one.asked.target.role.clone(),
        artifact: one.asked.target.digest,
        verdict: source.verdict,
        mode: Mode::CarriedOver,
        reason: source.reason.clone(),
        reached: source.reached,
        observation: run.observation.clone(),
        trace_digest: run.trace,
        cache_key: one.key,
        carried_from: Some(source.statement),
        delta_proof: Some(proof),
        not_carried: Vec::new(),
        runner_version: assay_witness::RUNNER_VERSION.to_owned(),
        environment: run.environment,
    }
}
