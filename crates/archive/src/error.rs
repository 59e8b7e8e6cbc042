//! Why a walk was refused.

/// Why [`walk`](crate::walk) stopped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Containers lie in each other deeper than the limit.
    #[error("{path}: containers lie in each other deeper than {limit}")]
    TooDeep {
        /// Where.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// More entries than the limit.
    #[error("{path}: more than {limit} entries")]
    TooManyEntries {
        /// Where the limit was reached.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// One entry, or all of them together, unpack to more than the limit.
    #[error("{path}: unpacks to more than {limit} bytes")]
    TooLarge {
        /// Where.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A compressed stream grows so much that it can only be a bomb.
    #[error("{path}: unpacks to more than {limit} times its size")]
    RatioTooHigh {
        /// Where.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// A stream asks for more memory to be unpacked than the limit.
    #[error("{path}: needs {found} bytes of memory to unpack, past the limit of {limit}")]
    MemoryTooLarge {
        /// Where.
        path: String,
        /// What the stream asks for.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A thin archive names files elsewhere and holds none.
    #[error("{path}: a thin archive, which holds no files")]
    ThinArchive {
        /// Where.
        path: String,
    },
    /// The outermost container contradicts its format.
    #[error("{path}: malformed {format}: {detail}")]
    Malformed {
        /// Where.
        path: String,
        /// The container's format.
        format: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}
