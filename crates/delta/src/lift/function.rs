//! One function, lifted: its hashes, its sketch, and what it refers to, in order.

use std::collections::BTreeSet;
use std::ops::Range;

use assay_binary::Address;
use assay_evidence::Sha256;
use fnv::FnvHashMap;

use super::code::{Flow, Instruction, Reference};
use super::hash::hash;
use super::positions::source_positions;
use super::values::{FeatureKind, Sketch};
use super::world::{Named, Target, World};
use crate::limits::MAX_TABLE_ENTRIES;

/// A function as lifted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LiftedFunction {
    /// Its best name; made from its address where the file has none.
    pub name: String,
    /// Whether the name is the file's own.
    pub named: bool,
    pub address: u64,
    pub size: u64,
    /// T0: operations, registers and numbers alone.
    pub masked: u64,
    /// T1 with everything a run could observe, targets excepted.
    pub exact: [u8; 32],
    /// T1 without build noise.
    pub meaning: [u8; 32],
    /// One number per instruction, noise left out.
    pub numbers: Vec<u32>,
    /// What it refers to, in order, repetitions included.
    pub references: Vec<Target>,
    /// T2.
    pub features: Vec<u32>,
    /// Whether it calls or jumps to computed places.
    pub open: bool,
}

/// What addresses mean, remembered within one thread.
#[derive(Default)]
pub(crate) struct Memory {
    names: FnvHashMap<(u64, u64), Named>,
}

impl Memory {
    fn name<'s>(&'s mut self, world: &World<'_, '_>, address: u64, size: Option<u64>) -> &'s Named {
        let key = (address, size.unwrap_or(u64::MAX));
        self.names.entry(key).or_insert_with(|| world.name(address, size))
    }
}

/// The code of one function with its instructions numbered; padding has the number of what follows.
pub(crate) struct Body {
    pub code: Vec<Instruction>,
    numbers: Vec<(u64, u32)>,
}

impl Body {
    pub fn of(world: &World<'_, '_>, function: u32) -> Self {
        let mut numbers = Vec::new();
        let mut code = Vec::new();
        for instruction in world.decode(function).into_iter().flatten() {
            numbers.push((instruction.address, code.len() as u32));
            if !instruction.padding {
                code.push(instruction);
            }
        }
        numbers.sort_unstable();
        Self { code, numbers }
    }

    /// The number of the instruction that starts at `address`.
    pub fn number_at(&self, address: u64) -> Option<u32> {
        let at = self.numbers.binary_search_by_key(&address, |&(start, _)| start).ok()?;
        Some(self.numbers[at].1)
    }
}

/// Lifts one function.
pub(crate) fn lift(world: &World<'_, '_>, memory: &mut Memory, function: u32) -> LiftedFunction {
    let about = &world.module.functions[function as usize];
    let size = about.ranges.iter().map(|&(_, size)| size).sum();
    let named = about.names.first().cloned();
    let mut lifted = LiftedFunction {
        named: named.is_some(),
        name: named.unwrap_or_else(|| format!("sub_{:x}", about.address.0)),
        address: about.address.0,
        size,
        ..LiftedFunction::default()
    };
    if !world.is_lifted() {
        unlifted(world, &about.ranges, &mut lifted);
        return lifted;
    }
    let body = Body::of(world, function);
    let mut lift = Lift {
        world,
        body: &body,
        lifted,
        ordinals: FnvHashMap::default(),
        masked: Vec::new(),
        bytes: Vec::new(),
    };
    let parts: Vec<Part> = body.code.iter().map(|instruction| lift.part(instruction, memory)).collect();
    let positions = source_positions(&body, &parts, world);
    lift.finish(&parts, &positions)
}

/// The instructions of a function, by number, that only load the line of a source file.
pub(crate) fn noise_of(world: &World<'_, '_>, function: u32) -> BTreeSet<usize> {
    if !world.is_lifted() {
        return BTreeSet::new();
    }
    let body = Body::of(world, function);
    let mut memory = Memory::default();
    let lifted = LiftedFunction::default();
    let (ordinals, masked, bytes) = (FnvHashMap::default(), Vec::new(), Vec::new());
    let mut lift = Lift { world, body: &body, lifted, ordinals, masked, bytes };
    let parts: Vec<Part> = body.code.iter().map(|instruction| lift.part(instruction, &mut memory)).collect();
    source_positions(&body, &parts, world)
}

/// Bytes of an architecture that is not decoded, with what a linker fills left out.
fn unlifted(world: &World<'_, '_>, ranges: &[(Address, u64)], lifted: &mut LiftedFunction) {
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
    lifted.masked = hash(&bytes);
    lifted.exact = *Sha256::of(&bytes).as_bytes();
    lifted.meaning = lifted.exact;
}

/// What one instruction contributes: runs of [`Lift::bytes`].
pub(super) struct Part {
    exact: Range<usize>,
    meaning: Range<usize>,
    /// The hash of what it names, for the sketch.
    named: Option<u64>,
    pub is_source_path: bool,
    pub text: Option<u64>,
    import: Option<u64>,
}

struct Lift<'b, 'm, 'data> {
    world: &'b World<'m, 'data>,
    body: &'b Body,
    lifted: LiftedFunction,
    ordinals: FnvHashMap<Target, u16>,
    masked: Vec<u8>,
    /// What the parts consist of.
    bytes: Vec<u8>,
}

