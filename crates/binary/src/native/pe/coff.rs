//! COFF: object files, and the symbols that MinGW's linkers leave in images.

use std::borrow::Cow;

use super::architecture;
use super::headers::{Image, section_name};
use crate::bytes::Bytes;
use crate::elf::NameBudget;
use crate::native::link::{self, FIRST_ADDRESS, Field, LinkEntry, LinkSymbol, LinkTable, Meaning, Place};
use crate::native::{NameLimit, Seed, bound_sharing, delimit, empty, sort_regions};
use crate::{
    Address, Architecture, BinaryError, DataSymbol, FunctionEvidence, Module, ModuleFormat, Region,
    SectionKind, limits,
};

/// The class of a symbol that other objects see, and of one that they do not.
const EXTERNAL: u8 = 2;
const STATIC: u8 = 3;
const LABEL: u8 = 6;
const WEAK: u8 = 105;
/// The type of a function.
const FUNCTION: u16 = 0x20;

struct Symbol<'data> {
    name: &'data [u8],
    value: u32,
    section: i32,
    kind: u16,
    class: u8,
    /// Whether it names a section: static, with a description behind it.
    is_section: bool,
}

/// The two headers: the classic one, and that of objects with more than 65,279 sections.
struct Header {
    machine: u16,
    sections: u32,
    section_table: u64,
    symbols: (u32, u32),
    big: bool,
}

/// Whether the bytes look like a COFF object: it has no magic, only a machine and a consistent header.
pub(crate) fn is_object(data: &[u8]) -> bool {
    header(Bytes::little(data)).is_some_and(|header| {
        let room = data.len() as u64;
        let symbols = u64::from(header.symbols.0) + u64::from(header.symbols.1) * 18;
        let tables = header.section_table + u64::from(header.sections) * 40;
        header.sections > 0 && tables <= room && symbols <= room && header.symbols.0 > 0
    })
}

fn header(bytes: Bytes<'_>) -> Option<Header> {
    let machine = bytes.u16(0)?;
    if machine == 0 && bytes.u16(2)? == 0xffff && bytes.u16(4)? >= 2 {
        return Some(Header {
            machine: bytes.u16(6)?,
            sections: bytes.u32(44)?,
            section_table: 56,
            symbols: (bytes.u32(48)?, bytes.u32(52)?),
            big: true,
        });
    }
    let known = matches!(machine, 0x8664 | 0x14c | 0xaa64 | 0x1c4);
    (known && bytes.u16(16)? == 0).then_some(())?;
    Some(Header {
        machine,
        sections: bytes.u16(2)?.into(),
        section_table: 20,
        symbols: (bytes.u32(8)?, bytes.u32(12)?),
        big: false,
    })
}

/// Index by index; descriptions behind a symbol are empty symbols.
fn symbols<'data>(
    bytes: Bytes<'data>,
    (start, count): (u32, u32),
    big: bool,
) -> Result<Vec<Symbol<'data>>, BinaryError> {
    BinaryError::bound("symbol count", count as usize, limits::MAX_SYMBOLS)?;
    let row = if big { 20 } else { 18 };
    let strings = u64::from(start) + u64::from(count) * row;
    let mut found = Vec::new();
    let mut skip = 0;
    for index in 0..u64::from(count) {
        let at = u64::from(start) + index * row;
        let Some(symbol) = symbol(bytes, at, strings, big) else { break };
        let (symbol, described) = symbol;
        if skip > 0 {
            skip -= 1;
            found.push(Symbol { name: b"", class: 0, section: -2, ..symbol });
        } else {
            skip = described;
            found.push(symbol);
        }
    }
    Ok(found)
}

fn symbol<'data>(bytes: Bytes<'data>, at: u64, strings: u64, big: bool) -> Option<(Symbol<'data>, u8)> {
    let name = bytes.slice(at, 8)?;
    let name = match bytes.u32(at)? {
        0 => bytes
            .until_zero(strings + u64::from(bytes.u32(at + 4)?), limits::MAX_NAME_BYTES)
            .unwrap_or_default(),
        _ => &name[..name.iter().position(|&byte| byte == 0).unwrap_or(8)],
    };
    let (section, next) = match big {
        true => (bytes.u32(at + 12)? as i32, at + 16),
        false => (i32::from(bytes.u16(at + 12)? as i16), at + 14),
    };
    let (kind, class, described) = (bytes.u16(next)?, bytes.u8(next + 2)?, bytes.u8(next + 3)?);
    let value = bytes.u32(at + 8)?;
    let is_section = class == STATIC && described > 0 && kind != FUNCTION && value == 0;
    Some((Symbol { name, value, section, kind, class, is_section }, described))
}

impl Symbol<'_> {
    fn rank(&self) -> u8 {
        match self.class {
            EXTERNAL => 0,
            WEAK => 1,
            _ => 2,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.class, EXTERNAL | STATIC | WEAK | LABEL) && !self.is_section && !self.name.is_empty()
    }
}

