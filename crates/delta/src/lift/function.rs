//! One function, lifted: its hashes, its sketch, and what it refers to, in order.

use std::collections::BTreeSet;
use std::ops::Range;

use assay_binary::{Address, SectionKind, SlotTarget};
use assay_evidence::Sha256;

use super::code::{Body, Flow, Instruction, Reference};
use super::hash::{NumberMap, hash};
use super::positions::source_positions;
use super::values::{FeatureKind, Sketch};
use super::world::{Named, Target, World};
use crate::limits::MAX_TABLE_ENTRIES;
use crate::record::{FunctionRecord, NAMED, OPEN, Records, Run, UNKNOWN, put};

/// What one thread uses again for every function.
pub(crate) struct Memory {
    names: NumberMap<(u64, u64), Named>,
    body: Body,
    work: Work,
    sketch: Sketch,
}

/// Most meanings of addresses that one thread remembers; neighbours name the same things.
const MAX_REMEMBERED: usize = 1 << 14;

impl Memory {
    pub fn new(world: &World<'_, '_>) -> Self {
        let (names, work) = (NumberMap::default(), Work::default());
        Self { names, body: Body::default(), work, sketch: Sketch::new(world.convention()) }
    }
}

/// Lifts one function and adds it to `records`.
pub(crate) fn lift(world: &World<'_, '_>, memory: &mut Memory, function: u32, records: &mut Records) {
    let about = &world.module.functions[function as usize];
    let (name, flags) = match about.names.first() {
        Some(name) => (records.name(name), NAMED),
        None => (records.name(&format!("sub_{:x}", about.address.0)), 0),
    };
    let mut record = FunctionRecord {
        address: about.address.0,
        size: about.ranges.iter().map(|&(_, size)| size).sum(),
        masked: 0,
        exact: UNKNOWN,
        meaning: UNKNOWN,
        closure: UNKNOWN,
        name,
        numbers: Run::default(),
        references: Run::default(),
        features: Run::default(),
        flags,
    };
    match world.is_lifted() {
        true => lift_code(world, memory, function, &mut record, records),
        false => hash_bytes(world, &about.ranges, &mut record),
    }
    records.functions.push(record);
}

fn lift_code(
    world: &World<'_, '_>,
    memory: &mut Memory,
    function: u32,
    record: &mut FunctionRecord,
    records: &mut Records,
) {
    let positions = divide(world, memory, function);
    let Memory { body, work, sketch, .. } = memory;
    work.set_positions_aside(&body.code, &positions);
    draw(sketch, body, work, &positions);
    record.masked = hash(&work.masked);
    record.exact = Sha256::of(&work.exact);
    record.meaning = if work.plain.is_empty() { record.exact } else { work.meaning() };
    let numbers = work.parts.iter().map(|part| hash(work.plain_of(part)) as u32);
    record.numbers = put(&mut records.numbers, numbers);
    record.references = put(&mut records.references, work.references.iter().copied());
    record.features = put(&mut records.features, sketch.finish());
    let computed = |i: &Instruction| matches!(i.flow, Flow::Computed | Flow::ComputedCall);
    if body.code.iter().any(computed) {
        record.flags |= OPEN;
    }
}

/// The instructions of a function, by number, that only load the line of a source file.
pub(crate) fn noise_of(world: &World<'_, '_>, function: u32) -> BTreeSet<usize> {
    match world.is_lifted() {
        true => divide(world, &mut Memory::new(world), function),
        false => BTreeSet::new(),
    }
}

/// Decodes a function and divides it into parts; the instructions that only load the line of a source
/// file.
fn divide(world: &World<'_, '_>, memory: &mut Memory, function: u32) -> BTreeSet<usize> {
    let Memory { names, body, work, .. } = memory;
    world.decode(function, body);
    if names.len() > MAX_REMEMBERED {
        names.clear();
    }
    work.clear();
    let mut division = Division { world, body, work, names };
    body.code.iter().for_each(|instruction| division.add(instruction));
    source_positions(body, &work.parts, world)
}

