//! Memory divided into pieces that no object straddles.
//!
//! An address that code forms says where an object is reached, not how far the object extends. The
//! pieces bound that extent by facts of the file:
//! - a sized symbol is one object (overlapping ones are one piece);
//! - a jump table is emitted by the compiler for one function and is no part of another object;
//! - a panic location record of rustc (see [`is_location`]) is an object of its own;
//! - a section whose name is a C identifier may be walked between `__start_` and `__stop_`, so it is
//!   one piece whatever symbols it holds;
//! - everything between those, up to the section's ends, is an anonymous run. Read-only runs are
//!   divided where other constants must begin (`anonymous.rs`); others are one piece, reached as a
//!   whole or not at all.

use std::ops::Range;

use assay_binary::{Image, RelocationKind, Section, SectionKind, SymbolKind};

use crate::anonymous::Anchors;
use crate::tables::Table;

/// What delimits a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    Named,
    Table,
    Location,
    Registry,
    Anonymous,
    /// Zeros between named objects of a writable section, where every object is named.
    Padding,
}

/// One piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub start: u64,
    pub end: u64,
    pub kind: PieceKind,
}

/// The pieces of an image by address.
pub(crate) struct Pieces {
    all: Vec<Piece>,
    /// The starts of unnamed constants that one unit alone refers to, by one address.
    of_one_user: Vec<u64>,
    merges_tails: bool,
}

