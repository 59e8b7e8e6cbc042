//! The tables of this room.

use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Database, Migration, Row, StoreResult, Tx, query};

use crate::releases::{ArtifactRef, Release};

/// The schema of this room.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T044000_control",
    statements: &[
        "CREATE TABLE releases (
            tenant {TEXT} NOT NULL, name {TEXT} NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (tenant, name))",
        "CREATE TABLE release_artifacts (
            tenant {TEXT} NOT NULL, release {TEXT} NOT NULL, role {TEXT} NOT NULL, digest {TEXT} NOT NULL,
            name {TEXT} NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (tenant, release, role, digest))",
        "CREATE TABLE decisions (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, release {TEXT} NOT NULL, ruling {TEXT} NOT NULL,
            document {TEXT} NOT NULL, statement {TEXT} NOT NULL, created_at BIGINT NOT NULL,
            PRIMARY KEY (tenant, id))",
        "CREATE INDEX decisions_by_release ON decisions (tenant, release, created_at)",
    ],
}];

pub(crate) async fn insert_release(
    tx: &Tx,
    tenant: &TenantId,
    name: &str,
    artifacts: &[ArtifactRef],
    now: Timestamp,
) -> StoreResult<()> {
    let sql = "INSERT INTO releases (tenant, name, created_at) VALUES ($1, $2, $3)";
    tx.execute(query(sql).bind(tenant).bind(name).bind(now)).await?;
    for artifact in artifacts {
        let sql = "INSERT INTO release_artifacts (tenant, release, role, digest, name, size) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let size = i64::try_from(artifact.size).unwrap_or(i64::MAX);
        let row = query(sql).bind(tenant).bind(name).bind(&artifact.role).bind(artifact.digest);
        tx.execute(row.bind(&artifact.name).bind(size)).await?;
    }
    Ok(())
}

const RELEASE: &str = "SELECT name, created_at FROM releases WHERE tenant = $1 AND name = $2";
const ARTIFACTS: &str = "SELECT role, digest, name, size FROM release_artifacts WHERE tenant = $1 AND release = $2 \
    ORDER BY role, digest";

pub(crate) async fn release(db: &Database, tenant: &TenantId, name: &str) -> StoreResult<Option<Release>> {
    let Some(row) = db.first(query(RELEASE).bind(tenant).bind(name)).await? else { return Ok(None) };
    let artifacts = db.all(query(ARTIFACTS).bind(tenant).bind(name)).await?;
    read_release(&row, artifacts).map(Some)
}

pub(crate) async fn releases(
    db: &Database,
    tenant: &TenantId,
    after: &str,
    limit: i64,
) -> StoreResult<Vec<Release>> {
    let sql = "SELECT name, created_at FROM releases WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3";
    let mut all = Vec::new();
    for row in db.all(query(sql).bind(tenant).bind(after).bind(limit)).await? {
        let artifacts = db.all(query(ARTIFACTS).bind(tenant).bind(row.text("name")?)).await?;
        all.push(read_release(&row, artifacts)?);
    }
    Ok(all)
}

fn read_release(row: &Row, artifacts: Vec<Row>) -> StoreResult<Release> {
    let artifact = |row: &Row| {
        Ok(ArtifactRef {
            role: row.text("role")?,
            digest: row.parse("digest")?,
            name: row.text("name")?,
            size: row.count("size")?,
        })
    };
    Ok(Release {
        release: row.text("name")?,
        artifacts: artifacts.iter().map(artifact).collect::<StoreResult<_>>()?,
        created_at: Timestamp::from_micros(row.int("created_at")?),
    })
}

/// A decision's row: its id, its document and its statement.
pub(crate) struct DecisionRow {
    pub id: String,
    pub release: String,
    pub document: String,
    pub statement: Sha256,
}

pub(crate) async fn insert_decision(
    tx: &Tx,
    tenant: &TenantId,
    row: &DecisionRow,
    ruling: &str,
    now: Timestamp,
) -> StoreResult<()> {
    let sql = "INSERT INTO decisions (tenant, id, release, ruling, document, statement, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let statement = query(sql).bind(tenant).bind(&row.id).bind(&row.release).bind(ruling);
    tx.execute(statement.bind(&row.document).bind(row.statement).bind(now)).await.map(drop)
}

pub(crate) async fn decision(db: &Database, tenant: &TenantId, id: &str) -> StoreResult<Option<DecisionRow>> {
    let sql = "SELECT id, release, document, statement FROM decisions WHERE tenant = $1 AND id = $2";
    db.first(query(sql).bind(tenant).bind(id)).await?.map(|row| read_decision(&row)).transpose()
}

/// The decisions of a release, newest first.
pub(crate) async fn decisions(
    db: &Database,
    tenant: &TenantId,
    release: &str,
) -> StoreResult<Vec<DecisionRow>> {
    let sql = "SELECT id, release, document, statement FROM decisions WHERE tenant = $1 AND release = $2 \
               ORDER BY created_at DESC, id LIMIT 100";
    db.all(query(sql).bind(tenant).bind(release)).await?.iter().map(read_decision).collect()
}

pub(crate) async fn newest_decision(
    db: &Database,
    tenant: &TenantId,
    release: &str,
) -> StoreResult<Option<DecisionRow>> {
    let sql = "SELECT id, release, document, statement FROM decisions WHERE tenant = $1 AND release = $2 \
               ORDER BY created_at DESC, id LIMIT 1";
    db.first(query(sql).bind(tenant).bind(release)).await?.map(|row| read_decision(&row)).transpose()
}

fn read_decision(row: &Row) -> StoreResult<DecisionRow> {
    Ok(DecisionRow {
        id: row.text("id")?,
        release: row.text("release")?,
        document: row.text("document")?,
        statement: row.parse("statement")?,
    })
}
