//! Object files: sections get addresses, relocations become slots.
//!
//! What a linker would add is added as far as it is needed to refer to it: common symbols and the slots
//! of the global offset table lie behind the sections. A reference to this very module is also written
//! into the bytes, so that code and jump tables decode as they do in a linked file; a reference to
//! another module is only a slot.

use std::borrow::Cow;
use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::elf;

use super::raw::{RawFile, RawSymbol};
use super::relocations::{Field, Meaning, meaning};
use crate::bytes::Bytes;
use crate::native::sweep::bitness;
use crate::{Address, Module, ModuleImport, Region, SectionKind, Slot, SlotTarget, limits};

/// Where the first section is put: no address is zero.
const FIRST_ADDRESS: u64 = 0x1000;
const LEAST_ALIGN: u64 = 16;
const MOST_ALIGN: u64 = 1 << 16;
/// The section index of a symbol that the linker allocates.
const COMMON: u32 = 0xfff2;

/// Gives the sections that are loaded consecutive addresses, in the file's order.
pub(super) fn place(file: &mut RawFile<'_>) {
    let mut next = FIRST_ADDRESS;
    for section in file.sections.iter_mut().filter(|section| section.flags & elf::SHF_ALLOC.0 != 0) {
        let align = section.align.clamp(LEAST_ALIGN, MOST_ALIGN).next_power_of_two();
        let Some(end) = next.next_multiple_of(align).checked_add(section.size) else { break };
        section.address = next.next_multiple_of(align);
        if end > limits::MAX_ADDRESS {
            file.warnings.push(format!("section `{}` is too large", section.name));
            section.size = 0;
            continue;
        }
        next = end.saturating_add(1);
    }
}

struct Linker<'file, 'data> {
    file: &'file RawFile<'data>,
    /// The address of each common symbol, by its index.
    common: HashMap<u32, u64>,
    /// The address of the GOT slot of each target.
    got: HashMap<(u32, i64), u64>,
    next_got: u64,
    slots: Vec<Slot>,
    warnings: Vec<String>,
}

struct Entry {
    offset: u64,
    kind: u32,
    symbol: u32,
    addend: Option<i64>,
}

pub(super) fn apply(file: &RawFile<'_>, module: &mut Module<'_>) {
    let end = module.regions.iter().map(Region::end).max().unwrap_or(FIRST_ADDRESS);
    let mut linker = Linker {
        file,
        common: HashMap::new(),
        got: HashMap::new(),
        next_got: 0,
        slots: Vec::new(),
        warnings: Vec::new(),
    };
    linker.next_got = linker.place_common(end.next_multiple_of(LEAST_ALIGN) + LEAST_ALIGN, module);
    let got = linker.next_got;
    for table in &file.sections {
        let with_addend = table.kind == elf::SHT_RELA.0;
        if !with_addend && table.kind != elf::SHT_REL.0 {
            continue;
        }
        let Some(target) = file.sections.get(table.info as usize) else { continue };
        let Some(index) = module.regions.iter().position(|region| region.address.0 == target.address) else {
            continue;
        };
        if target.flags & elf::SHF_ALLOC.0 == 0 || target.size == 0 {
            continue;
        }
        linker.section(module, index, entries(file, table.bytes, with_addend));
    }
    let size = linker.next_got - got;
    if size > 0 {
        push_zeros(module, ".got", got, size);
    }
    module.slots = linker.slots;
    module.slots.sort_by_key(|slot| slot.address);
    module.slots.dedup_by_key(|slot| slot.address);
    module.warnings.extend(linker.warnings);
}

fn push_zeros(module: &mut Module<'_>, name: &str, address: u64, size: u64) {
    module.regions.push(Region {
        name: name.to_owned(),
        kind: SectionKind::Zeroed,
        writable: name != ".got",
        address: Address(address),
        size,
        bytes: Cow::Borrowed(&[]),
    });
}

