//! ELF object files: sections get addresses, relocations are told what they mean.

use std::borrow::Cow;

use object::elf;

use super::raw::{RawFile, RawSymbol};
use super::relocations::meaning;
use crate::bytes::Bytes;
use crate::native::NameLimit;
use crate::native::link::{self, FIRST_ADDRESS, LinkEntry, LinkSymbol, LinkTable, Meaning, Place};
use crate::{Architecture, Module, limits};

/// The section index of a symbol that the linker allocates.
const COMMON: u32 = 0xfff2;
/// Debug information of larger objects is looked at as it stands.
const MAX_DEBUG_BYTES: usize = 1 << 26;

/// Gives the sections that are loaded consecutive addresses, in the file's order.
pub(super) fn place(file: &mut RawFile<'_>) {
    let mut next = FIRST_ADDRESS;
    for section in file.sections.iter_mut().filter(|section| section.flags & elf::SHF_ALLOC.0 != 0) {
        let Some((start, after)) = link::place(next, section.align, section.size) else {
            file.warnings.push(format!("section `{}` is too large", section.name));
            section.size = 0;
            continue;
        };
        (section.address, next) = (start, after);
    }
}

pub(super) fn apply(file: &RawFile<'_>, module: &mut Module<'_>) {
    let mut limit = NameLimit::new(file.bytes.data.len());
    let symbols = file.symbols.iter().map(|symbol| link_symbol(file, symbol, &mut limit)).collect();
    let mut tables = Vec::new();
    for table in &file.sections {
        let with_addend = table.kind == elf::SHT_RELA.0;
        let Some(target) = file.sections.get(table.info as usize) else { continue };
        let loaded = target.flags & elf::SHF_ALLOC.0 != 0 && target.size > 0;
        if loaded && (with_addend || table.kind == elf::SHT_REL.0) {
            let entries = entries(file, &module.architecture, table.bytes, with_addend);
            tables.push(LinkTable { address: target.address, entries });
        }
    }
    link::link(module, (file.word(), file.bytes.little), symbols, tables);
}

/// A section's own symbol has the section's name; the value of a common one is its alignment.
fn link_symbol(file: &RawFile<'_>, symbol: &RawSymbol<'_>, limit: &mut NameLimit) -> LinkSymbol {
    let section = file.sections.get(symbol.section as usize);
    let name = match (symbol.name, section) {
        (b"", Some(section)) => limit.name(section.name.as_bytes()),
        (name, _) => limit.name(name),
    };
    let place = match (symbol.section, file.address_of(symbol)) {
        (COMMON, _) => Place::Common { size: symbol.size, align: symbol.value },
        (_, Some(address)) => Place::At(address),
        (0, None) => Place::Undefined,
        (_, None) => Place::Absolute(symbol.value),
    };
    LinkSymbol { name, place }
}

fn entries(
    file: &RawFile<'_>,
    architecture: &Architecture,
    data: &[u8],
    with_addend: bool,
) -> Vec<LinkEntry> {
    let row = usize::from(file.word()) * if with_addend { 3 } else { 2 };
    let read = |chunk: &[u8]| {
        let bytes = Bytes { data: chunk, little: file.bytes.little };
        let (offset, symbol, kind) = match file.is_64 {
            true => (bytes.u64(0)?, (bytes.u64(8)? >> 32) as u32, bytes.u64(8)? as u32),
            false => (bytes.u32(0)?.into(), bytes.u32(4)? >> 8, bytes.u32(4)? & 0xff),
        };
        let addend = match (with_addend, file.is_64) {
            (false, _) => None,
            (true, true) => Some(bytes.u64(16)? as i64),
            (true, false) => Some(i64::from(bytes.u32(8)? as i32)),
        };
        Some(LinkEntry { offset, meaning: meaning(architecture, kind), symbol, addend })
    };
    data.chunks_exact(row).take(limits::MAX_RELOCATIONS).filter_map(read).collect()
}

/// A section that is not loaded with the offsets that a linker would write into it: debug information
/// refers to its strings by relocations.
pub(super) fn relocated<'data>(
    file: &RawFile<'data>,
    architecture: &Architecture,
    name: &str,
) -> Cow<'data, [u8]> {
    let Some(index) = file.sections.iter().position(|section| section.name == name) else {
        return Cow::Borrowed(&[]);
    };
    let mut bytes = Cow::Borrowed(file.sections[index].bytes);
    if file.kind != elf::ET_REL.0 || !file.bytes.little || bytes.len() > MAX_DEBUG_BYTES {
        return bytes;
    }
    let tables = file.sections.iter().filter(|table| {
        table.info as usize == index && (table.kind == elf::SHT_RELA.0 || table.kind == elf::SHT_REL.0)
    });
    for table in tables {
        for entry in entries(file, architecture, table.bytes, table.kind == elf::SHT_RELA.0) {
            let Meaning::Absolute(width) = entry.meaning else { continue };
            let symbol = file.symbols.get(entry.symbol as usize).map_or(0, |symbol| symbol.value);
            if let Some(addend) = entry.addend {
                link::write(&mut bytes, entry.offset, width, symbol.wrapping_add_signed(addend));
            }
        }
    }
    bytes
}
