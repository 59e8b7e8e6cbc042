//! What can go wrong between a statement and its place in the log.

use assay_evidence::{DsseError, JsonError, Sha256};
use assay_ledger::{CheckpointError, LeafError, ProofError, TreeError};
use assay_store::StoreError;

/// A result of the notary.
pub type NotaryResult<T> = Result<T, NotaryError>;

/// Why the notary could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// There is no key to sign with.
    #[error("there is no signing key")]
    NoKey,
    /// The log was begun with another key.
    #[error("the log `{origin}` is signed by {expected}, and the key at hand is {found}")]
    OtherKey {
        /// The log.
        origin: String,
        /// The key that began it.
        expected: String,
        /// The key at hand.
        found: String,
    },
    /// The log holds something else than what must be there: two histories exist.
    #[error("the log `{origin}` is frozen: {detail}")]
    Frozen {
        /// The log.
        origin: String,
        /// What contradicts what.
        detail: String,
    },
    /// The statement is not in the log (yet).
    #[error("the statement {digest} is not included in the log")]
    NotIncluded {
        /// The envelope's digest.
        digest: Sha256,
    },
    /// No statement of that digest.
    #[error("no statement {digest} is known")]
    UnknownStatement {
        /// The envelope's digest.
        digest: Sha256,
    },
    /// The database or the blob store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A statement does not have its form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An envelope does not verify.
    #[error(transparent)]
    Dsse(#[from] DsseError),
    /// A leaf does not have its form.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The tree cannot answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A checkpoint does not verify.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl NotaryError {
    /// Whether trust itself is broken: a signature, a proof, a fork.
    pub fn is_trust_broken(&self) -> bool {
        let store = matches!(self, Self::Store(StoreError::Frozen { .. } | StoreError::Damaged { .. }));
        store
            || matches!(
                self,
                Self::Frozen { .. }
                    | Self::Dsse(DsseError::Signature(_) | DsseError::Untrusted { .. })
                    | Self::Checkpoint(_)
                    | Self::Proof(_)
                    | Self::OtherKey { .. }
            )
    }
}
