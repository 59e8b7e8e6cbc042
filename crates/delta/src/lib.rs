//! What really changed between two builds, and the proof that a recorded run carries over.
//!
//! # Design constraints
//! - Bytes in, values out: no SQL, HTTP, clock or terminal.
//! - "Unchanged" for people ([`diff`]) comes from hashes and sets noise aside; "the run is the same"
//!   for the pipeline ([`prove`]) comes from a simulation check over the two files and sets aside
//!   only what no run can observe under the named [`Assumption`]s. The one never answers for the other.
//! - What cannot be mapped is refused with a stable reason code, never guessed.

mod anonymous;
mod body;
pub mod catalogue;
mod diff;
mod error;
mod identity;
mod index;
mod lift;
pub mod limits;
mod pieces;
mod presence;
mod program;
mod prove;
mod record;
pub mod source;
mod tables;

pub use diff::{
    ChangeGraph, DataChanges, Delta, EntropyBasis, Explanation, FIGURE_NAMES, FIGURES, FunctionChanges,
    FunctionEntry, GraphEdge, GraphNode, GraphRole, PairEvidence, Row, Weight, change_graph, diff,
    diff_files, diff_modules, entropy_basis, evidence, explain, has_weights, logistic, probability,
};
pub use error::DeltaError;
pub use index::{About, Index, IndexedFunction, IndexedObject, NORMALISER_VERSION};
pub use lift::Target;
pub use presence::{
    FoundFunction, PatchSignature, PatchStatus, PatchedFunction, Presence, Side, SignatureError, SignedBuild,
    presence, sign,
};
pub use prove::{
    Artifact, Assumption, CheckError, CheckReport, DataPair, DeltaProof, Executed, FunctionPair, Prover,
    Reason, Refusal, check, prove,
};
