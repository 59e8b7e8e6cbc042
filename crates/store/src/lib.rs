//! Transactions, dialect, migrator, job queue and blobs: what every room with state stands on.
//!
//! # Design constraints
//! - [`Database::write`] is the only way to write. SQLite: `BEGIN IMMEDIATE` on a pool of one
//!   connection; PostgreSQL: `SERIALIZABLE` with bounded retry.
//! - Columns are BIGINT, TEXT, BYTEA/BLOB, DOUBLE only; flags are 0/1; booleans cannot be bound.
//! - Blobs are create-only and fsynced; the one object that is ever replaced is a log's checkpoint.
//! - No table of another room, no business rule.

mod blobs;
mod database;
mod dialect;
mod error;
mod generations;
pub mod jobs;
mod migrate;
mod row;

pub use blobs::{BlobKey, Blobs, Created};
pub use database::{Database, Tx};
pub use dialect::Dialect;
pub use error::{StoreError, StoreResult};
pub use generations::Generation;
pub use migrate::Migration;
pub use row::{Arg, LIST_WIDTH, ListQuery, Query, Row, query};

use std::path::{Path, PathBuf};

/// Where state and bytes are kept.
#[derive(Clone, Debug)]
pub struct Locations {
    /// The local folder: SQLite file, local blobs, caches.
    pub data: PathBuf,
    /// `postgres://...`, or none for SQLite in `data`.
    pub database: Option<String>,
    /// `s3://bucket/prefix` or `file:///folder`, or none for a folder in `data`.
    pub blobs: Option<String>,
}

/// The database and the blob store, opened and migrated.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    blobs: Blobs,
}

impl Store {
    /// Opens both and brings the schema up to date with the rooms' `migrations`.
    pub async fn open(locations: &Locations, migrations: &[&[Migration]]) -> StoreResult<Self> {
        create_private(&locations.data)?;
        let database = Database::open(&locations.data, locations.database.as_deref()).await?;
        let mut all: Vec<&Migration> = jobs::MIGRATIONS.iter().chain(generations::MIGRATIONS).collect();
        all.extend(migrations.iter().flat_map(|room| room.iter()));
        migrate::run(&database, &locations.data, all).await?;
        let blobs = Blobs::open(&locations.data, locations.blobs.as_deref())?;
        Ok(Self { database, blobs })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The blob store.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}

fn create_private(folder: &Path) -> StoreResult<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StoreError::Folder { path: folder.to_owned(), source })
}
