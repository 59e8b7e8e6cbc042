//! The one verify pipeline: for every witness and every artifact of its role, a verdict.

use std::pin::Pin;
use std::time::Instant;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Statement, Subject, TenantId, Timestamp, json, predicate};
use assay_gate::{Mode, Verdict};
use assay_notary::{Notary, Prepared};
use assay_store::{StoreError, jobs};
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::carry::Carried;
use crate::judge::judge;
use crate::path::reached;
use crate::predicates::ReplayVerdict;
use crate::run::{StoredRun, class_digest};
use crate::running::{How, Ready};
use crate::sql::{self, VerdictRow, WitnessRow};
use crate::{IncidentDefinition, Verifier, VerifyResult};

/// The version of the rules that turn a run into a verdict; part of every cache key.
const JUDGE_VERSION: u32 = 1;
/// How long a replay may hold its lease, in seconds.
const LEASE_SECONDS: i64 = 3600;

/// The most witnesses that run at one time.
pub const MAX_JOBS: usize = 256;

/// The verdicts of one witness, in the making.
type Waiting<'a> = Pin<Box<dyn Future<Output = VerifyResult<Vec<IncidentVerdict>>> + Send + 'a>>;

/// An artifact to verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its role in the release.
    pub role: String,
    /// Its bytes.
    pub digest: Sha256,
}

/// One incident's verdict on one artifact.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct IncidentVerdict {
    /// The incident.
    pub incident: String,
    /// The artifact.
    pub artifact: Sha256,
    /// Its role.
    pub role: String,
    /// The witness.
    pub witness: Sha256,
    /// The verdict.
    pub verdict: Verdict,
    /// How it was come by.
    pub mode: Mode,
    /// Whether the recorded path was reached.
    pub reached: Option<bool>,
    /// How long it took now.
    pub milliseconds: f64,
    /// How long the replay behind it took, once.
    pub replay_milliseconds: f64,
    /// Why, as a stable code.
    pub reason: String,
    /// Why it was not carried over, where that was tried.
    pub not_carried: Vec<String>,
    /// The verdict's statement.
    pub statement: Sha256,
    /// When the run behind it happened.
    #[serde(skip)]
    pub observed_at: Timestamp,
}

/// An incident that nothing could be said of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Unknown {
    /// The incident.
    pub incident: String,
    /// Why, as a stable code.
    pub reason: String,
}

/// Everything that verifying found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// The verdicts, by incident.
    pub verdicts: Vec<IncidentVerdict>,
    /// The incidents that no artifact could be asked about.
    pub unknown: Vec<Unknown>,
    /// How long it all took.
    pub milliseconds: f64,
    /// How long replaying everything took, measured when each replay ran.
    pub replay_all_milliseconds: f64,
}

