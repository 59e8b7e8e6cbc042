//! What becomes of an address that code forms, as far as its unit and the program's own functions show
//! that it is given to.
//!
//! A compiler may form a base that lies before its object (`table - 4` for `table[i - 1]`), but only
//! to compute with it in the same function: what is passed to a call, returned or stored is a pointer
//! of the language and lies in its object. And an address that is only ever a base is never a value
//! that could be compared with another.

use std::collections::{BTreeSet, HashSet};

use iced_x86::{ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::callees::{Callees, Given, Known};

/// Most places that one address is followed to.
const MAX_PLACES: usize = 4096;
/// The registers that a call keeps.
const KEPT_BY_CALLS: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];
/// The registers that arguments are passed in (System V ABI for AMD64, 3.2.3).
const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It is given to imports that keep and compare no addresses.
    Shown,
    /// It is given to a call, returned or stored as it is.
    Kept,
    /// It is only the base of memory operands.
    Base,
    /// Anything.
    Unknown,
}

/// Where the address goes that `formed` forms, an instruction of the unit `home`; `executed` are the
/// units that run.
pub(super) fn of(
    callees: &Callees<'_, '_>,
    home: usize,
    formed: &Instruction,
    executed: &BTreeSet<usize>,
) -> Flow {
    let register = formed.op0_register();
    if formed.mnemonic() != Mnemonic::Lea || register != register.full_register() {
        return Flow::Unknown;
    }
    let mut walk = Walk { callees, home, executed, seen: HashSet::new(), found: Found::default() };
    let mut given = Vec::new();
    if !walk.unit(home, (formed.next_ip(), register), &mut given) {
        return Flow::Unknown;
    }
    // What is given to a function is a pointer of the language: there it is no base of anything else.
    while let Some((unit, argument)) = given.pop() {
        let entered = (callees.entry(unit), argument);
        if unit == home || !walk.unit(unit, entered, &mut given) {
            walk.found.kept = true;
            break;
        }
    }
    match walk.found {
        // It may be a biased base that is kept for later.
        Found { base: true, kept: true, .. } => Flow::Unknown,
        Found { base: true, .. } => Flow::Base,
        Found { kept: true, .. } => Flow::Kept,
        _ => Flow::Shown,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Found {
    base: bool,
    kept: bool,
}

/// Every place at which a register may hold the address, by all branches.
struct Walk<'w, 'p, 'data> {
    callees: &'w Callees<'p, 'data>,
    home: usize,
    executed: &'w BTreeSet<usize>,
    seen: HashSet<(u64, Register)>,
    found: Found,
}

impl Walk<'_, '_, '_> {
    /// Follows the address through one unit; what is given to others is added to `given`. False where it
    /// cannot be said what becomes of it.
    fn unit(&mut self, unit: usize, from: (u64, Register), given: &mut Vec<(usize, Register)>) -> bool {
        let known = self.callees.known(unit);
        let mut within = Within { known: &known, open: Vec::new(), base: false, given };
        within.go(self, from.0, from.1);
        while let Some((at, register)) = within.open.pop() {
            if !within.step(self, at, register) || self.seen.len() > MAX_PLACES {
                return false;
            }
        }
        self.found.base |= within.base && unit == self.home;
        true
    }
}

/// The walk through one unit.
struct Within<'k> {
    known: &'k Known,
    open: Vec<(u64, Register)>,
    base: bool,
    given: &'k mut Vec<(usize, Register)>,
}

impl Within<'_> {
    fn go(&mut self, walk: &mut Walk<'_, '_, '_>, at: u64, register: Register) {
        if walk.seen.insert((at, register)) {
            self.open.push((at, register));
        }
    }

    fn at(&self, address: u64) -> Option<Instruction> {
        let (range, _) = self.known.body.position(address)?;
        let list = &self.known.body.ranges[range].1;
        list.binary_search_by_key(&address, Instruction::ip).ok().map(|index| list[index])
    }

    fn give(&mut self, walk: &mut Walk<'_, '_, '_>, callee: Option<u64>, register: Register) {
        let Some(argument) = ARGUMENTS.iter().position(|argument| *argument == register) else { return };
        match walk.callees.given(callee, argument, walk.executed) {
            Given::Ignored | Given::Shown => {}
            Given::Kept => walk.found.kept = true,
            Given::Own(unit) => self.given.push((unit, register)),
        }
    }

    /// False where it cannot be said what becomes of the address.
    fn step(&mut self, walk: &mut Walk<'_, '_, '_>, at: u64, register: Register) -> bool {
        let Some(instruction) = self.at(at) else { return false };
        let uses = mentions(&mut InstructionInfoFactory::new(), &instruction, register);
        let next = instruction.next_ip();
        match instruction.flow_control() {
            FlowControl::Next if uses => return self.used(walk, &instruction, register),
            FlowControl::Next => self.go(walk, next, register),
            FlowControl::Call | FlowControl::IndirectCall if uses => return false,
            FlowControl::Call | FlowControl::IndirectCall => {
                self.give(walk, callee(&instruction), register);
                if KEPT_BY_CALLS.contains(&register) {
                    let Some(pads) = &self.known.pads else { return false };
                    let caught = pads.iter().filter(|(calls, _)| calls.contains(&at)).map(|(_, pad)| *pad);
                    caught.for_each(|pad| self.go(walk, pad, register));
                    self.go(walk, next, register);
                }
            }
            FlowControl::Return => walk.found.kept |= register == Register::RAX,
            FlowControl::ConditionalBranch => {
                self.go(walk, next, register);
                self.jump(walk, instruction.near_branch_target(), register);
            }
            FlowControl::UnconditionalBranch => {
                self.jump(walk, instruction.near_branch_target(), register);
            }
            FlowControl::Exception => {}
            FlowControl::IndirectBranch if !uses => {
                // A pointer of the language where it is a tail call.
                walk.found.kept |= ARGUMENTS.contains(&register) && self.known.targets.is_empty();
                let known = self.known;
                for target in &known.targets {
                    self.go(walk, *target, register);
                }
            }
            _ => return false,
        }
        true
    }

    fn jump(&mut self, walk: &mut Walk<'_, '_, '_>, target: u64, register: Register) {
        if self.known.body.ranges.iter().any(|(range, _)| range.contains(target)) {
            self.go(walk, target, register);
        } else {
            self.give(walk, Some(target), register);
        }
    }

    fn used(&mut self, walk: &mut Walk<'_, '_, '_>, instruction: &Instruction, register: Register) -> bool {
        let next = instruction.next_ip();
        if overwrites(instruction, register) {
            self.base |= is_base(instruction, register);
            return true;
        }
        let copied = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_kind() == OpKind::Register
            && instruction.op1_kind() == OpKind::Register
            && instruction.op1_register() == register;
        let after = self.at(next);
        // A choice between two addresses: either may be the one.
        let chosen = is_choice(instruction) && !is_base(instruction, register);
        match () {
            () if chosen => self.go(walk, next, instruction.op0_register()),
            () if derives(instruction, register) => {
                self.base = true;
                self.go(walk, next, instruction.op0_register());
            }
            () if instruction.is_string_instruction() => self.base = true,
            () if copied => self.go(walk, next, instruction.op0_register()),
            () if stores(instruction, register) => walk.found.kept = true,
            () if only_as_base(instruction, register) || steps(instruction, after.as_ref(), register) => {
                self.base = true;
            }
            () => return false,
        }
        self.go(walk, next, register);
        true
    }
}

