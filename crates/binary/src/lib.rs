//! One reader for binaries, and the words about code that several engines share.
//!
//! # Design constraints
//! - Bytes in, values out; every count, size and recursion read from a file is bounded.
//! - Parsing returns what could be read and what was wrong with it.

mod words;

pub use words::{Address, DebugId, Frame, FunctionRef, ModuleId};
