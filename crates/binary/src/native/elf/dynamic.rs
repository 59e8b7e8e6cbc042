//! What the loader fills in, found through the dynamic table; and the starts that the loader calls.

use std::collections::HashSet;

use super::raw::RawFile;
use super::relocations::meaning;
use crate::bytes::Bytes;
use crate::native::link::Meaning;
use crate::native::{NAMES_CUT, NameLimit, Seed};
use crate::{Address, FunctionEvidence, Module, ModuleImport, Slot, SlotTarget, limits};

/// One relocation of a dynamic table.
struct Entry {
    address: u64,
    kind: u32,
    symbol: u32,
    /// None where it stands at the place itself.
    addend: Option<i64>,
}

pub(super) fn read(file: &RawFile<'_>, module: &mut Module<'_>, seeds: &mut Vec<Seed>) {
    let entries = entries(file);
    if entries.len() >= limits::MAX_RELOCATIONS {
        module.warnings.push("too many relocations; the rest is left out".to_owned());
    }
    let mut names = NameLimit::new(file.bytes.data.len());
    for entry in entries {
        let Some(slot) = slot(file, module, &entry) else { continue };
        if !names.target(&slot.target) {
            module.warnings.push(NAMES_CUT.to_owned());
            break;
        }
        module.slots.push(slot);
    }
    module.slots.sort_by_key(|slot| slot.address);
    module.slots.dedup_by_key(|slot| slot.address);
    starts(file, module, seeds);
}

fn entries(file: &RawFile<'_>) -> Vec<Entry> {
    let word = u64::from(file.word());
    let place = |address, size| Some((file.tag(address)?, file.tag(size)?));
    let mut entries = Vec::new();
    let tables = [(place(7, 8), true), (place(17, 18), false), (place(23, 2), file.tag(20) == Some(7))];
    let mut seen = HashSet::new();
    for (place, with_addend) in tables {
        let Some(bytes) = place.and_then(|(address, size)| file.at_address(address, size)) else { continue };
        let row = if with_addend { 3 * word } else { 2 * word };
        for chunk in bytes.chunks_exact(row as usize).take(limits::MAX_RELOCATIONS - entries.len()) {
            // `DT_RELA` may include what `DT_JMPREL` names.
            if let Some(entry) = entry(file, chunk, with_addend).filter(|e| seen.insert((e.address, e.kind)))
            {
                entries.push(entry);
            }
        }
    }
    if entries.is_empty() && file.dynamic.is_empty() {
        static_entries(file, &mut entries);
    }
    if let Some(bytes) = place(36, 35).and_then(|(address, size)| file.at_address(address, size)) {
        packed(file, bytes, &mut entries);
    }
    entries
}

/// Static programs have no dynamic table; start-up code resolves what lies between `__rela_iplt_start`
/// and its end, which is the section `.rela.iplt` or `.rela.plt`.
fn static_entries(file: &RawFile<'_>, entries: &mut Vec<Entry>) {
    for section in &file.sections {
        let with_addend = section.kind == object::elf::SHT_RELA.0;
        if !(with_addend || section.kind == object::elf::SHT_REL.0) || section.flags & 2 == 0 {
            continue;
        }
        let row = usize::from(file.word()) * if with_addend { 3 } else { 2 };
        let rows = section.bytes.chunks_exact(row).take(limits::MAX_RELOCATIONS - entries.len());
        entries.extend(rows.filter_map(|chunk| entry(file, chunk, with_addend)));
    }
}

fn entry(file: &RawFile<'_>, chunk: &[u8], with_addend: bool) -> Option<Entry> {
    let bytes = Bytes { data: chunk, little: file.bytes.little };
    if file.is_64 {
        let info = bytes.u64(8)?;
        let addend = if with_addend { Some(bytes.u64(16)? as i64) } else { None };
        return Some(Entry {
            address: bytes.u64(0)?,
            kind: info as u32,
            symbol: (info >> 32) as u32,
            addend,
        });
    }
    let info = bytes.u32(4)?;
    let addend = if with_addend { Some(i64::from(bytes.u32(8)? as i32)) } else { None };
    Some(Entry { address: bytes.u32(0)?.into(), kind: info & 0xff, symbol: info >> 8, addend })
}

/// `DT_RELR`: an even word is an address, an odd one a bitmap of the words that follow.
fn packed(file: &RawFile<'_>, data: &[u8], entries: &mut Vec<Entry>) {
    let relative = match file.machine {
        183 => 1027,
        _ => 8,
    };
    let width = u64::from(file.word());
    let bytes = Bytes { data, little: file.bytes.little };
    let mut next = 0u64;
    // Every slot has its bytes in the file.
    let most = (file.bytes.data.len() / 4).min(limits::MAX_RELOCATIONS);
    for index in 0..(data.len() as u64 / width) {
        let Some(word) = bytes.word(index * width, file.word()) else { break };
        if entries.len() > most {
            break;
        }
        let mut push = |address| entries.push(Entry { address, kind: relative, symbol: 0, addend: None });
        if word & 1 == 0 {
            push(word);
            next = word.wrapping_add(width);
            continue;
        }
        for bit in (1..width * 8).filter(|bit| word >> bit & 1 == 1) {
            push(next.wrapping_add((bit - 1) * width));
        }
        next = next.wrapping_add((width * 8 - 1) * width);
    }
}

