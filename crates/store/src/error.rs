//! What can go wrong below every room.

use std::path::PathBuf;

/// A result of the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is not one the store understands.
    #[error("`{url}` is not an address of a {what}")]
    Address {
        /// What was looked for.
        what: &'static str,
        /// The address, without credentials.
        url: String,
    },
    /// A local folder cannot be used.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused or is away.
    #[error("the database did not answer as it should")]
    Database {
        /// What it said.
        #[from]
        source: sqlx::Error,
    },
    /// Other writers kept coming first.
    #[error("the write met other writers {attempts} times in a row")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A column holds what this version does not understand.
    #[error("the column `{column}` holds something unexpected: {detail}")]
    Column {
        /// Which.
        column: String,
        /// What.
        detail: String,
    },
    /// The blob store refused or is away.
    #[error("the blob store did not answer as it should for `{path}`")]
    Blob {
        /// The object.
        path: String,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// An object that is create-only exists with other bytes.
    #[error("`{path}` exists already with other content")]
    Frozen {
        /// The object.
        path: String,
    },
    /// An object's bytes are not what its name says.
    #[error("`{path}` is damaged: its bytes have another digest than its name")]
    Damaged {
        /// The object.
        path: String,
    },
    /// An object is not there.
    #[error("`{path}` is not in the blob store")]
    Missing {
        /// The object.
        path: String,
    },
}

impl StoreError {
    /// Whether the environment failed (a disk, a server), as opposed to the content.
    pub fn is_environment(&self) -> bool {
        !matches!(self, Self::Frozen { .. } | Self::Damaged { .. } | Self::Missing { .. })
    }
}
