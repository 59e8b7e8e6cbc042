//! The tables of an ELF file of either class and order, before anything is made of them.

use object::Endianness;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _, SectionTable};

use crate::bytes::Bytes;
use crate::elf::NameBudget;
use crate::{BinaryError, limits};

pub(super) struct Program {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub address: u64,
    pub file_size: u64,
    pub memory_size: u64,
}

pub(super) struct RawSection<'data> {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    /// As in the file; given by us in relocatable objects.
    pub address: u64,
    pub size: u64,
    pub align: u64,
    pub link: u32,
    pub info: u32,
    pub entry_size: u64,
    pub bytes: &'data [u8],
}

#[derive(Clone, Copy)]
pub(super) struct RawSymbol<'data> {
    pub name: &'data [u8],
    pub value: u64,
    pub size: u64,
    pub kind: u8,
    pub binding: u8,
    pub section: u32,
}

impl RawSymbol<'_> {
    pub(super) fn rank(&self) -> u8 {
        match self.binding {
            0 => 2,
            2 => 1,
            _ => 0,
        }
    }

    pub(super) fn is_data(&self) -> bool {
        matches!(self.kind, 1 | 5 | 6)
    }
}

/// The version of a dynamic symbol and the library it names.
#[derive(Clone, Default)]
pub(super) struct Version {
    pub name: Option<String>,
    pub library: Option<String>,
}

pub(super) struct RawFile<'data> {
    pub bytes: Bytes<'data>,
    pub is_64: bool,
    pub kind: u16,
    pub machine: u16,
    pub entry: u64,
    pub programs: Vec<Program>,
    pub sections: Vec<RawSection<'data>>,
    pub symbols: Vec<RawSymbol<'data>>,
    pub dynamic_symbols: Vec<RawSymbol<'data>>,
    /// Of the dynamic symbols, index by index; may be shorter.
    pub versions: Vec<Version>,
    /// The entries of the dynamic table.
    pub dynamic: Vec<(u64, u64)>,
    pub warnings: Vec<String>,
}

impl<'data> RawFile<'data> {
    pub(super) fn section(&self, name: &str) -> Option<&RawSection<'data>> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub(super) fn word(&self) -> u8 {
        if self.is_64 { 8 } else { 4 }
    }

    pub(super) fn tag(&self, tag: u64) -> Option<u64> {
        self.dynamic.iter().find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    /// `DF_1_PIE` in `DT_FLAGS_1`.
    pub(super) fn is_pie(&self) -> bool {
        self.tag(0x6fff_fffb).is_some_and(|flags| flags & 0x0800_0000 != 0)
    }

    /// Whether the loader makes the range read-only after it relocated it.
    pub(super) fn is_read_only_later(&self, start: u64, end: u64) -> bool {
        self.programs.iter().any(|program| {
            let covered = program.address.saturating_add(program.memory_size);
            program.kind == elf::PT_GNU_RELRO.0 && program.address <= start && end <= covered
        })
    }

    /// The file's bytes of the memory at `address`.
    pub(super) fn at_address(&self, address: u64, size: u64) -> Option<&'data [u8]> {
        let holds = |program: &&Program| {
            program.kind == elf::PT_LOAD.0
                && address.checked_sub(program.address).is_some_and(|offset| offset < program.file_size)
        };
        let program = self.programs.iter().find(holds)?;
        self.bytes.slice(program.offset.checked_add(address - program.address)?, size)
    }

    /// Where a defined symbol lies; none for undefined, absolute and common ones, and for thread-locals
    /// that start as zeros.
    pub(super) fn address_of(&self, symbol: &RawSymbol<'_>) -> Option<u64> {
        let section = match symbol.section {
            0 | 0xff00.. => return None,
            index => self.sections.get(index as usize),
        };
        if self.kind == elf::ET_REL.0 {
            return symbol.value.checked_add(section.filter(|s| s.flags & elf::SHF_ALLOC.0 != 0)?.address);
        }
        if symbol.kind != 6 {
            return Some(symbol.value);
        }
        let template = self.programs.iter().find(|program| program.kind == elf::PT_TLS.0)?;
        (symbol.value < template.file_size).then(|| template.address.wrapping_add(symbol.value))
    }
}

