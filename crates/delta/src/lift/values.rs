//! Tier T2: a sketch of what a function computes, across compilers, optimisation levels and
//! architectures.
//!
//! Within stretches of code that are entered only at their start, values are followed through
//! registers and stack slots as expressions over the stretch's inputs; what leaves it is recorded as a
//! feature: comparisons, stores, results, arguments of calls, besides the texts, imports and numbers
//! the function names. Expressions forget registers, widths, the order of commuting operands and the
//! direction of comparisons. The idea is that of strands (David, Partush, Yahav: "Similarity of
//! Binaries through re-Optimization", PLDI 2017), with a vocabulary of our own instead of a
//! re-optimiser. A sketch ranks and explains; it never says that two functions are equal.

use super::code::{Condition, Convention, Effect, Flow, Instruction, Memory, Operand, Operation, Register};
use super::hash::{NumberMap, mix};

/// What a feature is about; its number is the top three bits of the feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum FeatureKind {
    /// A text constant.
    Text = 0,
    /// Something imported, or the name of what is called.
    Import = 1,
    /// A number that is neither small nor an address.
    Number = 2,
    /// A comparison that a branch reads: both sides.
    Comparison = 3,
    /// A store outside the frame.
    Store = 4,
    /// The value a function returns.
    Result = 5,
    /// An argument of a call.
    Argument = 6,
    /// A comparison with a constant: the constant and the kind of comparison alone.
    Bound = 7,
}

impl FeatureKind {
    /// The kind of a feature.
    pub fn of(feature: u32) -> Self {
        use FeatureKind as K;
        [K::Text, K::Import, K::Number, K::Comparison, K::Store, K::Result, K::Argument, K::Bound]
            [(feature >> 29) as usize]
    }
}

/// A feature of one kind.
pub(crate) fn feature(kind: FeatureKind, value: u64) -> u32 {
    (kind as u32) << 29 | (mix(value, 0x5eed) >> 35) as u32
}

/// A value: an expression plus a number. A plain number has the expression 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    expression: u64,
    offset: i64,
}

const INPUT: Value = Value { expression: 1, offset: 0 };

impl Value {
    fn number(offset: i64) -> Self {
        Self { expression: 0, offset }
    }

    fn of(expression: u64) -> Self {
        Self { expression: expression.max(2), offset: 0 }
    }

    fn plus(self, number: i64) -> Self {
        Self { offset: self.offset.wrapping_add(number), ..self }
    }

    fn as_number(self) -> Option<i64> {
        (self.expression == 0).then_some(self.offset)
    }

    fn hash(self) -> u64 {
        mix(self.expression, self.offset as u64)
    }
}

/// Registers that are told apart.
const REGISTERS: usize = 64;

/// The sketch of one function in the making; what it occupies is used again for the next.
pub(crate) struct Sketch {
    convention: Convention,
    registers: [Value; REGISTERS],
    /// Bits: which registers hold what `registers` says; the others hold inputs.
    held: u64,
    slots: NumberMap<(Register, i64), Value>,
    written: u64,
    compared: Option<(Value, Value, bool)>,
    features: Vec<u32>,
    seen: NumberMap<u32, u32>,
}

/// Emptying a table costs by what it could hold: larger ones are given back.
const MAX_KEPT: usize = 4096;
/// Most occurrences of one feature that are told apart.
const MAX_OCCURRENCES: u32 = 4;
/// Numbers below this say nothing.
const SMALL: i64 = 16;

impl Sketch {
    pub fn new(convention: Convention) -> Self {
        Self {
            convention,
            registers: [INPUT; REGISTERS],
            held: 0,
            slots: NumberMap::default(),
            written: 0,
            compared: None,
            features: Vec::new(),
            seen: NumberMap::default(),
        }
    }

    /// The features, sorted; the k-th occurrence of one is a feature of its own. After this it is empty.
    pub fn finish(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.enter();
        if self.seen.capacity() > MAX_KEPT {
            self.seen = NumberMap::default();
        }
        self.seen.clear();
        self.features.sort_unstable();
        self.features.dedup();
        self.features.drain(..)
    }

    /// Records something the function names.
    pub fn note(&mut self, kind: FeatureKind, value: u64) {
        let plain = feature(kind, value);
        let count = self.seen.entry(plain).or_default();
        *count += 1;
        match *count {
            1 => self.features.push(plain),
            more if more <= MAX_OCCURRENCES => self.features.push(feature(kind, mix(value, u64::from(more)))),
            _ => {}
        }
    }

    /// Control may come here from elsewhere: nothing is known.
    pub fn enter(&mut self) {
        if self.slots.capacity() > MAX_KEPT {
            self.slots = NumberMap::default();
        }
        self.slots.clear();
        self.held = 0;
        self.written = 0;
        self.compared = None;
    }