fn entries(file: &RawFile<'_>, data: &[u8], with_addend: bool) -> Vec<Entry> {
    let row = usize::from(file.word()) * if with_addend { 3 } else { 2 };
    let read = |chunk: &[u8]| {
        let bytes = Bytes { data: chunk, little: file.bytes.little };
        let (offset, info, symbol, kind) = match file.is_64 {
            true => (bytes.u64(0)?, bytes.u64(8)?, (bytes.u64(8)? >> 32) as u32, bytes.u64(8)? as u32),
            false => (bytes.u32(0)?.into(), bytes.u32(4)?.into(), bytes.u32(4)? >> 8, bytes.u32(4)? & 0xff),
        };
        let _: u64 = info;
        let addend = match (with_addend, file.is_64) {
            (false, _) => None,
            (true, true) => Some(bytes.u64(16)? as i64),
            (true, false) => Some(i64::from(bytes.u32(8)? as i32)),
        };
        Some(Entry { offset, kind, symbol, addend })
    };
    let mut entries: Vec<Entry> =
        data.chunks_exact(row).take(limits::MAX_RELOCATIONS).filter_map(read).collect();
    entries.sort_by_key(|entry| entry.offset);
    entries
}

impl Linker<'_, '_> {
    /// Common symbols, behind the sections; returns where the next thing goes.
    fn place_common(&mut self, start: u64, module: &mut Module<'_>) -> u64 {
        let mut next = start;
        let symbols = self.file.symbols.iter().enumerate();
        for (index, symbol) in symbols.filter(|(_, symbol)| symbol.section == COMMON) {
            // The value of a common symbol is its alignment.
            let align = symbol.value.clamp(1, MOST_ALIGN).next_power_of_two();
            let at = next.next_multiple_of(align);
            let Some(end) = at.checked_add(symbol.size).filter(|&end| end <= limits::MAX_ADDRESS) else {
                self.warnings.push("a common symbol is too large".to_owned());
                continue;
            };
            self.common.insert(index as u32, at);
            let name = String::from_utf8_lossy(symbol.name).into_owned();
            module.objects.push(crate::DataSymbol { name, address: Address(at), size: symbol.size });
            next = end;
        }
        if next > start {
            push_zeros(module, ".common", start, next - start);
        }
        next.next_multiple_of(LEAST_ALIGN) + LEAST_ALIGN
    }

    fn section(&mut self, module: &mut Module<'_>, index: usize, entries: Vec<Entry>) {
        let architecture = module.architecture.clone();
        let region = &mut module.regions[index];
        let ends = match (region.kind, bitness(&architecture)) {
            (SectionKind::Code, Some(bits)) => instruction_ends(bits, region, &entries),
            _ => HashMap::new(),
        };
        let code = region.kind == SectionKind::Code;
        let base = region.address.0;
        let mut patched = std::mem::take(&mut region.bytes);
        for entry in entries {
            let Some(place) = base.checked_add(entry.offset).filter(|_| entry.offset < region.size) else {
                self.warnings.push("a relocation lies outside its section".to_owned());
                continue;
            };
            let after = ends.get(&entry.offset).copied();
            self.one(meaning(&architecture, entry.kind), &entry, place, code.then_some(after), &mut patched);
        }
        module.regions[index].bytes = patched;
    }

