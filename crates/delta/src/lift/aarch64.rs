//! AArch64: the fixed-width encodings of the Arm Architecture Reference Manual (DDI 0487), section C4.1.
//!
//! `adrp` leaves a page in a register; the instruction that adds the low part names the address. Pages
//! are followed in address order until the register is written otherwise, which is how compilers emit
//! them; a page that a branch may bypass is at worst a wrong explanation of a number.

use super::code::{
    Body, Condition, Convention, Effect, Exact, Flow, Instruction, Memory, Operand, Operation, Reference,
    Register,
};

/// The procedure call standard (AAPCS64).
pub(crate) const CONVENTION: Convention =
    Convention { arguments: &[0, 1, 2, 3, 4, 5, 6, 7], result: 0, frame: &[STACK, 29] };

const STACK: Register = 31;
/// Reads as zero where the encoding does not mean the stack pointer.
const ZERO: u32 = 31;
/// Vector registers are numbered from here.
const VECTOR: u8 = 32;
const NOP: u32 = 0xd503_201f;

/// Decodes the words of one range; `slot` gives the address that a relocation puts at an address.
pub(crate) fn decode(bytes: &[u8], address: u64, slot: impl Fn(u64) -> Option<u64>, body: &mut Body) {
    instructions(bytes, address, slot).for_each(|instruction| body.push(instruction));
}

/// Calls `found` for each address that an instruction names and does not go to.
pub(crate) fn data_references(
    bytes: &[u8],
    address: u64,
    slot: impl Fn(u64) -> Option<u64>,
    found: impl FnMut(u64),
) {
    instructions(bytes, address, slot).filter_map(|instruction| instruction.named_data()).for_each(found);
}

fn instructions(
    bytes: &[u8],
    address: u64,
    slot: impl Fn(u64) -> Option<u64>,
) -> impl Iterator<Item = Instruction> {
    let mut pages: [Option<u64>; 32] = [None; 32];
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    words.zip((address..).step_by(4)).map(move |(word, at)| {
        let mut decoder = Decoder { word, at, pages: &mut pages, slot: slot(at) };
        decoder.instruction()
    })
}

struct Decoder<'p> {
    word: u32,
    at: u64,
    pages: &'p mut [Option<u64>; 32],
    slot: Option<u64>,
}

/// What one word says, and which of its bits only place an address.
struct Word {
    address_bits: u32,
    reference: Option<Reference>,
    flow: Flow,
    effect: Effect,
    /// The general register it writes, for the pages.
    writes: Option<u32>,
}

impl Word {
    fn plain(effect: Effect, writes: Option<u32>) -> Self {
        Self { address_bits: 0, reference: None, flow: Flow::Next, effect, writes }
    }

    fn flow(flow: Flow, effect: Effect) -> Self {
        Self { address_bits: 0, reference: None, flow, effect, writes: None }
    }

    fn branch(flow: Flow, effect: Effect, target: u64, address_bits: u32) -> Self {
        Self { address_bits, reference: Some(Reference::Branch(target)), flow, effect, writes: None }
    }
}