/// Bytes of an architecture that is not decoded, with what a linker fills left out.
fn hash_bytes(world: &World<'_, '_>, ranges: &[(Address, u64)], record: &mut FunctionRecord) {
    let mut bytes = Vec::new();
    for &(start, size) in ranges {
        let from = bytes.len();
        bytes.extend_from_slice(world.module.bytes(start.0, size).unwrap_or_default());
        for slot in world.module.slots_in(start.0, start.0.saturating_add(size)) {
            let at = from + (slot.address.0 - start.0) as usize;
            let end = (at + usize::from(slot.width)).min(bytes.len());
            bytes[at.min(end)..end].fill(0);
        }
    }
    record.masked = hash(&bytes);
    record.exact = Sha256::of(&bytes);
    record.meaning = record.exact;
}

/// What one instruction contributes: runs of the buffers of [`Work`].
pub(super) struct Part {
    exact: Range<u32>,
    /// The same without noise, where there is some.
    plain: Option<Range<u32>>,
    /// The hash of what it names, for the sketch.
    named: Option<u64>,
    pub is_source_path: bool,
    pub text: Option<u64>,
    import: Option<u64>,
}

/// Buffers for one function.
#[derive(Default)]
struct Work {
    ordinals: NumberMap<Target, u16>,
    references: Vec<Target>,
    parts: Vec<Part>,
    masked: Vec<u8>,
    exact: Vec<u8>,
    plain: Vec<u8>,
    cases: Vec<u32>,
    /// The instructions, sorted, that control comes to from within.
    entered: Vec<u32>,
}

fn run(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

impl Work {
    fn clear(&mut self) {
        self.ordinals.clear();
        self.references.clear();
        self.parts.clear();
        self.masked.clear();
        self.exact.clear();
        self.plain.clear();
        self.entered.clear();
    }

    fn plain_of(&self, part: &Part) -> &[u8] {
        match &part.plain {
            Some(plain) => &self.plain[run(plain)],
            None => &self.exact[run(&part.exact)],
        }
    }

    fn meaning(&self) -> Sha256 {
        let mut meaning = Sha256::stream();
        self.parts.iter().for_each(|part| meaning.update(self.plain_of(part)));
        meaning.finish()
    }

    fn set_positions_aside(&mut self, code: &[Instruction], positions: &BTreeSet<usize>) {
        for &index in positions {
            let bytes = code[index].exact.bytes();
            let from = self.plain.len() as u32;
            self.plain.extend_from_slice(b"source line");
            self.plain.extend_from_slice(&bytes[..bytes.len().min(4)]);
            self.parts[index].plain = Some(from..self.plain.len() as u32);
        }
    }

    fn ordinal(&mut self, target: Target) -> u16 {
        self.references.push(target);
        let next = self.ordinals.len() as u16;
        *self.ordinals.entry(target).or_insert(next)
    }

    /// The place of a function of the file.
    fn function(&mut self, number: u32, identity: &Named) {
        self.exact.extend_from_slice(&identity.exact);
        let ordinal = self.ordinal(Target::Function(number));
        self.exact.extend_from_slice(&ordinal.to_le_bytes());
    }

    /// Everything else that has a meaning; `from` is where the instruction's bytes begin.
    fn named(&mut self, named: &Named, from: usize) -> Option<Range<u32>> {
        let (own, ordinals) = (from..self.exact.len(), self.exact.len() + named.exact.len());
        self.exact.extend_from_slice(&named.exact);
        for &target in &named.targets {
            let ordinal = self.ordinal(target);
            self.exact.extend_from_slice(&ordinal.to_le_bytes());
        }
        (named.exact != named.meaning).then(|| {
            let start = self.plain.len() as u32;
            self.plain.extend_from_slice(&self.exact[own]);
            self.plain.extend_from_slice(&named.meaning);
            self.plain.extend_from_slice(&self.exact[ordinals..]);
            start..self.plain.len() as u32
        })
    }
}

/// A function being divided.
struct Division<'d, 'm, 'data> {
    world: &'d World<'m, 'data>,
    body: &'d Body,
    work: &'d mut Work,
    names: &'d mut NumberMap<(u64, u64), Named>,
}

