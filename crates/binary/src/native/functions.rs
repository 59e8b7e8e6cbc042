//! From seeds to functions: starts brought together, ends found, what is left over accounted for.

use std::collections::{HashMap, HashSet};

use super::{Seed, sweep};
use crate::{Address, Function, FunctionEvidence, Module, SectionKind, Slot, SlotTarget};

/// Most names kept for one address.
const MAX_ALIASES: usize = 256;
/// Call targets are looked for where more than one byte in so many is in no function of known size.
const UNCLAIMED_SHARE: u64 = 256;
/// Targets found in a gap change what the next sweep reads there; it settles at once in real code.
const MAX_SWEEPS: usize = 3;
/// Each round finds what stands behind the functions that the last one found.
const MAX_BOUNDARIES: usize = 16;
/// Compilers start functions on such a boundary, in bytes, and fill up to it.
const BOUNDARY: u64 = 16;
/// Most functions of one name that are asked whether a split-off part is theirs.
const MAX_PARENTS: usize = 64;

/// A range that the format itself says belongs to a function which starts elsewhere.
pub(crate) struct Part {
    pub start: u64,
    pub parent: u64,
}

/// One start with all that is known of it.
struct Start {
    address: u64,
    /// Zero until the end is found.
    size: u64,
    /// Whether the size is the file's own word.
    sized: bool,
    /// How far the size was looked for, where it is not.
    limit: u64,
    names: Vec<String>,
    evidence: FunctionEvidence,
}

/// Makes `module.functions`, `gaps`, `overlaps` and `padding` from seeds in any order; regions, slots
/// and stubs must be complete and sorted.
pub(crate) fn delimit(module: &mut Module<'_>, seeds: Vec<Seed>, parts: &[Part]) {
    keep_stubs_in_code(module);
    let mut starts = starts(module, seeds);
    find_ends(module, &mut starts);
    let mut swept = Vec::new();
    for _ in 0..MAX_SWEEPS {
        if !has_unclaimed(module, &starts) || !add_call_targets(module, &mut starts, &mut swept) {
            break;
        }
        find_ends(module, &mut starts);
    }
    for _ in 0..MAX_BOUNDARIES {
        if !add_in_gaps(module, &mut starts) {
            break;
        }
        find_ends(module, &mut starts);
    }
    account(module, &starts);
    module.functions = join_fragments(module, starts);
    join_parts(module, parts);
}

/// A stub that lies outside of code or upon another one is not one.
fn keep_stubs_in_code(module: &mut Module<'_>) {
    let mut stubs = std::mem::take(&mut module.stubs);
    let mut end = 0;
    stubs.retain(|(start, size, _)| {
        let after = start.0.checked_add(*size);
        let inside = code_end(module, start.0).zip(after).is_some_and(|(limit, after)| after <= limit);
        let kept = inside && *size > 0 && start.0 >= end;
        if kept {
            end = start.0 + size;
        }
        kept
    });
    module.stubs = stubs;
}

fn code_end(module: &Module<'_>, address: u64) -> Option<u64> {
    let region = module.region_at(address)?;
    (region.kind == SectionKind::Code).then(|| region.end())
}

fn starts(module: &Module<'_>, mut seeds: Vec<Seed>) -> Vec<Start> {
    seeds.retain(|seed| code_end(module, seed.address).is_some() && module.stub_at(seed.address).is_none());
    seeds.sort_by(|a, b| {
        (a.address, a.name.is_none(), a.rank, &a.name).cmp(&(b.address, b.name.is_none(), b.rank, &b.name))
    });
    let mut starts: Vec<Start> = Vec::new();
    for seed in seeds {
        match starts.last_mut().filter(|start| start.address == seed.address) {
            Some(start) => add(start, seed),
            None => starts.push(Start {
                address: seed.address,
                size: seed.size,
                sized: seed.size > 0,
                limit: 0,
                names: seed.name.into_iter().collect(),
                evidence: seed.evidence,
            }),
        }
    }
    drop_interior(starts)
}

/// The better evidence gives the size; equal evidence the larger one.
fn add(start: &mut Start, seed: Seed) {
    if seed.size > 0 {
        if !start.sized || seed.evidence < start.evidence {
            start.size = seed.size;
        } else if seed.evidence == start.evidence {
            start.size = start.size.max(seed.size);
        }
        start.sized = true;
    }
    start.evidence = start.evidence.min(seed.evidence);
    if let Some(name) = seed.name.filter(|name| !start.names.contains(name))
        && start.names.len() < MAX_ALIASES
    {
        start.names.push(name);
    }
}

