//! Replays as leased jobs, from the run to its stated verdict.

use std::time::Instant;

use assay_evidence::{Sha256, Statement, TenantId, Timestamp, predicate};
use assay_gate::Mode;
use assay_store::{StoreError, jobs};

use crate::judge::judge;
use crate::path::reached;
use crate::pipeline::Asked;
use crate::predicates::ReplayVerdict;
use crate::run::StoredRun;
use crate::running::{How, Ready};
use crate::sql::{self, VerdictRow};
use crate::stating::{settle, subject};
use crate::{Verifier, VerifyResult};

/// How long a replay may hold its lease, in seconds.
const LEASE_SECONDS: i64 = 3600;

/// How a replay came to be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking<'a> {
    /// Why nothing was carried, as stable codes.
    pub not_carried: &'a [String],
    /// The answer that this one replaces: withdrawn in the commit that states the new one.
    pub instead_of: Option<&'a VerdictRow>,
}

impl Verifier {
    /// A replay, done as a leased job even though it runs here and now. What the sandbox or the store fail
    /// at is tried again.
    pub(crate) async fn replay_as_job(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        asking: &Asking<'_>,
        now: Timestamp,
    ) -> VerifyResult<VerdictRow> {
        loop {
            let (outcome, attempt) = self.replay_leased(tenant, asked, key, asking, now).await?;
            match outcome {
                Err(error) if error.is_passing() && attempt < i64::from(jobs::MAX_ATTEMPTS) => {
                    tracing::warn!(error = %error, attempt, "a replay failed and is tried again");
                }
                outcome => return outcome,
            }
        }
    }

    /// One try, and which it is.
    async fn replay_leased(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        asking: &Asking<'_>,
        now: Timestamp,
    ) -> VerifyResult<(VerifyResult<VerdictRow>, i64)> {
        let (id, owner) = (format!("replay/{key}"), format!("process-{}", std::process::id()));
        let payload =
            serde_json::json!({ "witness": asked.witness.id, "artifact": asked.target.digest }).to_string();
        let (id, owner, payload) = (&id, &owner, &payload);
        let job: Result<jobs::Job, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                jobs::enqueue(&tx, tenant, id, "replay", payload, now).await?;
                jobs::lease(&tx, tenant, id, owner, Timestamp::now(), LEASE_SECONDS).await
            })
            .await;
        let job = job?;
        let outcome = self.replay_and_state(tenant, asked, key, asking, now).await;
        let text = match &outcome {
            Ok(row) => row.statement.to_string(),
            Err(error) => error.to_string(),
        };
        let (text, job) = (&text, &job);
        let ended = match &outcome {
            Ok(_) => jobs::Ended::Done(text),
            Err(error) if error.is_passing() => jobs::Ended::Failed(text),
            Err(_) => jobs::Ended::Refused(text),
        };
        let finished: Result<bool, StoreError> = self
            .store()
            .database()
            .write(|tx| async move { jobs::finish(&tx, job, owner, ended, Timestamp::now()).await })
            .await;
        finished?;
        Ok((outcome, job.attempt))
    }

    async fn replay_and_state(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        asking: &Asking<'_>,
        now: Timestamp,
    ) -> VerifyResult<VerdictRow> {
        let started = Instant::now();
        let ready: Ready = self.ready(tenant, &asked.witness.id).await?;
        let ready = self.with_artifact(tenant, ready, &asked.target.digest).await?;
        let how = How { observe: true, ..How::default() };
        let run = self.run(&ready, Some(asked.target.digest), how).await?;
        let judgement =
            judge(asked.definition, &run.report, reached(&asked.witness.recorded_path, &run.executed_names));
        let stored = self.stored(&ready, asked.target.digest, &run);
        let body = ReplayVerdict {
            incident: asked.definition.id.clone(),
            witness: asked.witness.id,
            role: asked.target.role.clone(),
            artifact: asked.target.digest,
            verdict: judgement.verdict,
            mode: Mode::Replayed,
            reason: judgement.reason.clone(),
            reached: judgement.reached,
            observation: stored.observation.clone(),
            trace_digest: stored.trace,
            cache_key: key,
            carried_from: None,
            delta_proof: None,
            not_carried: asking.not_carried.to_vec(),
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            environment: stored.environment,
        };
        self.state_replayed(tenant, asked, &body, &stored, (asking.instead_of, now, started)).await
    }

    async fn state_replayed(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        body: &ReplayVerdict,
        run: &StoredRun,
        (instead_of, now, started): (Option<&VerdictRow>, Timestamp, Instant),
    ) -> VerifyResult<VerdictRow> {
        let statement = Statement::new(predicate::REPLAY_VERDICT, subject(asked), body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        let run_blob =
            self.store().blobs().put_content(tenant, serde_json::to_vec(run).unwrap_or_default()).await?;
        let mut row = VerdictRow::stated(body, run_blob, run.milliseconds, *prepared.digest(), now);
        row.milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let (row_ref, prepared) = (&row, &prepared);
        let written: Result<VerdictRow, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                if let Some(withdrawn) = instead_of {
                    sql::withdraw(&tx, tenant, withdrawn, &row_ref.cache_key).await?;
                }
                settle(&tx, tenant, row_ref, prepared).await
            })
            .await;
        Ok(written?)
    }
}