impl Lift<'_, '_, '_> {
    fn part(&mut self, instruction: &Instruction, memory: &mut Memory) -> Part {
        let from = self.bytes.len();
        let bytes = instruction.exact.bytes();
        self.masked.extend_from_slice(bytes);
        self.bytes.push(bytes.len() as u8);
        self.bytes.extend_from_slice(bytes);
        let named = self.named(instruction, memory);
        let Some(named) = named else {
            let run = from..self.bytes.len();
            return Part {
                exact: run.clone(),
                meaning: run,
                named: None,
                is_source_path: false,
                text: None,
                import: None,
            };
        };
        let own = from..self.bytes.len();
        let ordinals: Vec<u16> = named.targets.iter().map(|&target| self.ordinal(target)).collect();
        let mut with = |identity: &[u8; 16]| {
            self.bytes.extend_from_slice(identity);
            ordinals.iter().for_each(|ordinal| self.bytes.extend_from_slice(&ordinal.to_le_bytes()));
        };
        with(&named.exact);
        let exact = from..self.bytes.len();
        let meaning = if named.exact == named.meaning {
            exact.clone()
        } else {
            let start = self.bytes.len();
            self.bytes.extend_from_within(own);
            self.bytes.extend_from_slice(&named.meaning);
            ordinals.iter().for_each(|ordinal| self.bytes.extend_from_slice(&ordinal.to_le_bytes()));
            start..self.bytes.len()
        };
        Part {
            exact,
            meaning,
            named: Some(named.import.or(named.text).unwrap_or_else(|| hash(&named.meaning))),
            is_source_path: named.is_source_path,
            text: named.text,
            import: named.import,
        }
    }

    fn ordinal(&mut self, target: Target) -> u16 {
        self.lifted.references.push(target);
        let next = self.ordinals.len() as u16;
        *self.ordinals.entry(target).or_insert(next)
    }

    /// What the instruction names; a place of this function is added to the bytes at once.
    fn named<'s>(&mut self, instruction: &Instruction, memory: &'s mut Memory) -> Option<&'s Named> {
        let (target, size) = match instruction.reference? {
            Reference::Branch(target) | Reference::Address(target) => (target, None),
            Reference::Memory(target, size) => (target, Some(size)),
        };
        let is_import = self.world.import_in_code(target).is_some();
        if let Some(number) = self.body.number_at(target).filter(|_| !is_import) {
            self.bytes.extend_from_slice(b"here");
            self.bytes.extend_from_slice(&number.to_le_bytes());
            return None;
        }
        if let Some(cases) = self.cases(target) {
            self.bytes.extend_from_slice(b"cases");
            cases.iter().for_each(|case| self.bytes.extend_from_slice(&case.to_le_bytes()));
            return None;
        }
        Some(memory.name(self.world, target, size))
    }

    /// The instructions that a table at `base` leads to: distances of 32 bits from the table's own start
    /// (position-independent code), or whole addresses that a relocation fills.
    fn cases(&self, base: u64) -> Option<Vec<u32>> {
        let module = self.world.module;
        let region =
            module.region_at(base).filter(|region| region.kind == assay_binary::SectionKind::Data)?;
        let end = region.end().min(self.world.next_point(base));
        let mut cases = Vec::new();
        let width = if module.slot_at(base).is_some() { self.world.pointer() } else { 4 };
        for at in (base..end).step_by(width as usize).take(MAX_TABLE_ENTRIES) {
            let target = match module.slot_at(at).map(|slot| &slot.target) {
                Some(assay_binary::SlotTarget::Address(target)) => *target,
                Some(_) => break,
                None if width == 4 => {
                    let Some(word) = module.bytes(at, 4) else { break };
                    base.wrapping_add_signed(i64::from(i32::from_le_bytes([
                        word[0], word[1], word[2], word[3],
                    ])))
                }
                None => break,
            };
            let Some(number) = self.body.number_at(target) else { break };
            cases.push(number);
        }
        (cases.len() > 1).then_some(cases)
    }

    fn finish(mut self, parts: &[Part], positions: &BTreeSet<usize>) -> LiftedFunction {
        let (mut exact, mut meaning) = (Sha256::stream(), Sha256::stream());
        let mut numbers = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            exact.update(&self.bytes[part.exact.clone()]);
            let without = positions.contains(&index).then(|| without_number(&self.body.code[index]));
            let bytes = without.as_deref().unwrap_or(&self.bytes[part.meaning.clone()]);
            meaning.update(bytes);
            numbers.push(hash(bytes) as u32);
        }
        self.lifted.masked = hash(&self.masked);
        self.lifted.exact = *exact.finish().as_bytes();
        self.lifted.meaning = *meaning.finish().as_bytes();
        self.lifted.numbers = numbers;
        let computed = |i: &Instruction| matches!(i.flow, Flow::Computed | Flow::ComputedCall);
        self.lifted.open = self.body.code.iter().any(computed);
        self.lifted.features = sketch(self.world, self.body, parts, positions);
        self.lifted
    }
}

fn sketch(world: &World<'_, '_>, body: &Body, parts: &[Part], positions: &BTreeSet<usize>) -> Vec<u32> {
    let mut entered = vec![false; body.code.len()];
    let inner = body.code.iter().filter_map(|i| match i.reference {
        Some(Reference::Branch(target)) => body.number_at(target),
        _ => None,
    });
    inner.for_each(|number| {
        if let Some(place) = entered.get_mut(number as usize) {
            *place = true;
        }
    });
    let mut sketch = Sketch::new(world.convention());
    for (index, (instruction, part)) in body.code.iter().zip(parts).enumerate() {
        if entered[index] {
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
    sketch.finish()
}

fn without_number(instruction: &Instruction) -> Vec<u8> {
    let bytes = instruction.exact.bytes();
    [b"source line".as_slice(), &bytes[..bytes.len().min(4)]].concat()
}