/// A start without a name inside a better known function is a part of that one (a landing, a second
/// frame description), not a function.
fn drop_interior(starts: Vec<Start>) -> Vec<Start> {
    let mut kept: Vec<Start> = Vec::with_capacity(starts.len());
    let mut known_end = 0;
    let mut known = FunctionEvidence::Format;
    for start in starts {
        let inside = start.address < known_end;
        if inside && start.names.is_empty() && known <= start.evidence {
            continue;
        }
        let end = start.address.saturating_add(start.size);
        if start.sized && end > known_end {
            (known_end, known) = (end, start.evidence);
        }
        kept.push(start);
    }
    kept
}

/// Sizes are cut to the region, and found where the file does not say them.
fn find_ends(module: &Module<'_>, starts: &mut [Start]) {
    let mut next = u64::MAX;
    let mut next_named = u64::MAX;
    let mut open_ends: Vec<u64> = Vec::new();
    for start in starts.iter_mut().rev() {
        let end = code_end(module, start.address).unwrap_or(start.address);
        if start.sized {
            // A frame description without a symbol may span several functions that have one.
            let cut = if start.names.is_empty() { end.min(next_named) } else { end };
            start.size = start.size.min(cut - start.address);
        } else {
            open_ends.push(end.min(next).min(next_stub(module, start.address)));
        }
        next = start.address;
        if !start.names.is_empty() {
            next_named = start.address;
        }
    }
    open_ends.reverse();
    let mut open = open_ends.into_iter();
    let mut claimed_to = 0u64;
    for start in starts.iter_mut() {
        if !start.sized {
            let limit = open.next().expect("one entry for each start without a size");
            // A second entry into a known function runs to the end of that one.
            match claimed_to.checked_sub(start.address) {
                Some(size) if size > 0 => start.size = size,
                _ if start.limit == limit => {}
                _ => {
                    start.size = length_without_filling(module, start.address, limit);
                    start.limit = limit;
                }
            }
        } else {
            claimed_to = claimed_to.max(start.address.saturating_add(start.size));
        }
    }
}

fn next_stub(module: &Module<'_>, address: u64) -> u64 {
    let after = module.stubs.partition_point(|(start, ..)| start.0 <= address);
    module.stubs.get(after).map_or(u64::MAX, |(start, ..)| start.0)
}

fn length_without_filling(module: &Module<'_>, start: u64, limit: u64) -> u64 {
    let bytes = module.bytes(start, limit.saturating_sub(start)).unwrap_or_default();
    let end = sweep::filling(&module.architecture, bytes, start).1;
    sweep::first_end(&module.architecture, &bytes[..end], start) as u64
}

fn code_size(module: &Module<'_>) -> u64 {
    module.regions.iter().filter(|r| r.kind == SectionKind::Code).map(|r| r.size).sum()
}

fn has_unclaimed(module: &Module<'_>, starts: &[Start]) -> bool {
    let guessed: u64 = starts.iter().filter(|start| !start.sized).map(|start| start.size).sum();
    let code = code_size(module);
    let body = |(start, end): (u64, u64)| {
        let bytes = module.bytes(start, end - start).unwrap_or_default();
        let (leading, last) = sweep::filling(&module.architecture, bytes, start);
        last.saturating_sub(leading) as u64
    };
    let free: u64 = unclaimed(module, starts).into_iter().map(body).sum();
    guessed.saturating_add(free) > code / UNCLAIMED_SHARE
}

/// Adds what direct calls lead to, where no function of known size lies; says whether anything was.
/// What was `swept` before is the same now: its targets were taken or refused then, for good.
fn add_call_targets(module: &Module<'_>, starts: &mut Vec<Start>, swept: &mut Vec<(u64, u64)>) -> bool {
    let mut targets = Vec::new();
    let ranges = sweep_ranges(module, starts);
    let known = std::mem::replace(swept, ranges);
    for &(start, size) in swept.iter().filter(|range| known.binary_search(range).is_err()) {
        let bytes = module.bytes(start, size).unwrap_or_default();
        sweep::call_targets(&module.architecture, bytes, start, &mut targets);
    }
    targets.sort_unstable();
    targets.dedup();
    let mut claimed_to = 0;
    let mut ends = Vec::with_capacity(starts.len());
    for start in starts.iter() {
        if start.sized {
            claimed_to = start.address.saturating_add(start.size).max(claimed_to);
        }
        ends.push(claimed_to);
    }
    let is_new = |target: &u64| {
        let after = starts.partition_point(|start| start.address <= *target);
        let before = after.checked_sub(1);
        let known = before.is_some_and(|at| starts[at].address == *target || *target < ends[at]);
        !known && code_end(module, *target).is_some() && module.stub_at(*target).is_none()
    };
    let found: Vec<Start> = targets.into_iter().filter(is_new).map(called).collect();
    let any = !found.is_empty();
    starts.extend(found);
    starts.sort_by_key(|start| start.address);
    any
}

