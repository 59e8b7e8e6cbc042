//! What can go wrong between a witness and its verdict.

use assay_access::Denied;
use assay_binary::BinaryError;
use assay_evidence::{JsonError, Sha256};
use assay_notary::NotaryError;
use assay_stacks::{IndexError, StackError};
use assay_store::StoreError;
use assay_witness::{Refusal, WitnessError};

use crate::expectation::SpecError;
use crate::incident::IncidentError;

/// A result of this room.
pub type VerifyResult<T> = Result<T, VerifyError>;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No incident of that id or alias.
    #[error("no incident `{id}` is known")]
    UnknownIncident {
        /// What was asked for.
        id: String,
    },
    /// No witness of that id.
    #[error("no witness `{id}` is known")]
    UnknownWitness {
        /// What was asked for.
        id: String,
    },
    /// A verdict that nobody asked for yet, or that said nothing.
    #[error("no verdict of {witness} on {artifact} is known")]
    UnknownVerdict {
        /// The witness.
        witness: String,
        /// The artifact.
        artifact: String,
    },
    /// The witness has no such role.
    #[error("the witness has no role `{role}` (it has: {known})")]
    UnknownRole {
        /// What was asked for.
        role: String,
        /// What there is.
        known: String,
    },
    /// An incident's definition is refused.
    #[error(transparent)]
    Incident(#[from] IncidentError),
    /// An expectation is refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The recorded run does not show the incident that it is said to show.
    #[error("the recorded run does not show what {incident} expects: {detail}")]
    NotShown {
        /// The incident.
        incident: String,
        /// What differs.
        detail: String,
    },
    /// An incident of that id exists with another content.
    #[error("the incident {id} is defined already, and differently")]
    IncidentExists {
        /// Its id.
        id: String,
    },
    /// The same capsule is a witness of another incident.
    #[error("the capsule {id} is a witness of {incident} already")]
    WitnessExists {
        /// Its id.
        id: Sha256,
        /// The incident.
        incident: String,
    },
    /// The tenant may not use more.
    #[error("the tenant's quota {quota} is {most}, and this would make it {asked}")]
    Quota {
        /// Which quota.
        quota: &'static str,
        /// What it allows.
        most: u64,
        /// What was asked for, all together.
        asked: u64,
    },
    /// No witness of the incident may be handed over.
    #[error("{incident} has no admitted witness")]
    NothingToBundle {
        /// The incident.
        incident: String,
    },
    /// No signature of the incident is kept.
    #[error("no patch signature of {incident} is known")]
    UnknownSignature {
        /// The incident.
        incident: String,
    },
    /// No signature of the incident can be made.
    #[error("no patch signature of {incident} can be made: {}", reason.code())]
    NoSignature {
        /// The incident.
        incident: String,
        /// Why.
        reason: crate::signatures::NoSignature,
    },
    /// A signature is refused.
    #[error("the patch signature is refused: {detail}")]
    Signature {
        /// What is wrong with it.
        detail: String,
    },
    /// A bundle is refused.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The artifact cannot be read.
    #[error("the artifact {digest} cannot be read")]
    Artifact {
        /// Its digest.
        digest: Sha256,
        /// Why.
        #[source]
        source: BinaryError,
    },
    /// The host cannot run witnesses.
    #[error(transparent)]
    Host(Refusal),
    /// The runner refused or failed.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A trace is refused.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The index of stacks cannot be built.
    #[error(transparent)]
    StackIndex(#[from] IndexError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The notary failed.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// A document does not have its form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Background work ended without an answer.
    #[error("the work was stopped before it had an answer")]
    Stopped,
}

impl VerifyError {
    /// Whether it may go away by itself: a step of the sandbox or a thread failed, nothing was refused.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Witness(WitnessError::Sandbox { .. }) | Self::Stopped)
    }
}
