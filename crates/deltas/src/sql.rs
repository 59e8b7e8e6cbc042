//! The table of this room.

use assay_delta::NORMALISER_VERSION;
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Database, Migration, Row, StoreResult, Tx, query};

/// The schema of this room.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T143000_deltas",
    statements: &[
        "CREATE TABLE delta_artifacts (
            tenant {TEXT} NOT NULL, artifact {TEXT} NOT NULL, normaliser BIGINT NOT NULL,
            index_blob {TEXT} NOT NULL, summary {TEXT} NOT NULL, asked_at BIGINT NOT NULL,
            indexed_at BIGINT NOT NULL, PRIMARY KEY (tenant, artifact, normaliser))",
        "CREATE INDEX delta_artifacts_waiting ON delta_artifacts (tenant, normaliser, indexed_at, asked_at)",
    ],
}];

/// What the names of all jobs that index artifacts begin with.
fn index_jobs() -> String {
    format!("delta-index/v{NORMALISER_VERSION}/")
}

/// The name of the job that indexes an artifact.
pub(crate) fn index_job(artifact: &Sha256) -> String {
    format!("{}{artifact}", index_jobs())
}

/// An indexed artifact.
pub(crate) struct ArtifactRow {
    pub index: Sha256,
    pub summary: String,
}

impl ArtifactRow {
    fn read(row: &Row) -> StoreResult<Self> {
        Ok(Self { index: row.parse("index_blob")?, summary: row.text("summary")? })
    }
}

const INDEXED: &str = "SELECT index_blob, summary FROM delta_artifacts \
    WHERE tenant = $1 AND artifact = $2 AND normaliser = $3 AND indexed_at > 0";

/// The artifact as this version indexed it.
pub(crate) async fn indexed(
    database: &Database,
    tenant: &TenantId,
    artifact: &Sha256,
) -> StoreResult<Option<ArtifactRow>> {
    let row = database.first(query(INDEXED).bind(tenant).bind(artifact).bind(NORMALISER_VERSION)).await?;
    row.as_ref().map(ArtifactRow::read).transpose()
}

/// The same within a transaction.
pub(crate) async fn is_indexed(tx: &Tx, tenant: &TenantId, artifact: &Sha256) -> StoreResult<bool> {
    Ok(tx.first(query(INDEXED).bind(tenant).bind(artifact).bind(NORMALISER_VERSION)).await?.is_some())
}

/// Notes that an artifact is to be indexed.
pub(crate) async fn ask(tx: &Tx, tenant: &TenantId, artifact: &Sha256, now: Timestamp) -> StoreResult<()> {
    let sql = "INSERT INTO delta_artifacts (tenant, artifact, normaliser, index_blob, summary, asked_at, indexed_at) \
               VALUES ($1, $2, $3, '', '', $4, 0) ON CONFLICT (tenant, artifact, normaliser) DO NOTHING";
    tx.execute(query(sql).bind(tenant).bind(artifact).bind(NORMALISER_VERSION).bind(now)).await.map(drop)
}

/// Notes that it was; false where nothing waited for it.
pub(crate) async fn answer(
    tx: &Tx,
    tenant: &TenantId,
    artifact: &Sha256,
    row: &ArtifactRow,
    now: Timestamp,
) -> StoreResult<bool> {
    let sql = "UPDATE delta_artifacts SET index_blob = $1, summary = $2, indexed_at = $3 \
               WHERE tenant = $4 AND artifact = $5 AND normaliser = $6";
    let bound = query(sql).bind(row.index).bind(&row.summary).bind(now);
    Ok(tx.execute(bound.bind(tenant).bind(artifact).bind(NORMALISER_VERSION)).await? == 1)
}

/// Forgets that an artifact waits: it can never be indexed. What an older normaliser knew of it is
/// forgotten too, or else it would be asked for again.
pub(crate) async fn forget(tx: &Tx, tenant: &TenantId, artifact: &Sha256) -> StoreResult<()> {
    let sql = "DELETE FROM delta_artifacts \
               WHERE tenant = $1 AND artifact = $2 AND (normaliser < $3 OR (normaliser = $4 AND indexed_at = 0))";
    let bound = query(sql).bind(tenant).bind(artifact).bind(NORMALISER_VERSION);
    tx.execute(bound.bind(NORMALISER_VERSION)).await.map(drop)
}

/// Since when the oldest artifact waits that is not in the catalogue yet.
pub(crate) async fn waiting_since(database: &Database, tenant: &TenantId) -> StoreResult<Option<Timestamp>> {
    let sql = "SELECT asked_at FROM delta_artifacts WHERE tenant = $1 AND normaliser = $2 AND indexed_at = 0 \
               ORDER BY asked_at LIMIT 1";
    let row = database.first(query(sql).bind(tenant).bind(NORMALISER_VERSION)).await?;
    row.map(|row| Ok(Timestamp::from_micros(row.int("asked_at")?))).transpose()
}

/// The artifacts that wait and that nobody is at, the oldest first, without those that are given up.
pub(crate) async fn waiting(
    database: &Database,
    tenant: &TenantId,
    now: Timestamp,
) -> StoreResult<Vec<Sha256>> {
    let sql = "SELECT artifact FROM delta_artifacts AS asked \
               WHERE asked.tenant = $1 AND asked.normaliser = $2 AND asked.indexed_at = 0 AND NOT EXISTS \
               (SELECT 1 FROM jobs WHERE jobs.tenant = asked.tenant AND jobs.id = $3 || asked.artifact \
               AND (jobs.state = 'failed' OR (jobs.state = 'leased' \
               AND (jobs.attempts >= jobs.max_attempts OR jobs.lease_until >= $4)))) \
               ORDER BY asked.asked_at, asked.artifact LIMIT 1024";
    let bound = query(sql).bind(tenant).bind(NORMALISER_VERSION).bind(index_jobs());
    database.all(bound.bind(now)).await?.iter().map(|row: &Row| row.parse("artifact")).collect()
}

/// The same of one artifact: whether another one is at it, or it is given up.
pub(crate) async fn is_left(
    tx: &Tx,
    tenant: &TenantId,
    artifact: &Sha256,
    now: Timestamp,
) -> StoreResult<bool> {
    let sql = "SELECT 1 AS one FROM jobs WHERE tenant = $1 AND id = $2 AND (state = 'failed' \
               OR (state = 'leased' AND (attempts >= max_attempts OR lease_until >= $3)))";
    Ok(tx.first(query(sql).bind(tenant).bind(index_job(artifact)).bind(now)).await?.is_some())
}

/// Lets wait what only an older version of the normaliser has indexed; it waits since it was asked for.
pub(crate) async fn ask_again(tx: &Tx, tenant: &TenantId) -> StoreResult<u64> {
    let sql = "INSERT INTO delta_artifacts (tenant, artifact, normaliser, index_blob, summary, asked_at, indexed_at) \
               SELECT old.tenant, old.artifact, $1, '', '', MIN(old.asked_at), 0 FROM delta_artifacts AS old \
               WHERE old.tenant = $2 AND old.normaliser < $3 AND old.indexed_at > 0 AND NOT EXISTS \
               (SELECT 1 FROM delta_artifacts AS new WHERE new.tenant = old.tenant \
               AND new.artifact = old.artifact AND new.normaliser = $4) GROUP BY old.tenant, old.artifact";
    let version = NORMALISER_VERSION;
    tx.execute(query(sql).bind(version).bind(tenant).bind(version).bind(version)).await
}