    /// `after`: outside code none; in code the bytes from the place to the end of its instruction, where
    /// those are known.
    fn one(
        &mut self,
        meaning: Meaning,
        entry: &Entry,
        place: u64,
        after: Option<Option<u64>>,
        bytes: &mut Cow<'_, [u8]>,
    ) {
        let width = match meaning {
            Meaning::None => return,
            Meaning::Absolute(width) | Meaning::Base(width) | Meaning::Resolved(width) => width,
            Meaning::Relative(width) | Meaning::GotRelative(width) | Meaning::Other(width, _) => width,
            Meaning::Instruction(_) | Meaning::GotInstruction | Meaning::Copy => 4,
        };
        let addend = entry.addend.or_else(|| in_place(bytes, entry.offset, width, self.file.bytes.little));
        let addend = addend.unwrap_or(0);
        let to_end = after.map(|known| known.unwrap_or(u64::from(width)) as i64);
        match meaning {
            Meaning::Absolute(_) => {
                let target = self.target(entry.symbol, addend);
                self.push(
                    place,
                    width,
                    target,
                    |address, bytes| {
                        write(bytes, entry.offset, width, address);
                    },
                    bytes,
                );
            }
            Meaning::Relative(_) => self.relative(entry, place, width, addend, to_end, bytes),
            Meaning::GotRelative(_) => {
                let slot = self.got_slot(entry.symbol);
                let value = slot.wrapping_add_signed(addend).wrapping_sub(place);
                write(bytes, entry.offset, width, value);
                let target = slot.wrapping_add_signed(addend.wrapping_add(to_end.unwrap_or(0)));
                self.slots.push(slot_to(place, width, SlotTarget::Address(target)));
            }
            Meaning::GotInstruction => {
                let slot = self.got_slot(entry.symbol);
                let field = if is_page(bytes, entry.offset) { Field::Page21 } else { Field::Low12(3) };
                write_field(bytes, entry.offset, field, slot, place);
                self.slots.push(slot_to(place, 4, SlotTarget::Address(slot)));
            }
            Meaning::Instruction(field) => {
                let target = self.target(entry.symbol, addend);
                self.push(
                    place,
                    4,
                    target,
                    |address, bytes| {
                        write_field(bytes, entry.offset, field, address, place);
                    },
                    bytes,
                );
            }
            Meaning::Other(_, words) => {
                let name = self.name(entry.symbol);
                let addend = if addend == 0 { String::new() } else { format!("{addend:+}") };
                self.slots.push(slot_to(place, width, SlotTarget::Other(format!("{words} {name}{addend}"))));
            }
            Meaning::None | Meaning::Base(_) | Meaning::Resolved(_) | Meaning::Copy => {}
        }
    }

    /// In code the operand's target counts from the end of the instruction; in data (a jump table, an
    /// exception table) a difference is just a number when both ends are here.
    fn relative(
        &mut self,
        entry: &Entry,
        place: u64,
        width: u8,
        addend: i64,
        to_end: Option<i64>,
        bytes: &mut Cow<'_, [u8]>,
    ) {
        let target = self.target(entry.symbol, addend.wrapping_add(to_end.unwrap_or(0)));
        match (target, to_end) {
            (SlotTarget::Address(target), to_end) => {
                let value = target.wrapping_sub(place).wrapping_sub(to_end.unwrap_or(0) as u64);
                write(bytes, entry.offset, width, value);
                if to_end.is_some() {
                    self.slots.push(slot_to(place, width, SlotTarget::Address(target)));
                }
            }
            (target, Some(_)) => self.slots.push(slot_to(place, width, target)),
            (_, None) => {
                let words = format!("distance to {}{addend:+}", self.name(entry.symbol));
                self.slots.push(slot_to(place, width, SlotTarget::Other(words)));
            }
        }
    }

    fn push(
        &mut self,
        place: u64,
        width: u8,
        target: SlotTarget,
        write: impl Fn(u64, &mut Cow<'_, [u8]>),
        bytes: &mut Cow<'_, [u8]>,
    ) {
        if let SlotTarget::Address(address) = target {
            write(address, bytes);
        }
        self.slots.push(slot_to(place, width, target));
    }

    fn symbol(&self, index: u32) -> Option<&RawSymbol<'_>> {
        self.file.symbols.get(index as usize)
    }

    fn target(&self, index: u32, addend: i64) -> SlotTarget {
        if let Some(address) = self.common.get(&index) {
            return SlotTarget::Address(address.wrapping_add_signed(addend));
        }
        let Some(symbol) = self.symbol(index) else { return SlotTarget::Other("no symbol".to_owned()) };
        match self.file.address_of(symbol) {
            Some(address) => SlotTarget::Address(address.wrapping_add_signed(addend)),
            None if symbol.section == 0 && !symbol.name.is_empty() => {
                let name = self.name(index);
                SlotTarget::Import(ModuleImport { name, version: None, provider: None }, addend)
            }
            None => SlotTarget::Other(format!("{} {:#x}", self.name(index), symbol.value)),
        }
    }