pub(super) fn load(data: &[u8]) -> Result<RawFile<'_>, BinaryError> {
    match data.get(4) {
        Some(1) => read::<FileHeader32<Endianness>>(data),
        Some(2) => read::<FileHeader64<Endianness>>(data),
        _ => Err(BinaryError::malformed("ELF header", "neither of the 32-bit nor of the 64-bit class")),
    }
}

fn read<'data, Elf>(data: &'data [u8]) -> Result<RawFile<'data>, BinaryError>
where
    Elf: FileHeader<Endian = Endianness>,
{
    let bad = |error: object::read::Error| BinaryError::malformed("ELF headers", error);
    let header = Elf::parse(data).map_err(bad)?;
    let endian = header.endian().map_err(bad)?;
    let kind = header.e_type(endian).0;
    match kind {
        kind if kind == elf::ET_CORE.0 => {
            return Err(BinaryError::UnsupportedFormat { format: "an ELF core dump" });
        }
        1..=3 => {}
        other => return Err(BinaryError::malformed("ELF header", format!("file type {other}"))),
    }
    let mut file = RawFile {
        bytes: Bytes { data, little: endian == Endianness::Little },
        is_64: header.is_type_64(),
        kind,
        machine: header.e_machine(endian).0,
        entry: header.e_entry(endian).into(),
        programs: Vec::new(),
        sections: Vec::new(),
        symbols: Vec::new(),
        dynamic_symbols: Vec::new(),
        versions: Vec::new(),
        dynamic: Vec::new(),
        warnings: Vec::new(),
    };
    read_programs(header, endian, data, &mut file)?;
    match header.sections(endian, data) {
        Ok(sections) => read_sections(&sections, endian, data, &mut file)?,
        Err(_) if is_cut(&file) => {
            return Err(BinaryError::malformed(
                "ELF file",
                "it ends before its segments and section headers do",
            ));
        }
        Err(error) => file.warnings.push(format!("section headers: {error}")),
    }
    if file.dynamic_symbols.is_empty() {
        dynamic_symbols_without_sections(&mut file);
    }
    Ok(file)
}

/// Whether a loaded segment reaches past the end of the file, as in a download that was cut short.
fn is_cut(file: &RawFile<'_>) -> bool {
    let length = file.bytes.data.len() as u64;
    let mut loaded = file.programs.iter().filter(|program| program.kind == elf::PT_LOAD.0);
    loaded.any(|program| program.offset.saturating_add(program.file_size) > length)
}

fn read_programs<'data, Elf>(
    header: &'data Elf,
    endian: Endianness,
    data: &'data [u8],
    file: &mut RawFile<'data>,
) -> Result<(), BinaryError>
where
    Elf: FileHeader<Endian = Endianness>,
{
    let programs = header.program_headers(endian, data);
    let programs = programs.map_err(|error| BinaryError::malformed("program headers", error))?;
    BinaryError::bound("program header count", programs.len(), limits::MAX_SEGMENTS)?;
    for program in programs {
        file.programs.push(Program {
            kind: program.p_type(endian).0,
            flags: program.p_flags(endian).0,
            offset: program.p_offset(endian).into(),
            address: program.p_vaddr(endian).into(),
            file_size: program.p_filesz(endian).into(),
            memory_size: program.p_memsz(endian).into(),
        });
        if let Ok(Some(entries)) = program.dynamic(endian, data) {
            BinaryError::bound("dynamic entry count", entries.len(), limits::MAX_DYNAMIC_ENTRIES)?;
            let words = entries.iter().map(|entry| (entry.tag(endian).0 as u64, entry.val(endian)));
            file.dynamic = words.take_while(|entry| entry.0 != 0).collect();
        }
    }
    Ok(())
}

