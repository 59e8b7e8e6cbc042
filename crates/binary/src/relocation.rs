//! The relocations that the loader applies (System V ABI for AMD64, section 4.4).

use crate::Address;

/// What the loader puts into the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelocationKind {
    /// Load bias plus addend.
    Relative,
    /// The symbol's address plus addend.
    Absolute64,
    /// The symbol's address, for the GOT.
    GlobDat,
    /// The symbol's address, bound when first called.
    JumpSlot,
    /// What the resolver at the addend returns.
    Irelative,
    /// The module's TLS id.
    DtpMod64,
    /// An offset in the module's TLS block.
    DtpOff64,
    /// An offset from the thread pointer.
    TpOff64,
    /// A TLS descriptor.
    TlsDesc,
    /// A copy of the library's object.
    Copy,
    /// Anything else, by number.
    Other(u32),
}

/// One relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// The slot.
    pub address: Address,
    /// What goes into it.
    pub kind: RelocationKind,
    /// Index of the dynamic symbol, zero for none.
    pub symbol: u32,
    /// The addend.
    pub addend: i64,
}

impl RelocationKind {
    pub(crate) fn from_raw(kind: u32) -> Self {
        match kind {
            1 => Self::Absolute64,
            5 => Self::Copy,
            6 => Self::GlobDat,
            7 => Self::JumpSlot,
            8 => Self::Relative,
            16 => Self::DtpMod64,
            17 => Self::DtpOff64,
            18 => Self::TpOff64,
            36 => Self::TlsDesc,
            37 => Self::Irelative,
            other => Self::Other(other),
        }
    }
}
