//! The bounds of this crate.

/// Most entries of one jump table.
pub const MAX_TABLE_ENTRIES: usize = 65_536;
/// Most refusals that one proof attempt reports.
pub const MAX_REFUSALS: usize = 64;
/// Bytes of an unnamed constant that a hash looks at.
pub const MAX_CONSTANT_BYTES: u64 = 4096;
/// How deep a hash follows pointers through unnamed constants.
pub const MAX_POINTER_DEPTH: u32 = 4;
/// Longest entry of a relative lookup table that is followed, in entries.
pub const MAX_RELATIVE_ENTRIES: usize = 65_536;
/// Most units, objects or edges that an index file may hold.
pub const MAX_INDEX_ENTRIES: u64 = 64_000_000;
/// How far before its object code may form an address, in bytes (a biased loop base); everything
/// that starts within this distance after an address is taken to be reached by it.
pub const REACH_BYTES: u64 = 64;
/// Most steps of one simulation check, counted in instructions, objects and references.
pub const MAX_STEPS: u64 = 200_000_000;
/// How many instructions before a computed jump are searched for where its register comes from.
pub const MAX_LOOK_BACK: usize = 4096;
/// Longest text constant that is looked at.
pub const MAX_TEXT_BYTES: u64 = 4096;