fn read_sections<'data, Elf>(
    sections: &SectionTable<'data, Elf>,
    endian: Endianness,
    data: &'data [u8],
    file: &mut RawFile<'data>,
) -> Result<(), BinaryError>
where
    Elf: FileHeader<Endian = Endianness>,
{
    BinaryError::bound("section count", sections.len(), limits::MAX_SECTIONS)?;
    let mut names = NameBudget::new(data.len());
    for section in sections.iter() {
        let name = names.take(sections.section_name(endian, section).unwrap_or_default())?;
        let bytes = section.data(endian, data).unwrap_or_else(|_| {
            file.warnings.push(format!("section `{name}` lies beyond the end of the file"));
            &[]
        });
        file.sections.push(RawSection {
            name,
            kind: section.sh_type(endian).0,
            flags: section.sh_flags(endian).0,
            address: section.sh_addr(endian).into(),
            size: section.sh_size(endian).into(),
            align: section.sh_addralign(endian).into(),
            link: section.sh_link(endian),
            info: section.sh_info(endian),
            entry_size: section.sh_entsize(endian).into(),
            bytes,
        });
    }
    file.symbols = symbols_of(file, elf::SHT_SYMTAB.0)?;
    file.dynamic_symbols = symbols_of(file, elf::SHT_DYNSYM.0)?;
    if let Ok(Some(versions)) = sections.versions(endian, data) {
        for index in 0..file.dynamic_symbols.len() {
            let index = versions.version_index(endian, object::SymbolIndex(index));
            let version = versions.version(index.index()).ok().flatten();
            let name = version.map(|version| names.take(version.name())).transpose()?;
            let library = version.and_then(|v| v.file()).map(|name| names.take(name)).transpose()?;
            file.versions.push(Version { name, library });
        }
    }
    Ok(())
}

fn symbols_of<'data>(file: &RawFile<'data>, kind: u32) -> Result<Vec<RawSymbol<'data>>, BinaryError> {
    let Some(table) = file.sections.iter().find(|section| section.kind == kind) else {
        return Ok(Vec::new());
    };
    let strings = file.sections.get(table.link as usize).map(|section| section.bytes).unwrap_or_default();
    let extended = file.sections.iter().find(|section| section.kind == elf::SHT_SYMTAB_SHNDX.0);
    let indexes = extended.filter(|_| kind == elf::SHT_SYMTAB.0).map(|section| section.bytes);
    let count = table.bytes.len() / symbol_bytes(file);
    BinaryError::bound("symbol count", count, limits::MAX_SYMBOLS)?;
    Ok((0..count).filter_map(|index| symbol(file, table.bytes, strings, indexes, index)).collect())
}

fn symbol_bytes(file: &RawFile<'_>) -> usize {
    if file.is_64 { 24 } else { 16 }
}

fn symbol<'data>(
    file: &RawFile<'data>,
    table: &'data [u8],
    strings: &'data [u8],
    indexes: Option<&'data [u8]>,
    index: usize,
) -> Option<RawSymbol<'data>> {
    let entry = Bytes { data: table.get(index * symbol_bytes(file)..)?, little: file.bytes.little };
    let (info, section, value, size) = match file.is_64 {
        true => (entry.u8(4)?, entry.u16(6)?, entry.u64(8)?, entry.u64(16)?),
        false => (entry.u8(12)?, entry.u16(14)?, entry.u32(4)?.into(), entry.u32(8)?.into()),
    };
    let section = match (section, indexes) {
        (0xffff, Some(data)) => Bytes { data, little: file.bytes.little }.u32(index as u64 * 4)?,
        _ => u32::from(section),
    };
    let name = Bytes::little(strings).until_zero(entry.u32(0)?.into(), limits::MAX_NAME_BYTES);
    let name = name.unwrap_or_default();
    Some(RawSymbol { name, value, size, kind: info & 15, binding: info >> 4, section })
}

/// Without section headers the dynamic table says where the symbols are, and `DT_HASH` (or the strings,
/// which every linker puts right behind them) how many.
fn dynamic_symbols_without_sections(file: &mut RawFile<'_>) {
    let (Some(table), Some(strings), Some(size)) = (file.tag(6), file.tag(5), file.tag(10)) else { return };
    let hashed = file
        .tag(4)
        .and_then(|at| file.at_address(at, 8))
        .and_then(|data| Bytes { data, little: file.bytes.little }.u32(4).map(u64::from));
    let row = symbol_bytes(file) as u64;
    let count = hashed.or_else(|| Some(strings.checked_sub(table)? / row)).unwrap_or(0);
    let count = count.min(limits::MAX_SYMBOLS as u64);
    let Some(symbols) = file.at_address(table, count * row) else { return };
    let strings = file.at_address(strings, size).unwrap_or_default();
    let read = (0..count as usize).filter_map(|index| symbol(file, symbols, strings, None, index));
    file.dynamic_symbols = read.collect();
}
