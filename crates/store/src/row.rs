//! Statements with their arguments, and rows read by column name.

use std::sync::OnceLock;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, Row as _};

use crate::error::{StoreError, StoreResult};

/// An argument: the column types that mean the same on both databases. There is no boolean.
#[derive(Clone, Debug)]
pub enum Arg {
    /// BIGINT.
    Int(i64),
    /// BIGINT, perhaps NULL.
    OptInt(Option<i64>),
    /// TEXT.
    Text(String),
    /// TEXT, perhaps NULL.
    OptText(Option<String>),
    /// BYTEA / BLOB.
    Bytes(Vec<u8>),
    /// DOUBLE.
    Double(f64),
}

macro_rules! arg_from {
    ($($from:ty => |$value:ident| $arg:expr;)*) => {
        $(impl From<$from> for Arg {
            fn from($value: $from) -> Self {
                $arg
            }
        })*
    };
}

arg_from! {
    i64 => |value| Self::Int(value);
    u32 => |value| Self::Int(i64::from(value));
    Option<i64> => |value| Self::OptInt(value);
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    Option<String> => |value| Self::OptText(value);
    Vec<u8> => |value| Self::Bytes(value);
    &[u8] => |value| Self::Bytes(value.to_vec());
    f64 => |value| Self::Double(value);
    assay_evidence::Sha256 => |value| Self::Text(value.to_string());
    &assay_evidence::Sha256 => |value| Self::Text(value.to_string());
    &assay_evidence::TenantId => |value| Self::Text(value.to_string());
    assay_evidence::Timestamp => |value| Self::Int(value.micros());
}

/// One statement: a literal text with `$1`, `$2`, ... and its arguments in order.
#[derive(Clone, Debug)]
pub struct Query {
    sql: &'static str,
    args: Vec<Arg>,
}

/// Starts a statement.
pub fn query(sql: &'static str) -> Query {
    Query { sql, args: Vec::new() }
}

/// How many values the list of a [`ListQuery`] takes.
pub const LIST_WIDTH: usize = 250;

/// A statement that asks about several values at once: `{LIST}` in its literal text stands for
/// [`LIST_WIDTH`] arguments after the others.
pub struct ListQuery {
    text: &'static str,
    arguments: usize,
    expanded: OnceLock<String>,
}

impl ListQuery {
    /// A statement whose list comes after `arguments` others.
    pub const fn new(text: &'static str, arguments: usize) -> Self {
        Self { text, arguments, expanded: OnceLock::new() }
    }

    /// The statement with its list, to which the other arguments are bound already. A shorter list is
    /// filled up with its last value.
    ///
    /// # Panics
    /// If `values` is empty or longer than [`LIST_WIDTH`], or the number of arguments is another.
    pub fn query<T: Clone + Into<Arg>>(&'static self, arguments: Vec<Arg>, values: &[T]) -> Query {
        assert!((1..=LIST_WIDTH).contains(&values.len()), "a list has 1 to {LIST_WIDTH} values");
        assert_eq!(arguments.len(), self.arguments, "every argument before the list is bound");
        let sql = self.expanded.get_or_init(|| {
            let places: Vec<String> =
                (1..=LIST_WIDTH).map(|at| format!("${}", self.arguments + at)).collect();
            self.text.replace("{LIST}", &places.join(", "))
        });
        let last = std::iter::repeat(&values[values.len() - 1]);
        let values = values.iter().chain(last).take(LIST_WIDTH).cloned().map(Into::into);
        Query { sql, args: arguments.into_iter().chain(values).collect() }
    }
}

impl Query {
    /// Binds the next argument.
    #[must_use]
    pub fn bind(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn prepare(self) -> sqlx::query::Query<'static, Any, AnyArguments> {
        let mut prepared = sqlx::query(self.sql);
        for arg in self.args {
            prepared = match arg {
                Arg::Int(value) => prepared.bind(value),
                Arg::OptInt(value) => prepared.bind(value),
                Arg::Text(value) => prepared.bind(value),
                Arg::OptText(value) => prepared.bind(value),
                Arg::Bytes(value) => prepared.bind(value),
                Arg::Double(value) => prepared.bind(value),
            };
        }
        prepared
    }
}

/// A row that was read.
pub struct Row(pub(crate) AnyRow);

impl Row {
    fn get<'r, T>(&'r self, column: &str) -> StoreResult<T>
    where
        T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
    {
        self.0
            .try_get(column)
            .map_err(|error| StoreError::Column { column: column.to_owned(), detail: error.to_string() })
    }

    /// A BIGINT.
    pub fn int(&self, column: &str) -> StoreResult<i64> {
        self.get(column)
    }

    /// A BIGINT that may be NULL.
    pub fn opt_int(&self, column: &str) -> StoreResult<Option<i64>> {
        self.get(column)
    }

    /// A BIGINT that counts something.
    pub fn count(&self, column: &str) -> StoreResult<u64> {
        let value = self.int(column)?;
        let refuse =
            |_| StoreError::Column { column: column.to_owned(), detail: format!("{value} is negative") };
        u64::try_from(value).map_err(refuse)
    }

    /// A TEXT.
    pub fn text(&self, column: &str) -> StoreResult<String> {
        self.get(column)
    }

    /// A TEXT that may be NULL.
    pub fn opt_text(&self, column: &str) -> StoreResult<Option<String>> {
        self.get(column)
    }

    /// A BYTEA / BLOB.
    pub fn bytes(&self, column: &str) -> StoreResult<Vec<u8>> {
        self.get(column)
    }

    /// A DOUBLE.
    pub fn double(&self, column: &str) -> StoreResult<f64> {
        self.get(column)
    }

    /// A TEXT that is read as `T`: a digest, an id.
    pub fn parse<T>(&self, column: &str) -> StoreResult<T>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let refuse =
            |error: T::Err| StoreError::Column { column: column.to_owned(), detail: error.to_string() };
        self.text(column)?.parse().map_err(refuse)
    }
}