fn slot(file: &RawFile<'_>, module: &Module<'_>, entry: &Entry) -> Option<Slot> {
    let in_place = |width: u8| {
        let data = module.bytes(entry.address, u64::from(width))?;
        let word = Bytes { data, little: file.bytes.little }.word(0, width)?;
        Some(if width == 4 { i64::from(word as u32 as i32) } else { word as i64 })
    };
    let addend = |width| entry.addend.or_else(|| in_place(width)).unwrap_or(0);
    let (width, target) = match meaning(&module.architecture, entry.kind) {
        Meaning::None => return None,
        Meaning::Base(width) | Meaning::Resolved(width) => {
            (width, SlotTarget::Address(mask(file, addend(width) as u64)))
        }
        Meaning::Absolute(width) => {
            // A REL slot of the PLT holds the way back into the PLT, not an addend.
            let addend =
                if entry.addend.is_none() && matches!(entry.kind, 6 | 7) { 0 } else { addend(width) };
            (width, symbol_target(file, entry.symbol, addend)?)
        }
        Meaning::Relative(width) => (width, symbol_target(file, entry.symbol, addend(width))?),
        Meaning::Copy => {
            let size = file.dynamic_symbols.get(entry.symbol as usize)?.size;
            let name = import(file, entry.symbol)?.name;
            (u8::try_from(size).unwrap_or(u8::MAX), SlotTarget::Other(format!("copy of {name}").into()))
        }
        Meaning::Other(width, words) => {
            let name = import(file, entry.symbol).map_or_else(|| "this module".to_owned(), |i| i.name);
            let addend = entry.addend.filter(|&addend| addend != 0);
            let addend = addend.map_or_else(String::new, |addend| format!("{addend:+}"));
            (width, SlotTarget::Other(format!("{words} {name}{addend}").into()))
        }
        Meaning::FromEnd(_) | Meaning::GotRelative(_) | Meaning::GotInstruction | Meaning::Instruction(_) => {
            return None;
        }
    };
    Some(Slot { address: Address(entry.address), width, target })
}

fn mask(file: &RawFile<'_>, address: u64) -> u64 {
    if file.is_64 { address } else { address & 0xffff_ffff }
}

/// What this module defines is an address; what it does not is an import.
fn symbol_target(file: &RawFile<'_>, symbol: u32, addend: i64) -> Option<SlotTarget> {
    if symbol == 0 {
        return Some(SlotTarget::Address(mask(file, addend as u64)));
    }
    let known = file.dynamic_symbols.get(symbol as usize)?;
    match file.address_of(known) {
        Some(address) => Some(SlotTarget::Address(mask(file, address.wrapping_add_signed(addend)))),
        None => Some(SlotTarget::Import(Box::new(import(file, symbol)?), addend)),
    }
}

/// The name of a dynamic symbol as an import.
pub(super) fn import(file: &RawFile<'_>, symbol: u32) -> Option<ModuleImport> {
    let index = symbol as usize;
    let known = file.dynamic_symbols.get(index).filter(|symbol| !symbol.name.is_empty())?;
    let version = file.versions.get(index).cloned().unwrap_or_default();
    Some(ModuleImport {
        name: String::from_utf8_lossy(known.name).into_owned(),
        version: version.name,
        provider: version.library,
    })
}

/// The symbol of the relocation that fills the slot at `address`, where there is one: also of slots whose
/// target this module defines.
pub(super) fn slot_names(file: &RawFile<'_>) -> Vec<(u64, ModuleImport)> {
    let named = entries(file).into_iter().filter(|entry| entry.symbol != 0);
    let mut limit = NameLimit::new(file.bytes.data.len());
    let named = named.filter_map(|entry| Some((entry.address, import(file, entry.symbol)?)));
    let mut names: Vec<_> = named.take_while(|(_, import)| limit.import(import)).collect();
    names.sort_by_key(|(address, _)| *address);
    names
}

/// The entry point, and what start-up and shutdown call.
fn starts(file: &RawFile<'_>, module: &Module<'_>, seeds: &mut Vec<Seed>) {
    let entry = [Some(file.entry), file.tag(12), file.tag(13)];
    let mut found: Vec<u64> = entry.into_iter().flatten().filter(|&address| address != 0).collect();
    let word = u64::from(file.word());
    for (array, size) in [(25, 27), (26, 28), (32, 33)] {
        let (Some(start), Some(size)) = (file.tag(array), file.tag(size)) else { continue };
        for index in 0..(size / word).min(limits::MAX_DYNAMIC_ENTRIES as u64) {
            let at = start.wrapping_add(index * word);
            found.extend(match module.slot_at(at) {
                Some(Slot { target: SlotTarget::Address(address), .. }) => Some(*address),
                Some(_) => None,
                None => module
                    .bytes(at, word)
                    .and_then(|data| Bytes { data, little: file.bytes.little }.word(0, file.word())),
            });
        }
    }
    seeds.extend(found.into_iter().map(|address| Seed::unnamed(address, 0, FunctionEvidence::Entry)));
}
