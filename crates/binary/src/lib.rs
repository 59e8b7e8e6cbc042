//! One reader for binaries, and the words about code that several engines share.
//!
//! # Design constraints
//! - Bytes in, values out; every count, size and recursion read from a file is bounded by a constant
//!   in [`limits`].
//! - Hostile input is a [`BinaryError`], never a panic. What cannot be read but is not needed to
//!   understand the code (a toolchain string, one unwind entry) is a warning in [`Image::warnings`].
//! - What the loader uses is read the way the loader finds it: memory through `PT_LOAD` segments,
//!   relocations and initialisers through the dynamic table. Section headers only name and divide
//!   memory, and are refused where they contradict the segments.
//! - Names are as the file spells them; demangling is done elsewhere.

mod bytecode;
mod bytes;
mod codemap;
mod elf;
mod error;
mod image;
pub mod limits;
mod loader;
mod lsda;
mod module;
mod native;
mod relocation;
mod symbol;
mod toolchain;
mod unwind;
mod words;

pub use codemap::{CodeMap, CodeRange, Entry, Unit, UnitKind};
pub use error::BinaryError;
pub use image::{Arch, Format, Image, Section, SectionKind, Segment};
pub use loader::{Import, Loader, Relro, Tls};
pub use lsda::{Action, CallSite, Lsda, TypeReference};
pub use module::{
    Architecture, BytecodeInstruction, BytecodeOperand, DataSymbol, Function, FunctionEvidence, Method,
    Module, ModuleFormat, ModuleImport, Region, Slot, SlotTarget,
};
pub use relocation::{Relocation, RelocationKind};
pub use symbol::{DynamicSymbol, Symbol, SymbolBinding, SymbolKind};
pub use toolchain::{Toolchain, ToolchainEvidence};
pub use unwind::{Fde, Unwind};
pub use words::{Address, DebugId, Frame, FunctionRef, ModuleId};
