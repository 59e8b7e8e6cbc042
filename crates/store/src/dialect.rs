//! The few statements that are not one text on both databases.

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

impl Dialect {
    /// How a write transaction begins.
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }

    /// Column types of a migration: `{BYTES}`, `{DOUBLE}` and `{TEXT}`, whose order is by bytes on both.
    pub(crate) fn render(self, sql: &str) -> String {
        let (bytes, double, text) = match self {
            Self::Sqlite => ("BLOB", "DOUBLE", "TEXT"),
            Self::Postgres => ("BYTEA", "DOUBLE PRECISION", "TEXT COLLATE \"C\""),
        };
        sql.replace("{BYTES}", bytes).replace("{DOUBLE}", double).replace("{TEXT}", text)
    }

    /// The oldest job that may be taken, locked where the database has row locks.
    pub(crate) fn next_job(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT tenant, id, kind, payload, attempts FROM jobs \
                 WHERE (state = 'queued' OR (state = 'leased' AND lease_until < $1)) AND attempts < max_attempts \
                 ORDER BY created_at, id LIMIT 1"
            }
            Self::Postgres => {
                "SELECT tenant, id, kind, payload, attempts FROM jobs \
                 WHERE (state = 'queued' OR (state = 'leased' AND lease_until < $1)) AND attempts < max_attempts \
                 ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED"
            }
        }
    }
}