/// Sections that only the loader or the unwinder reads; they are compared by what they mean.
fn is_loaders_own(name: &str) -> bool {
    let prefixes =
        [".note", ".rela", ".relr", ".gnu.version", ".got", ".eh_frame", ".gcc_except_table", ".plt"];
    let names = [".interp", ".gnu.hash", ".hash", ".dynsym", ".dynstr", ".dynamic"];
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The section of constants that hold addresses.
const RELOCATED_READ_ONLY: &str = ".data.rel.ro";

fn is_c_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Pieces {
    /// `points` are the addresses, sorted, that code forms or relocations point to.
    pub fn build(image: &Image<'_>, tables: &[Table], points: &[u64], anchors: &Anchors) -> Self {
        let data =
            |s: &&Section| matches!(s.kind, SectionKind::Data | SectionKind::Zeroed) && s.size > 0 && !s.tls;
        let mut sections: Vec<&Section> = image.sections().iter().filter(data).collect();
        sections.retain(|section| !is_loaders_own(&section.name));
        sections.sort_by_key(|section| section.address);
        let cuts = cuts(image, tables, points);
        let mut all = Vec::new();
        for section in sections {
            divide(image, section, &cuts, anchors, &mut all);
        }
        let unnamed = all.iter().filter(|piece| piece.kind == PieceKind::Anonymous);
        let of_one_user =
            unnamed.filter(|piece| anchors.has_one_user(piece)).map(|piece| piece.start).collect();
        Self { all, of_one_user, merges_tails: anchors.merges_tails() }
    }

    /// Whether a piece is an unnamed constant that one unit alone refers to, by one address. Compilers
    /// emit no constant that nobody uses, so that address means it.
    pub fn has_one_user(&self, piece: &Piece) -> bool {
        self.of_one_user.binary_search(&piece.start).is_ok()
    }

    /// Whether a text may be the tail of another.
    pub fn merges_tails(&self) -> bool {
        self.merges_tails
    }

    /// The piece that holds `address`.
    pub fn at(&self, address: u64) -> Option<&Piece> {
        let after = self.all.partition_point(|piece| piece.start <= address);
        self.all.get(after.checked_sub(1)?).filter(|piece| address < piece.end)
    }

    /// Whether a piece is as long, or is an unnamed constant that zeros follow to that length.
    pub fn may_extend(&self, piece: &Piece, length: u64) -> bool {
        let end = piece.start.saturating_add(length);
        let follows =
            || self.at(piece.end).is_some_and(|next| next.kind == PieceKind::Padding && end <= next.end);
        end == piece.end || piece.kind == PieceKind::Anonymous && follows()
    }

    /// The pieces that start after `address` and no further than `distance` from it.
    pub fn starting_after(&self, address: u64, distance: u64) -> &[Piece] {
        let from = self.all.partition_point(|piece| piece.start <= address);
        let to = self.all.partition_point(|piece| piece.start <= address.saturating_add(distance));
        self.all.get(from..to).unwrap_or_default()
    }
}

fn cuts(image: &Image<'_>, tables: &[Table], points: &[u64]) -> Vec<Piece> {
    let named = image
        .symbols()
        .iter()
        .filter(|symbol| symbol.size > 0 && matches!(symbol.kind, SymbolKind::Object | SymbolKind::Untyped));
    let mut cuts: Vec<Piece> = named
        .map(|symbol| Piece {
            start: symbol.address.0,
            end: symbol.address.0.saturating_add(symbol.size),
            kind: PieceKind::Named,
        })
        .collect();
    cuts.extend(tables.iter().map(|t| Piece { start: t.base, end: t.end(), kind: PieceKind::Table }));
    let locations = points.iter().filter(|&&point| is_location(image, point));
    cuts.extend(locations.map(|&start| Piece {
        start,
        end: start + LOCATION_BYTES,
        kind: PieceKind::Location,
    }));
    cuts.sort_by_key(|piece| (piece.start, std::cmp::Reverse(piece.end)));
    cuts
}

fn divide(image: &Image<'_>, section: &Section, cuts: &[Piece], anchors: &Anchors, out: &mut Vec<Piece>) {
    let (mut at, end) = (section.address.0, section.end());
    if is_c_identifier(&section.name) {
        out.push(Piece { start: at, end, kind: PieceKind::Registry });
        return;
    }
    let from = cuts.partition_point(|cut| cut.start < at);
    for cut in cuts[from..].iter().take_while(|cut| cut.start < end) {
        let last = out.last_mut().filter(|last| last.end > cut.start && last.start >= section.address.0);
        match last {
            Some(last) => {
                if cut.kind == PieceKind::Named || last.kind == PieceKind::Named {
                    last.kind = PieceKind::Named;
                }
                last.end = last.end.max(cut.end.min(end));
            }
            None => {
                push_rest(image, section, at..cut.start, anchors, out);
                out.push(Piece { start: cut.start, end: cut.end.min(end), kind: cut.kind });
            }
        }
        at = out.last().map_or(at, |last| last.end);
    }
    push_rest(image, section, at..end, anchors, out);
}

fn push_rest(
    image: &Image<'_>,
    section: &Section,
    Range { start, end }: Range<u64>,
    anchors: &Anchors,
    out: &mut Vec<Piece>,
) {
    if start >= end {
        return;
    }
    let read_only = !section.writable || section.name == RELOCATED_READ_ONLY;
    if read_only && section.kind == SectionKind::Data {
        return anchors.divide(image, start, end, out);
    }
    let every_object_is_named = matches!(section.name.as_str(), ".data" | ".bss");
    let zeros = || match image.bytes(start, (end - start) as usize) {
        Some(bytes) => bytes.iter().all(|&byte| byte == 0),
        None => image.is_zeroed(start, end - start),
    };
    let padding = every_object_is_named && image.relocations_in(start, end).is_empty() && zeros();
    let kind = if padding { PieceKind::Padding } else { PieceKind::Anonymous };
    out.push(Piece { start, end, kind });
}

/// The size of `core::panic::Location`: file name (pointer, length), line, column.
pub(crate) const LOCATION_BYTES: u64 = 24;
const MAX_FILE_NAME: u64 = 4096;
const MAX_LINE: u32 = 10_000_000;
const MAX_COLUMN: u32 = 100_000;

/// Whether a panic location record of rustc starts at `address`: in read-only data after relocation,
/// a relative pointer to `length` bytes of text that end in `.rs`, then a plausible line and column.
///
/// rustc emits each as an unnamed constant of its own, and code or data points to its start, which
/// is what the callers ask it for. That no other constant contains one by value is an
/// assumption of the proof (`panic_location_records_are_separate_objects`).
fn is_location(image: &Image<'_>, address: u64) -> bool {
    let relro = image.section_at(address).is_some_and(|section| section.name == RELOCATED_READ_ONLY);
    let [relocation] = image.relocations_in(address, address.saturating_add(LOCATION_BYTES)) else {
        return false;
    };
    if !relro
        || !address.is_multiple_of(8)
        || relocation.address.0 != address
        || relocation.kind != RelocationKind::Relative
    {
        return false;
    }
    let Some(record) = image.bytes(address, LOCATION_BYTES as usize) else { return false };
    let number = |at: usize, size: usize| {
        record[at..at + size].iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let (length, line, column) = (number(8, 8), number(16, 4) as u32, number(20, 4) as u32);
    if !(4..=MAX_FILE_NAME).contains(&length)
        || !(1..=MAX_LINE).contains(&line)
        || !(1..=MAX_COLUMN).contains(&column)
    {
        return false;
    }
    let text = image.bytes(relocation.addend as u64, length as usize);
    text.is_some_and(|text| text.ends_with(b".rs") && text.iter().all(|byte| (0x20..0x7f).contains(byte)))
}
