//! The tables of this room.

use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_gate::{Mode, Verdict};
use assay_store::{Database, ListQuery, Migration, Row, StoreError, StoreResult, Tx, query};

/// The schema of this room.
pub const MIGRATIONS: &[Migration] = &[TABLES, crate::quotas::MIGRATION, crate::signatures::MIGRATION];

const TABLES: Migration = Migration {
    id: "20261123T043000_verify",
    statements: &[
        "CREATE TABLE incidents (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, definition {TEXT} NOT NULL, digest {TEXT} NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (tenant, id))",
        "CREATE TABLE incident_names (
            tenant {TEXT} NOT NULL, name {TEXT} NOT NULL, incident {TEXT} NOT NULL, PRIMARY KEY (tenant, name))",
        "CREATE TABLE witnesses (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, incident {TEXT} NOT NULL, role {TEXT} NOT NULL,
            subject_path {TEXT} NOT NULL, artifact {TEXT} NOT NULL, capsule {TEXT} NOT NULL,
            recorded_path {TEXT} NOT NULL, observation {TEXT} NOT NULL, trace {TEXT} NOT NULL,
            admitted BIGINT NOT NULL, layout_sensitive BIGINT NOT NULL, replays BIGINT NOT NULL,
            statement {TEXT} NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (tenant, id))",
        "CREATE INDEX witnesses_by_incident ON witnesses (tenant, incident)",
        "CREATE TABLE verdicts (
            tenant {TEXT} NOT NULL, cache_key {TEXT} NOT NULL, incident {TEXT} NOT NULL, witness {TEXT} NOT NULL,
            artifact {TEXT} NOT NULL, verdict {TEXT} NOT NULL, mode {TEXT} NOT NULL, reason {TEXT} NOT NULL,
            reached BIGINT, run {TEXT} NOT NULL, milliseconds {DOUBLE} NOT NULL,
            replay_milliseconds {DOUBLE} NOT NULL, statement {TEXT} NOT NULL, observed_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (tenant, cache_key))",
        "CREATE INDEX verdicts_by_witness ON verdicts (tenant, witness, created_at)",
        "CREATE INDEX verdicts_by_incident ON verdicts (tenant, incident, created_at)",
        "CREATE TABLE traces (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, incident {TEXT} NOT NULL, report {TEXT} NOT NULL,
            fingerprint {TEXT} NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (tenant, id))",
    ],
};

/// A witness as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct WitnessRow {
    pub id: Sha256,
    pub incident: String,
    pub role: String,
    pub subject_path: String,
    pub artifact: Sha256,
    pub capsule: Sha256,
    pub recorded_path: Vec<String>,
    pub observation: Sha256,
    pub trace: Sha256,
    pub admitted: bool,
    pub layout_sensitive: bool,
    pub replays: i64,
    pub statement: Sha256,
    pub created_at: Timestamp,
}

/// A verdict as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct VerdictRow {
    pub cache_key: Sha256,
    pub incident: String,
    pub witness: Sha256,
    pub artifact: Sha256,
    pub verdict: Verdict,
    pub mode: Mode,
    pub reason: String,
    pub reached: Option<bool>,
    pub run: Sha256,
    pub milliseconds: f64,
    pub replay_milliseconds: f64,
    pub statement: Sha256,
    pub observed_at: Timestamp,
    pub created_at: Timestamp,
}

/// A word of an enumeration, as serde spells it.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn read_word<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> StoreResult<T> {
    let text = row.text(column)?;
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|error| StoreError::Column { column: column.to_owned(), detail: error.to_string() })
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> StoreResult<T> {
    serde_json::from_str(&row.text(column)?)
        .map_err(|error| StoreError::Column { column: column.to_owned(), detail: error.to_string() })
}

fn read_witness(row: &Row) -> StoreResult<WitnessRow> {
    Ok(WitnessRow {
        id: row.parse("id")?,
        incident: row.text("incident")?,
        role: row.text("role")?,
        subject_path: row.text("subject_path")?,
        artifact: row.parse("artifact")?,
        capsule: row.parse("capsule")?,
        recorded_path: read_json(row, "recorded_path")?,
        observation: row.parse("observation")?,
        trace: row.parse("trace")?,
        admitted: row.int("admitted")? == 1,
        layout_sensitive: row.int("layout_sensitive")? == 1,
        replays: row.int("replays")?,
        statement: row.parse("statement")?,
        created_at: Timestamp::from_micros(row.int("created_at")?),
    })
}

