//! Index generation pointers: which immutable file answers for an index now.

use assay_evidence::{Sha256, TenantId, Timestamp};

use crate::database::{Database, Tx};
use crate::error::StoreResult;
use crate::migrate::Migration;
use crate::row::query;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T040000_store_index_generations",
    statements: &["CREATE TABLE index_generations (
        tenant {TEXT} NOT NULL, name {TEXT} NOT NULL, generation BIGINT NOT NULL,
        blob {TEXT} NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (tenant, name))"],
}];

/// The current generation of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counts up by one.
    pub number: i64,
    /// The immutable file.
    pub blob: Sha256,
    /// When it was written.
    pub created_at: Timestamp,
}

impl Generation {
    /// Reads the pointer.
    pub async fn current(database: &Database, tenant: &TenantId, name: &str) -> StoreResult<Option<Self>> {
        let sql =
            "SELECT generation, blob, created_at FROM index_generations WHERE tenant = $1 AND name = $2";
        let Some(row) = database.first(query(sql).bind(tenant).bind(name)).await? else { return Ok(None) };
        Ok(Some(Self {
            number: row.int("generation")?,
            blob: row.parse("blob")?,
            created_at: Timestamp::from_micros(row.int("created_at")?),
        }))
    }

    /// Points at a new file.
    pub async fn advance(
        tx: &Tx,
        tenant: &TenantId,
        name: &str,
        blob: &Sha256,
        now: Timestamp,
    ) -> StoreResult<()> {
        let sql = "INSERT INTO index_generations (tenant, name, generation, blob, created_at) \
                   VALUES ($1, $2, 1, $3, $4) ON CONFLICT (tenant, name) DO UPDATE SET \
                   generation = index_generations.generation + 1, blob = excluded.blob, created_at = excluded.created_at";
        tx.execute(query(sql).bind(tenant).bind(name).bind(blob).bind(now)).await.map(drop)
    }

    /// Points at a new file if the pointer still is at `expected` (0: there is none). False where somebody
    /// else was first; then nothing is changed.
    pub async fn advance_from(
        tx: &Tx,
        tenant: &TenantId,
        name: &str,
        expected: i64,
        blob: &Sha256,
        now: Timestamp,
    ) -> StoreResult<bool> {
        let touched = if expected == 0 {
            let sql = "INSERT INTO index_generations (tenant, name, generation, blob, created_at) \
                       VALUES ($1, $2, 1, $3, $4) ON CONFLICT (tenant, name) DO NOTHING";
            tx.execute(query(sql).bind(tenant).bind(name).bind(blob).bind(now)).await?
        } else {
            let sql = "UPDATE index_generations SET generation = generation + 1, blob = $1, created_at = $2 \
                       WHERE tenant = $3 AND name = $4 AND generation = $5";
            tx.execute(query(sql).bind(blob).bind(now).bind(tenant).bind(name).bind(expected)).await?
        };
        Ok(touched == 1)
    }
}