impl Decoder<'_> {
    fn field(&self, from: u32, width: u32) -> u32 {
        self.word >> from & ((1 << width) - 1)
    }

    fn signed(&self, from: u32, width: u32) -> i64 {
        let value = i64::from(self.field(from, width));
        if value >> (width - 1) & 1 == 1 { value - (1 << width) } else { value }
    }

    fn is(&self, mask: u32, value: u32) -> bool {
        self.word & mask == value
    }

    fn near(&self, from: u32, width: u32) -> u64 {
        self.slot.unwrap_or_else(|| self.at.wrapping_add_signed(self.signed(from, width) * 4))
    }

    fn instruction(&mut self) -> Instruction {
        let word = self.branches().or_else(|| self.immediates()).or_else(|| self.registers());
        let word = word.or_else(|| self.memory());
        let word = word.unwrap_or_else(|| self.other());
        if let Some(register) = word.writes.filter(|&register| register < 31) {
            let is_page = self.is(0x9f00_0000, 0x9000_0000);
            self.pages[register as usize] = is_page.then(|| self.page());
        }
        if matches!(word.flow, Flow::Call | Flow::ComputedCall) {
            self.pages[..19].fill(None);
        }
        let mut exact = Exact::default();
        exact.push(&(self.word & !word.address_bits).to_le_bytes());
        Instruction {
            address: self.at,
            length: 4,
            exact,
            reference: word.reference,
            flow: word.flow,
            effect: word.effect,
            padding: self.word == NOP || self.word == 0,
        }
    }

    fn page(&self) -> u64 {
        let pages = self.signed(5, 19) * 4 + i64::from(self.field(29, 2));
        self.slot.map_or((self.at & !0xfff).wrapping_add_signed(pages << 12), |target| target & !0xfff)
    }

    fn branches(&mut self) -> Option<Word> {
        let register = || Operand::Register(self.field(0, 5) as u8);
        if self.is(0x7c00_0000, 0x1400_0000) {
            let flow = if self.word >> 31 == 1 { Flow::Call } else { Flow::Jump };
            return Some(Word::branch(flow, Effect::None, self.near(0, 26), 0x03ff_ffff));
        }
        if self.is(0xff00_0010, 0x5400_0000) {
            let effect = Effect::Branch(condition(self.field(0, 4)));
            return Some(Word::branch(Flow::Conditional, effect, self.near(5, 19), 0x00ff_ffe0));
        }
        if self.is(0x7e00_0000, 0x3400_0000) {
            let condition = if self.field(24, 1) == 1 { Condition::NotEqual } else { Condition::Equal };
            let effect =
                Effect::CompareAndBranch { from: [register(), Operand::Number(0)], condition, and: false };
            return Some(Word::branch(Flow::Conditional, effect, self.near(5, 19), 0x00ff_ffe0));
        }
        if self.is(0x7e00_0000, 0x3600_0000) {
            let bit = self.field(31, 1) << 5 | self.field(19, 5);
            let condition = if self.field(24, 1) == 1 { Condition::NotEqual } else { Condition::Equal };
            let effect = Effect::CompareAndBranch {
                from: [register(), Operand::Number(1i64 << bit)],
                condition,
                and: true,
            };
            return Some(Word::branch(Flow::Conditional, effect, self.near(5, 14), 0x0007_ffe0));
        }
        if self.is(0xfe00_0000, 0xd600_0000) {
            return Some(Word::flow(
                match self.field(21, 4) & 7 {
                    1 => Flow::ComputedCall,
                    2 => Flow::Return,
                    _ => Flow::Computed,
                },
                Effect::None,
            ));
        }
        if self.is(0xffe0_001f, 0xd420_0000) || self.is(0xffff_0000, 0) {
            return Some(Word::flow(Flow::Trap, Effect::None));
        }
        None
    }

    fn immediates(&mut self) -> Option<Word> {
        let (rd, rn) = (self.field(0, 5), self.field(5, 5));
        let set = |operation, a, b| Effect::Set { to: Operand::Register(rd as u8), operation, from: [a, b] };
        if self.is(0x9f00_0000, 0x1000_0000) {
            let offset = self.signed(5, 19) * 4 + i64::from(self.field(29, 2));
            let target = self.slot.unwrap_or_else(|| self.at.wrapping_add_signed(offset));
            let effect = set(Operation::Move, Operand::Address(target), Operand::None);
            let reference = Some(Reference::Address(target));
            return Some(Word { address_bits: 0x60ff_ffe0, reference, ..Word::plain(effect, Some(rd)) });
        }
        if self.is(0x9f00_0000, 0x9000_0000) {
            let effect = set(Operation::Move, Operand::Address(self.page()), Operand::None);
            return Some(Word { address_bits: 0x60ff_ffe0, ..Word::plain(effect, Some(rd)) });
        }
        if self.is(0x1f00_0000, 0x1100_0000) {
            return Some(self.add_immediate(rd, rn));
        }
        if self.is(0x1f80_0000, 0x1200_0000) {
            let value = bitmask(self.field(22, 1), self.field(16, 6), self.field(10, 6));
            let number = Operand::Number(value as i64);
            let effect = match self.field(29, 2) {
                3 if rd == ZERO => Effect::Compare { from: [general(rn), number], and: true },
                0 | 3 => set(Operation::And, general(rn), number),
                1 if rn == ZERO => set(Operation::Move, number, Operand::None),
                1 => set(Operation::Or, general(rn), number),
                _ => set(Operation::Xor, general(rn), number),
            };
            return Some(Word::plain(effect, Some(rd)));
        }
        if self.is(0x1f80_0000, 0x1280_0000) {
            let value = i64::from(self.field(5, 16)) << (self.field(21, 2) * 16);
            let effect = match self.field(29, 2) {
                0 => set(Operation::Move, Operand::Number(!value), Operand::None),
                2 => set(Operation::Move, Operand::Number(value), Operand::None),
                _ => set(Operation::Or, Operand::Register(rd as u8), Operand::Number(value)),
            };
            return Some(Word::plain(effect, Some(rd)));
        }
        if self.is(0x1f80_0000, 0x1300_0000) {
            return Some(Word::plain(self.bitfield(rd, rn), Some(rd)));
        }
        None
    }

    fn add_immediate(&mut self, rd: u32, rn: u32) -> Word {
        let value = i64::from(self.field(10, 12)) << (12 * self.field(22, 1));
        let subtract = self.field(30, 1) == 1;
        let page = if rn < 31 { self.pages[rn as usize] } else { None };
        let to = Operand::Register(rd as u8);
        if !subtract && let Some(target) = self.slot.or(page.map(|page| page.wrapping_add_signed(value))) {
            let effect = Effect::Set {
                to,
                operation: Operation::Move,
                from: [Operand::Address(target), Operand::None],
            };
            let reference = Some(Reference::Address(target));
            return Word { address_bits: 0x003f_fc00, reference, ..Word::plain(effect, Some(rd)) };
        }
        let from = [Operand::Register(rn as u8), Operand::Number(value)];
        let effect = match (subtract, self.field(29, 1)) {
            (true, 1) if rd == ZERO => Effect::Compare { from, and: false },
            (false, 1) if rd == ZERO => {
                Effect::Compare { from: [from[0], Operand::Number(-value)], and: false }
            }
            (false, 0) if value == 0 => {
                Effect::Set { to, operation: Operation::Move, from: [from[0], Operand::None] }
            }
            (true, _) => Effect::Set { to, operation: Operation::Subtract, from },
            (false, _) => Effect::Set { to, operation: Operation::Add, from },
        };
        Word::plain(effect, Some(rd))
    }

    /// `ubfm`, `sbfm`, `bfm` and the shifts and extensions that are written through them.
    fn bitfield(&self, rd: u32, rn: u32) -> Effect {
        let (rotate, last) = (self.field(16, 6), self.field(10, 6));
        let bits = if self.field(31, 1) == 1 { 64 } else { 32 };
        let to = Operand::Register(rd as u8);
        let set = |operation, number: u32| Effect::Set {
            to,
            operation,
            from: [general(rn), Operand::Number(i64::from(number))],
        };
        match (rotate, last) {
            _ if self.field(29, 2) == 1 => set(Operation::Other(0x1300), rotate << 6 | last),
            (rotate, last) if last == bits - 1 => set(Operation::ShiftRight, rotate),
            (rotate, last) if last + 1 == rotate && rotate < bits => set(Operation::ShiftLeft, bits - rotate),
            (0, 7 | 15 | 31) => {
                Effect::Set { to, operation: Operation::Move, from: [general(rn), Operand::None] }
            }
            (rotate, last) => set(Operation::Other(0x1301), rotate << 6 | last),
        }
    }

    fn registers(&mut self) -> Option<Word> {
        let (rd, rn, rm) = (self.field(0, 5), self.field(5, 5), self.field(16, 5));
        let to = Operand::Register(rd as u8);
        let set = |operation, a, b| Effect::Set { to, operation, from: [a, b] };
        let effect = if self.is(0x1f00_0000, 0x0a00_0000) {
            match (self.field(29, 2), self.field(21, 1)) {
                (3, 0) if rd == ZERO => Effect::Compare { from: [general(rn), general(rm)], and: true },
                (0 | 3, 0) => set(Operation::And, general(rn), general(rm)),
                (1, 0) if rn == ZERO => set(Operation::Move, general(rm), Operand::None),
                (1, 0) => set(Operation::Or, general(rn), general(rm)),
                (1, 1) if rn == ZERO => set(Operation::Not, general(rm), Operand::None),
                (2, 0) => set(Operation::Xor, general(rn), general(rm)),
                _ => set(Operation::Other(0x0a00), general(rn), general(rm)),
            }
        } else if self.is(0x1f00_0000, 0x0b00_0000) {
            let extended = self.field(21, 1) == 1;
            let left = if extended { Operand::Register(rn as u8) } else { general(rn) };
            match (self.field(30, 1), self.field(29, 1)) {
                (1, 1) if rd == ZERO => Effect::Compare { from: [left, general(rm)], and: false },
                (1, _) if rn == ZERO && !extended => set(Operation::Negate, general(rm), Operand::None),
                (1, _) => set(Operation::Subtract, left, general(rm)),
                _ => set(Operation::Add, left, general(rm)),
            }
        } else if self.is(0x1fe0_0000, 0x1a80_0000) {
            set(Operation::Select, general(rn), general(rm))
        } else if self.is(0x5fe0_0000, 0x1ac0_0000) {
            let operation = match self.field(10, 6) {
                2 | 3 => Operation::Divide,
                8 => Operation::ShiftLeft,
                9 | 10 => Operation::ShiftRight,
                11 => Operation::Rotate,
                other => Operation::Other(0x1ac0 + other as u16),
            };
            set(operation, general(rn), general(rm))
        } else if self.is(0x1f00_0000, 0x1b00_0000) {
            set(Operation::Multiply, general(rn), general(rm))
        } else {
            return None;
        };
        Some(Word::plain(effect, Some(rd)))
    }

    fn memory(&mut self) -> Option<Word> {
        let (rt, rn) = (self.field(0, 5), self.field(5, 5));
        let vector = self.field(26, 1) == 1;
        if self.is(0x3b00_0000, 0x1800_0000) {
            let target = self.near(5, 19);
            let size = if self.field(30, 2) == 0 { 4 } else { 8 };
            let memory =
                Memory { base: None, index: None, scale: 1, displacement: 0, named: true, size: size as u8 };
            let effect = load(transferred(rt, vector), memory);
            let reference = Some(Reference::Memory(target, size));
            let writes = (!vector).then_some(rt);
            return Some(Word { address_bits: 0x00ff_ffe0, reference, ..Word::plain(effect, writes) });
        }
        if self.is(0x3a00_0000, 0x2800_0000) {
            return Some(self.pair(rt, rn, vector));
        }
        if !self.is(0x3a00_0000, 0x3800_0000) {
            return None;
        }
        let size = match (vector, self.field(30, 2), self.field(23, 1)) {
            (true, 0, 1) => 16,
            (_, size, _) => 1u64 << size,
        };
        let mut memory = Memory {
            base: Some(rn as u8),
            index: None,
            scale: 1,
            displacement: 0,
            named: false,
            size: size as u8,
        };
        let mut word = Word::plain(Effect::None, None);
        if self.field(24, 1) == 1 {
            memory.displacement = i64::from(self.field(10, 12)) * size as i64;
            let page = if rn < 31 { self.pages[rn as usize] } else { None };
            let named = self.slot.or(page.map(|page| page.wrapping_add_signed(memory.displacement)));
            if let Some(target) = named {
                memory = Memory { base: None, displacement: 0, named: true, ..memory };
                word.address_bits = 0x003f_fc00;
                word.reference = Some(Reference::Memory(target, size));
            }
        } else if self.field(21, 1) == 1 {
            memory.index = Some(self.field(16, 5) as u8);
            memory.scale = if self.field(12, 1) == 1 { size as u8 } else { 1 };
        } else if self.field(10, 2) != 1 {
            memory.displacement = self.signed(12, 9);
        }
        let is_load = self.field(22, 2) != 0 && !(vector && self.field(22, 2) == 2);
        let value = transferred(rt, vector);
        word.effect = match is_load {
            true => load(value, memory),
            false => store(memory, value),
        };
        word.writes = (is_load && !vector).then_some(rt);
        Some(word)
    }

    fn pair(&mut self, rt: u32, rn: u32, vector: bool) -> Word {
        let second = self.field(10, 5);
        let size = match (vector, self.field(30, 2)) {
            (true, kind) => 4i64 << kind,
            (false, 2) => 8,
            (false, _) => 4,
        };
        let displacement = if self.field(23, 2) == 1 { 0 } else { self.signed(15, 7) * size };
        let memory = |extra: i64| Memory {
            base: Some(rn as u8),
            index: None,
            scale: 1,
            displacement: displacement + extra,
            named: false,
            size: size as u8,
        };
        let is_load = self.field(22, 1) == 1;
        let half = |register: u32, extra: i64| match is_load {
            true => (transferred(register, vector), Operand::Memory(memory(extra))),
            false => (Operand::Memory(memory(extra)), transferred(register, vector)),
        };
        if is_load && !vector && second < 31 {
            self.pages[second as usize] = None;
        }
        let effect = Effect::Pair { first: half(rt, 0), second: half(second, size) };
        Word::plain(effect, (is_load && !vector).then_some(rt))
    }

    /// Floating point, vectors, system: the register in the usual place is taken to be written.
    fn other(&self) -> Word {
        let rd = self.field(0, 5);
        if self.is(0x0e00_0000, 0x0e00_0000) {
            let float = self.is(0x5f00_0000, 0x1e00_0000);
            let operation = if float { Operation::Float } else { Operation::Vector };
            let from = [
                Operand::Register(self.field(5, 5) as u8 + VECTOR),
                Operand::Register(self.field(16, 5) as u8 + VECTOR),
            ];
            return Word::plain(
                Effect::Set { to: Operand::Register(rd as u8 + VECTOR), operation, from },
                None,
            );
        }
        if self.is(0x1fe0_0000, 0x1a40_0000) {
            let right = match self.field(11, 1) {
                1 => Operand::Number(i64::from(self.field(16, 5))),
                _ => general(self.field(16, 5)),
            };
            return Word::plain(
                Effect::Compare { from: [general(self.field(5, 5)), right], and: false },
                None,
            );
        }
        let system = self.is(0xff00_0000, 0xd500_0000);
        Word::plain(Effect::None, (!system).then_some(rd))
    }
}