impl Division<'_, '_, '_> {
    fn add(&mut self, instruction: &Instruction) {
        let from = self.work.exact.len();
        let bytes = instruction.exact.bytes();
        self.work.masked.extend_from_slice(bytes);
        self.work.exact.push(bytes.len() as u8);
        self.work.exact.extend_from_slice(bytes);
        let mut part =
            Part { exact: 0..0, plain: None, named: None, is_source_path: false, text: None, import: None };
        if let Some(reference) = instruction.reference {
            self.refer(reference, from, &mut part);
        }
        part.exact = from as u32..self.work.exact.len() as u32;
        self.work.parts.push(part);
    }

    fn refer(&mut self, reference: Reference, from: usize, part: &mut Part) {
        let (target, size) = match reference {
            Reference::Branch(target) | Reference::Address(target) => (target, None),
            Reference::Memory(target, size) => (target, Some(size)),
        };
        let is_branch = matches!(reference, Reference::Branch(_));
        let inner = self.body.number_at(target).filter(|_| self.world.import_in_code(target).is_none());
        if let Some(number) = inner {
            if is_branch {
                self.work.entered.push(number);
            }
            self.work.exact.extend_from_slice(b"here");
            self.work.exact.extend_from_slice(&number.to_le_bytes());
            return;
        }
        if let Some((number, identity)) = self.world.known_function(target) {
            self.work.function(number, identity);
            part.named = identity.word();
            return;
        }
        if !is_branch && self.find_cases(target) {
            self.work.exact.extend_from_slice(b"cases");
            let cases = self.work.cases.iter().flat_map(|case| case.to_le_bytes());
            self.work.exact.extend(cases);
            return;
        }
        let key = (target, size.unwrap_or(u64::MAX));
        let named = self.names.entry(key).or_insert_with(|| self.world.name(target, size));
        part.plain = self.work.named(named, from);
        part.named = named.word();
        part.is_source_path = named.is_source_path;
        (part.text, part.import) = (named.text, named.import);
    }

    /// Whether there is a table at `base`; then `cases` are the instructions it leads to: distances of 32
    /// bits from the table's own start (position-independent code), or whole addresses that a relocation
    /// fills.
    fn find_cases(&mut self, base: u64) -> bool {
        let module = self.world.module;
        let Some(region) = module.region_at(base).filter(|region| region.kind == SectionKind::Data) else {
            return false;
        };
        self.work.cases.clear();
        let width = if module.slot_at(base).is_some() { self.world.pointer() } else { 4 };
        let Some(first) = self.case(base, base, width) else { return false };
        self.work.cases.push(first);
        let end = region.end().min(self.world.next_point(base));
        for at in (base..end).step_by(width as usize).take(MAX_TABLE_ENTRIES).skip(1) {
            let Some(number) = self.case(base, at, width) else { break };
            self.work.cases.push(number);
        }
        self.work.cases.len() > 1
    }

    fn case(&self, base: u64, at: u64, width: u64) -> Option<u32> {
        let module = self.world.module;
        let target = match module.slot_at(at).map(|slot| &slot.target) {
            Some(SlotTarget::Address(target)) => *target,
            None if width == 4 => {
                let word: [u8; 4] = module.bytes(at, 4)?.try_into().ok()?;
                base.wrapping_add_signed(i64::from(i32::from_le_bytes(word)))
            }
            _ => return None,
        };
        self.body.number_at(target)
    }
}

fn draw(sketch: &mut Sketch, body: &Body, work: &mut Work, positions: &BTreeSet<usize>) {
    work.entered.sort_unstable();
    let mut entered = work.entered.iter().map(|&number| number as usize).peekable();
    for (index, (instruction, part)) in body.code.iter().zip(&work.parts).enumerate() {
        let mut enters = false;
        while entered.next_if(|&number| number == index).is_some() {
            enters = true;
        }
        if enters {
            sketch.enter();
        }
        if let Some(text) = part.text.filter(|_| !part.is_source_path) {
            sketch.note(FeatureKind::Text, text);
        }
        if let Some(import) = part.import {
            sketch.note(FeatureKind::Import, import);
        }
        if !positions.contains(&index) {
            sketch.step(instruction, part.named);
        }
    }
}
