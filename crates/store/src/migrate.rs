//! Migrations: only expanding, named by a UTC timestamp, run under a lock in one transaction.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use crate::database::Database;
use crate::dialect::Dialect;
use crate::error::{StoreError, StoreResult};
use crate::row::query;

/// One step of a room's schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `<UTC timestamp>_<room>_<what>`, unique and ordered.
    pub id: &'static str,
    /// Statements with `{BYTES}`, `{DOUBLE}` and `{TEXT}` for the types that differ.
    pub statements: &'static [&'static str],
}

/// The key of the advisory lock that guards migrations on PostgreSQL.
const ADVISORY_LOCK: &str = "SELECT pg_advisory_xact_lock(7200413)";

pub(crate) async fn run(database: &Database, data: &Path, mut all: Vec<&Migration>) -> StoreResult<()> {
    all.sort_by_key(|migration| migration.id);
    let _lock = match database.dialect() {
        Dialect::Sqlite => Some(lock_file(data)?),
        Dialect::Postgres => None,
    };
    let all = &all;
    database
        .write(|tx| async move {
            if tx.dialect() == Dialect::Postgres {
                tx.execute_raw(ADVISORY_LOCK.to_owned()).await?;
            }
            let table = "CREATE TABLE IF NOT EXISTS schema_migrations (id {TEXT} PRIMARY KEY)";
            tx.execute_raw(tx.dialect().render(table)).await?;
            let done: BTreeSet<String> = tx
                .all(query("SELECT id FROM schema_migrations"))
                .await?
                .iter()
                .map(|row| row.text("id"))
                .collect::<StoreResult<_>>()?;
            for migration in all.iter().filter(|migration| !done.contains(migration.id)) {
                for statement in migration.statements {
                    tx.execute_raw(tx.dialect().render(statement)).await?;
                }
                tx.execute(query("INSERT INTO schema_migrations (id) VALUES ($1)").bind(migration.id)).await?;
                tracing::info!(migration = migration.id, "migration applied");
            }
            Ok(())
        })
        .await
}

fn lock_file(data: &Path) -> StoreResult<File> {
    let path = data.join("migrations.lock");
    let open = File::create(&path).and_then(|file| file.lock().map(|()| file));
    open.map_err(|source| StoreError::Folder { path, source })
}
