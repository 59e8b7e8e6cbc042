//! A binary as read: memory, symbols, relocations, identity.

use std::ops::Range;

use serde::Serialize;

use crate::{
    Address, BinaryError, DebugId, DynamicSymbol, Import, Loader, Relocation, Symbol, SymbolBinding,
    Toolchain, Unwind, elf, limits,
};

/// The container formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// ELF (System V gABI).
    Elf,
}

/// The architectures that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arch {
    /// AMD64, also called x86-64.
    X86_64,
}

/// What a section holds, as far as the loader cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Instructions.
    Code,
    /// Bytes from the file.
    Data,
    /// Memory that starts as zeros.
    Zeroed,
    /// Not in memory at run time.
    NotLoaded,
}

/// One section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: SectionKind,
    /// Whether the program may write to it after relocation (RELRO not considered).
    pub writable: bool,
    /// Whether it belongs to the thread-local template.
    pub tls: bool,
    /// Where it lies in memory; zero where it is not loaded.
    pub address: Address,
    /// Its size in memory, in bytes.
    pub size: u64,
    /// Its place in the file; empty for zeroed memory.
    pub file: Range<usize>,
    /// The size of one entry, zero where it has none.
    pub entry_size: u64,
}

impl Section {
    /// The first address past the section.
    pub fn end(&self) -> u64 {
        self.address.0.saturating_add(self.size)
    }

    /// Whether `address` lies in the section's memory.
    pub fn contains(&self, address: u64) -> bool {
        self.kind != SectionKind::NotLoaded && (self.address.0..self.end()).contains(&address)
    }
}

/// One `PT_LOAD` segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first address.
    pub address: Address,
    /// Its size in memory, in bytes.
    pub memory_size: u64,
    /// Its bytes in the file; what the memory has beyond them is zero.
    pub file: Range<usize>,
    /// `PF_R | PF_W | PF_X`.
    pub flags: u32,
    /// Its alignment.
    pub align: u64,
}

/// One binary, read once; it borrows the file's bytes.
#[derive(Clone, Debug)]
pub struct Image<'data> {
    pub(crate) data: &'data [u8],
    pub(crate) format: Format,
    pub(crate) arch: Arch,
    pub(crate) position_independent: bool,
    pub(crate) entry: Address,
    pub(crate) debug_id: Option<DebugId>,
    pub(crate) toolchain: Option<Toolchain>,
    pub(crate) sections: Vec<Section>,
    /// Indexes of loaded, non-TLS-zeroed sections by address.
    pub(crate) by_address: Vec<usize>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) dynamic_symbols: Vec<DynamicSymbol>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) loader: Loader,
    pub(crate) unwind: Unwind<'data>,
    pub(crate) warnings: Vec<String>,
}

impl<'data> Image<'data> {
    /// Reads a binary.
    ///
    /// # Errors
    /// [`BinaryError`]: an unknown or not yet supported format or architecture (named), a
    /// contradiction, or a count past its bound.
    pub fn parse(data: &'data [u8]) -> Result<Self, BinaryError> {
        BinaryError::bound("file size", data.len(), limits::MAX_FILE_BYTES)?;
        match recognise(data) {
            Some("ELF") => elf::parse(data),
            Some(format) => Err(BinaryError::UnsupportedFormat { format }),
            None => Err(BinaryError::UnknownFormat),
        }
    }

    /// The container format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The architecture.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Whether the loader may put it anywhere (ELF type `ET_DYN`).
    pub fn position_independent(&self) -> bool {
        self.position_independent
    }

    /// Where execution starts; zero for a library.
    pub fn entry(&self) -> Address {
        self.entry
    }

    /// The build's own identity, where it carries one.
    pub fn debug_id(&self) -> Option<&DebugId> {
        self.debug_id.as_ref()
    }

    /// The compiler, with the evidence for it.
    pub fn toolchain(&self) -> Option<&Toolchain> {
        self.toolchain.as_ref()
    }

    /// The sections in the file's order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The loadable segments by address.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The symbols of the full table, or of the dynamic one where there is no other.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The dynamic symbols by their index (the first is the null symbol).
    pub fn dynamic_symbols(&self) -> &[DynamicSymbol] {
        &self.dynamic_symbols
    }

    /// The relocations the loader applies, by address.
    pub fn relocations(&self) -> &[Relocation] {
        &self.relocations
    }