/// What a call calls: a place, or the slot that holds it.
fn callee(call: &Instruction) -> Option<u64> {
    match call.flow_control() {
        FlowControl::Call => Some(call.near_branch_target()),
        _ => call.is_ip_rel_memory_operand().then(|| call.ip_rel_memory_address()),
    }
}

fn mentions(factory: &mut InstructionInfoFactory, instruction: &Instruction, register: Register) -> bool {
    let used = factory.info(instruction).used_registers();
    used.iter().any(|used| used.register().full_register() == register)
}

/// Whether the whole register is written to memory, and used for nothing else.
fn stores(instruction: &Instruction, register: Register) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == register
        && !is_base(instruction, register)
}

fn is_base(instruction: &Instruction, register: Register) -> bool {
    instruction.memory_base().full_register() == register
        || instruction.memory_index().full_register() == register
}

/// Whether the register occurs only in the memory operand.
fn only_as_base(instruction: &Instruction, register: Register) -> bool {
    let operands =
        (0..instruction.op_count()).filter(|&operand| instruction.op_kind(operand) == OpKind::Register);
    let named = operands
        .map(|operand| instruction.op_register(operand).full_register())
        .any(|named| named == register);
    let implicit = instruction.is_string_instruction() || instruction.is_stack_instruction();
    instruction.mnemonic() != Mnemonic::Lea && is_base(instruction, register) && !named && !implicit
}

/// Whether the old value ends here: the register is given a value that it is not part of, but perhaps
/// the address of.
fn overwrites(instruction: &Instruction, register: Register) -> bool {
    let loads = match instruction.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd => true,
        Mnemonic::Lea => !is_base(instruction, register),
        Mnemonic::Pop => return instruction.op0_register() == register,
        Mnemonic::Xor => return is_zeroing(instruction, register),
        _ => false,
    };
    let reads =
        instruction.op1_kind() == OpKind::Register && instruction.op1_register().full_register() == register;
    let whole = instruction.op0_register().size() >= 4;
    loads
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == register
        && whole
        && !reads
}

/// Whether another address of the object is made of it: an index is added.
fn derives(instruction: &Instruction, register: Register) -> bool {
    let whole = instruction.op0_kind() == OpKind::Register && instruction.op0_register().size() == 8;
    let added = instruction.mnemonic() == Mnemonic::Add
        && instruction.op1_kind() == OpKind::Register
        && [instruction.op0_register(), instruction.op1_register()].contains(&register);
    whole && (added || instruction.mnemonic() == Mnemonic::Lea && is_base(instruction, register))
}

fn is_choice(instruction: &Instruction) -> bool {
    let conditional = instruction.condition_code() != ConditionCode::None;
    conditional && instruction.op0_register().size() == 8
}

fn is_zeroing(instruction: &Instruction, register: Register) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
        && instruction.op0_register().full_register() == register
        && instruction.op0_register().size() >= 4
}

/// Whether the register steps through its object: a constant is added, or it is compared with an end
/// for being equal, which the mapping keeps.
fn steps(instruction: &Instruction, after: Option<&Instruction>, register: Register) -> bool {
    let is = |operand: u32| {
        instruction.op_kind(operand) == OpKind::Register
            && instruction.op_register(operand).full_register() == register
    };
    let equality = || {
        after.is_some_and(|next| {
            matches!(
                next.mnemonic(),
                Mnemonic::Je
                    | Mnemonic::Jne
                    | Mnemonic::Sete
                    | Mnemonic::Setne
                    | Mnemonic::Cmove
                    | Mnemonic::Cmovne
            )
        })
    };
    match instruction.mnemonic() {
        Mnemonic::Inc | Mnemonic::Dec => is(0),
        Mnemonic::Add | Mnemonic::Sub => is(0) && is_immediate(instruction.op1_kind()),
        Mnemonic::Cmp => (is(0) || is(1)) && instruction.op_count() == 2 && equality(),
        _ => false,
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(kind, OpKind::Immediate8to64 | OpKind::Immediate32to64)
}