    /// One instruction; `named` is the content of the address that it names, `callee` what it calls.
    pub fn step(&mut self, instruction: &Instruction, named: Option<u64>) {
        self.effect(&instruction.effect, named.unwrap_or(3));
        match instruction.flow {
            Flow::Call | Flow::ComputedCall => self.call(named.unwrap_or(5)),
            Flow::Return => self.result(),
            _ => {}
        }
        if matches!(instruction.flow, Flow::Jump | Flow::Return | Flow::Trap | Flow::Computed) {
            self.enter();
        }
    }

    fn effect(&mut self, effect: &Effect, named: u64) {
        match *effect {
            Effect::None => {}
            Effect::Set { to, operation, from } => {
                let value = self.operation(operation, from, named);
                self.set(to, value, named);
            }
            Effect::Compare { from, and } => {
                let sides = (self.value(from[0], named), self.value(from[1], named));
                self.compared = Some((sides.0, sides.1, and));
            }
            Effect::Branch(condition) => {
                if let Some((left, right, and)) = self.compared {
                    self.comparison(left, right, and, condition);
                }
            }
            Effect::CompareAndBranch { from, condition, and } => {
                let sides = (self.value(from[0], named), self.value(from[1], named));
                self.comparison(sides.0, sides.1, and, condition);
            }
            Effect::Pair { first, second } => {
                let values = (self.value(first.1, named), self.value(second.1, named));
                self.set(first.0, values.0, named);
                self.set(second.0, values.1, named);
            }
            Effect::Push(value) => {
                self.value(value, named);
            }
        }
    }

    fn set(&mut self, to: Operand, value: Value, named: u64) {
        match to {
            Operand::Register(register) => {
                self.hold(register, value);
                self.written |= 1 << register.min(63);
            }
            Operand::Memory(memory) => match self.slot(&memory) {
                Some(place) => {
                    self.slots.insert(place, value);
                }
                None => {
                    let address = self.address(&memory, named);
                    let store = mix(mix(u64::from(memory.size), address.hash()), value.hash());
                    self.note(FeatureKind::Store, store);
                }
            },
            _ => {}
        }
    }