impl Verifier {
    /// Verifies every incident of the tenant against `targets`; verdicts of `baseline`'s artifacts
    /// are tried first for carry-over. At most `jobs` witnesses run at one time; those of one witness run
    /// one after the other, so that what one artifact showed can carry over to the next. `progress` hears
    /// of every verdict. Dropping the future starts nothing more; replays that run are left to their end.
    pub async fn verify(
        &self,
        principal: &Principal,
        targets: &[Target],
        baseline: &[Target],
        jobs: usize,
        now: Timestamp,
        progress: &(dyn Fn(&IncidentVerdict) + Send + Sync),
    ) -> VerifyResult<Verification> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let started = Instant::now();
        let witnesses = sql::witnesses(self.store().database(), tenant).await?;
        let mut verification = Verification::default();
        let definitions = self.definitions(tenant).await?;
        let most = self.quotas(tenant).await?.concurrent_replays.unwrap_or(MAX_JOBS as u64);
        let jobs = jobs.clamp(1, MAX_JOBS).min(usize::try_from(most).unwrap_or(MAX_JOBS)).max(1);
        let mut waiting: Vec<Waiting<'_>> = Vec::new();
        for (definition, digest) in &definitions {
            let own: Vec<&WitnessRow> =
                witnesses.iter().filter(|witness| witness.incident == definition.id).collect();
            if let Some(reason) = unaskable(&own, targets) {
                let incident = definition.id.clone();
                verification.unknown.push(Unknown { incident, reason: reason.to_owned() });
                continue;
            }
            for witness in own.into_iter().filter(|witness| witness.admitted) {
                let matching = targets.iter().filter(|target| target.role == witness.role);
                let asked = matching.map(|target| Asked {
                    definition,
                    definition_digest: *digest,
                    witness,
                    target,
                    baseline,
                });
                waiting.push(Box::pin(self.in_turn(tenant, asked.collect(), now, progress)));
            }
        }
        let mut answers = futures_util::stream::iter(waiting).buffered(jobs);
        while let Some(verdicts) = answers.next().await {
            verification.verdicts.extend(verdicts?);
        }
        self.notary().publish(tenant, now).await?;
        verification.milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        verification.replay_all_milliseconds =
            verification.verdicts.iter().map(|verdict| verdict.replay_milliseconds).sum();
        Ok(verification)
    }

    /// One witness on one artifact after the other.
    async fn in_turn(
        &self,
        tenant: &TenantId,
        asked: Vec<Asked<'_>>,
        now: Timestamp,
        progress: &(dyn Fn(&IncidentVerdict) + Send + Sync),
    ) -> VerifyResult<Vec<IncidentVerdict>> {
        let mut verdicts = Vec::new();
        for asked in asked {
            let verdict = self.one(tenant, &asked, now).await?;
            progress(&verdict);
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// One witness, one artifact: cached, carried over or replayed.
    async fn one(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        now: Timestamp,
    ) -> VerifyResult<IncidentVerdict> {
        let started = Instant::now();
        let key = self.cache_key(asked)?;
        // What was inconclusive is asked again: a guard band or a loaded machine may have been the reason.
        let known = sql::verdict(self.store().database(), tenant, &key).await?;
        if let Some(row) = known.filter(|row| row.verdict != Verdict::Inconclusive) {
            return Ok(asked.verdict(&row, Mode::Cached, Vec::new(), started));
        }
        let mut not_carried = Vec::new();
        match self.carry(tenant, asked, &mut not_carried).await? {
            Some(carried) => {
                let row = self.state_carried(tenant, asked, key, carried, started, now).await?;
                Ok(asked.verdict(&row, Mode::CarriedOver, Vec::new(), started))
            }
            None => {
                let row = self.replay_as_job(tenant, asked, key, &not_carried, now).await?;
                Ok(asked.verdict(&row, Mode::Replayed, not_carried, started))
            }
        }
    }

    /// Capsule, artifact closure, runner version, environment class (with the sandbox's profile)
    /// and the expectations that the run is judged by.
    pub(crate) fn cache_key(&self, asked: &Asked<'_>) -> VerifyResult<Sha256> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Key<'a> {
            version: u32,
            judge: u32,
            witness: &'a Sha256,
            artifacts: [(&'a str, &'a Sha256); 1],
            runner_version: &'a str,
            environment: Sha256,
            definition: &'a Sha256,
        }
        let key = Key {
            version: 1,
            judge: JUDGE_VERSION,
            witness: &asked.witness.id,
            artifacts: [(&asked.target.role, &asked.target.digest)],
            runner_version: assay_witness::RUNNER_VERSION,
            environment: class_digest(self.host()?.environment_class()),
            definition: &asked.definition_digest,
        };
        Ok(Sha256::of(&json::canonical(&key)?))
    }

    /// A replay, done as a leased job even though it runs here and now. What the sandbox or the store fail
    /// at is tried again.
    pub(crate) async fn replay_as_job(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        not_carried: &[String],
        now: Timestamp,
    ) -> VerifyResult<VerdictRow> {
        loop {
            let (outcome, attempt) = self.replay_leased(tenant, asked, key, not_carried, now).await?;
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
        not_carried: &[String],
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
        let outcome = self.replay_and_state(tenant, asked, key, not_carried, now).await;
        let text = match &outcome {
            Ok(row) => row.statement.to_string(),
            Err(error) => error.to_string(),
        };
        let (text, job, failed) = (&text, &job, outcome.is_err());
        let finished: Result<bool, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                let ended = if failed { jobs::Ended::Failed(text) } else { jobs::Ended::Done(text) };
                jobs::finish(&tx, job, owner, ended, Timestamp::now()).await
            })
            .await;
        finished?;
        Ok((outcome, job.attempt))
    }

    async fn replay_and_state(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        not_carried: &[String],
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
            not_carried: not_carried.to_vec(),
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            environment: stored.environment,
        };
        self.state_verdict(tenant, asked, &body, &stored, now, started, Vec::new()).await
    }

    async fn state_carried(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        key: Sha256,
        carried: Carried,
        started: Instant,
        now: Timestamp,
    ) -> VerifyResult<VerdictRow> {
        let subjects = vec![
            Subject::new(format!("{} (run)", asked.target.role), carried.source.artifact),
            Subject::new(asked.target.role.clone(), asked.target.digest),
        ];
        let proof = carried.proof.statement(subjects)?;
        let proof = self.notary().prepare(tenant, proof, now).await?;
        let body = ReplayVerdict {
            incident: asked.definition.id.clone(),
            witness: asked.witness.id,
            role: asked.target.role.clone(),
            artifact: asked.target.digest,
            verdict: carried.source.verdict,
            mode: Mode::CarriedOver,
            reason: carried.source.reason.clone(),
            reached: carried.source.reached,
            observation: carried.run.observation.clone(),
            trace_digest: carried.run.trace,
            cache_key: key,
            carried_from: Some(carried.source.statement),
            delta_proof: Some(*proof.digest()),
            not_carried: Vec::new(),
            runner_version: assay_witness::RUNNER_VERSION.to_owned(),
            environment: carried.run.environment,
        };
        let mut row =
            self.state_verdict(tenant, asked, &body, &carried.run, now, started, vec![proof]).await?;
        row.observed_at = carried.source.observed_at;
        Ok(row)
    }

    #[expect(clippy::too_many_arguments, reason = "one row's columns, gathered from three places")]
    async fn state_verdict(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        body: &ReplayVerdict,
        run: &StoredRun,
        now: Timestamp,
        started: Instant,
        mut statements: Vec<Prepared>,
    ) -> VerifyResult<VerdictRow> {
        let subject = vec![Subject::new(asked.target.role.clone(), asked.target.digest)];
        let statement = Statement::new(predicate::REPLAY_VERDICT, subject, body)?;
        let prepared = self.notary().prepare(tenant, statement, now).await?;
        let run_blob =
            self.store().blobs().put_content(tenant, serde_json::to_vec(run).unwrap_or_default()).await?;
        let row = VerdictRow {
            cache_key: body.cache_key,
            incident: body.incident.clone(),
            witness: body.witness,
            artifact: body.artifact,
            verdict: body.verdict,
            mode: body.mode,
            reason: body.reason.clone(),
            reached: body.reached,
            run: run_blob,
            milliseconds: started.elapsed().as_secs_f64() * 1000.0,
            replay_milliseconds: run.milliseconds,
            statement: *prepared.digest(),
            observed_at: now,
            created_at: now,
        };
        statements.push(prepared);
        let (row_ref, statements) = (&row, &statements);
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                for prepared in statements {
                    Notary::accept(&tx, tenant, prepared).await?;
                }
                sql::insert_verdict(&tx, tenant, row_ref).await
            })
            .await;
        written?;
        Ok(row)
    }
}

