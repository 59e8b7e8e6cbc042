//! What can go wrong with indexes and deltas.

use assay_access::Denied;
use assay_delta::DeltaError;
use assay_delta::catalogue::CatalogueError;
use assay_evidence::Sha256;
use assay_store::StoreError;

/// A result of this room.
pub type DeltasResult<T> = Result<T, DeltasError>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeltasError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The artifact was never indexed.
    #[error("the artifact {artifact} is not indexed")]
    NotIndexed {
        /// Its digest.
        artifact: Sha256,
    },
    /// The artifact cannot be indexed.
    #[error("the artifact {artifact} cannot be indexed")]
    Refused {
        /// Its digest.
        artifact: Sha256,
        /// Why.
        #[source]
        source: DeltaError,
    },
    /// No such function on one of the sides.
    #[error("no function begins at that address")]
    UnknownFunction,
    /// The cursor is none that was given out.
    #[error("`{text}` is no cursor of this list")]
    Cursor {
        /// What came, shortened.
        text: String,
    },
    /// A stored index cannot be used.
    #[error("a stored index cannot be used")]
    Index(#[source] DeltaError),
    /// A shard cannot be used.
    #[error("a shard of the catalogue cannot be used")]
    Catalogue(#[from] CatalogueError),
    /// A manifest does not have its form.
    #[error("a manifest of the catalogue cannot be used: {detail}")]
    Manifest {
        /// What is wrong.
        detail: String,
    },
    /// Other nodes kept changing the catalogue first.
    #[error("other nodes changed the catalogue {attempts} times in a row")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Background work ended without an answer.
    #[error("the work was stopped before it had an answer")]
    Stopped,
}
