//! The job queue: idempotent by key, leased, retried. Used even when work runs inline.

use assay_evidence::{TenantId, Timestamp};

use crate::database::{Database, Tx};
use crate::error::{StoreError, StoreResult};
use crate::migrate::Migration;
use crate::row::query;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T040001_store_jobs",
    statements: &[
        "CREATE TABLE jobs (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, kind {TEXT} NOT NULL, payload {TEXT} NOT NULL,
            state {TEXT} NOT NULL, attempts BIGINT NOT NULL, max_attempts BIGINT NOT NULL,
            owner {TEXT} NOT NULL, lease_until BIGINT NOT NULL, outcome {TEXT} NOT NULL,
            created_at BIGINT NOT NULL, finished_at BIGINT NOT NULL, PRIMARY KEY (tenant, id))",
        "CREATE INDEX jobs_by_state ON jobs (state, created_at, id)",
    ],
}];

/// How often a job is tried before it is given up.
pub const MAX_ATTEMPTS: u32 = 3;

/// A job to be done: `id` names the work, so that queueing it twice is queueing it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose work it is.
    pub tenant: TenantId,
    /// Names the work.
    pub id: String,
    /// Which worker does it.
    pub kind: String,
    /// JSON for the worker.
    pub payload: String,
    /// Which try this is, from 1.
    pub attempt: i64,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// `queued`, `leased`, `done` or `failed`.
    pub state: String,
    /// JSON of the outcome, or the error's text.
    pub outcome: String,
    /// Tries so far.
    pub attempts: i64,
}

/// Queues a job unless it is there; a finished one is queued again, and so is one whose last
/// worker went away without a word.
pub async fn enqueue(
    tx: &Tx,
    tenant: &TenantId,
    id: &str,
    kind: &str,
    payload: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let sql = "INSERT INTO jobs (tenant, id, kind, payload, state, attempts, max_attempts, owner, lease_until, \
               outcome, created_at, finished_at) VALUES ($1, $2, $3, $4, 'queued', 0, $5, '', 0, '', $6, 0) \
               ON CONFLICT (tenant, id) DO UPDATE SET state = 'queued', attempts = 0, payload = excluded.payload, \
               outcome = '', created_at = excluded.created_at WHERE jobs.state IN ('done', 'failed') \
               OR (jobs.state = 'leased' AND jobs.lease_until < excluded.created_at AND jobs.attempts >= jobs.max_attempts)";
    tx.execute(query(sql).bind(tenant).bind(id).bind(kind).bind(payload).bind(MAX_ATTEMPTS).bind(now))
        .await
        .map(drop)
}

/// Takes the oldest job that is queued or whose lease ran out, and leases it to `owner`.
pub async fn claim(
    database: &Database,
    owner: &str,
    now: Timestamp,
    lease_seconds: i64,
) -> StoreResult<Option<Job>> {
    database
        .write(|tx| async move {
            let Some(row) = tx.first(query(tx.dialect().next_job()).bind(now)).await? else { return Ok(None) };
            let job = Job {
                tenant: row.parse("tenant")?,
                id: row.text("id")?,
                kind: row.text("kind")?,
                payload: row.text("payload")?,
                attempt: row.int("attempts")? + 1,
            };
            let sql = "UPDATE jobs SET state = 'leased', owner = $1, lease_until = $2, attempts = attempts + 1 \
                       WHERE tenant = $3 AND id = $4";
            let lease = now.plus_seconds(lease_seconds);
            tx.execute(query(sql).bind(owner).bind(lease).bind(&job.tenant).bind(&job.id)).await?;
            Ok(Some(job))
        })
        .await
}

/// Leases the job of that id, queued just before in the same transaction.
pub async fn lease(
    tx: &Tx,
    tenant: &TenantId,
    id: &str,
    owner: &str,
    now: Timestamp,
    lease_seconds: i64,
) -> StoreResult<Job> {
    let sql = "UPDATE jobs SET state = 'leased', owner = $1, lease_until = $2, attempts = attempts + 1 \
               WHERE tenant = $3 AND id = $4";
    let until = now.plus_seconds(lease_seconds);
    tx.execute(query(sql).bind(owner).bind(until).bind(tenant).bind(id)).await?;
    let sql = "SELECT kind, payload, attempts FROM jobs WHERE tenant = $1 AND id = $2";
    let row = tx.first(query(sql).bind(tenant).bind(id)).await?;
    let row = row.ok_or_else(|| StoreError::Missing { path: format!("job {id}") })?;
    Ok(Job {
        tenant: tenant.clone(),
        id: id.to_owned(),
        kind: row.text("kind")?,
        payload: row.text("payload")?,
        attempt: row.int("attempts")?,
    })
}

/// Ends a job that `owner` still holds. False when the lease went to somebody else meanwhile.
pub async fn finish(tx: &Tx, job: &Job, owner: &str, ended: Ended<'_>, now: Timestamp) -> StoreResult<bool> {
    let (state, outcome) = match ended {
        Ended::Done(outcome) => ("done", outcome),
        Ended::Failed(error) if job.attempt >= i64::from(MAX_ATTEMPTS) => ("failed", error),
        Ended::Failed(error) => ("queued", error),
        Ended::Refused(error) => ("failed", error),
    };
    let sql = "UPDATE jobs SET state = $1, outcome = $2, finished_at = $3 \
               WHERE tenant = $4 AND id = $5 AND state = 'leased' AND owner = $6 AND attempts = $7";
    let held = query(sql).bind(state).bind(outcome).bind(now).bind(&job.tenant).bind(&job.id).bind(owner);
    let touched = tx.execute(held.bind(job.attempt)).await?;
    Ok(touched == 1)
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// With this outcome (JSON).
    Done(&'a str),
    /// With this error; it is tried again until [`MAX_ATTEMPTS`].
    Failed(&'a str),
    /// With an error that trying again does not mend.
    Refused(&'a str),
}

/// How a job stands, if it is known.
pub async fn state(database: &Database, tenant: &TenantId, id: &str) -> StoreResult<Option<JobState>> {
    let sql = "SELECT state, outcome, attempts FROM jobs WHERE tenant = $1 AND id = $2";
    let Some(row) = database.first(query(sql).bind(tenant).bind(id)).await? else { return Ok(None) };
    Ok(Some(JobState {
        state: row.text("state")?,
        outcome: row.text("outcome")?,
        attempts: row.int("attempts")?,
    }))
}
