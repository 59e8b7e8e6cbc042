//! The notary's tables.

use std::collections::HashSet;

use assay_evidence::{Sha256, Subject, TenantId, Timestamp};
use assay_ledger::Leaf;
use assay_store::{Database, LIST_WIDTH, ListQuery, Migration, Row, StoreResult, Tx, query};

use crate::accept::Prepared;
use crate::log::Head;

/// The notary's schema.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T041000_notary",
    statements: &[
        "CREATE TABLE logs (
            tenant {TEXT} PRIMARY KEY, origin {TEXT} NOT NULL, public_key {TEXT} NOT NULL,
            secret {BYTES} NOT NULL, frozen {TEXT} NOT NULL, created_at BIGINT NOT NULL)",
        "CREATE TABLE statements (
            tenant {TEXT} NOT NULL, digest {TEXT} NOT NULL, predicate_type {TEXT} NOT NULL,
            key_id {TEXT} NOT NULL, accepted_at BIGINT NOT NULL, PRIMARY KEY (tenant, digest))",
        "CREATE TABLE statement_subjects (
            tenant {TEXT} NOT NULL, subject {TEXT} NOT NULL, digest {TEXT} NOT NULL,
            PRIMARY KEY (tenant, subject, digest))",
        "CREATE TABLE outbox (
            tenant {TEXT} NOT NULL, digest {TEXT} NOT NULL, accepted_at BIGINT NOT NULL, leaf {BYTES} NOT NULL,
            PRIMARY KEY (tenant, digest))",
        "CREATE TABLE log_entries (
            tenant {TEXT} NOT NULL, position BIGINT NOT NULL, digest {TEXT} NOT NULL, leaf {BYTES} NOT NULL,
            PRIMARY KEY (tenant, position))",
        "CREATE INDEX log_entries_by_digest ON log_entries (tenant, digest)",
        "CREATE TABLE log_heads (
            tenant {TEXT} NOT NULL, ordinal BIGINT NOT NULL, size BIGINT NOT NULL, root {TEXT} NOT NULL,
            PRIMARY KEY (tenant, ordinal))",
    ],
}];

/// A statement as the database knows it.
#[derive(Clone, Debug)]
pub struct StatementRow {
    /// Digest of the envelope's bytes.
    pub digest: Sha256,
    /// The predicate type.
    pub predicate_type: String,
    /// The key that signed.
    pub key_id: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its index in the log, once assigned.
    pub position: Option<u64>,
}

const STATEMENT: &str = "SELECT s.digest, s.predicate_type, s.key_id, s.accepted_at, e.position FROM statements s \
    LEFT JOIN log_entries e ON e.tenant = s.tenant AND e.digest = s.digest WHERE s.tenant = $1 AND s.digest = $2";

pub(crate) async fn statement(
    db: &Database,
    tenant: &TenantId,
    digest: &Sha256,
) -> StoreResult<Option<StatementRow>> {
    let row = db.first(query(STATEMENT).bind(tenant).bind(digest)).await?;
    row.map(|row| read_statement(&row)).transpose()
}

pub(crate) async fn by_subject(
    db: &Database,
    tenant: &TenantId,
    subject: &Sha256,
) -> StoreResult<Vec<StatementRow>> {
    let sql = "SELECT s.digest, s.predicate_type, s.key_id, s.accepted_at, e.position FROM statement_subjects j \
        JOIN statements s ON s.tenant = j.tenant AND s.digest = j.digest \
        LEFT JOIN log_entries e ON e.tenant = s.tenant AND e.digest = s.digest \
        WHERE j.tenant = $1 AND j.subject = $2 ORDER BY s.accepted_at, s.digest LIMIT 1000";
    db.all(query(sql).bind(tenant).bind(subject)).await?.iter().map(read_statement).collect()
}

static INCLUDED: ListQuery = ListQuery::new(
    "SELECT digest FROM log_entries WHERE tenant = $1 AND position < $2 AND digest IN ({LIST})",
    2,
);

/// Which of these have their place in the log, below `size`.
pub(crate) async fn included(
    db: &Database,
    tenant: &TenantId,
    digests: &[Sha256],
    size: u64,
) -> StoreResult<HashSet<Sha256>> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let mut found = HashSet::new();
    for part in digests.chunks(LIST_WIDTH) {
        for row in db.all(INCLUDED.query(vec![tenant.into(), size.into()], part)).await? {
            found.insert(row.parse("digest")?);
        }
    }
    Ok(found)
}

fn read_statement(row: &Row) -> StoreResult<StatementRow> {
    Ok(StatementRow {
        digest: row.parse("digest")?,
        predicate_type: row.text("predicate_type")?,
        key_id: row.text("key_id")?,
        accepted_at: Timestamp::from_micros(row.int("accepted_at")?),
        position: row.opt_int("position")?.and_then(|position| u64::try_from(position).ok()),
    })
}

/// The statement, its subjects and its outbox row; nothing where the statement is known already.
pub(crate) async fn insert_statement(tx: &Tx, tenant: &TenantId, prepared: &Prepared) -> StoreResult<()> {
    let sql = "INSERT INTO statements (tenant, digest, predicate_type, key_id, accepted_at) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, digest) DO NOTHING";
    let new = tx
        .execute(
            query(sql)
                .bind(tenant)
                .bind(prepared.digest())
                .bind(prepared.predicate_type())
                .bind(prepared.key_id())
                .bind(prepared.accepted_at()),
        )
        .await?;
    if new == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO statement_subjects (tenant, subject, digest) VALUES ($1, $2, $3) \
               ON CONFLICT (tenant, subject, digest) DO NOTHING";
    for subject in prepared.subjects() {
        tx.execute(query(sql).bind(tenant).bind(subject).bind(prepared.digest())).await?;
    }
    let sql = "INSERT INTO outbox (tenant, digest, accepted_at, leaf) VALUES ($1, $2, $3, $4)";
    let row = query(sql).bind(tenant).bind(prepared.digest()).bind(prepared.accepted_at());
    tx.execute(row.bind(prepared.leaf())).await.map(drop)
}