/// The symbols of an image.
pub(super) fn image_symbols(
    image: &Image<'_>,
    module: &mut Module<'_>,
    seeds: &mut Vec<Seed>,
) -> Result<(), BinaryError> {
    if image.symbols.0 == 0 {
        return Ok(());
    }
    let symbols = symbols(image.bytes, image.symbols, false)?;
    let place = |symbol: &Symbol<'_>| {
        let section = image.sections.get(usize::try_from(symbol.section).ok()?.checked_sub(1)?)?;
        Some(image.base.wrapping_add(section.address.into()).wrapping_add(symbol.value.into()))
    };
    name_memory(&symbols, place, module, seeds, image.bytes.data.len())
}

/// COFF symbols have no size: data reaches to the next symbol or the end of its section.
fn name_memory(
    symbols: &[Symbol<'_>],
    place: impl Fn(&Symbol<'_>) -> Option<u64>,
    module: &mut Module<'_>,
    seeds: &mut Vec<Seed>,
    file_bytes: usize,
) -> Result<(), BinaryError> {
    let mut names = NameBudget::new(file_bytes);
    let mut data = Vec::new();
    for symbol in symbols.iter().filter(|symbol| symbol.is_kept()) {
        let Some(address) = place(symbol) else { continue };
        let Some(region) = module.region_at(address) else { continue };
        let code = region.kind == SectionKind::Code;
        let end = region.end();
        let name = names.take(symbol.name)?;
        if code && (symbol.kind == FUNCTION || symbol.class == EXTERNAL) {
            let evidence = FunctionEvidence::UnsizedSymbol;
            seeds.push(Seed { address, size: 0, name: Some(name), rank: symbol.rank(), evidence });
        } else if !code {
            data.push((address, end, name));
        }
    }
    data.sort();
    let starts: Vec<u64> = data.iter().map(|(address, ..)| *address).collect();
    for (address, end, name) in data {
        let next = starts.partition_point(|&start| start <= address);
        let size = starts.get(next).copied().unwrap_or(end).min(end) - address;
        module.objects.push(DataSymbol { name, address: Address(address), size });
    }
    Ok(())
}

struct Section<'data> {
    name: String,
    flags: u32,
    address: u64,
    size: u64,
    bytes: &'data [u8],
    relocations: (u32, u32),
}

pub(crate) fn read_object(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    let bytes = Bytes::little(data);
    let header =
        header(bytes).ok_or_else(|| BinaryError::malformed("COFF header", "the file ends within it"))?;
    let mut module = empty(ModuleFormat::Pe, architecture(header.machine));
    module.variant = Some("relocatable".to_owned());
    let sections = sections(bytes, &header, &mut module);
    let symbols = symbols(bytes, header.symbols, header.big)?;
    sort_regions(&mut module);
    let place = |symbol: &Symbol<'_>| {
        let section = sections.get(usize::try_from(symbol.section).ok()?.checked_sub(1)?)?;
        (section.size > 0).then(|| section.address.wrapping_add(symbol.value.into()))
    };
    let mut limit = NameLimit::new(data.len());
    let linked =
        symbols.iter().map(|symbol| link_symbol(symbol, &sections, place(symbol), &mut limit)).collect();
    let tables = sections.iter().filter(|section| section.size > 0).map(|section| LinkTable {
        address: section.address,
        entries: entries(bytes, &module.architecture, section.relocations),
    });
    let tables = tables.filter(|table| !table.entries.is_empty()).collect();
    let word = if matches!(module.architecture, Architecture::X86) { 4 } else { 8 };
    link::link(&mut module, (word, true), linked, tables);
    let mut seeds = Vec::new();
    name_memory(&symbols, place, &mut module, &mut seeds, data.len())?;
    module.objects.sort_by_key(|object| object.address);
    delimit(&mut module, seeds, &[]);
    Ok(module)
}

/// Sections of comments, directives and debug information are not memory.
fn sections<'data>(bytes: Bytes<'data>, header: &Header, module: &mut Module<'data>) -> Vec<Section<'data>> {
    let mut next = FIRST_ADDRESS;
    let mut found = Vec::new();
    for index in 0..u64::from(header.sections).min(limits::MAX_SECTIONS as u64) {
        let Some(mut section) = section(bytes, header, index) else { break };
        let dropped = section.flags & 0x0200_0a00 != 0 || section.name.starts_with(".debug");
        let align = 1u64 << ((section.flags >> 20 & 0xf).saturating_sub(1));
        match link::place(next, align, section.size) {
            Some((start, after)) if !dropped && section.size > 0 => (section.address, next) = (start, after),
            _ => section.size = 0,
        }
        if section.size > 0 {
            let kind = match section.flags {
                flags if flags & 0x2000_0020 != 0 => SectionKind::Code,
                flags if flags & 0x80 != 0 => SectionKind::Zeroed,
                _ => SectionKind::Data,
            };
            module.regions.push(Region {
                name: section.name.clone(),
                kind,
                writable: section.flags & 0x8000_0000 != 0,
                address: Address(section.address),
                size: section.size,
                bytes: Cow::Borrowed(section.bytes),
            });
        }
        found.push(section);
    }
    bound_sharing(module);
    found
}

