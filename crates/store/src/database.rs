//! Connections and the one way to write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, Executor as _};
use tokio::sync::Mutex;

use crate::dialect::Dialect;
use crate::error::{StoreError, StoreResult};
use crate::row::{Query, Row};

/// How often a write is tried when other writers come first.
const MAX_ATTEMPTS: u32 = 12;
/// How many tries are made before a writer waits for its turn.
const UNORDERED_ATTEMPTS: u32 = 2;
/// Connections that read (SQLite) or do everything (PostgreSQL).
const MAX_CONNECTIONS: u32 = 8;
/// How long to wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that was opened.
#[derive(Clone, Debug)]
pub struct Database {
    dialect: Dialect,
    readers: AnyPool,
    writer: AnyPool,
    /// Writers of this process that lost to others take turns, so that each of them wins soon.
    turn: Arc<Mutex<()>>,
}

impl Database {
    pub(crate) async fn open(data: &Path, url: Option<&str>) -> StoreResult<Self> {
        install_default_drivers();
        match url {
            None => Self::open_sqlite(&data.join("assay.sqlite")).await,
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                let pool = pool(MAX_CONNECTIONS).connect(url).await?;
                Ok(Self {
                    dialect: Dialect::Postgres,
                    readers: pool.clone(),
                    writer: pool,
                    turn: Arc::default(),
                })
            }
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) => Self::open_sqlite(Path::new(path.trim_start_matches("//"))).await,
                None => Err(StoreError::Address { what: "database", url: without_credentials(url) }),
            },
        }
    }

    async fn open_sqlite(path: &Path) -> StoreResult<Self> {
        let path = std::path::absolute(path)
            .map_err(|source| StoreError::Folder { path: path.to_owned(), source })?;
        let address = || StoreError::Address { what: "database", url: path.display().to_string() };
        let mut url = url::Url::from_file_path(&path).map_err(|()| address())?;
        url.set_query(Some("mode=rwc"));
        let url = url.as_str().replacen("file:", "sqlite:", 1);
        let sqlite = |connections| {
            pool(connections).after_connect(|connection, _| {
                Box::pin(async move {
                    connection
                        .execute(
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                             PRAGMA foreign_keys = ON",
                        )
                        .await?;
                    Ok(())
                })
            })
        };
        let writer = sqlite(1).connect(&url).await?;
        let readers = sqlite(MAX_CONNECTIONS).connect(&url).await?;
        Ok(Self { dialect: Dialect::Sqlite, readers, writer, turn: Arc::default() })
    }

    /// Which SQL is spoken.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs `work` in one transaction and commits it. When other writers came first the whole
    /// closure runs again, so it must not act outside the transaction. An error rolls back.
    pub async fn write<T, E, F, W>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Tx) -> W,
        W: Future<Output = Result<T, E>>,
        E: From<StoreError>,
    {
        let mut turn = None;
        for attempt in 1..=MAX_ATTEMPTS {
            if attempt > UNORDERED_ATTEMPTS && turn.is_none() {
                turn = Some(self.turn.lock().await);
            }
            let begun = self.writer.begin_with(self.dialect.begin_write()).await;
            let transaction = match begun {
                Ok(transaction) => transaction,
                Err(error) if is_conflict(&error) => {
                    back_off(attempt).await;
                    continue;
                }
                Err(error) => return Err(StoreError::from(error).into()),
            };
            let tx = Tx {
                dialect: self.dialect,
                conflict: Arc::new(AtomicBool::new(false)),
                inner: Arc::new(Mutex::new(Some(transaction))),
            };
            let outcome = work(tx.clone()).await;
            let transaction = tx.inner.lock().await.take().expect("only this function takes the transaction");
            match outcome {
                Ok(value) => match transaction.commit().await {
                    Ok(()) => return Ok(value),
                    Err(error) if is_conflict(&error) => back_off(attempt).await,
                    Err(error) => return Err(StoreError::from(error).into()),
                },
                Err(error) => {
                    let rolled_back = transaction.rollback().await;
                    if !tx.conflict.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                    drop(rolled_back);
                    back_off(attempt).await;
                }
            }
        }
        Err(StoreError::Contended { attempts: MAX_ATTEMPTS }.into())
    }

    /// Runs `sql` in a transaction that stays open until it is dropped: for locks.
    pub(crate) async fn hold(&self, sql: &'static str) -> StoreResult<sqlx::Transaction<'static, Any>> {
        let mut transaction = self.readers.begin().await?;
        transaction.execute(sqlx::raw_sql(sql)).await?;
        Ok(transaction)
    }

    /// Reads all rows.
    pub async fn all(&self, query: Query) -> StoreResult<Vec<Row>> {
        Ok(query.prepare().fetch_all(&self.readers).await?.into_iter().map(Row).collect())
    }

    /// Reads the first row, if there is one.
    pub async fn first(&self, query: Query) -> StoreResult<Option<Row>> {
        Ok(query.prepare().fetch_optional(&self.readers).await?.map(Row))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A write transaction; every clone is the same one.
#[derive(Clone)]
pub struct Tx {
    dialect: Dialect,
    conflict: Arc<AtomicBool>,
    inner: Arc<Mutex<Option<sqlx::Transaction<'static, Any>>>>,
}

impl Tx {
    /// Runs a statement; the number of rows it touched.
    pub async fn execute(&self, query: Query) -> StoreResult<u64> {
        let mut guard = self.inner.lock().await;
        let transaction = guard.as_mut().ok_or_else(ended)?;
        let done = query.prepare().execute(&mut **transaction).await;
        Ok(self.note(done)?.rows_affected())
    }

    /// Reads all rows.
    pub async fn all(&self, query: Query) -> StoreResult<Vec<Row>> {
        let mut guard = self.inner.lock().await;
        let transaction = guard.as_mut().ok_or_else(ended)?;
        let rows = query.prepare().fetch_all(&mut **transaction).await;
        Ok(self.note(rows)?.into_iter().map(Row).collect())
    }

    /// Reads the first row, if there is one.
    pub async fn first(&self, query: Query) -> StoreResult<Option<Row>> {
        let mut guard = self.inner.lock().await;
        let transaction = guard.as_mut().ok_or_else(ended)?;
        let row = query.prepare().fetch_optional(&mut **transaction).await;
        Ok(self.note(row)?.map(Row))
    }

    /// Which SQL is spoken.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) async fn execute_raw(&self, sql: String) -> StoreResult<()> {
        let mut guard = self.inner.lock().await;
        let transaction = guard.as_mut().ok_or_else(ended)?;
        let done = transaction.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await;
        self.note(done).map(drop)
    }

    fn note<T>(&self, outcome: Result<T, sqlx::Error>) -> StoreResult<T> {
        outcome.map_err(|error| {
            if is_conflict(&error) {
                self.conflict.store(true, Ordering::Relaxed);
            }
            error.into()
        })
    }
}

fn ended() -> StoreError {
    StoreError::Database { source: sqlx::Error::PoolClosed }
}

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT)
}

/// Serialisation failures, deadlocks (PostgreSQL) and a busy file (SQLite).
fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    matches!(code.as_deref(), Some("40001" | "40P01" | "5" | "517" | "261"))
}

async fn back_off(attempt: u32) {
    let jitter = u64::from(std::process::id() % 7 + attempt);
    let milliseconds = (1u64 << attempt.min(8)) + jitter;
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The address as it may be shown.
fn without_credentials(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) => {
            let _ = parsed.set_password(None);
            let _ = parsed.set_username("");
            parsed.to_string()
        }
        Err(_) => url.chars().take_while(|c| *c != ':').collect(),
    }
}