/// The statement of a leaf that the log holds already, where it is not known.
pub(crate) async fn import_statement(
    tx: &Tx,
    tenant: &TenantId,
    leaf: &Leaf,
    subjects: &[Subject],
) -> StoreResult<()> {
    let sql = "INSERT INTO statements (tenant, digest, predicate_type, key_id, accepted_at) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, digest) DO NOTHING";
    let accepted_at = i64::try_from(leaf.time_micros).unwrap_or(i64::MAX);
    let row = query(sql).bind(tenant).bind(leaf.envelope).bind(&leaf.predicate).bind(leaf.key.as_str());
    tx.execute(row.bind(accepted_at)).await?;
    let sql = "INSERT INTO statement_subjects (tenant, subject, digest) VALUES ($1, $2, $3) \
               ON CONFLICT (tenant, subject, digest) DO NOTHING";
    for subject in subjects.iter().filter_map(Subject::sha256) {
        tx.execute(query(sql).bind(tenant).bind(subject).bind(leaf.envelope)).await?;
    }
    Ok(())
}

/// Moves up to `limit` outbox rows to dense positions; how many there were.
pub(crate) async fn assign(tx: &Tx, tenant: &TenantId, limit: i64) -> StoreResult<usize> {
    let sql = "SELECT digest, leaf FROM outbox WHERE tenant = $1 ORDER BY accepted_at, digest LIMIT $2";
    let waiting = tx.all(query(sql).bind(tenant).bind(limit)).await?;
    let next = next_position(tx, tenant).await?;
    for (row, position) in waiting.iter().zip(next..) {
        let digest = row.text("digest")?;
        insert_entry(tx, tenant, position, &digest, &row.bytes("leaf")?).await?;
        let sql = "DELETE FROM outbox WHERE tenant = $1 AND digest = $2";
        tx.execute(query(sql).bind(tenant).bind(&digest)).await?;
    }
    Ok(waiting.len())
}

pub(crate) async fn next_position(tx: &Tx, tenant: &TenantId) -> StoreResult<i64> {
    let sql = "SELECT COALESCE(MAX(position), -1) + 1 AS next FROM log_entries WHERE tenant = $1";
    tx.first(query(sql).bind(tenant)).await?.map_or(Ok(0), |row| row.int("next"))
}

pub(crate) async fn insert_entry(
    tx: &Tx,
    tenant: &TenantId,
    position: i64,
    digest: &str,
    leaf: &[u8],
) -> StoreResult<()> {
    let sql = "INSERT INTO log_entries (tenant, position, digest, leaf) VALUES ($1, $2, $3, $4)";
    tx.execute(query(sql).bind(tenant).bind(position).bind(digest).bind(leaf)).await.map(drop)
}

/// The leaves from `start` on, in order.
pub(crate) async fn leaves_from(
    db: &Database,
    tenant: &TenantId,
    start: u64,
    limit: i64,
) -> StoreResult<Vec<Vec<u8>>> {
    let sql = "SELECT leaf FROM log_entries WHERE tenant = $1 AND position >= $2 ORDER BY position LIMIT $3";
    let start = i64::try_from(start).unwrap_or(i64::MAX);
    db.all(query(sql).bind(tenant).bind(start).bind(limit))
        .await?
        .iter()
        .map(|row| row.bytes("leaf"))
        .collect()
}

pub(crate) async fn count_entries(db: &Database, tenant: &TenantId) -> StoreResult<u64> {
    let sql = "SELECT COUNT(*) AS n FROM log_entries WHERE tenant = $1";
    db.first(query(sql).bind(tenant)).await?.map_or(Ok(0), |row| row.count("n"))
}

pub(crate) async fn note_head(tx: &Tx, tenant: &TenantId, head: &Head) -> StoreResult<()> {
    let sql = "INSERT INTO log_heads (tenant, ordinal, size, root) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (tenant, ordinal) DO NOTHING";
    let ordinal = i64::try_from(head.ordinal).unwrap_or(i64::MAX);
    let size = i64::try_from(head.size).unwrap_or(i64::MAX);
    tx.execute(query(sql).bind(tenant).bind(ordinal).bind(size).bind(hex::encode(head.root))).await.map(drop)
}

/// The highest ordinal that SQL has noted.
pub(crate) async fn noted_ordinal(db: &Database, tenant: &TenantId) -> StoreResult<Option<(u64, u64)>> {
    let sql = "SELECT ordinal, size FROM log_heads WHERE tenant = $1 ORDER BY ordinal DESC LIMIT 1";
    let Some(row) = db.first(query(sql).bind(tenant)).await? else { return Ok(None) };
    Ok(Some((row.count("ordinal")?, row.count("size")?)))
}

pub(crate) async fn waiting(db: &Database, tenant: &TenantId) -> StoreResult<u64> {
    let sql = "SELECT COUNT(*) AS n FROM outbox WHERE tenant = $1";
    db.first(query(sql).bind(tenant)).await?.map_or(Ok(0), |row| row.count("n"))
}
