//! Which artifacts contain a function: immutable shards, searched in place.
//!
//! A *segment* says for some artifacts where each of their functions occurs; it is cut by the first bits
//! of the functions' hashes into *shards*, so that one question needs one shard of each segment. New
//! artifacts come as small segments, which [`merge`] joins. A shard is a file that is never changed; it
//! is read through a [`Source`], which may be bytes in memory or a file read at offsets, and only the
//! pages that a question needs are touched.
//!
//! Shards hold one tenant's artifacts only. A shard of several tenants would have to be filtered, and
//! then what a stranger owns would still show in how long the answer takes and how large the file is.
//!
//! A function is known by the first 16 bytes of its T1 without build noise
//! ([`IndexedFunction::meaning`](crate::IndexedFunction::meaning)): rebuilds with other paths and lines
//! find each other. Its length makes a chance collision among 2^32 functions less likely than 2^-64.

mod build;
mod shard;

pub use build::{MAX_SHARD_FUNCTIONS, SegmentBuilder, ShardBytes, merge};
pub use shard::{Occurrence, Shard, Source};

use assay_evidence::Sha256;

/// What a function is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey([u8; KEY]);

/// Bytes of a key.
const KEY: usize = 16;

impl FunctionKey {
    /// The key of a function whose T1 without build noise is `meaning`.
    pub fn of(meaning: &Sha256) -> Self {
        let mut key = [0; KEY];
        key.copy_from_slice(&meaning.as_bytes()[..KEY]);
        Self(key)
    }

    /// Its first `bits` bits, at most 32, as a number.
    pub fn prefix(&self, bits: u32) -> u32 {
        if bits == 0 { 0 } else { (self.leading() >> (64 - bits)) as u32 }
    }

    fn leading(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Why a shard is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The bytes are no shard, or contradict themselves.
    #[error("not a shard of a catalogue: {detail}")]
    NotAShard {
        /// What is wrong.
        detail: &'static str,
    },
    /// The hashes in it were made by another version of the normaliser.
    #[error("the shard is of normaliser version {found}, this program has {expected}: rebuild it")]
    OtherVersion {
        /// The shard's version.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The bytes are not the ones that were written.
    #[error("the shard is damaged: its checksum differs")]
    Damaged,
    /// It cannot be read.
    #[error("the shard cannot be read")]
    Read(#[from] std::io::Error),
    /// There is more than a shard may hold.
    #[error("{what} past the limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
}
