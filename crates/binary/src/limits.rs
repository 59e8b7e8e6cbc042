//! The bounds of the reader: no count, size or depth of a file is trusted past these.

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 31;
/// Most section headers.
pub const MAX_SECTIONS: usize = 1 << 16;
/// Most program headers.
pub const MAX_SEGMENTS: usize = 256;
/// Most symbols in one table.
pub const MAX_SYMBOLS: usize = 8_000_000;
/// Most relocations.
pub const MAX_RELOCATIONS: usize = 16_000_000;
/// Most entries of the dynamic table.
pub const MAX_DYNAMIC_ENTRIES: usize = 65_536;
/// Most frame description entries.
pub const MAX_FDES: usize = 4_000_000;
/// Most call sites, actions and types of one exception table.
pub const MAX_LSDA_ENTRIES: usize = 65_536;
/// How many times the bytes of a file may be shown in all regions together. Linkers show them once; a file
/// that shows them in thousands of sections would take as many times as long.
pub const MAX_SHARING: usize = 2;
/// Largest image in memory, in bytes: zero-filled memory is never allocated, but addresses are bounded.
pub const MAX_ADDRESS: u64 = 1 << 47;
/// Longest name kept, in bytes; mangled names of real programs stay far below.
pub const MAX_NAME_BYTES: usize = 1 << 16;
/// Most compilation units looked at for a DWARF producer.
pub const MAX_PRODUCER_UNITS: usize = 16;