fn read_verdict(row: &Row) -> StoreResult<VerdictRow> {
    Ok(VerdictRow {
        cache_key: row.parse("cache_key")?,
        incident: row.text("incident")?,
        witness: row.parse("witness")?,
        artifact: row.parse("artifact")?,
        verdict: read_word(row, "verdict")?,
        mode: read_word(row, "mode")?,
        reason: row.text("reason")?,
        reached: row.opt_int("reached")?.map(|flag| flag == 1),
        run: row.parse("run")?,
        milliseconds: row.double("milliseconds")?,
        replay_milliseconds: row.double("replay_milliseconds")?,
        statement: row.parse("statement")?,
        observed_at: Timestamp::from_micros(row.int("observed_at")?),
        created_at: Timestamp::from_micros(row.int("created_at")?),
    })
}

const WITNESS: &str = "SELECT id, incident, role, subject_path, artifact, capsule, recorded_path, observation, trace, \
    admitted, layout_sensitive, replays, statement, created_at FROM witnesses WHERE tenant = $1 AND id = $2";
const WITNESSES: &str = "SELECT id, incident, role, subject_path, artifact, capsule, recorded_path, observation, trace, \
    admitted, layout_sensitive, replays, statement, created_at FROM witnesses WHERE tenant = $1 \
    ORDER BY incident, created_at, id";

pub(crate) async fn witness(
    db: &Database,
    tenant: &TenantId,
    id: &Sha256,
) -> StoreResult<Option<WitnessRow>> {
    db.first(query(WITNESS).bind(tenant).bind(id)).await?.map(|row| read_witness(&row)).transpose()
}

pub(crate) async fn witnesses(db: &Database, tenant: &TenantId) -> StoreResult<Vec<WitnessRow>> {
    db.all(query(WITNESSES).bind(tenant)).await?.iter().map(read_witness).collect()
}

pub(crate) async fn insert_witness(tx: &Tx, tenant: &TenantId, row: &WitnessRow) -> StoreResult<()> {
    let sql = "INSERT INTO witnesses (tenant, id, incident, role, subject_path, artifact, capsule, recorded_path, \
        observation, trace, admitted, layout_sensitive, replays, statement, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
        ON CONFLICT (tenant, id) DO UPDATE SET admitted = excluded.admitted, \
        layout_sensitive = excluded.layout_sensitive, replays = excluded.replays, statement = excluded.statement";
    let path = serde_json::to_string(&row.recorded_path).unwrap_or_default();
    let statement = query(sql)
        .bind(tenant)
        .bind(row.id)
        .bind(&row.incident)
        .bind(&row.role)
        .bind(&row.subject_path)
        .bind(row.artifact)
        .bind(row.capsule)
        .bind(path)
        .bind(row.observation)
        .bind(row.trace)
        .bind(i64::from(row.admitted))
        .bind(i64::from(row.layout_sensitive))
        .bind(row.replays)
        .bind(row.statement)
        .bind(row.created_at);
    tx.execute(statement).await.map(drop)
}

const VERDICT: &str = "SELECT cache_key, incident, witness, artifact, verdict, mode, reason, reached, run, \
    milliseconds, replay_milliseconds, statement, observed_at, created_at FROM verdicts \
    WHERE tenant = $1 AND cache_key = $2";
const VERDICTS_OF_WITNESS: &str = "SELECT cache_key, incident, witness, artifact, verdict, mode, reason, reached, run, \
    milliseconds, replay_milliseconds, statement, observed_at, created_at FROM verdicts \
    WHERE tenant = $1 AND witness = $2 AND mode = 'replayed' ORDER BY created_at DESC, cache_key LIMIT 64";
const VERDICTS_OF_INCIDENT: &str = "SELECT cache_key, incident, witness, artifact, verdict, mode, reason, reached, run, \
    milliseconds, replay_milliseconds, statement, observed_at, created_at FROM verdicts \
    WHERE tenant = $1 AND incident = $2 ORDER BY created_at DESC, cache_key LIMIT 200";

pub(crate) async fn verdict(
    db: &Database,
    tenant: &TenantId,
    key: &Sha256,
) -> StoreResult<Option<VerdictRow>> {
    db.first(query(VERDICT).bind(tenant).bind(key)).await?.map(|row| read_verdict(&row)).transpose()
}

static VERDICTS: ListQuery = ListQuery::new(
    "SELECT cache_key, incident, witness, artifact, verdict, mode, reason, reached, run, milliseconds, \
     replay_milliseconds, statement, observed_at, created_at FROM verdicts \
     WHERE tenant = $1 AND cache_key IN ({LIST})",
    1,
);