fn called(address: u64) -> Start {
    unsized_start(address, FunctionEvidence::CallTarget)
}

fn unsized_start(address: u64, evidence: FunctionEvidence) -> Start {
    Start { address, size: 0, sized: false, limit: 0, names: Vec::new(), evidence }
}

/// In code that no function claims, what a pointer leads to and what begins on a boundary are functions;
/// says whether any was found.
fn add_in_gaps(module: &Module<'_>, starts: &mut Vec<Start>) -> bool {
    let pointers = pointers(module);
    let mut found = Vec::new();
    for (start, end) in unclaimed(module, starts) {
        let bytes = module.bytes(start, end - start).unwrap_or_default();
        let (leading, last) = sweep::filling(&module.architecture, bytes, start);
        let (body, body_end) = (start + leading as u64, start + last as u64);
        if body >= body_end {
            continue;
        }
        if body % BOUNDARY == 0 && sweep::is_code(&module.architecture, &bytes[leading..last], body) {
            found.push(unsized_start(body, FunctionEvidence::Boundary));
        }
        let from = pointers.partition_point(|&target| target < body);
        let to = pointers.partition_point(|&target| target < body_end);
        found.extend(pointers[from..to].iter().map(|&at| unsized_start(at, FunctionEvidence::Pointer)));
    }
    found.sort_by_key(|start| (start.address, start.evidence));
    found.dedup_by_key(|start| start.address);
    let any = !found.is_empty();
    starts.extend(found);
    starts.sort_by_key(|start| start.address);
    any
}

/// The addresses in code that slots outside of code hold, in order.
fn pointers(module: &Module<'_>) -> Vec<u64> {
    let into_code = |slot: &Slot| match slot.target {
        SlotTarget::Address(target) => code_end(module, target).map(|_| (slot.address.0, target)),
        _ => None,
    };
    let targets = module.slots.iter().filter_map(into_code);
    let mut targets: Vec<u64> =
        targets.filter(|(place, _)| code_end(module, *place).is_none()).map(|(_, target)| target).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// What no start and no stub claims, by region.
fn unclaimed(module: &Module<'_>, starts: &[Start]) -> Vec<(u64, u64)> {
    let mut claims = claims(module, starts);
    claims.retain(|(start, end)| start < end);
    claims.sort_unstable();
    let mut free = Vec::new();
    for region in module.regions.iter().filter(|region| region.kind == SectionKind::Code) {
        let from = claims.partition_point(|claim| claim.0 < region.address.0);
        let to = claims.partition_point(|claim| claim.0 < region.end());
        let mut at = region.address.0;
        for &(start, end) in &claims[from..to] {
            if start > at {
                free.push((at, start));
            }
            at = at.max(end);
        }
        if at < region.end() {
            free.push((at, region.end()));
        }
    }
    free
}

fn claims(module: &Module<'_>, starts: &[Start]) -> Vec<(u64, u64)> {
    let functions = starts.iter().map(|start| (start.address, start.address.saturating_add(start.size)));
    let stubs = module.stubs.iter().map(|(start, size, _)| (start.0, start.0.saturating_add(*size)));
    functions.chain(stubs).collect()
}

/// Every code region, divided where functions start, so that a sweep begins on an instruction.
fn sweep_ranges(module: &Module<'_>, starts: &[Start]) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    for region in module.regions.iter().filter(|region| region.kind == SectionKind::Code) {
        let from = starts.partition_point(|start| start.address < region.address.0);
        let to = starts.partition_point(|start| start.address < region.end());
        let mut at = region.address.0;
        for start in &starts[from..to] {
            ranges.push((at, start.address - at));
            at = start.address;
        }
        ranges.push((at, region.end() - at));
    }
    ranges.retain(|(_, size)| *size > 0);
    ranges
}

