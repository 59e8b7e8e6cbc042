//! The simulation check: roots, worklist, and what must hold of the whole mapping.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use assay_binary::UnitKind;

use super::callees::Callees;
use super::memory::Memory;
use super::{DataPair, Executed, Reason, Refusal};
use crate::limits::{MAX_REFUSALS, MAX_STEPS};
use crate::program::{Program, stable_name};

/// What a successful check found.
pub(super) struct Mapping {
    pub executed: Vec<(usize, usize)>,
    pub referenced: u64,
    pub data: Vec<DataPair>,
}

/// What is still to be compared.
pub(super) enum Task {
    /// The bodies of an executed unit and its counterpart.
    Body(usize, usize),
    /// `length` bytes of memory at the two addresses.
    Contents(u64, u64, u64),
    /// Likewise, of 32-bit distances from the start to constants.
    Distances(u64, u64, u64),
}

pub(super) struct Simulation<'p, 'data> {
    pub a: &'p Program<'data>,
    pub b: &'p Program<'data>,
    /// A's functions, as far as addresses are given to them.
    pub callees: Callees<'p, 'data>,
    /// Both are the same file, so that its image may be observed.
    pub one_file: bool,
    /// The run may list the segments of its image.
    pub maps_read: bool,
    /// Executed code divides 64-bit numbers, and so may hash addresses.
    pub divides: bool,
    pub executed: BTreeSet<usize>,
    pub units: BTreeMap<usize, usize>,
    units_back: BTreeMap<usize, usize>,
    pub memory: Memory,
    /// Addresses that are taken, and so may be compared with each other.
    pub taken: BTreeSet<(u64, u64)>,
    queue: VecDeque<Task>,
    queued: HashSet<usize>,
    refusals: BTreeSet<Refusal>,
    steps: u64,
    place: String,
}

pub(super) fn run<'data>(
    a: &Program<'data>,
    b: &Program<'data>,
    one_file: bool,
    executed: Executed<'_>,
) -> Result<Mapping, Vec<Refusal>> {
    let mut simulation = Simulation {
        a,
        b,
        callees: Callees::new(a),
        one_file,
        maps_read: false,
        divides: false,
        executed: BTreeSet::new(),
        units: BTreeMap::new(),
        units_back: BTreeMap::new(),
        memory: Memory::default(),
        taken: BTreeSet::new(),
        queue: VecDeque::new(),
        queued: HashSet::new(),
        refusals: BTreeSet::new(),
        steps: 0,
        place: String::new(),
    };
    super::loader::preconditions(&mut simulation);
    if !simulation.refusals.is_empty() {
        return Err(simulation.refusals.into_iter().collect());
    }
    simulation.take_executed(executed);
    super::loader::compare(&mut simulation);
    simulation.pair_executed_by_name();
    simulation.drain();
    simulation.finish()
}

impl Simulation<'_, '_> {
    pub fn refuse(&mut self, reason: Reason, detail: impl Into<String>) {
        if self.refusals.len() < MAX_REFUSALS {
            let refusal = Refusal { reason, place: self.place.clone(), detail: detail.into() };
            self.refusals.insert(refusal);
        }
    }

    /// Says where what follows is found.
    pub fn at(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    /// Where what is compared stands.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn push(&mut self, task: Task) {
        self.queue.push_back(task);
    }

    /// Counts work; false when there was too much of it.
    pub fn step(&mut self, count: u64) -> bool {
        let before = self.steps;
        self.steps = self.steps.saturating_add(count);
        if before <= MAX_STEPS && self.steps > MAX_STEPS {
            self.refuse(Reason::TooComplex, format!("more than {MAX_STEPS} steps"));
        }
        self.steps <= MAX_STEPS
    }

