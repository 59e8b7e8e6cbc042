//! Mach-O object files: relocation entries told what they mean (`mach-o/x86_64/reloc.h`,
//! `mach-o/arm64/reloc.h`).

use super::commands::{RawFile, RawSection, RawSymbol};
use crate::bytes::Bytes;
use crate::native::NameLimit;
use crate::native::link::{self, Field, LinkEntry, LinkSymbol, LinkTable, Meaning, Place};
use crate::{Architecture, Module, limits};

/// One entry as it stands in the file.
struct Entry {
    offset: u64,
    symbol: u32,
    width: u8,
    external: bool,
    relative: bool,
    kind: u8,
}

pub(super) fn link(file: &RawFile<'_>, module: &mut Module<'_>) {
    let mut limit = NameLimit::new(file.bytes.data.len());
    let symbols = file.symbols.iter().map(|symbol| link_symbol(symbol, &mut limit));
    let mut symbols: Vec<LinkSymbol> = symbols.collect();
    // What is not external refers to an address of the file; one symbol at zero stands for all of them.
    let base = symbols.len() as u32;
    symbols.push(LinkSymbol { name: "this module".to_owned(), place: Place::At(0) });
    let mut tables = Vec::new();
    for section in file.sections.iter().filter(|section| section.size > 0 && section.relocations.1 > 0) {
        let entries = match module.architecture {
            Architecture::X86_64 => x86_64(file, section, base),
            Architecture::Aarch64 => aarch64(file, section, base),
            _ => {
                module.warnings.push("relocations of this architecture are not read".to_owned());
                break;
            }
        };
        if module.region_at(section.address).is_some_and(|region| region.name == section.name) {
            tables.push(LinkTable { address: section.address, entries });
        }
    }
    link::link(module, (if file.is_64 { 8 } else { 4 }, file.bytes.little), symbols, tables);
}

fn link_symbol(symbol: &RawSymbol<'_>, limit: &mut NameLimit) -> LinkSymbol {
    let name = limit.name(symbol.name);
    let place = match symbol.kind & 0x0e {
        0x0e => Place::At(symbol.value),
        0 if symbol.value > 0 => {
            Place::Common { size: symbol.value, align: 1 << (symbol.description >> 8 & 0xf) }
        }
        0 => Place::Undefined,
        _ => Place::Absolute(symbol.value),
    };
    LinkSymbol { name, place }
}

fn entries(file: &RawFile<'_>, section: &RawSection<'_>) -> Vec<Entry> {
    let (table, count) = section.relocations;
    let read = |index: u64| {
        let at = u64::from(table) + index * 8;
        let (offset, info) = (file.bytes.u32(at)?, file.bytes.u32(at + 4)?);
        Some(Entry {
            offset: offset.into(),
            symbol: info & 0x00ff_ffff,
            width: 1 << (info >> 25 & 3),
            external: info >> 27 & 1 == 1,
            relative: info >> 24 & 1 == 1,
            kind: (info >> 28) as u8,
        })
    };
    (0..u64::from(count).min(limits::MAX_RELOCATIONS as u64)).map_while(read).collect()
}

/// The number that stands at the place.
fn in_place(section: &RawSection<'_>, entry: &Entry) -> i64 {
    let word = Bytes::little(section.bytes).word(entry.offset, entry.width).unwrap_or(0);
    match entry.width {
        4 => i64::from(word as u32 as i32),
        _ => word as i64,
    }
}

fn x86_64(file: &RawFile<'_>, section: &RawSection<'_>, base: u32) -> Vec<LinkEntry> {
    let mut subtracted = false;
    let mut found = Vec::new();
    for entry in entries(file, section) {
        let value = in_place(section, &entry);
        let symbol = if entry.external { entry.symbol } else { base };
        // Without a symbol the bytes already lead to the target.
        let place = (section.address.wrapping_add(entry.offset)) as i64;
        let counted = if entry.external { value - 4 } else { value.wrapping_add(place) };
        let (meaning, addend) = match entry.kind {
            0 if subtracted => (Meaning::Other(entry.width, "distance to"), value),
            0 => (Meaning::Absolute(entry.width), value),
            1 | 2 | 6 | 7 | 8 if entry.relative => (Meaning::Relative(entry.width), counted),
            3 | 4 => (Meaning::GotRelative(4), value - 4),
            9 => (Meaning::Other(4, "thread-local descriptor of"), value),
            5 => {
                subtracted = true;
                continue;
            }
            _ => (Meaning::Other(entry.width, "relation to"), value),
        };
        subtracted = false;
        found.push(LinkEntry { offset: entry.offset, meaning, symbol, addend: Some(addend) });
    }
    found
}

fn aarch64(file: &RawFile<'_>, section: &RawSection<'_>, base: u32) -> Vec<LinkEntry> {
    let (mut subtracted, mut next_addend) = (false, 0);
    let mut found = Vec::new();
    for entry in entries(file, section) {
        let symbol = if entry.external { entry.symbol } else { base };
        let value = in_place(section, &entry);
        let addend = std::mem::take(&mut next_addend);
        let (meaning, addend) = match entry.kind {
            0 | 11 if subtracted => (Meaning::Other(entry.width, "distance to"), value),
            0 | 11 => (Meaning::Absolute(entry.width), value),
            2 => (Meaning::Instruction(Field::Branch26), addend),
            3 => (Meaning::Instruction(Field::Page21), addend),
            4 => (Meaning::Instruction(Field::Low12(scale(value as u32))), addend),
            5 | 6 => (Meaning::GotInstruction, addend),
            7 => (Meaning::GotRelative(4), value),
            8 | 9 => (Meaning::Other(4, "thread-local descriptor of"), addend),
            10 => {
                next_addend = i64::from((entry.symbol << 8) as i32 >> 8);
                continue;
            }
            1 => {
                subtracted = true;
                continue;
            }
            _ => (Meaning::Other(entry.width, "relation to"), value),
        };
        subtracted = false;
        found.push(LinkEntry { offset: entry.offset, meaning, symbol, addend: Some(addend) });
    }
    found
}

/// The unit of the 12-bit offset of a load or store (Arm ARM, C4.1.66); an addition counts bytes.
fn scale(word: u32) -> u8 {
    if word & 0x3b00_0000 != 0x3900_0000 {
        return 0;
    }
    let size = (word >> 30) as u8;
    let vector = word & 0x0400_0000 != 0;
    if vector && size == 0 && word & 0x0080_0000 != 0 { 4 } else { size }
}