fn general(register: u32) -> Operand {
    if register == ZERO { Operand::Number(0) } else { Operand::Register(register as u8) }
}

fn transferred(register: u32, vector: bool) -> Operand {
    if vector { Operand::Register(register as u8 + VECTOR) } else { general(register) }
}

fn load(to: Operand, memory: Memory) -> Effect {
    Effect::Set { to, operation: Operation::Move, from: [Operand::Memory(memory), Operand::None] }
}

fn store(memory: Memory, value: Operand) -> Effect {
    Effect::Set { to: Operand::Memory(memory), operation: Operation::Move, from: [value, Operand::None] }
}

fn condition(code: u32) -> Condition {
    match code {
        0 => Condition::Equal,
        1 => Condition::NotEqual,
        2 => Condition::UnsignedGreaterOrEqual,
        3 => Condition::UnsignedLess,
        8 => Condition::UnsignedGreater,
        9 => Condition::UnsignedLessOrEqual,
        10 => Condition::SignedGreaterOrEqual,
        11 => Condition::SignedLess,
        12 => Condition::SignedGreater,
        13 => Condition::SignedLessOrEqual,
        _ => Condition::Other,
    }
}

/// The value of a logical immediate (`DecodeBitMasks` of the manual, section J1.1).
fn bitmask(n: u32, rotate: u32, ones: u32) -> u64 {
    let length = 31 - (n << 6 | (!ones & 0x3f)).leading_zeros().min(31);
    if length == 0 {
        return 0;
    }
    let size = 1u32 << length;
    let (count, rotate) = ((ones & (size - 1)) + 1, rotate & (size - 1));
    let element = if count >= 64 { u64::MAX } else { (1u64 << count) - 1 };
    let mask = if size == 64 { u64::MAX } else { (1u64 << size) - 1 };
    let rotated = match rotate {
        0 => element,
        by => (element >> by | element << (size - by)) & mask,
    };
    (0..64 / size).fold(0, |value, copy| value | rotated << (copy * size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: u32) -> Instruction {
        instructions(&word.to_le_bytes(), 0x1000, |_| None).next().unwrap()
    }

    /// Expected values are the manual's own examples of aliases, assembled by hand.
    #[test]
    fn logical_immediates() {
        assert_eq!(bitmask(0, 0, 0b11_1100), 0x5555_5555_5555_5555);
        assert_eq!(bitmask(1, 0, 7), 0xff);
        assert_eq!(bitmask(0, 0, 7), 0x0000_00ff_0000_00ff);
        assert_eq!(bitmask(1, 60, 59), 0xffff_ffff_ffff_fff0_u64.rotate_left(0).rotate_right(0));
    }

    #[test]
    fn branches_name_their_targets() {
        assert_eq!(one(0x9400_0001).reference, Some(Reference::Branch(0x1004)));
        assert_eq!(one(0x9400_0001).flow, Flow::Call);
        assert_eq!(one(0x17ff_ffff).reference, Some(Reference::Branch(0xffc)));
        assert_eq!(one(0x5400_0041).reference, Some(Reference::Branch(0x1008)));
        assert_eq!(one(0xd65f_03c0).flow, Flow::Return);
        assert_eq!(one(0xd63f_0100).flow, Flow::ComputedCall);
    }

    #[test]
    fn a_page_and_its_low_part_name_an_address() {
        // adrp x0, +1 page; add x0, x0, #0x10
        let words = [0xb000_0000u32, 0x9100_4000];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let code: Vec<Instruction> = instructions(&bytes, 0x1000, |_| None).collect();
        assert_eq!(code[0].reference, None);
        assert_eq!(code[1].reference, Some(Reference::Address(0x2010)));
    }
}
