//! Uniting a function with its split-off parts.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, FlowControl, OpKind};

use super::seeds::Span;
use super::{Entry, Unit, UnitKind};
use crate::Image;

/// The name of the function that a split-off part belongs to (GCC's `.cold`, LLVM's `.cold.1`).
fn parent_name(name: &str) -> Option<&str> {
    let (parent, rest) = name.rsplit_once(".cold")?;
    let numbered = rest.strip_prefix('.').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    (!parent.is_empty() && (rest.is_empty() || numbered)).then_some(parent)
}

fn first_name(span: &Span) -> &str {
    span.entries.first().and_then(|entry| entry.names.first()).map_or("", String::as_str)
}

pub(super) fn units(image: &Image<'_>, spans: Vec<Span>) -> Vec<Unit> {
    let mut sets = Sets { parent: (0..spans.len()).collect() };
    let mut found = vec![false; spans.len()];
    for (index, span) in spans.iter().enumerate() {
        for target in jumps_out(image, span) {
            let Some(other) = span_at(&spans, target).filter(|&other| other != index) else { continue };
            let at_entry =
                spans[other].entries.binary_search_by_key(&target, |entry| entry.address.0).is_ok();
            let parent = parent_name(first_name(&spans[other]));
            let own_part = parent.is_some_and(|parent| has_name(span, parent));
            if !at_entry || own_part {
                sets.unite(index, other);
                found[other] |= own_part;
            }
        }
    }
    unite_by_name(&spans, &found, &mut sets);
    gather(spans, &mut sets)
}

/// Most entries of one range that are looked through for a parent's name.
const MAX_ENTRIES_NAMED: usize = 64;

fn has_name(span: &Span, name: &str) -> bool {
    span.entries.iter().take(MAX_ENTRIES_NAMED).any(|entry| entry.names.iter().any(|n| n == name))
}

/// Parts that only the unwinder reaches have no jump to them: their name decides where it is unique.
fn unite_by_name(spans: &[Span], found: &[bool], sets: &mut Sets) {
    let mut by_name: HashMap<&str, Option<usize>> = HashMap::new();
    for (index, span) in spans.iter().enumerate() {
        for name in span.entries.iter().flat_map(|entry| &entry.names) {
            by_name.entry(name).and_modify(|known| *known = None).or_insert(Some(index));
        }
    }
    for (index, span) in spans.iter().enumerate().filter(|(index, _)| !found[*index]) {
        let parent = parent_name(first_name(span)).and_then(|name| by_name.get(name).copied().flatten());
        if let Some(parent) = parent {
            sets.unite(parent, index);
        }
    }
}

fn span_at(spans: &[Span], address: u64) -> Option<usize> {
    let after = spans.partition_point(|span| span.range.start.0 <= address);
    let index = after.checked_sub(1)?;
    spans[index].range.contains(address).then_some(index)
}

/// The targets of direct jumps that leave the span.
fn jumps_out(image: &Image<'_>, span: &Span) -> Vec<u64> {
    let bytes = image.bytes(span.range.start.0, span.range.size() as usize).unwrap_or_default();
    let decoder = Decoder::with_ip(64, bytes, span.range.start.0, DecoderOptions::NONE);
    let is_jump = |flow| matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch);
    decoder
        .into_iter()
        .filter(|i| is_jump(i.flow_control()) && i.op0_kind() == OpKind::NearBranch64)
        .map(|i| i.near_branch_target())
        .filter(|&target| !span.range.contains(target))
        .collect()
}

fn gather(spans: Vec<Span>, sets: &mut Sets) -> Vec<Unit> {
    let mut groups: HashMap<usize, Vec<Span>> = HashMap::new();
    for (index, span) in spans.into_iter().enumerate() {
        groups.entry(sets.find(index)).or_default().push(span);
    }
    groups.into_values().filter_map(unit).collect()
}

fn unit(mut spans: Vec<Span>) -> Option<Unit> {
    let part = |span: &Span| parent_name(first_name(span)).is_some();
    spans.sort_by(|a, b| {
        (part(a), first_name(a), a.range.start).cmp(&(part(b), first_name(b), b.range.start))
    });
    let main = spans.first()?;
    let (name, entry) = (first_name(main).to_owned(), main.entries.first()?.address);
    let ranges = spans.iter().map(|span| span.range).collect();
    let whole = spans.iter().all(part);
    let entries: Vec<Entry> =
        spans.into_iter().filter(|span| whole || !part(span)).flat_map(|s| s.entries).collect();
    Some(Unit { name, entry, entries, ranges, kind: UnitKind::Function })
}

/// Disjoint sets with path halving.
struct Sets {
    parent: Vec<usize>,
}

impl Sets {
    fn find(&mut self, mut index: usize) -> usize {
        while self.parent[index] != index {
            self.parent[index] = self.parent[self.parent[index]];
            index = self.parent[index];
        }
        index
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.parent[a.max(b)] = a.min(b);
    }
}
