//! Object files: relocations become slots.
//!
//! What a linker would add is added as far as it is needed to refer to it: common symbols and the slots
//! of the global offset table lie behind the sections. A reference to this very module is also written
//! into the bytes, so that code and jump tables decode as they do in a linked file; a reference to
//! another module is only a slot.

use std::borrow::Cow;
use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::sweep::bitness;
use super::{NAMES_CUT, NameLimit};
use crate::bytes::Bytes;
use crate::{Address, Module, ModuleImport, Region, SectionKind, Slot, SlotTarget, limits};

/// Where the first section of an object file is put: no address is zero.
pub(crate) const FIRST_ADDRESS: u64 = 0x1000;
const LEAST_ALIGN: u64 = 16;
const MOST_ALIGN: u64 = 1 << 16;

/// The place of the next section, and where the one after it may start; none past the bounds.
pub(crate) fn place(next: u64, align: u64, size: u64) -> Option<(u64, u64)> {
    let start = next.checked_next_multiple_of(align.clamp(LEAST_ALIGN, MOST_ALIGN).next_power_of_two())?;
    let end = start.checked_add(size).filter(|&end| end <= limits::MAX_ADDRESS)?;
    Some((start, end + 1))
}

/// What a relocation puts at its place, as far as the reader tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing.
    None,
    /// Symbol plus addend, in so many bytes.
    Absolute(u8),
    /// Base plus addend: an address of this module.
    Base(u8),
    /// What the resolver function at base plus addend returns.
    Resolved(u8),
    /// Symbol plus addend minus the place, in so many bytes.
    Relative(u8),
    /// The same in four bytes, counted from so many bytes behind the place (COFF).
    FromEnd(u8),
    /// The address of a GOT slot with the symbol's address, minus the place.
    GotRelative(u8),
    /// The same by the page and by the offset in the page of an AArch64 instruction.
    GotInstruction,
    /// An AArch64 instruction that refers to symbol plus addend.
    Instruction(Field),
    /// The library's object is copied here.
    Copy,
    /// A relation that is no address, in words.
    Other(u8, &'static str),
}

/// Where an AArch64 instruction holds the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// 26 bits of words from here.
    Branch26,
    /// 19 bits of words from here.
    Branch19,
    /// 14 bits of words from here.
    Branch14,
    /// 21 bits of bytes from here.
    Near21,
    /// 21 bits of pages from here.
    Page21,
    /// The low 12 bits, in units of two to this power.
    Low12(u8),
    /// 16 bits of the address, from this bit on.
    Move(u8),
}

/// Where a symbol of an object file lies.
pub(crate) enum Place {
    /// Here.
    At(u64),
    /// In another module.
    Undefined,
    /// The linker allocates it.
    Common { size: u64, align: u64 },
    /// It is a number.
    Absolute(u64),
}

pub(crate) struct LinkSymbol {
    pub name: String,
    pub place: Place,
}

/// One relocation, told what it means.
pub(crate) struct LinkEntry {
    pub offset: u64,
    pub meaning: Meaning,
    pub symbol: u32,
    /// None where it stands at the place itself.
    pub addend: Option<i64>,
}

/// The relocations of the section at an address.
pub(crate) struct LinkTable {
    pub address: u64,
    pub entries: Vec<LinkEntry>,
}

struct Linker {
    word: u8,
    little: bool,
    symbols: Vec<LinkSymbol>,
    /// The address of each common symbol, by its index.
    common: HashMap<u32, u64>,
    /// The address of the GOT slot of each symbol.
    got: HashMap<u32, u64>,
    next_got: u64,
    slots: Vec<Slot>,
    limit: NameLimit,
    warnings: Vec<String>,
}