/// The verdicts of these keys, at most [`LIST_WIDTH`], in no order.
pub(crate) async fn verdicts(
    db: &Database,
    tenant: &TenantId,
    keys: &[Sha256],
) -> StoreResult<Vec<VerdictRow>> {
    db.all(VERDICTS.query(vec![tenant.into()], keys)).await?.iter().map(read_verdict).collect()
}

/// Whether a verdict is still the answer to its question: asking again may have changed it.
pub(crate) async fn stands(tx: &Tx, tenant: &TenantId, row: &VerdictRow) -> StoreResult<bool> {
    let sql = "SELECT 1 AS one FROM verdicts WHERE tenant = $1 AND cache_key = $2 AND statement = $3";
    Ok(tx.first(query(sql).bind(tenant).bind(row.cache_key).bind(row.statement)).await?.is_some())
}

/// The replayed verdicts of a witness, newest first: what may be carried over.
pub(crate) async fn replayed(db: &Database, tenant: &TenantId, id: &Sha256) -> StoreResult<Vec<VerdictRow>> {
    db.all(query(VERDICTS_OF_WITNESS).bind(tenant).bind(id)).await?.iter().map(read_verdict).collect()
}

/// The history of an incident, newest first.
const ALL_VERDICTS_OF_INCIDENT: &str = "SELECT cache_key, incident, witness, artifact, verdict, mode, reason, reached, \
    run, milliseconds, replay_milliseconds, statement, observed_at, created_at FROM verdicts \
    WHERE tenant = $1 AND incident = $2 ORDER BY created_at DESC, cache_key LIMIT 100000";

/// Every verdict on an incident, newest first.
pub(crate) async fn history_all(
    db: &Database,
    tenant: &TenantId,
    incident: &str,
) -> StoreResult<Vec<VerdictRow>> {
    let rows = db.all(query(ALL_VERDICTS_OF_INCIDENT).bind(tenant).bind(incident)).await?;
    rows.iter().map(read_verdict).collect()
}

pub(crate) async fn history(
    db: &Database,
    tenant: &TenantId,
    incident: &str,
) -> StoreResult<Vec<VerdictRow>> {
    db.all(query(VERDICTS_OF_INCIDENT).bind(tenant).bind(incident)).await?.iter().map(read_verdict).collect()
}

/// The answer to a question inside a write.
pub(crate) async fn answered(tx: &Tx, tenant: &TenantId, key: &Sha256) -> StoreResult<Option<VerdictRow>> {
    tx.first(query(VERDICT).bind(tenant).bind(*key)).await?.map(|row| read_verdict(&row)).transpose()
}

/// Withdraws an answer, by its own key and by the one that its question has now, and what was carried from
/// the same run.
pub(crate) async fn withdraw(tx: &Tx, tenant: &TenantId, row: &VerdictRow, key: &Sha256) -> StoreResult<()> {
    let own = "DELETE FROM verdicts WHERE tenant = $1 AND (cache_key = $2 OR cache_key = $3)";
    tx.execute(query(own).bind(tenant).bind(row.cache_key).bind(*key)).await?;
    if row.mode == Mode::Replayed {
        let carried = "DELETE FROM verdicts WHERE tenant = $1 AND witness = $2 AND run = $3 AND mode = $4";
        let mode = word(&Mode::CarriedOver);
        tx.execute(query(carried).bind(tenant).bind(row.witness).bind(row.run).bind(mode)).await?;
    }
    Ok(())
}

pub(crate) async fn insert_verdict(tx: &Tx, tenant: &TenantId, row: &VerdictRow) -> StoreResult<()> {
    let sql = "INSERT INTO verdicts (tenant, cache_key, incident, witness, artifact, verdict, mode, reason, reached, \
        run, milliseconds, replay_milliseconds, statement, observed_at, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
        ON CONFLICT (tenant, cache_key) DO UPDATE SET verdict = excluded.verdict, mode = excluded.mode, \
        reason = excluded.reason, reached = excluded.reached, run = excluded.run, \
        milliseconds = excluded.milliseconds, replay_milliseconds = excluded.replay_milliseconds, \
        statement = excluded.statement, observed_at = excluded.observed_at, created_at = excluded.created_at \
        WHERE verdicts.verdict = 'inconclusive'";
    let statement = query(sql)
        .bind(tenant)
        .bind(row.cache_key)
        .bind(&row.incident)
        .bind(row.witness)
        .bind(row.artifact)
        .bind(word(&row.verdict))
        .bind(word(&row.mode))
        .bind(&row.reason)
        .bind(row.reached.map(i64::from))
        .bind(row.run)
        .bind(row.milliseconds)
        .bind(row.replay_milliseconds)
        .bind(row.statement)
        .bind(row.observed_at)
        .bind(row.created_at);
    tx.execute(statement).await.map(drop)
}
