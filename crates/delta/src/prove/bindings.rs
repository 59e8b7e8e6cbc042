//! How the loader sees the dynamic symbols, field by field as they stand in the file.
//!
//! The reader's symbols are for people: they leave out what hardly ever differs. The loader looks at
//! all of it: the type and binding as they are (a unique symbol is found otherwise than a global one, a
//! type it does not know is never found), a value of a name that is not defined (the address of its
//! linkage stub, which others then bind to), absolute values, hidden versions, and in the version records
//! the hashes by which it compares before it compares texts (glibc, `elf/dl-lookup.c`, `elf/dl-version.c`).

use std::collections::BTreeSet;

use assay_binary::Image;

const SYMBOL_BYTES: usize = 24;
const NEED_BYTES: usize = 16;
const DEFINITION_BYTES: usize = 20;
const DEFINITION_ENTRY_BYTES: usize = 8;
/// More records than this are no version table.
const MAX_RECORDS: usize = 1 << 16;

/// Where a symbol is, as far as the loader tells sections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Not in this file.
    Undefined,
    /// Not in this file, but with an address: that of its linkage stub.
    Stub(u64),
    /// A number that is not moved.
    Absolute(u64),
    /// In one of the sections.
    Section,
    /// A reserved number that means nothing in a linked file.
    Reserved(u16),
}

/// What the loader compares of one symbol, its value apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Binding<'i> {
    name: &'i str,
    version: Option<&'i str>,
    library: Option<&'i str>,
    information: u8,
    other: u8,
    place: Place,
    hidden: bool,
}

/// What is bound how, and the version records; equal in two files where names bind alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bindings<'i> {
    symbols: BTreeSet<Binding<'i>>,
    needed: Option<Vec<Record>>,
    defined: Option<Vec<Record>>,
}

/// One record of a version table: its text, its hash and its flags.
type Record = (Vec<u8>, u32, u16);

impl<'i> Bindings<'i> {
    pub fn of(image: &'i Image<'_>) -> Self {
        let raw = bytes(image, ".dynsym");
        let versions = bytes(image, ".gnu.version");
        let symbols = image.dynamic_symbols().iter().zip(raw.chunks_exact(SYMBOL_BYTES)).enumerate();
        let symbols = symbols.map(|(number, (symbol, raw))| Binding {
            name: &symbol.name,
            version: symbol.version.as_deref(),
            library: symbol.library.as_deref(),
            information: raw[4],
            other: raw[5],
            place: place(raw),
            hidden: half(versions, number * 2).is_some_and(|version| version & 0x8000 != 0),
        });
        Self { symbols: symbols.collect(), needed: needed(image), defined: defined(image) }
    }

    /// Whether nothing is at a place that means nothing, and no name that is not defined has an address.
    pub fn is_plain(&self) -> bool {
        let odd = |place: Place| matches!(place, Place::Stub(_) | Place::Reserved(_));
        self.needed.is_some()
            && self.defined.is_some()
            && !self.symbols.iter().any(|symbol| odd(symbol.place))
    }
}

fn bytes<'i>(image: &'i Image<'_>, name: &str) -> &'i [u8] {
    image.section(name).map_or(&[][..], |section| image.section_bytes(section))
}

fn place(raw: &[u8]) -> Place {
    const ABSOLUTE: u16 = 0xfff1;
    const RESERVED: u16 = 0xff00;
    let value = raw[8..16].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    match half(raw, 6).unwrap_or_default() {
        0 if value == 0 => Place::Undefined,
        0 => Place::Stub(value),
        ABSOLUTE => Place::Absolute(value),
        section if section >= RESERVED => Place::Reserved(section),
        _ => Place::Section,
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn text(image: &Image<'_>, offset: u32) -> Option<Vec<u8>> {
    let rest = bytes(image, ".dynstr").get(offset as usize..)?;
    Some(rest[..rest.iter().position(|&byte| byte == 0)?].to_vec())
}

/// The libraries and versions that are needed, in order; none where a record leads out of the table.
fn needed(image: &Image<'_>) -> Option<Vec<Record>> {
    let table = bytes(image, ".gnu.version_r");
    let mut records = Vec::new();
    let mut at = 0;
    while at < table.len() {
        let (count, file) = (half(table, at + 2)?, word(table, at + 4)?);
        records.push((text(image, file)?, u32::from(count), half(table, at)?));
        let mut entry = at.checked_add(word(table, at + 8)? as usize)?;
        for _ in 0..count {
            records.push((
                text(image, word(table, entry + 8)?)?,
                word(table, entry)?,
                half(table, entry + 4)?,
            ));
            entry = next(table, entry, word(table, entry + 12)?, NEED_BYTES)?;
        }
        match word(table, at + 12)? {
            0 => break,
            step => at = next(table, at, step, NEED_BYTES)?,
        }
        (records.len() < MAX_RECORDS).then_some(())?;
    }
    Some(records)
}

/// The versions that are defined, in order, with what they are built on.
fn defined(image: &Image<'_>) -> Option<Vec<Record>> {
    let table = bytes(image, ".gnu.version_d");
    let mut records = Vec::new();
    let mut at = 0;
    while at < table.len() {
        let (flags, count, hash) = (half(table, at + 2)?, half(table, at + 6)?, word(table, at + 8)?);
        let mut entry = at.checked_add(word(table, at + 12)? as usize)?;
        for _ in 0..count {
            records.push((text(image, word(table, entry)?)?, hash, flags));
            entry = next(table, entry, word(table, entry + 4)?, DEFINITION_ENTRY_BYTES)?;
        }
        match word(table, at + 16)? {
            0 => break,
            step => at = next(table, at, step, DEFINITION_BYTES)?,
        }
        (records.len() < MAX_RECORDS).then_some(())?;
    }
    Some(records)
}

/// The place of the next record; a step that does not lead on, or out of the table, is none.
fn next(table: &[u8], at: usize, step: u32, least: usize) -> Option<usize> {
    let step = step as usize;
    if step == 0 {
        return Some(at);
    }
    let to = at.checked_add(step)?;
    (step >= least && to < table.len()).then_some(to)
}
