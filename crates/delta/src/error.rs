//! Why a delta could not be computed.

use assay_binary::BinaryError;

/// Why an index could not be built or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeltaError {
    /// The file is no binary that is read.
    #[error("the binary was refused")]
    Binary {
        /// Why.
        #[from]
        source: BinaryError,
    },
    /// The bytes are no index.
    #[error("not a delta index: {detail}")]
    NotAnIndex {
        /// What is wrong.
        detail: &'static str,
    },
    /// The index was made by another version of the normaliser, and means something else.
    #[error("the index is of normaliser version {found}, this program has {expected}: rebuild it")]
    OtherVersion {
        /// The index's version.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The index's bytes are not the ones that were written.
    #[error("the index is damaged: its checksum differs")]
    Damaged,
}
