//! What can go wrong with releases and decisions.

use assay_access::Denied;
use assay_evidence::{JsonError, Sha256};
use assay_gate::PolicyError;
use assay_notary::NotaryError;
use assay_store::StoreError;
use assay_verify::VerifyError;

/// A result of this room.
pub type ControlResult<T> = Result<T, ControlError>;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No release of that name.
    #[error("no release `{name}` is known")]
    UnknownRelease {
        /// What was asked for.
        name: String,
    },
    /// No decision of that id.
    #[error("no decision `{id}` is known")]
    UnknownDecision {
        /// What was asked for.
        id: String,
    },
    /// The release has not been decided.
    #[error("the release `{name}` has no decision yet")]
    Undecided {
        /// The release.
        name: String,
    },
    /// A release of that name exists with other artifacts.
    #[error("the release `{name}` exists already with other artifacts")]
    ReleaseExists {
        /// The release.
        name: String,
    },
    /// A release's name, role or list of artifacts breaks its rule.
    #[error("the release is refused: {detail}")]
    Release {
        /// What is wrong.
        detail: String,
    },
    /// An artifact that is not in the store.
    #[error("the artifact {digest} ({role}) was not uploaded")]
    MissingArtifact {
        /// Its role.
        role: String,
        /// Its digest.
        digest: Sha256,
    },
    /// The policy is refused.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Verifying failed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The notary failed.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document does not have its form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A bundle cannot be read.
    #[error("the bundle is refused: {detail}")]
    Bundle {
        /// What is wrong.
        detail: String,
    },
}
