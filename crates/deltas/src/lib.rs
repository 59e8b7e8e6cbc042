//! The index of what artifacts consist of: kept, searched and compared.
//!
//! # Design constraints
//! - Every artifact is lifted once for each version of the normaliser. Its index and the catalogue's
//!   shards are immutable blobs; SQL holds the rows of artifacts and one pointer for each tenant and
//!   version, [`assay_store::Generation`], to a manifest of shards.
//! - The pointer's name holds the version, so that hashes of two versions are never mixed; artifacts
//!   that only an older version has indexed wait to be indexed again, and every answer says since when.
//! - Any node may add or merge: the pointer moves by compare-and-set, in the same transaction as the
//!   rows. What a node that died left behind is blobs that nothing points to.
//! - Shards, manifests and rows are a tenant's own (see [`assay_delta::catalogue`]): no answer, count or
//!   time depends on what another tenant has.

mod artifacts;
mod catalogue;
mod compare;
mod error;
mod lifting;
mod maintain;
mod manifest;
mod shelf;
mod sql;

pub use artifacts::IndexSummary;
pub use catalogue::{FoundIn, FunctionArtifacts, MAX_FOUND, Tier};
pub use compare::Comparison;
pub use error::{DeltasError, DeltasResult};
pub use maintain::MergeStep;
pub use sql::MIGRATIONS;

use std::sync::{Arc, Mutex};

use assay_store::Store;

use lifting::Lifting;
use shelf::Shelf;

/// The services of this room.
#[derive(Clone)]
pub struct Deltas {
    store: Store,
    shelf: Arc<Mutex<Shelf>>,
    lifting: Arc<Lifting>,
}

impl Deltas {
    /// Over an opened store.
    pub fn new(store: Store) -> Self {
        Self { store, shelf: Arc::default(), lifting: Arc::default() }
    }
}