/// Makes slots of relocations; regions must be complete and sorted.
pub(crate) fn link(
    module: &mut Module<'_>,
    (word, little): (u8, bool),
    symbols: Vec<LinkSymbol>,
    tables: Vec<LinkTable>,
) {
    let bytes: usize = module.regions.iter().map(|region| region.bytes.len()).sum();
    let end = module.regions.iter().map(Region::end).max().unwrap_or(FIRST_ADDRESS);
    let mut linker = Linker {
        word,
        little,
        symbols,
        common: HashMap::new(),
        got: HashMap::new(),
        next_got: 0,
        slots: Vec::new(),
        limit: NameLimit::new(bytes),
        warnings: Vec::new(),
    };
    linker.next_got = linker.place_common(end.next_multiple_of(LEAST_ALIGN) + LEAST_ALIGN, module);
    let got = linker.next_got;
    for mut table in tables {
        let at = module.regions.binary_search_by_key(&table.address, |region| region.address.0);
        table.entries.sort_by_key(|entry| entry.offset);
        match at {
            Ok(index) => linker.section(module, index, table.entries),
            Err(_) => linker.warnings.push("relocations of a section that is not in memory".to_owned()),
        }
    }
    let size = linker.next_got - got;
    if size > 0 {
        push_zeros(module, ".got", got, size);
    }
    module.slots = linker.slots;
    module.slots.sort_by_key(|slot| slot.address);
    module.slots.dedup_by_key(|slot| slot.address);
    linker.warnings.dedup();
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

impl Linker {
    /// Common symbols, behind the sections; returns where the next thing goes.
    fn place_common(&mut self, start: u64, module: &mut Module<'_>) -> u64 {
        let mut next = start;
        for (index, symbol) in self.symbols.iter().enumerate() {
            let Place::Common { size, align } = symbol.place else { continue };
            let at = next.next_multiple_of(align.clamp(1, MOST_ALIGN).next_power_of_two());
            let Some(end) = at.checked_add(size).filter(|&end| end <= limits::MAX_ADDRESS) else {
                self.warnings.push("a common symbol is too large".to_owned());
                continue;
            };
            self.common.insert(index as u32, at);
            module.objects.push(crate::DataSymbol { name: symbol.name.clone(), address: Address(at), size });
            next = end;
        }
        if next > start {
            push_zeros(module, ".common", start, next - start);
        }
        next.next_multiple_of(LEAST_ALIGN) + LEAST_ALIGN
    }

    fn section(&mut self, module: &mut Module<'_>, index: usize, entries: Vec<LinkEntry>) {
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
            if let Some(symbol) = self.symbols.get(entry.symbol as usize)
                && !self.limit.text(&symbol.name)
            {
                self.warnings.push(NAMES_CUT.to_owned());
                break;
            }
            let after = ends.get(&entry.offset).copied();
            self.one(entry.meaning, &entry, place, code.then_some(after), &mut patched);
        }
        module.regions[index].bytes = patched;
    }

    /// `after`: outside code none; in code the bytes from the place to the end of its instruction, where
    /// those are known.
    fn one(
        &mut self,
        meaning: Meaning,
        entry: &LinkEntry,
        place: u64,
        after: Option<Option<u64>>,
        bytes: &mut Cow<'_, [u8]>,
    ) {
        let width = match meaning {
            Meaning::None => return,
            Meaning::Absolute(width) | Meaning::Base(width) | Meaning::Resolved(width) => width,
            Meaning::Relative(width) | Meaning::GotRelative(width) | Meaning::Other(width, _) => width,
            Meaning::FromEnd(_) | Meaning::Instruction(_) | Meaning::GotInstruction | Meaning::Copy => 4,
        };
        let addend = entry.addend.or_else(|| in_place(bytes, entry.offset, width, self.little));
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
            Meaning::FromEnd(distance) => {
                let addend = addend.wrapping_sub(i64::from(distance));
                self.relative(entry, place, width, addend, to_end, bytes);
            }
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
                self.slots.push(slot_to(
                    place,
                    width,
                    SlotTarget::Other(format!("{words} {name}{addend}").into()),
                ));
            }
            Meaning::None | Meaning::Base(_) | Meaning::Resolved(_) | Meaning::Copy => {}
        }
    }

    /// In code the operand's target counts from the end of the instruction; in data (a jump table, an
    /// exception table) a difference is just a number when both ends are here.
    fn relative(
        &mut self,
        entry: &LinkEntry,
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
                self.slots.push(slot_to(place, width, SlotTarget::Other(words.into())));
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

    fn target(&self, index: u32, addend: i64) -> SlotTarget {
        if let Some(address) = self.common.get(&index) {
            return SlotTarget::Address(address.wrapping_add_signed(addend));
        }
        let Some(symbol) = self.symbols.get(index as usize) else {
            return SlotTarget::Other("no symbol".into());
        };
        match symbol.place {
            Place::At(address) => SlotTarget::Address(address.wrapping_add_signed(addend)),
            Place::Undefined => {
                let import = ModuleImport { name: symbol.name.clone(), version: None, provider: None };
                SlotTarget::Import(Box::new(import), addend)
            }
            Place::Absolute(value) => {
                SlotTarget::Other(format!("{} {:#x}", symbol.name, value.wrapping_add_signed(addend)).into())
            }
            Place::Common { .. } => SlotTarget::Other(symbol.name.as_str().into()),
        }
    }

    fn name(&self, index: u32) -> String {
        let symbol = self.symbols.get(index as usize);
        symbol.map_or_else(|| "this module".to_owned(), |symbol| symbol.name.clone())
    }

    /// The GOT slot that holds the symbol's address; made at first use.
    fn got_slot(&mut self, symbol: u32) -> u64 {
        if let Some(&slot) = self.got.get(&symbol) {
            return slot;
        }
        let slot = self.next_got;
        self.next_got += u64::from(self.word);
        self.got.insert(symbol, slot);
        let target = self.target(symbol, 0);
        self.slots.push(slot_to(slot, self.word, target));
        slot
    }
}

fn slot_to(address: u64, width: u8, target: SlotTarget) -> Slot {
    Slot { address: Address(address), width, target }
}

/// How many bytes follow each place up to the end of its instruction.
fn instruction_ends(bits: u32, region: &Region<'_>, entries: &[LinkEntry]) -> HashMap<u64, u64> {
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
pub(crate) fn write(bytes: &mut Cow<'_, [u8]>, offset: u64, width: u8, value: u64) {
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