    fn take_executed(&mut self, executed: Executed<'_>) {
        match executed {
            Executed::All => {
                let units = self.a.map.units().iter().enumerate();
                let functions = units.filter(|(_, unit)| unit.kind == UnitKind::Function);
                self.executed = functions.map(|(index, _)| index).collect();
            }
            Executed::Units(addresses) => {
                for address in addresses {
                    match self.a.map.unit_at(address.0) {
                        // It binds a slot by its relocation, which is compared, and then jumps there.
                        Some(unit) if self.a.map.units()[unit].kind == UnitKind::StubHeader => {}
                        Some(unit) => drop(self.executed.insert(unit)),
                        None => {
                            self.at(address.to_string());
                            self.refuse(Reason::ExecutedCodeUnknown, "the address is in no unit");
                        }
                    }
                }
            }
        }
    }

    fn pair_executed_by_name(&mut self) {
        for unit_a in self.executed.clone() {
            let unit = &self.a.map.units()[unit_a];
            self.at(unit.name.clone());
            let only = self.a.unit_named(&unit.name) == Some(unit_a);
            if let Some(unit_b) = self.b.unit_named(&unit.name).filter(|_| only) {
                self.pair_units(unit_a, unit_b);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(task) = self.queue.pop_front() {
            if self.refusals.len() >= MAX_REFUSALS || !self.step(1) {
                return;
            }
            match task {
                Task::Body(a, b) => super::code::compare(self, a, b),
                Task::Contents(a, b, length) => super::contents::compare(self, a, b, length),
                Task::Distances(a, b, length) => super::contents::compare_distances(self, a, b, length),
            }
        }
    }

    /// A unit that runs although no coverage can show it (a resolver the loader calls).
    pub fn executes(&mut self, address: u64) {
        if let Some(unit) = self.a.map.unit_at(address) {
            self.executed.insert(unit);
            if let Some(&other) = self.units.get(&unit) {
                self.queue_body(unit, other);
            }
        }
    }

    fn queue_body(&mut self, a: usize, b: usize) {
        if self.queued.insert(a) {
            self.push(Task::Body(a, b));
        }
    }

    /// Compares the bodies although the unit need not be executed.
    pub fn bodies_must_be_equal(&mut self, a: usize, b: usize) {
        self.queue_body(a, b);
    }

    /// Makes two units correspond, or refuses.
    pub fn pair_units(&mut self, a: usize, b: usize) -> bool {
        let (unit_a, unit_b) = (&self.a.map.units()[a], &self.b.map.units()[b]);
        match (self.units.get(&a), self.units_back.get(&b)) {
            (Some(&known), Some(_)) if known == b => return true,
            (None, None) => {}
            _ => {
                let detail =
                    format!("`{}` would correspond to two functions, one is `{}`", unit_a.name, unit_b.name);
                self.refuse(Reason::ReferenceDiffers, detail);
                return false;
            }
        }
        let named_a = self.a.unit_named(&unit_b.name).filter(|_| self.b.unit_named(&unit_b.name) == Some(b));
        let named_b = self.b.unit_named(&unit_a.name).filter(|_| self.a.unit_named(&unit_a.name) == Some(a));
        if named_a.is_some_and(|named| named != a) || named_b.is_some_and(|named| named != b) {
            let detail = format!("`{}` where it was `{}`", unit_b.name, unit_a.name);
            self.refuse(Reason::ReferenceDiffers, detail);
            return false;
        }
        match (unit_a.kind, unit_b.kind) {
            (UnitKind::Stub { slot: slot_a }, UnitKind::Stub { slot: slot_b }) => {
                self.slot(slot_a.0, slot_b.0)
            }
            (kind_a, kind_b) if kind_a == kind_b => {}
            _ => self.refuse(Reason::ReferenceDiffers, format!("`{}` is not of one kind", unit_a.name)),
        }
        self.units.insert(a, b);
        self.units_back.insert(b, a);
        if self.executed.contains(&a) {
            self.queue_body(a, b);
        }
        true
    }

    /// Code at `a` corresponds to code at `b`; `taken` where the address itself is kept.
    pub fn code_reference(&mut self, a: u64, b: u64, taken: bool) {
        let (Some(index_a), Some(index_b)) = (self.a.map.unit_at(a), self.b.map.unit_at(b)) else {
            return self
                .refuse(Reason::UnresolvedReference, format!("code at {a:#x} or {b:#x} is in no unit"));
        };
        if !self.pair_units(index_a, index_b) {
            return;
        }
        let (unit_a, unit_b) = (&self.a.map.units()[index_a], &self.b.map.units()[index_b]);
        let entry_a = unit_a.entries.iter().position(|entry| entry.address.0 == a);
        let entry_b = unit_b.entries.iter().position(|entry| entry.address.0 == b);
        let name = |unit: &assay_binary::Unit, entry: usize| {
            unit.entries[entry].names.first().map(|name| stable_name(name).to_owned())
        };
        match (entry_a, entry_b) {
            (Some(0), Some(0)) => {}
            (Some(x), Some(y)) if name(unit_a, x) == name(unit_b, y) => {}
            (None, None) => self.label(a, b, index_a, index_b),
            _ => self.refuse(Reason::ReferenceDiffers, format!("another entry of `{}`", unit_a.name)),
        }
        if taken {
            self.taken.insert((a, b));
        }
    }

    /// The interior of a unit is only the same place where the bodies are equal.
    fn label(&mut self, a: u64, b: u64, index_a: usize, index_b: usize) {
        let (unit_a, unit_b) = (&self.a.map.units()[index_a], &self.b.map.units()[index_b]);
        let offset = |unit: &assay_binary::Unit, address: u64| {
            let range = unit.ranges.iter().position(|range| range.contains(address))?;
            Some((range, address - unit.ranges[range].start.0))
        };
        if offset(unit_a, a) != offset(unit_b, b) {
            return self.refuse(Reason::ReferenceDiffers, format!("another place in `{}`", unit_a.name));
        }
        self.bodies_must_be_equal(index_a, index_b);
    }

    fn finish(mut self) -> Result<Mapping, Vec<Refusal>> {
        let missing: Vec<usize> =
            self.executed.iter().copied().filter(|unit| !self.units.contains_key(unit)).collect();
        for unit in missing {
            self.at(self.a.map.units()[unit].name.clone());
            self.refuse(Reason::ExecutedFunctionMissing, "no counterpart was found");
        }
        super::loader::listed_segments(&mut self);
        self.at("the whole mapping");
        self.check_order();
        let data = match self.memory.merged() {
            Ok(data) => data,
            Err(detail) => {
                self.refuse(Reason::MappingConflict, detail);
                Vec::new()
            }
        };
        if !self.refusals.is_empty() {
            return Err(self.refusals.into_iter().collect());
        }
        let executed: Vec<_> = self.executed.iter().map(|unit| (*unit, self.units[unit])).collect();
        Ok(Mapping { referenced: (self.units.len() - executed.len()) as u64, executed, data })
    }

    /// Addresses that are kept may be compared, so their order must be the same.
    fn check_order(&mut self) {
        let taken: Vec<(u64, u64)> = self.taken.iter().copied().collect();
        if let Some((a, b)) = taken.iter().find(|(a, b)| self.divides && a != b) {
            let detail =
                format!("{a:#x} is {b:#x}, and executed code divides 64-bit numbers as a hash table does");
            self.refuse(Reason::AddressesMayBeHashed, detail);
        }
        if let Some(pair) = taken.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            let name = |address| {
                self.a.image.symbol_at(assay_binary::Address(address)).map_or("?", |(name, _)| name)
            };
            let detail =
                format!("{:#x} ({}) and {:#x} ({})", pair[0].0, name(pair[0].0), pair[1].0, name(pair[1].0));
            self.refuse(Reason::OrderMayBeObserved, detail);
        }
    }
}