    fn name(&self, index: u32) -> String {
        let symbol = self.symbol(index);
        match symbol {
            Some(symbol) if !symbol.name.is_empty() => String::from_utf8_lossy(symbol.name).into_owned(),
            Some(symbol) => {
                let section = self.file.sections.get(symbol.section as usize);
                section.map_or_else(|| "this module".to_owned(), |section| section.name.clone())
            }
            None => "this module".to_owned(),
        }
    }

    /// The GOT slot that holds the symbol's address; made at first use.
    fn got_slot(&mut self, symbol: u32) -> u64 {
        if let Some(&slot) = self.got.get(&(symbol, 0)) {
            return slot;
        }
        let slot = self.next_got;
        self.next_got += u64::from(self.file.word());
        self.got.insert((symbol, 0), slot);
        let target = self.target(symbol, 0);
        self.slots.push(slot_to(slot, self.file.word(), target));
        slot
    }
}

fn slot_to(address: u64, width: u8, target: SlotTarget) -> Slot {
    Slot { address: Address(address), width, target }
}

/// How many bytes follow each place up to the end of its instruction.
fn instruction_ends(bits: u32, region: &Region<'_>, entries: &[Entry]) -> HashMap<u64, u64> {
    let mut ends = HashMap::with_capacity(entries.len());
    let mut places = entries.iter().map(|entry| entry.offset).peekable();
    let mut decoder = Decoder::with_ip(bits, &region.bytes, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() && places.peek().is_some() {
        decoder.decode_out(&mut instruction);
        while let Some(place) = places.next_if(|&place| place < instruction.next_ip()) {
            if place >= instruction.ip() && !instruction.is_invalid() {
                ends.insert(place, instruction.next_ip() - place);
            }
        }
    }
    ends
}

fn in_place(bytes: &[u8], offset: u64, width: u8, little: bool) -> Option<i64> {
    let word = Bytes { data: bytes, little }.word(offset, width)?;
    Some(match width {
        1 => i64::from(word as u8 as i8),
        2 => i64::from(word as u16 as i16),
        4 => i64::from(word as u32 as i32),
        _ => word as i64,
    })
}

/// All three lifted architectures are little-endian.
fn write(bytes: &mut Cow<'_, [u8]>, offset: u64, width: u8, value: u64) {
    let Ok(from) = usize::try_from(offset) else { return };
    let width = usize::from(width.min(8));
    if from.checked_add(width).is_some_and(|end| end <= bytes.len()) {
        bytes.to_mut()[from..from + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Whether the instruction is `ADRP`.
fn is_page(bytes: &[u8], offset: u64) -> bool {
    Bytes::little(bytes).u32(offset).is_some_and(|word| word & 0x9f00_0000 == 0x9000_0000)
}

fn write_field(bytes: &mut Cow<'_, [u8]>, offset: u64, field: Field, target: u64, place: u64) {
    let Some(word) = Bytes::little(bytes).u32(offset) else { return };
    let near = target.wrapping_sub(place);
    let split = |value: u64| ((value & 3) << 29 | (value >> 2 & 0x7_ffff) << 5) as u32;
    let (mask, value) = match field {
        Field::Branch26 => (0x03ff_ffff, (near >> 2) as u32),
        Field::Branch19 => (0x00ff_ffe0, ((near >> 2) as u32) << 5),
        Field::Branch14 => (0x0007_ffe0, ((near >> 2) as u32) << 5),
        Field::Near21 => (0x60ff_ffe0, split(near)),
        Field::Page21 => (0x60ff_ffe0, split((target >> 12).wrapping_sub(place >> 12))),
        Field::Low12(scale) => (0x003f_fc00, ((target as u32 & 0xfff) >> scale) << 10),
        Field::Move(from) => (0x001f_ffe0, ((target >> from) as u32 & 0xffff) << 5),
    };
    write(bytes, offset, 4, u64::from(word & !mask | value & mask));
}
