//! Why a run could not be made at all; what a run showed is a [`crate::RunReport`] instead.

use std::io;

use assay_evidence::Sha256;

use crate::capsule::CapsuleError;
use crate::host::Refusal;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The capsule breaks a rule.
    #[error("the capsule is refused: {0}")]
    Capsule(#[from] CapsuleError),
    /// A statement of provenance is refused.
    #[error("the provenance is refused")]
    Provenance(#[from] crate::provenance::ProvenanceError),
    /// The host lacks something that a run needs.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Bytes that the capsule names could not be had.
    #[error("the bytes of {digest} cannot be read")]
    Bytes {
        /// Their digest.
        digest: Sha256,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes that are not those their digest names.
    #[error("bytes found for {expected} are {found}")]
    WrongBytes {
        /// The digest asked for.
        expected: Sha256,
        /// The digest of what was there.
        found: Sha256,
    },
    /// A file of the host could not be read.
    #[error("{path} cannot be read")]
    File {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A request that makes no sense.
    #[error("{what}")]
    Request {
        /// What is wrong with it.
        what: String,
    },
    /// A step of building or driving the sandbox failed.
    #[error("the sandbox failed at {step}")]
    Sandbox {
        /// The step.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WitnessError {
    pub(crate) fn sandbox(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Sandbox { step, source }
    }
}