/// Gaps, overlaps and padding.
fn account(module: &mut Module<'_>, starts: &[Start]) {
    let mut claims = claims(module, starts);
    claims.retain(|(start, end)| start < end);
    claims.sort_unstable();
    let mut overlaps: Vec<(u64, u64)> = Vec::new();
    let mut end = 0;
    for (start, stop) in claims {
        if start < end {
            push_overlap(&mut overlaps, start, stop.min(end));
        }
        end = end.max(stop);
    }
    let free = unclaimed(module, starts);
    module.overlaps = overlaps.into_iter().map(|(start, end)| (Address(start), end - start)).collect();
    for (start, end) in free {
        let bytes = module.bytes(start, end - start).unwrap_or_default();
        let (leading, last) = sweep::filling(&module.architecture, bytes, start);
        let body = last.saturating_sub(leading) as u64;
        if body > 0 {
            module.gaps.push((Address(start + leading as u64), body));
        }
        module.padding += end - start - body;
    }
}

fn push_overlap(overlaps: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    match overlaps.last_mut().filter(|last| start <= last.1) {
        Some(last) => last.1 = last.1.max(end),
        None => overlaps.push((start, end)),
    }
}

/// The function that a split-off part belongs to by its name: GCC's `.cold` and `.cold.1`, LLVM's
/// `.cold.1`. A `.part.0` is called, by others than its parent too, and stays a function.
fn parent_name(name: &str) -> Option<&str> {
    let (parent, rest) = name.rsplit_once(".cold")?;
    let numbered = rest.strip_prefix('.').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    (!parent.is_empty() && (rest.is_empty() || numbered)).then_some(parent)
}

fn join_fragments(module: &Module<'_>, starts: Vec<Start>) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::with_capacity(starts.len());
    let mut fragments = Vec::new();
    for start in starts {
        let is_fragment = start.names.first().is_some_and(|name| parent_name(name).is_some());
        let function = Function {
            names: start.names,
            address: Address(start.address),
            ranges: vec![(Address(start.address), start.size)],
            evidence: start.evidence,
        };
        if is_fragment { fragments.push(function) } else { functions.push(function) }
    }
    let wanted: HashSet<&str> = fragments.iter().filter_map(|f| parent_name(f.names.first()?)).collect();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, function) in functions.iter().enumerate() {
        for name in function.names.iter().filter(|name| wanted.contains(name.as_str())) {
            by_name.entry(name.clone()).or_default().push(index);
        }
    }
    for fragment in fragments {
        match parent_of(module, &fragment, &by_name, &functions) {
            Some(parent) => functions[parent].ranges.extend(fragment.ranges),
            None => functions.push(fragment),
        }
    }
    functions.sort_by_key(|function| function.address);
    functions
}

/// Where several functions have the parent's name (static ones of several sources), the one that jumps
/// into the part is its parent.
fn parent_of(
    module: &Module<'_>,
    fragment: &Function,
    by_name: &HashMap<String, Vec<usize>>,
    functions: &[Function],
) -> Option<usize> {
    let candidates = by_name.get(parent_name(fragment.names.first()?)?)?;
    if let [only] = candidates.as_slice() {
        return Some(*only);
    }
    let &(start, size) = fragment.ranges.first()?;
    let jumps_in = |index: &&usize| {
        let (from, length) = functions[**index].ranges[0];
        let code = module.bytes(from.0, length).unwrap_or_default();
        let targets = sweep::jump_targets(&module.architecture, code, from.0);
        targets.iter().any(|target| (start.0..start.0 + size).contains(target))
    };
    candidates.iter().take(MAX_PARENTS).find(jumps_in).copied()
}

/// Moves what starts at a part to its parent, unless it has a name of its own.
fn join_parts(module: &mut Module<'_>, parts: &[Part]) {
    let find = |functions: &[Function], address: u64| {
        functions.binary_search_by_key(&address, |function| function.address.0).ok()
    };
    let mut moved = HashSet::new();
    for part in parts.iter().filter(|part| part.start != part.parent) {
        let (Some(from), Some(to)) =
            (find(&module.functions, part.start), find(&module.functions, part.parent))
        else {
            continue;
        };
        if module.functions[from].names.is_empty() && !moved.contains(&to) && moved.insert(from) {
            let ranges = std::mem::take(&mut module.functions[from].ranges);
            module.functions[to].ranges.extend(ranges);
        }
    }
    module.functions.retain(|function| !function.ranges.is_empty());
    for function in &mut module.functions {
        function.ranges[1..].sort_unstable();
    }
}
