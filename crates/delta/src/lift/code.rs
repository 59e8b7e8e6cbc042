//! Instructions of every architecture in one form.
//!
//! A decoder ([`x86`](super::x86), [`aarch64`](super::aarch64)) says of each instruction: its exact
//! identity without the address that it names, that address, where control goes, and its effect in a
//! small vocabulary that all architectures share. The exact identity decides what is equal (tier T1);
//! the effect only ranks and explains (tier T2), so an unknown effect is `Other` and costs recall, never
//! truth.

/// The exact identity: operation, registers, immediates; no addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exact {
    bytes: [u8; 30],
    length: u8,
}

impl Exact {
    /// Adds bytes; what no longer fits is folded into the last eight.
    pub fn push(&mut self, bytes: &[u8]) {
        let from = usize::from(self.length);
        if let Some(place) = self.bytes.get_mut(from..from + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len() as u8;
            return;
        }
        for &byte in bytes {
            if usize::from(self.length) < self.bytes.len() {
                self.bytes[usize::from(self.length)] = byte;
                self.length += 1;
            } else {
                let tail: [u8; 8] = [22, 23, 24, 25, 26, 27, 28, 29].map(|at| self.bytes[at]);
                let folded = u64::from_le_bytes(tail).rotate_left(9).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.bytes[22..].copy_from_slice(&(folded ^ u64::from(byte)).to_le_bytes());
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// How an instruction names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A direct branch or call.
    Branch(u64),
    /// The address itself is formed.
    Address(u64),
    /// So many bytes are read or written there.
    Memory(u64, u64),
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    /// A direct jump; to another function it is a tail call.
    Jump,
    /// A jump that depends on the last comparison or on the operands given in the effect.
    Conditional,
    /// A jump to a computed place.
    Computed,
    Call,
    /// A call to a computed place.
    ComputedCall,
    Return,
    /// A trap that does not come back.
    Trap,
}

/// A register in the decoder's own numbers: general ones below 32, others from 32.
pub(crate) type Register = u8;

/// Memory by how it is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub base: Option<Register>,
    pub index: Option<Register>,
    pub scale: u8,
    pub displacement: i64,
    /// Whether the instruction names the address; then base and displacement are not given.
    pub named: bool,
    /// Bytes read or written.
    pub size: u8,
}

/// One operand of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    None,
    Register(Register),
    Number(i64),
    Memory(Memory),
    /// The address that the instruction names.
    Address(u64),
    /// The address that a memory operand would have (`lea`).
    Effective(Memory),
}

/// Operations that all architectures have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Move,
    Add,
    Subtract,
    Multiply,
    Divide,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    Rotate,
    Negate,
    Not,
    Select,
    Float,
    Vector,
    /// Anything else, by the decoder's own number.
    Other(u16),
}

/// The kinds of comparison, by the condition that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Equal,
    NotEqual,
    SignedLess,
    SignedLessOrEqual,
    SignedGreater,
    SignedGreaterOrEqual,
    UnsignedLess,
    UnsignedLessOrEqual,
    UnsignedGreater,
    UnsignedGreaterOrEqual,
    /// Sign, overflow, parity and other flags.
    Other,
}

/// What an instruction does, as far as the sketch cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Set {
        to: Operand,
        operation: Operation,
        from: [Operand; 2],
    },
    /// Two values are compared (`and`: their common bits against zero).
    Compare {
        from: [Operand; 2],
        and: bool,
    },
    /// A branch on the last comparison.
    Branch(Condition),
    /// A branch on a comparison of its own (`cbz`).
    CompareAndBranch {
        from: [Operand; 2],
        condition: Condition,
        and: bool,
    },
    /// Two loads or stores in one (`ldp`, `stp`).
    Pair {
        first: (Operand, Operand),
        second: (Operand, Operand),
    },
    /// A value is put onto the stack.
    Push(Operand),
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    pub address: u64,
    pub length: u8,
    pub exact: Exact,
    pub reference: Option<Reference>,
    pub flow: Flow,
    pub effect: Effect,
    /// It only fills.
    pub padding: bool,
}

impl Instruction {
    /// The address that it names, whatever for.
    pub fn named_address(&self) -> Option<u64> {
        match self.reference? {
            Reference::Branch(target) | Reference::Address(target) | Reference::Memory(target, _) => {
                Some(target)
            }
        }
    }

    /// The address that it names, unless it goes there.
    pub fn named_data(&self) -> Option<u64> {
        self.named_address().filter(|_| !matches!(self.reference, Some(Reference::Branch(_))))
    }
}

/// What the calling convention says, as far as the sketch cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convention {
    /// The registers of the first arguments, in order.
    pub arguments: &'static [Register],
    /// The register of the result.
    pub result: Register,
    /// Registers through which the frame is addressed.
    pub frame: &'static [Register],
}

/// The code of one function with its instructions numbered; padding has the number of what follows.
#[derive(Default)]
pub(crate) struct Body {
    pub code: Vec<Instruction>,
    /// Addresses with numbers, sorted once [`Body::finish`] was called.
    numbers: Vec<(u64, u32)>,
}

impl Body {
    /// Adds the next instruction.
    pub fn push(&mut self, instruction: Instruction) {
        self.numbers.push((instruction.address, self.code.len() as u32));
        if !instruction.padding {
            self.code.push(instruction);
        }
    }

    /// Forgets all; what it occupies is used again.
    pub fn clear(&mut self) {
        self.code.clear();
        self.numbers.clear();
    }

    /// Everything was added.
    pub fn finish(&mut self) {
        if !self.numbers.is_sorted() {
            self.numbers.sort_unstable();
        }
    }

    /// The number of the instruction that starts at `address`.
    pub fn number_at(&self, address: u64) -> Option<u32> {
        let (first, last) = (self.numbers.first()?, self.numbers.last()?);
        if address < first.0 || address > last.0 {
            return None;
        }
        let at = self.numbers.binary_search_by_key(&address, |&(start, _)| start).ok()?;
        Some(self.numbers[at].1)
    }
}
