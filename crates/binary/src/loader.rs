//! What the dynamic loader reads of a file, beyond its memory and relocations.

use crate::Address;

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Import {
    /// The symbol's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// The library its version belongs to.
    pub library: Option<String>,
    /// Whether the program starts without it.
    pub weak: bool,
}

/// The thread-local template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where the template lies.
    pub address: Address,
    /// Its initialised bytes.
    pub file_size: u64,
    /// Its whole size.
    pub memory_size: u64,
    /// Its alignment.
    pub align: u64,
}

/// The range that becomes read-only after relocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relro {
    /// Its first address.
    pub address: Address,
    /// Its size.
    pub size: u64,
}

/// The loader's view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loader {
    /// The interpreter's path.
    pub interpreter: Option<String>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// `DT_RPATH`.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`.
    pub runpath: Option<String>,
    /// `DT_FLAGS`.
    pub flags: u64,
    /// `DT_FLAGS_1`.
    pub flags_1: u64,
    /// `DT_SYMBOLIC`, `DT_TEXTREL`, `DT_BIND_NOW`, as the older tags spell them.
    pub legacy_flags: Vec<u64>,
    /// Tags that this reader does not know by meaning, in order.
    pub unknown_tags: Vec<(u64, u64)>,
    /// `DT_PLTGOT`: where the loader puts what lazy binding needs.
    pub plt_got: Option<Address>,
    /// `DT_INIT`.
    pub init: Option<Address>,
    /// `DT_FINI`.
    pub fini: Option<Address>,
    /// The slots of `DT_PREINIT_ARRAY`, `DT_INIT_ARRAY` and `DT_FINI_ARRAY`: first address, bytes.
    pub preinit_array: Option<(Address, u64)>,
    /// See [`Loader::preinit_array`].
    pub init_array: Option<(Address, u64)>,
    /// See [`Loader::preinit_array`].
    pub fini_array: Option<(Address, u64)>,
    /// The thread-local template.
    pub tls: Option<Tls>,
    /// The range made read-only.
    pub relro: Option<Relro>,
    /// The flags of `PT_GNU_STACK`, where there is one.
    pub stack_flags: Option<u32>,
    /// The contents of `.note.gnu.property`.
    pub properties: Vec<u8>,
}