    fn hold(&mut self, register: Register, value: Value) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
            self.held |= 1 << register;
        }
    }

    /// What a register holds, where that is known.
    fn held(&self, register: Register) -> Option<Value> {
        let place = self.registers.get(usize::from(register))?;
        (self.held >> register & 1 == 1).then_some(*place)
    }

    fn slot(&self, memory: &Memory) -> Option<(Register, i64)> {
        let base = memory.base.filter(|_| memory.index.is_none() && !memory.named)?;
        self.convention.frame.contains(&base).then_some((base, memory.displacement))
    }

    fn value(&mut self, operand: Operand, named: u64) -> Value {
        match operand {
            Operand::None => Value::number(0),
            Operand::Register(register) => self.held(register).unwrap_or(INPUT),
            Operand::Number(number) => {
                if !(-SMALL..SMALL).contains(&number) {
                    self.note(FeatureKind::Number, number as u64);
                }
                Value::number(number)
            }
            Operand::Address(_) => Value::of(mix(named, 7)),
            Operand::Effective(memory) => self.address(&memory, named),
            Operand::Memory(memory) => match self.slot(&memory) {
                Some(place) => self.slots.get(&place).copied().unwrap_or(INPUT),
                None => {
                    let address = self.address(&memory, named);
                    Value::of(mix(mix(11, u64::from(memory.size)), address.hash()))
                }
            },
        }
    }

    fn address(&mut self, memory: &Memory, named: u64) -> Value {
        let mut value = match memory.base {
            _ if memory.named => Value::of(mix(named, 7)),
            Some(base) => self.value(Operand::Register(base), named),
            None => Value::number(0),
        };
        if let Some(index) = memory.index {
            let index = self.value(Operand::Register(index), named);
            let scaled = mix(mix(13, index.hash()), u64::from(memory.scale));
            value = Value { expression: value.expression.wrapping_add(scaled).max(2), ..value };
        }
        value.plus(memory.displacement)
    }

    fn operation(&mut self, operation: Operation, from: [Operand; 2], named: u64) -> Value {
        let (left, right) = (self.value(from[0], named), self.value(from[1], named));
        match (operation, left.as_number(), right.as_number()) {
            (Operation::Move, ..) => left,
            (Operation::Add, _, Some(number)) => left.plus(number),
            (Operation::Add, Some(number), _) => right.plus(number),
            (Operation::Subtract, _, Some(number)) => left.plus(number.wrapping_neg()),
            (Operation::ShiftLeft, _, Some(by @ 0..=62)) => product(left, 1 << by),
            (Operation::Multiply, _, Some(number)) => product(left, number),
            (Operation::And, _, Some(0xff | 0xffff | 0xffff_ffff)) => left,
            (Operation::Other(number), ..) => {
                Value::of(mix(mix(17 + u64::from(number), left.hash()), right.hash()))
            }
            _ => combine(operation, left, right),
        }
    }

    /// Canonical: strictly less, the constant on the right; a branch on the opposite is the same.
    fn comparison(&mut self, left: Value, right: Value, and: bool, condition: Condition) {
        use Condition as C;
        let (left, right, condition) = match left.as_number() {
            Some(_) => (right, left, swapped(condition)),
            None => (left, right, condition),
        };
        let signed = matches!(
            condition,
            C::SignedLess | C::SignedLessOrEqual | C::SignedGreater | C::SignedGreaterOrEqual
        );
        let (order, strict) = match condition {
            C::Equal | C::NotEqual => (0u64, true),
            C::SignedLess | C::UnsignedLess | C::SignedGreaterOrEqual | C::UnsignedGreaterOrEqual => {
                (1, true)
            }
            C::Other => (2, true),
            _ => (1, false),
        };
        let kind = mix(order << 2 | u64::from(signed) << 1 | u64::from(and), 19);
        match right.as_number() {
            Some(number) => {
                let bound = if strict { number } else { number.wrapping_add(1) };
                self.note(FeatureKind::Bound, mix(kind, bound as u64));
                self.note(FeatureKind::Comparison, mix(mix(kind, left.hash()), bound as u64));
            }
            None => {
                let (first, second) = if strict { (left, right) } else { (right, left) };
                let pair = match order {
                    1 => mix(first.hash(), second.hash()),
                    _ => first.hash() ^ second.hash(),
                };
                self.note(FeatureKind::Comparison, mix(kind, pair));
            }
        }
    }

    fn call(&mut self, callee: u64) {
        for (index, &register) in self.convention.arguments.iter().enumerate() {
            if self.written >> register & 1 == 1
                && let Some(value) = self.held(register)
            {
                self.note(FeatureKind::Argument, mix(mix(callee, index as u64), value.hash()));
            }
            self.held &= !(1 << register);
        }
        self.written = 0;
        let result = Value::of(mix(callee, 23));
        self.hold(self.convention.result, result);
    }

    fn result(&mut self) {
        let value = self.held(self.convention.result);
        if let Some(value) = value.filter(|&value| value != INPUT) {
            self.note(FeatureKind::Result, value.hash());
        }
    }
}

fn product(value: Value, by: i64) -> Value {
    match value.as_number() {
        Some(number) => Value::number(number.wrapping_mul(by)),
        None if by == 1 => value,
        None => Value::of(mix(mix(29, value.hash()), by as u64)),
    }
}

fn combine(operation: Operation, left: Value, right: Value) -> Value {
    let commutes = matches!(
        operation,
        Operation::Add
            | Operation::Multiply
            | Operation::And
            | Operation::Or
            | Operation::Xor
            | Operation::Select
    );
    let (a, b) = (left.hash(), right.hash());
    let (a, b) = if commutes && a > b { (b, a) } else { (a, b) };
    Value::of(mix(mix(tag(operation), a), b))
}

/// A number of its own for each operation that [`combine`] is asked for.
fn tag(operation: Operation) -> u64 {
    let number = match operation {
        Operation::Move => 0,
        Operation::Add => 1,
        Operation::Subtract => 2,
        Operation::Multiply => 3,
        Operation::Divide => 4,
        Operation::And => 5,
        Operation::Or => 6,
        Operation::Xor => 7,
        Operation::ShiftLeft => 8,
        Operation::ShiftRight => 9,
        Operation::Rotate => 10,
        Operation::Negate => 11,
        Operation::Not => 12,
        Operation::Select => 13,
        Operation::Float => 14,
        Operation::Vector => 15,
        Operation::Other(_) => 16,
    };
    mix(number, 31)
}

fn swapped(condition: Condition) -> Condition {
    use Condition as C;
    match condition {
        C::SignedLess => C::SignedGreater,
        C::SignedLessOrEqual => C::SignedGreaterOrEqual,
        C::SignedGreater => C::SignedLess,
        C::SignedGreaterOrEqual => C::SignedLessOrEqual,
        C::UnsignedLess => C::UnsignedGreater,
        C::UnsignedLessOrEqual => C::UnsignedGreaterOrEqual,
        C::UnsignedGreater => C::UnsignedLess,
        C::UnsignedGreaterOrEqual => C::UnsignedLessOrEqual,
        other => other,
    }
}
