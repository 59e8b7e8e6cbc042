//! Symbols as the file spells them.

use crate::Address;

/// How a symbol is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymbolBinding {
    /// Visible to other modules or objects.
    Global,
    /// Global, but gives way.
    Weak,
    /// Of its own object only.
    Local,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymbolKind {
    /// A function.
    Function,
    /// A function whose address a resolver chooses at load (`STT_GNU_IFUNC`).
    IndirectFunction,
    /// A data object.
    Object,
    /// An offset in the thread-local template.
    Tls,
    /// A label without a type.
    Untyped,
}

/// One defined symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Its address (an offset for [`SymbolKind::Tls`]).
    pub address: Address,
    /// Its size in bytes; zero where the file does not say.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// How it is bound.
    pub binding: SymbolBinding,
}

/// One symbol of the dynamic table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicSymbol {
    /// Its name.
    pub name: String,
    /// Its version, where one is given.
    pub version: Option<String>,
    /// The library that is to provide it, where its version says so.
    pub library: Option<String>,
    /// Whether this file defines it.
    pub defined: bool,
    /// Its address where it is defined.
    pub address: Address,
    /// Its size in bytes.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// How it is bound.
    pub binding: SymbolBinding,
    /// The raw `st_other` (visibility).
    pub other: u8,
}
