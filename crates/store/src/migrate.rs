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
        Dialect::Sqlite => Lock::File { _held: lock_file(data).await? },
        // Held by a connection of its own: a transaction that waits for the lock itself would then
        // look at the schema as it was before it waited.
        Dialect::Postgres => Lock::Advisory { _held: database.hold(ADVISORY_LOCK).await? },
    };
    let all = &all;
    database
        .write(|tx| async move {
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
                tx.execute(query("INSERT INTO schema_migrations (id) VALUES ($1)").bind(migration.id))
                    .await?;
                tracing::info!(migration = migration.id, "migration applied");
            }
            Ok(())
        })
        .await
}

/// What keeps other nodes from migrating at the same time, until it is dropped.
enum Lock {
    File { _held: File },
    Advisory { _held: sqlx::Transaction<'static, sqlx::Any> },
}

/// Waits on a thread of its own, so that the one who holds the lock can go on.
async fn lock_file(data: &Path) -> StoreResult<File> {
    let path = data.join("migrations.lock");
    let file = path.clone();
    let open = move || File::create(&file).and_then(|file| file.lock().map(|()| file));
    let locked =
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    locked.map_err(|source| StoreError::Folder { path, source })
}