    /// What the loader reads besides: libraries, imports, initialisers, flags, TLS, RELRO.
    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// What the file wants from other modules, sorted.
    pub fn imports(&self) -> Vec<Import> {
        let wanted = self.dynamic_symbols.iter().filter(|symbol| !symbol.defined && !symbol.name.is_empty());
        let mut imports: Vec<Import> = wanted
            .map(|symbol| Import {
                name: symbol.name.clone(),
                version: symbol.version.clone(),
                library: symbol.library.clone(),
                weak: symbol.binding == SymbolBinding::Weak,
            })
            .collect();
        imports.sort();
        imports
    }

    /// The unwind table.
    pub fn unwind(&self) -> &Unwind<'data> {
        &self.unwind
    }

    /// What was wrong but did not keep the file from being read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The section with that name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The loaded section that holds `address`.
    pub fn section_at(&self, address: u64) -> Option<&Section> {
        let index = self.by_address.partition_point(|&i| self.sections[i].address.0 <= address);
        let section = &self.sections[*self.by_address.get(index.checked_sub(1)?)?];
        section.contains(address).then_some(section)
    }

    /// The section's bytes in the file (empty for zeroed memory).
    pub fn section_bytes(&self, section: &Section) -> &'data [u8] {
        self.data.get(section.file.clone()).unwrap_or_default()
    }

    /// The `length` bytes of memory at `address` that the file gives, or none where the range leaves
    /// the file's part of a segment.
    pub fn bytes(&self, address: u64, length: usize) -> Option<&'data [u8]> {
        let segment = self.segment_at(address)?;
        let start = usize::try_from(address - segment.address.0).ok()?;
        let end = start.checked_add(length)?;
        if end > segment.file.len() {
            return None;
        }
        self.data.get(segment.file.start + start..segment.file.start + end)
    }

    /// One byte of memory before relocation; zeroed memory reads as zero.
    pub fn byte(&self, address: u64) -> Option<u8> {
        match self.bytes(address, 1) {
            Some(bytes) => bytes.first().copied(),
            None => self.segment_at(address).map(|_| 0),
        }
    }

    /// Whether all of `address..address + length` lies in one segment and has no bytes in the file.
    pub fn is_zeroed(&self, address: u64, length: u64) -> bool {
        self.segment_at(address).is_some_and(|segment| {
            let start = address - segment.address.0;
            start >= segment.file.len() as u64
                && start.checked_add(length).is_some_and(|end| end <= segment.memory_size)
        })
    }

    /// The segment that holds `address`.
    pub fn segment_at(&self, address: u64) -> Option<&Segment> {
        let index = self.segments.partition_point(|segment| segment.address.0 <= address);
        let segment = self.segments.get(index.checked_sub(1)?)?;
        (address - segment.address.0 < segment.memory_size).then_some(segment)
    }

    /// The relocations whose slot starts in `start..end`.
    pub fn relocations_in(&self, start: u64, end: u64) -> &[Relocation] {
        let from = self.relocations.partition_point(|r| r.address.0 < start);
        let to = self.relocations.partition_point(|r| r.address.0 < end);
        self.relocations.get(from..to).unwrap_or_default()
    }

    /// The relocation of the slot at `address`.
    pub fn relocation_at(&self, address: u64) -> Option<&Relocation> {
        self.relocations_in(address, address.saturating_add(1)).first()
    }

    /// The symbol that holds `address` and the offset in it; a function before a data object, a
    /// sized symbol before a nearer one without size.
    pub fn symbol_at(&self, address: Address) -> Option<(&str, u64)> {
        elf::symbol_at(&self.symbols, address)
            .map(|symbol| (symbol.name.as_str(), address.0 - symbol.address.0))
    }
}

/// Names the format by its magic.
pub(crate) fn recognise(data: &[u8]) -> Option<&'static str> {
    let magic: [u8; 4] = data.get(..4)?.try_into().ok()?;
    match magic {
        [0x7f, b'E', b'L', b'F'] => Some("ELF"),
        [b'M', b'Z', ..] => Some("PE"),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe] | [0xfe, 0xed, 0xfa, 0xcf | 0xce] => Some("Mach-O"),
        [0xca, 0xfe, 0xba, 0xbe] => Some(fat_or_class(data)),
        [0xca, 0xfe, 0xba, 0xbf] => Some("a universal Mach-O"),
        [0, b'a', b's', b'm'] => Some("Wasm"),
        [b'!', b'<', b'a', b'r'] => Some("an ar archive"),
        [b'P', b'K', 3, 4] => Some("a zip archive"),
        _ => None,
    }
}

/// Universal Mach-O and Java classes share a magic; a class file's major version is at least 45,
/// a universal binary has fewer architectures than that.
fn fat_or_class(data: &[u8]) -> &'static str {
    match data.get(6..8) {
        Some(version) if u16::from_be_bytes([version[0], version[1]]) >= 45 => "a Java class",
        _ => "a universal Mach-O",
    }
}