/// One question of the pipeline.
pub(crate) struct Asked<'a> {
    pub definition: &'a IncidentDefinition,
    pub definition_digest: Sha256,
    pub witness: &'a WitnessRow,
    pub target: &'a Target,
    pub baseline: &'a [Target],
}

impl Asked<'_> {
    pub(crate) fn verdict(
        &self,
        row: &VerdictRow,
        mode: Mode,
        not_carried: Vec<String>,
        started: Instant,
    ) -> IncidentVerdict {
        IncidentVerdict {
            incident: row.incident.clone(),
            artifact: row.artifact,
            role: self.target.role.clone(),
            witness: row.witness,
            verdict: row.verdict,
            mode,
            reached: row.reached,
            milliseconds: started.elapsed().as_secs_f64() * 1000.0,
            replay_milliseconds: row.replay_milliseconds,
            reason: row.reason.clone(),
            not_carried,
            statement: row.statement,
            observed_at: row.observed_at,
        }
    }
}

/// Why an incident cannot be asked about, if so.
fn unaskable(witnesses: &[&WitnessRow], targets: &[Target]) -> Option<&'static str> {
    if witnesses.is_empty() {
        return Some("no_witness");
    }
    let mut admitted = witnesses.iter().filter(|witness| witness.admitted).peekable();
    if admitted.peek().is_none() {
        return Some("witness_not_admitted");
    }
    let matched = admitted.any(|witness| targets.iter().any(|target| target.role == witness.role));
    if matched { None } else { Some("no_artifact_for_role") }
}
