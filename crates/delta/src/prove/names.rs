//! The loader's own tables: are they whole, so that comparing the symbols compares what is found?
//!
//! Exports are compared symbol by symbol (`loader.rs`), but the loader finds a symbol through a hash
//! table. A table in which an export cannot be found (a damaged Bloom filter is enough) would bind
//! elsewhere. Every export must be found as glibc's `do_lookup_x` finds it.

use assay_binary::{DynamicSymbol, Image, RelocationKind, SymbolBinding};

const HASH: u64 = 4;
const LAZY_TABLE: u64 = 23;
const RELA_ENTRY: u64 = 9;
const SYMBOL_ENTRY: u64 = 11;
const RELR_ENTRY: u64 = 37;
const GNU_HASH: u64 = 0x6fff_fef5;
const VERSIONS_DEFINED: u64 = 0x6fff_fffc;
const VERSIONS_DEFINED_COUNT: u64 = 0x6fff_fffd;
const VERSIONS_NEEDED: u64 = 0x6fff_fffe;
const VERSIONS_NEEDED_COUNT: u64 = 0x6fff_ffff;
const RELA_BYTES: u64 = 24;
const SYMBOL_BYTES: u64 = 24;
const RELR_BYTES: u64 = 8;

/// What is wrong with the tables, if anything is.
pub(super) fn problem(image: &Image<'_>) -> Option<String> {
    let entries = entries(image);
    let value = |tag: u64| entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1);
    let sizes = [(RELA_ENTRY, RELA_BYTES), (SYMBOL_ENTRY, SYMBOL_BYTES), (RELR_ENTRY, RELR_BYTES)];
    if sizes.iter().any(|&(tag, size)| value(tag).is_some_and(|value| value != size)) {
        return Some("an entry size of the dynamic table is another".to_owned());
    }
    let places = [
        (HASH, ".hash"),
        (GNU_HASH, ".gnu.hash"),
        (VERSIONS_DEFINED, ".gnu.version_d"),
        (VERSIONS_NEEDED, ".gnu.version_r"),
    ];
    for (tag, name) in places {
        if value(tag) != image.section(name).map(|section| section.address.0) {
            return Some(format!("the dynamic table and the section headers disagree on {name}"));
        }
    }
    if let Some(problem) = relocations(image, &value) {
        return Some(problem.to_owned());
    }
    if value(GNU_HASH).is_some() && !is_whole(image) {
        return Some("the hash table is damaged".to_owned());
    }
    let symbols = image.dynamic_symbols().iter().enumerate();
    let mut exports = symbols.filter(|(_, symbol)| {
        symbol.defined && !symbol.name.is_empty() && symbol.binding != SymbolBinding::Local
    });
    let lost = if value(GNU_HASH).is_some() {
        exports.find(|(index, symbol)| gnu(image, *index, symbol).is_none())
    } else if value(HASH).is_some() {
        exports.find(|(index, symbol)| system_v(image, *index, symbol).is_none())
    } else {
        exports.next()
    };
    lost.map(|(_, symbol)| format!("the hash table does not lead to `{}`", symbol.name))
}

/// What is wrong with the relocations. Of those that are bound lazily the loader takes three kinds only
/// (glibc, `elf_machine_lazy_rel`).
fn relocations(image: &Image<'_>, value: &dyn Fn(u64) -> Option<u64>) -> Option<&'static str> {
    const LAZY: [u32; 3] = [7, 36, 37];
    let table = |address: u64| {
        let sections = image.sections().iter().filter(|section| section.address.0 == address);
        sections.filter(|section| section.size > 0).map(|section| image.section_bytes(section)).next()
    };
    let kinds = |bytes: &[u8]| -> Vec<u32> {
        let entries = bytes.chunks_exact(RELA_BYTES as usize);
        entries.map(|entry| u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]])).collect()
    };
    if let Some(lazy) = value(LAZY_TABLE)
        && !table(lazy).is_some_and(|bytes| kinds(bytes).iter().all(|kind| LAZY.contains(kind)))
    {
        return Some("a stub's slot is relocated otherwise");
    }
    let known = image.relocations().iter().all(|r| !matches!(r.kind, RelocationKind::Other(_)));
    (!known).then_some("a relocation is of a kind that the loader does not know")
}

/// The relocations that may stop the loader or write more than a slot, with what they bind: copies of
/// other modules' objects, each of which must be the file's own symbol of that name, and thread-local ones.
pub(super) fn special_relocations<'i>(image: &'i Image<'_>) -> Option<Vec<(u8, &'i str)>> {
    let mut found = Vec::new();
    for relocation in image.relocations() {
        let symbol = image.dynamic_symbols().get(relocation.symbol as usize)?;
        let which = match relocation.kind {
            RelocationKind::Copy if symbol.defined && symbol.address == relocation.address => 0,
            RelocationKind::Copy => return None,
            RelocationKind::DtpMod64 => 1,
            RelocationKind::DtpOff64 => 2,
            RelocationKind::TpOff64 => 3,
            RelocationKind::TlsDesc => 4,
            _ => continue,
        };
        found.push((which, symbol.name.as_str()));
    }
    found.sort_unstable();
    Some(found)
}

