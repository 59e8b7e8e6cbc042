//! Anonymous constants: where a run of unnamed read-only memory may be divided.
//!
//! String literals, constant pools and rustc's constants have no symbols once they are linked, so a
//! run of them is one piece unless something says where one ends. Two facts say so.
//!
//! - **Users.** An object is entered by everyone who uses it. At an address that only other functions
//!   and other objects refer to than those that refer to anything before it in the run, another
//!   constant begins: for one that straddles the address, somebody would have to use its middle and
//!   never its beginning, while everybody else uses its beginning and never its middle. What one
//!   function uses in one stretch stays one piece, and so does everything that a chain of common users
//!   joins. A length beside a stored pointer (Rust's `&str` and `&[u8]`) forbids dividing what it
//!   spans.
//! - **Texts.** Text that ends in a zero, up to an address that something refers to and at which
//!   another text begins, is a C string: compilers put such literals into mergeable sections, where
//!   each is an object of its own. Code may form the end of a text and make its beginning of that:
//!   then it refers to both.
//!
//! Both are named by the proof (`anonymous_constants_end_where_others_begin`) and tested by replaying
//! mutants. Zeros that only align what follows belong to no object.

use std::collections::HashSet;

use assay_binary::Image;

use crate::limits::MAX_RELATIVE_ENTRIES;
use crate::pieces::{Piece, PieceKind};
use crate::tables::word;

/// An address that `user` refers to: the number of a unit, or the address of a slot's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Anchor {
    pub address: u64,
    pub user: u64,
}

/// An address that `user` makes of one that it forms, by adding a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub formed: u64,
    pub made: u64,
    pub user: u64,
}

impl Made {
    /// Where a text begins whose end, the zero after it, was formed.
    fn beginning(&self, image: &Image<'_>) -> Option<Anchor> {
        let length = self.formed.checked_sub(self.made).filter(|length| (1..=MAX_SPAN).contains(length))?;
        let text = image.bytes(self.made, length as usize + 1)?;
        let (zero, text) = text.split_last()?;
        (*zero == 0 && text.iter().all(is_text)).then_some(Anchor { address: self.made, user: self.user })
    }
}

/// Units are numbered from here, so that no unit is a slot's address.
pub(crate) const UNITS: u64 = 1 << 60;
/// The longest span that a stored length is believed to describe.
const MAX_SPAN: u64 = 1 << 16;
const SLOT: u64 = 8;
/// The largest alignment that zeros before an address are explained by.
const MAX_ALIGNMENT: u64 = 64;

/// The shortest text that is one among several: short ones may be numbers.
const SHORTEST_TEXT: usize = 3;

/// What is known of the whole image's constants.
pub(crate) struct Anchors {
    all: Vec<Anchor>,
    /// Where numbers end that code reads: no text goes on there.
    ends: Vec<u64>,
    /// Of texts whose end alone is formed, the beginnings, sorted.
    beginnings: Vec<Anchor>,
    /// Spans that a stored pointer and the length beside it describe, by start.
    spans: Vec<(u64, u64)>,
    /// Whether an address in the middle of a text may be a text of its own, the tail of another. Rust's
    /// texts have no zero and are never merged so.
    merges_tails: bool,
}

impl Anchors {
    /// `code` are those of units, and `made` what units make of them; those of slots are added here.
    /// `ends` are where the numbers end that code reads.
    pub fn new(image: &Image<'_>, mut code: Vec<Anchor>, made: &[Made], mut ends: Vec<u64>) -> Self {
        let mut spans = Vec::new();
        for relocation in image.relocations() {
            let (slot, target) = (relocation.address.0, relocation.addend as u64);
            let holder =
                image.symbol_at(relocation.address).map_or(slot, |(_, offset)| slot.wrapping_sub(offset));
            code.push(Anchor { address: target, user: holder });
            let next = slot.wrapping_add(SLOT);
            let beside = image.bytes(next, SLOT as usize).filter(|_| image.relocation_at(next).is_none());
            let length =
                beside.map_or(0, |bytes| bytes.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b)));
            if (1..=MAX_SPAN).contains(&length) {
                spans.push((target, target.saturating_add(length)));
            }
        }
        code.extend(relative_tables(image));
        code.extend(made.iter().filter_map(|made| made.beginning(image)));
        code.sort_unstable();
        code.dedup();
        spans.sort_unstable();
        ends.sort_unstable();
        let mut beginnings: Vec<Anchor> = made.iter().filter_map(|made| made.beginning(image)).collect();
        beginnings.sort_unstable();
        let merges_tails = image.toolchain().is_none_or(|toolchain| !toolchain.name.contains("rustc"));
        Self { all: code, ends, beginnings, spans, merges_tails }
    }

    /// Whether a text may be the tail of another.
    pub fn merges_tails(&self) -> bool {
        self.merges_tails
    }

    /// Whether one unit alone refers to a piece, and by one address.
    pub fn has_one_user(&self, piece: &Piece) -> bool {
        let from = self.all.partition_point(|anchor| anchor.address < piece.start);
        let to = self.all.partition_point(|anchor| anchor.address < piece.end);
        let formed = |anchor: &&Anchor| self.beginnings.binary_search(anchor).is_err();
        let mut anchors = self.all[from..to].iter().filter(formed);
        anchors.next().is_some_and(|anchor| anchor.user >= UNITS) && anchors.next().is_none()
    }

    /// Divides `start..end` of an anonymous run.
    pub fn divide(&self, image: &Image<'_>, start: u64, end: u64, out: &mut Vec<Piece>) {
        let from = self.all.partition_point(|anchor| anchor.address < start);
        let to = self.all.partition_point(|anchor| anchor.address < end);
        let mut users: HashSet<u64> = HashSet::new();
        let first = self.all[from..to].first().map_or(end, |anchor| anchor.address);
        let start = if is_zero(image, start, first) {
            out.extend((start < first).then_some(Piece { start, end: first, kind: PieceKind::Padding }));
            first
        } else {
            start
        };
        let (mut begin, mut last) = (start, start);
        for group in self.all[from..to].chunk_by(|a, b| a.address == b.address) {
            let at = group[0].address;
            let other = group.iter().all(|anchor| !users.contains(&anchor.user))
                && !self.is_spanned(begin, at)
                && !(self.merges_tails && is_tail(image, at) && self.ends.binary_search(&at).is_err());
            if at > begin
                && (other && !users.is_empty() || ends_in_text(image, last, at, end))
                && !is_inside_slot(image, at)
            {
                push(image, begin, last, at, out);
                begin = at;
                users.clear();
            }
            users.extend(group.iter().map(|anchor| anchor.user));
            last = at;
        }
        push(image, begin, last, end, out);
    }

    /// Whether a span that starts at or after `from` goes beyond `at`.
    fn is_spanned(&self, from: u64, at: u64) -> bool {
        let first = self.spans.partition_point(|span| span.0 < from);
        self.spans[first..].iter().take_while(|span| span.0 < at).any(|span| span.1 > at)
    }
}

