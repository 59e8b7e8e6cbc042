//! Code divided into the units that run as one: functions with their split-off parts, and stubs.

mod seeds;
mod unite;

use serde::Serialize;

use crate::{Address, Image, SectionKind};

/// Code from `start` up to and excluding `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CodeRange {
    /// The first address.
    pub start: Address,
    /// The first address past it.
    pub end: Address,
}

impl CodeRange {
    /// Whether `address` lies within.
    pub fn contains(&self, address: u64) -> bool {
        (self.start.0..self.end.0).contains(&address)
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.end.0 - self.start.0
    }
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// A function.
    Function,
    /// A linkage stub that jumps through the slot.
    Stub {
        /// The slot in the GOT.
        slot: Address,
    },
    /// The common part of lazy linkage stubs, which calls the loader.
    StubHeader,
}

/// An address at which control can come into a unit, under all its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The address.
    pub address: Address,
    /// Its names; the best bound first, then by spelling.
    pub names: Vec<String>,
}

/// One unit of code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// The name of its main entry.
    pub name: String,
    /// Its main entry: the main range starts here.
    pub entry: Address,
    /// Every address at which control can come in from outside, the main one first. Breakpoints
    /// that are to notice an execution belong on all of these.
    pub entries: Vec<Entry>,
    /// Its code: the range of the main entry first, split-off parts after it by their name. The
    /// order does not depend on the layout.
    pub ranges: Vec<CodeRange>,
    /// What it is.
    pub kind: UnitKind,
}

impl Unit {
    /// The size of all its code, in bytes.
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(CodeRange::size).sum()
    }

    /// Whether one of its ranges holds `address`.
    pub fn contains(&self, address: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

/// The division of an image's code.
///
/// # How units are found
/// Function symbols give ranges (zero-sized ones reach to the next symbol, padding excluded), ranges
/// that overlap are one, and symbols at one address are names of one entry. Linkage stubs, `.init`
/// and `.fini` are units of their own. `name.cold` belongs to `name`, and a direct jump into the
/// interior of another range makes both one unit; a jump to another function's entry is a tail call
/// and does not. A file without a full symbol table has its functions from `.eh_frame` instead, named
/// `sub_` and their address. DWARF is not needed: split-off parts of every compiler in reach carry a symbol.
///
/// Every byte of an executable section that is in no unit is in a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeMap {
    units: Vec<Unit>,
    gaps: Vec<CodeRange>,
    #[serde(skip)]
    index: Vec<(CodeRange, usize)>,
}

impl CodeMap {
    /// Divides the code of `image`.
    pub fn build(image: &Image<'_>) -> Self {
        let mut units = unite::units(image, seeds::spans(image));
        units.extend(seeds::stubs(image));
        units.sort_by_key(|unit| unit.entry);
        let ranges = |(index, unit): (usize, &Unit)| {
            unit.ranges.iter().map(move |range| (*range, index)).collect::<Vec<_>>()
        };
        let mut index: Vec<(CodeRange, usize)> = units.iter().enumerate().flat_map(ranges).collect();
        index.sort_unstable();
        let gaps = gaps(image, &index);
        Self { units, gaps, index }
    }

    /// The units by entry.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The executable bytes that belong to no unit, by address.
    pub fn gaps(&self) -> &[CodeRange] {
        &self.gaps
    }

    /// The index of the unit that holds `address`.
    pub fn unit_at(&self, address: u64) -> Option<usize> {
        let after = self.index.partition_point(|(range, _)| range.start.0 <= address);
        let (range, unit) = self.index.get(after.checked_sub(1)?)?;
        range.contains(address).then_some(*unit)
    }
}

fn gaps(image: &Image<'_>, index: &[(CodeRange, usize)]) -> Vec<CodeRange> {
    let mut gaps = Vec::new();
    let mut push = |start: u64, end: u64| {
        if start < end {
            gaps.push(CodeRange { start: Address(start), end: Address(end) });
        }
    };
    let mut code: Vec<_> =
        image.sections().iter().filter(|s| s.kind == SectionKind::Code && s.size > 0).collect();
    code.sort_by_key(|section| section.address);
    for section in code {
        let mut at = section.address.0;
        let from = index.partition_point(|(range, _)| range.start.0 < at);
        for (range, _) in index[from..].iter().take_while(|(range, _)| range.start.0 < section.end()) {
            push(at, range.start.0);
            at = at.max(range.end.0);
        }
        push(at, section.end());
    }
    gaps
}