/// How many version records there are to be: the loader reads as many.
pub(super) fn version_counts(image: &Image<'_>) -> Vec<(u64, u64)> {
    let mut counts = entries(image);
    counts.retain(|(tag, _)| matches!(*tag, VERSIONS_DEFINED_COUNT | VERSIONS_NEEDED_COUNT));
    counts
}

fn entries(image: &Image<'_>) -> Vec<(u64, u64)> {
    let bytes = image.section(".dynamic").map_or(&[][..], |section| image.section_bytes(section));
    let word =
        |entry: &[u8], at: usize| entry[at..at + 8].iter().rev().fold(0, |v, &b| v << 8 | u64::from(b));
    let entries = bytes.chunks_exact(16).map(|entry| (word(entry, 0), word(entry, 8)));
    entries.take_while(|entry| entry.0 != 0).collect()
}

/// Little-endian 32-bit words of a table.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn at(&self, index: u64) -> Option<u32> {
        let from = usize::try_from(index.checked_mul(4)?).ok()?;
        Some(u32::from_le_bytes(self.0.get(from..from.checked_add(4)?)?.try_into().ok()?))
    }
}

/// Whether every lookup stays within the table, whatever it looks for.
fn is_whole(image: &Image<'_>) -> bool {
    let Some(section) = image.section(".gnu.hash") else { return false };
    let words = Words(image.section_bytes(section));
    let (Some(buckets), Some(first), Some(filters), Some(shift)) =
        (words.at(0), words.at(1), words.at(2), words.at(3))
    else {
        return false;
    };
    let symbols = image.dynamic_symbols().len() as u64;
    let (first, table) = (u64::from(first), 4 + 2 * u64::from(filters));
    let chains = table + u64::from(buckets);
    let is_bucket = |at: u64| {
        let start = words.at(table + at).map(u64::from);
        start.is_some_and(|start| start == 0 || (first..symbols).contains(&start))
    };
    let ends = symbols <= first || words.at(chains + symbols - 1 - first).is_some_and(|chain| chain & 1 == 1);
    let fits = chains + symbols.saturating_sub(first) <= section.size.div_ceil(4);
    buckets > 0
        && filters.is_power_of_two()
        && shift < 64
        && fits
        && ends
        && (0..u64::from(buckets)).all(is_bucket)
}

/// Finds the symbol through `DT_GNU_HASH` (`dl_new_hash` and `do_lookup_x` of glibc).
fn gnu(image: &Image<'_>, wanted: usize, symbol: &DynamicSymbol) -> Option<()> {
    let words = Words(image.section_bytes(image.section(".gnu.hash")?));
    let hash =
        symbol.name.bytes().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    let [buckets, first, filters, shift] = [words.at(0)?, words.at(1)?, words.at(2)?, words.at(3)?];
    if buckets == 0 || !filters.is_power_of_two() || shift >= 32 {
        return None;
    }
    let filter = 4 + 2 * u64::from((hash / 64) & (filters - 1));
    let filter = u64::from(words.at(filter)?) | u64::from(words.at(filter + 1)?) << 32;
    if filter >> (hash % 64) & filter >> ((hash >> shift) % 64) & 1 == 0 {
        return None;
    }
    let table = 4 + 2 * u64::from(filters);
    let chains = table + u64::from(buckets);
    let start = words.at(table + u64::from(hash % buckets))?;
    let symbols = image.dynamic_symbols().len() as u64;
    for index in u64::from(start)..symbols {
        let chain = words.at(chains + index.checked_sub(u64::from(first))?)?;
        if (chain ^ hash) >> 1 == 0 && index == wanted as u64 {
            return Some(());
        }
        if chain & 1 == 1 {
            return None;
        }
    }
    None
}

/// Finds the symbol through `DT_HASH` (System V ABI, chapter 5).
fn system_v(image: &Image<'_>, wanted: usize, symbol: &DynamicSymbol) -> Option<()> {
    let words = Words(image.section_bytes(image.section(".hash")?));
    let hash = symbol.name.bytes().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    });
    let (buckets, symbols) = (words.at(0)?, words.at(1)?);
    let mut index = words.at(2 + u64::from(hash.checked_rem(buckets)?))?;
    for _ in 0..symbols {
        if index as usize == wanted {
            return Some(());
        }
        index = words.at(2 + u64::from(buckets) + u64::from(index)).filter(|index| *index != 0)?;
    }
    None
}