fn section<'data>(bytes: Bytes<'data>, header: &Header, index: u64) -> Option<Section<'data>> {
    let at = header.section_table + index * 40;
    let flags = bytes.u32(at + 36)?;
    let size = u64::from(bytes.u32(at + 16)?);
    let contents = if flags & 0x80 != 0 { None } else { bytes.slice(bytes.u32(at + 20)?.into(), size) };
    let (table, count) = (bytes.u32(at + 24)?, u32::from(bytes.u16(at + 32)?));
    // More relocations than the field can count: the first entry holds the number.
    let overflow = flags & 0x0100_0000 != 0 && count == 0xffff;
    let count = if overflow { bytes.u32(table.into())? } else { count };
    Some(Section {
        name: section_name(bytes, bytes.slice(at, 8)?, header.symbols),
        flags,
        address: 0,
        size,
        bytes: contents.unwrap_or_default(),
        relocations: (table, count),
    })
}

fn link_symbol(
    symbol: &Symbol<'_>,
    sections: &[Section<'_>],
    address: Option<u64>,
    limit: &mut NameLimit,
) -> LinkSymbol {
    let name = limit.name(symbol.name);
    let place = match (symbol.section, address) {
        (_, Some(address)) => Place::At(address),
        (0, None) if symbol.value > 0 => Place::Common { size: symbol.value.into(), align: 16 },
        (0, None) => Place::Undefined,
        (section, None) => {
            let known =
                usize::try_from(section).ok().and_then(|section| sections.get(section.checked_sub(1)?));
            return LinkSymbol {
                name: known.map_or(name, |section| section.name.clone()),
                place: Place::Absolute(symbol.value.into()),
            };
        }
    };
    LinkSymbol { name, place }
}

fn entries(bytes: Bytes<'_>, architecture: &Architecture, (table, count): (u32, u32)) -> Vec<LinkEntry> {
    let room = (bytes.data.len() as u64 / 10).min(limits::MAX_RELOCATIONS as u64);
    let read = |index: u64| {
        let at = u64::from(table) + index * 10;
        let (offset, symbol, kind) = (bytes.u32(at)?, bytes.u32(at + 4)?, bytes.u16(at + 8)?);
        let addend = if bytes_in_place(architecture, kind) { None } else { Some(0) };
        Some(LinkEntry { offset: offset.into(), meaning: meaning(architecture, kind), symbol, addend })
    };
    (0..u64::from(count).min(room)).map_while(read).collect()
}

/// The addend stands in the bytes, but for AArch64 instructions, where it is part of an instruction.
fn bytes_in_place(architecture: &Architecture, kind: u16) -> bool {
    *architecture != Architecture::Aarch64 || matches!(kind, 1 | 2 | 8 | 14 | 17)
}

/// What a type means (PE format specification, "Type Indicators").
fn meaning(architecture: &Architecture, kind: u16) -> Meaning {
    match (architecture, kind) {
        (Architecture::X86_64, 1) => Meaning::Absolute(8),
        (Architecture::X86_64, 2) | (Architecture::X86, 6) => Meaning::Absolute(4),
        // The last digit of the type says how many bytes of the instruction follow.
        (Architecture::X86_64, 4..=9) => Meaning::FromEnd(kind as u8),
        (Architecture::X86, 20) => Meaning::FromEnd(4),
        (Architecture::X86_64, 0 | 3 | 10 | 11) | (Architecture::X86, 0 | 7 | 10 | 11) => other(kind),
        (Architecture::Aarch64, 14) => Meaning::Absolute(8),
        (Architecture::Aarch64, 1) => Meaning::Absolute(4),
        (Architecture::Aarch64, 3) => Meaning::Instruction(Field::Branch26),
        (Architecture::Aarch64, 4) => Meaning::Instruction(Field::Page21),
        (Architecture::Aarch64, 5) => Meaning::Instruction(Field::Near21),
        (Architecture::Aarch64, 6) => Meaning::Instruction(Field::Low12(0)),
        (Architecture::Aarch64, 7) => Meaning::Instruction(Field::Low12(3)),
        (Architecture::Aarch64, 15) => Meaning::Instruction(Field::Branch19),
        (Architecture::Aarch64, 16) => Meaning::Instruction(Field::Branch14),
        (Architecture::Aarch64, 17) => Meaning::Relative(4),
        (Architecture::X86_64 | Architecture::X86 | Architecture::Aarch64, _) => {
            Meaning::Other(4, "relation to")
        }
        _ => Meaning::None,
    }
}

fn other(kind: u16) -> Meaning {
    match kind {
        0 => Meaning::None,
        10 => Meaning::Other(2, "section number of"),
        11 => Meaning::Other(4, "section offset of"),
        _ => Meaning::Other(4, "image offset of"),
    }
}
