//! The transparency log as pure functions: leaves, tiles, checkpoints and proofs.
//!
//! # Design constraints
//! - No I/O: tiles come in through a closure and go out as (path, bytes).
//! - There is no function that alters a leaf; the log only grows.
//! - Formats: C2SP tlog-tiles, tlog-checkpoint and signed-note; hashes and proofs of RFC 6962.

mod checkpoint;
mod leaf;
mod proof;
mod tile;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, NoteKey};
pub use leaf::{LEAF_VERSION, Leaf, LeafError, SubjectCommitment, TenantSecret};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use tile::{MAX_ENTRY_BYTES, TILE_WIDTH, TileFile, TileId, decode_entries, decode_tile, encode_entries};
pub use tree::{Hash, Tree, TreeError, empty_root, leaf_hash, node_hash};