/// What LLVM's relative lookup tables lead to.
fn relative_tables(image: &Image<'_>) -> Vec<Anchor> {
    let named =
        image.symbols().iter().filter(|symbol| symbol.name.starts_with("reltable.") && symbol.size > 0);
    let mut anchors = Vec::new();
    for symbol in named {
        let base = symbol.address.0;
        let words =
            (0..symbol.size / 4).take(MAX_RELATIVE_ENTRIES).filter_map(|at| word(image, base + 4 * at));
        anchors
            .extend(words.map(|distance| Anchor { address: base.wrapping_add_signed(distance), user: base }));
    }
    anchors
}

/// Zeros that no slot is among.
fn is_zero(image: &Image<'_>, from: u64, to: u64) -> bool {
    let zeros =
        image.bytes(from, (to - from) as usize).is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0));
    zeros && image.relocations_in(from, to).is_empty()
}

fn is_inside_slot(image: &Image<'_>, at: u64) -> bool {
    let slots = image.relocations_in(at.saturating_sub(SLOT - 1), at);
    !slots.is_empty()
}

/// Whether `at` is in the middle of a text: linkers let a text be the tail of another.
pub(crate) fn is_tail(image: &Image<'_>, at: u64) -> bool {
    let before = at.checked_sub(1).and_then(|before| image.byte(before));
    before.is_some_and(|byte| is_text(&byte))
}

/// The length of the text at `address` and its zero; at least the zero.
pub(crate) fn text_at(image: &Image<'_>, address: u64, end: u64) -> Option<u64> {
    let bytes = image.bytes(address, usize::try_from(end.checked_sub(address)?).ok()?)?;
    let length = bytes.iter().position(|&byte| byte == 0)?;
    bytes[..length].iter().all(is_text).then_some(length as u64 + 1)
}

/// Whether `from..at` is one text with its zero, and another text begins at `at`.
fn ends_in_text(image: &Image<'_>, from: u64, at: u64, end: u64) -> bool {
    let bytes = |from: u64, to: u64| image.bytes(from, (to - from) as usize).unwrap_or_default();
    let begins = bytes(at, end.min(at + 1)).iter().all(is_text);
    begins && (text_length(bytes(from, at)).is_some() || are_texts(bytes(from, at)))
}

/// Several texts of at least [`SHORTEST_TEXT`], each with its zero.
fn are_texts(bytes: &[u8]) -> bool {
    let mut texts = bytes.split(|&byte| byte == 0);
    let ends = bytes.last() == Some(&0);
    ends && texts.all(|text| text.is_empty() || text.len() >= SHORTEST_TEXT && text.iter().all(is_text))
}

/// The length of a text and its zero, where nothing but zeros follow.
fn text_length(bytes: &[u8]) -> Option<u64> {
    let length = bytes.iter().position(|&byte| byte == 0)?;
    let is_one =
        length > 0 && bytes[..length].iter().all(is_text) && bytes[length..].iter().all(|&byte| byte == 0);
    is_one.then_some(length as u64 + 1)
}

fn is_text(byte: &u8) -> bool {
    matches!(byte, 0x09..=0x0d | 0x1b | 0x20..=0x7e | 0x80..)
}

/// The piece `begin..end`, whose last constant begins at `last`, without the zeros that align what follows.
fn push(image: &Image<'_>, begin: u64, last: u64, end: u64, out: &mut Vec<Piece>) {
    if begin >= end {
        return;
    }
    let bytes = image.bytes(last, (end - last) as usize).unwrap_or_default();
    let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count() as u64;
    // The loader fills a slot, whatever the file holds there.
    let slots_end =
        image.relocations_in(begin, end).last().map_or(begin, |slot| slot.address.0.saturating_add(SLOT));
    let zeros = zeros.min(end.saturating_sub(slots_end));
    let alignment = (1u64 << end.trailing_zeros().min(63)).min(MAX_ALIGNMENT);
    let padding = match text_length(bytes) {
        Some(length) if slots_end <= last => bytes.len() as u64 - length,
        _ if zeros < alignment && zeros < bytes.len() as u64 => zeros,
        _ => 0,
    };
    out.push(Piece { start: begin, end: end - padding, kind: PieceKind::Anonymous });
    if padding > 0 {
        out.push(Piece { start: end - padding, end, kind: PieceKind::Padding });
    }
}
