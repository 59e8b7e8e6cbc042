//! Which instructions only load the line of a source file.

use std::collections::BTreeSet;

use fnv::FnvHashMap;

use super::code::{Body, Effect, Flow, Instruction, Operand, Operation};
use super::function::Part;
use super::world::World;

/// The instructions that load a line number: a plain number as the argument beside the path of a source
/// file (`__FILE__, __LINE__`; also with `__func__` between). Registers are followed in address order.
pub(super) fn source_positions(body: &Body, parts: &[Part], world: &World<'_, '_>) -> BTreeSet<usize> {
    let arguments = world.convention().arguments;
    if !parts.iter().any(|part| part.is_source_path) {
        return BTreeSet::new();
    }
    if arguments.is_empty() {
        return stacked_positions(body, parts, world.convention().frame);
    }
    let mut found = BTreeSet::new();
    let mut loaded = Loaded::default();
    for (index, (instruction, part)) in body.code.iter().zip(parts).enumerate() {
        loaded.step(index, instruction, part);
        match instruction.flow {
            Flow::Call | Flow::ComputedCall | Flow::Computed => found.extend(loaded.positions(arguments)),
            Flow::Jump | Flow::Conditional => {
                found.extend(loaded.positions(arguments).filter(|_| instruction.flow == Flow::Jump));
                let inner = instruction.named_address().and_then(|target| body.number_at(target));
                found.extend(
                    inner
                        .into_iter()
                        .flat_map(|to| ahead(loaded.clone(), body, parts, to as usize, arguments)),
                );
            }
            _ => {}
        }
        if matches!(instruction.flow, Flow::Call | Flow::ComputedCall) {
            loaded.after_call(arguments);
        }
    }
    found
}

/// How far a shared tail is followed to its call, in instructions.
const MAX_AHEAD: usize = 16;

/// The lines that were loaded before a jump to `from`, where a call with a source path follows.
fn ahead(mut loaded: Loaded, body: &Body, parts: &[Part], from: usize, arguments: &[u8]) -> Vec<usize> {
    let before: BTreeSet<usize> = loaded.lines.values().copied().collect();
    let after = body.code.iter().zip(parts).enumerate().skip(from).take(MAX_AHEAD);
    for (index, (instruction, part)) in after {
        loaded.step(index, instruction, part);
        match instruction.flow {
            Flow::Call => return loaded.positions(arguments).filter(|at| before.contains(at)).collect(),
            Flow::Next => {}
            _ => return Vec::new(),
        }
    }
    Vec::new()
}

/// What registers hold, as far as source positions are concerned: bits by register, and which
/// instruction loaded a plain number.
#[derive(Clone, Default)]
struct Loaded {
    paths: u64,
    texts: u64,
    lines: FnvHashMap<u8, usize>,
}

impl Loaded {
    fn step(&mut self, index: usize, instruction: &Instruction, part: &Part) {
        let Effect::Set { to: Operand::Register(register), operation, from } = instruction.effect else {
            return;
        };
        if register >= 64 {
            return;
        }
        let copied = |mask: u64| {
            operation == Operation::Move
                && matches!(from[0], Operand::Register(other) if other < 64 && mask >> other & 1 == 1)
        };
        let is_path = part.is_source_path || copied(self.paths);
        let is_text = part.text.is_some() || copied(self.texts);
        self.paths = self.paths & !(1 << register) | u64::from(is_path) << register;
        self.texts = self.texts & !(1 << register) | u64::from(is_text) << register;
        self.lines.remove(&register);
        if is_line(operation, from) {
            self.lines.insert(register, index);
        }
    }

    fn positions<'l>(&'l self, arguments: &'l [u8]) -> impl Iterator<Item = usize> + 'l {
        let places = (0..arguments.len()).filter(|&place| self.paths >> arguments[place] & 1 == 1);
        places.filter_map(|place| line_beside(arguments, place, self.texts, &self.lines))
    }

    fn after_call(&mut self, arguments: &[u8]) {
        for register in arguments {
            self.paths &= !(1 << register);
            self.texts &= !(1 << register);
        }
        self.lines.clear();
    }
}

/// `(file, line)`, `(file, function, line)`, `(line, file)`: the instruction that loads the line.
fn line_beside(arguments: &[u8], path: usize, texts: u64, lines: &FnvHashMap<u8, usize>) -> Option<usize> {
    let line = |place: usize| arguments.get(place).and_then(|register| lines.get(register)).copied();
    let is_text = |place: usize| arguments.get(place).is_some_and(|&register| texts >> register & 1 == 1);
    let after_function = || line(path + 2).filter(|_| is_text(path + 1));
    line(path + 1).or_else(after_function).or_else(|| path.checked_sub(1).and_then(line))
}

/// The same where arguments lie on the stack: the number pushed or stored last before the path, or
/// right beside it.
fn stacked_positions(body: &Body, parts: &[Part], frame: &[u8]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut candidates: Vec<usize> = Vec::new();
    let mut path = None;
    for (index, (instruction, part)) in body.code.iter().zip(parts).enumerate() {
        if part.is_source_path {
            path = Some(index);
        }
        let is_candidate = match instruction.effect {
            Effect::Push(operand) => is_line(Operation::Move, [operand, Operand::None]),
            Effect::Set { to: Operand::Memory(memory), operation, from } => {
                memory.base.is_some_and(|base| frame.contains(&base)) && is_line(operation, from)
            }
            _ => false,
        };
        if is_candidate {
            candidates.push(index);
        }
        if matches!(instruction.flow, Flow::Call | Flow::ComputedCall) {
            if let Some(path) = path.take() {
                found.extend(candidates.iter().copied().min_by_key(|&at| at.abs_diff(path)));
            }
            candidates.clear();
        }
    }
    found
}

/// Lines of source files that anybody writes.
const LINES: std::ops::RangeInclusive<i64> = 1..=200_000;

fn is_line(operation: Operation, from: [Operand; 2]) -> bool {
    match (operation, from) {
        (Operation::Move, [Operand::Number(number), Operand::None]) => LINES.contains(&number),
        _ => false,
    }
}
