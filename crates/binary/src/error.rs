//! Why a file could not be read.

/// Why [`Image::parse`](crate::Image::parse) refused a file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinaryError {
    /// The bytes are of no format this reader knows by its magic.
    #[error("not a binary of a known format")]
    UnknownFormat,
    /// The format was recognised, but its code is not read yet.
    #[error("this is {format}, which is recognised but not read yet")]
    UnsupportedFormat {
        /// The format as recognised.
        format: &'static str,
    },
    /// The format is read, but not for this architecture.
    #[error("this is {format} for {arch}, an architecture that is recognised but not read yet")]
    UnsupportedArch {
        /// The format as recognised.
        format: &'static str,
        /// The architecture as recognised.
        arch: String,
    },
    /// The file contradicts its format.
    #[error("malformed {what}: {detail}")]
    Malformed {
        /// The part of the file.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A count or size is past its bound.
    #[error("{what} is {found}, past the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// What the file says.
        found: u64,
        /// The bound, from [`crate::limits`].
        limit: u64,
    },
}

impl BinaryError {
    pub(crate) fn malformed(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Malformed { what, detail: detail.to_string() }
    }

    pub(crate) fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), Self> {
        if found <= limit {
            return Ok(());
        }
        Err(Self::TooLarge { what, found: found as u64, limit: limit as u64 })
    }
}
