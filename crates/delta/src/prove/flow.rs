//! What becomes of an address that code forms, as far as its unit shows.
//!
//! A compiler may form a base that lies before its object (`table - 4` for `table[i - 1]`), but only
//! to compute with it in the same function: what is passed to a call, returned or stored is a pointer
//! of the language and lies in its object. And an address that is only ever a base is never a value
//! that could be compared with another.

use assay_binary::CodeRange;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use crate::body::Body;

/// How far the call may be that an address is formed for, in instructions.
const MAX_LOOK_AHEAD: usize = 24;
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

/// Whether the function that is called at an address keeps and compares no addresses.
pub(super) type Shows<'s> = dyn Fn(u64) -> bool + 's;

/// Where the address goes that `formed` forms; `after` is what follows it in its range, and `shows` says
/// whether a callee keeps and compares no addresses.
pub(super) fn of(body: &Body, formed: &Instruction, after: &[Instruction], shows: &Shows<'_>) -> Flow {
    let register = formed.op0_register();
    if formed.mnemonic() != Mnemonic::Lea || register != register.full_register() {
        return Flow::Unknown;
    }
    let near = straight(body, register, after, shows);
    if near != Flow::Unknown {
        return near;
    }
    if ARGUMENTS.contains(&register) || register == Register::RAX {
        return only_base(register, after);
    }
    everywhere(body, register, shows)
}

/// Follows the register up to the first branch.
fn straight(body: &Body, register: Register, after: &[Instruction], shows: &Shows<'_>) -> Flow {
    let mut factory = InstructionInfoFactory::new();
    let leaves = |target: u64| !body.ranges.iter().any(|(range, _): &(CodeRange, _)| range.contains(target));
    let is_argument = ARGUMENTS.contains(&register);
    let given = |target: u64| if shows(target) { Flow::Shown } else { Flow::Kept };
    for instruction in after.iter().take(MAX_LOOK_AHEAD) {
        let uses = mentions(&mut factory, instruction, register);
        return match instruction.flow_control() {
            FlowControl::Next if uses && stores(instruction, register) => Flow::Kept,
            FlowControl::Next if uses => Flow::Unknown,
            FlowControl::Next => continue,
            FlowControl::Call if is_argument => given(instruction.near_branch_target()),
            FlowControl::IndirectCall if is_argument && !uses => Flow::Kept,
            FlowControl::Return if register == Register::RAX => Flow::Kept,
            FlowControl::UnconditionalBranch if is_argument && leaves(instruction.near_branch_target()) => {
                given(instruction.near_branch_target())
            }
            _ => Flow::Unknown,
        };
    }
    Flow::Unknown
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

/// Up to the first branch only a base, and overwritten before it.
fn only_base(register: Register, after: &[Instruction]) -> Flow {
    let mut factory = InstructionInfoFactory::new();
    for instruction in after.iter().take(MAX_LOOK_AHEAD) {
        if instruction.flow_control() != FlowControl::Next {
            return Flow::Unknown;
        }
        if mentions(&mut factory, instruction, register) {
            let rewritten = overwrites(instruction, register);
            if !only_as_base(instruction, register) && !rewritten {
                return Flow::Unknown;
            }
            if rewritten {
                return Flow::Base;
            }
        }
    }
    Flow::Unknown
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

/// Whether the old value ends here: a load into the register, perhaps through itself.
fn overwrites(instruction: &Instruction, register: Register) -> bool {
    let loads = matches!(
        instruction.mnemonic(),
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd
    );
    loads
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == register
        && instruction.op1_kind() != OpKind::Register
}

/// A register that calls keep: every instruction of the unit that reads it is looked at, whatever it
/// holds there.
fn everywhere(body: &Body, register: Register, shows: &Shows<'_>) -> Flow {
    let mut factory = InstructionInfoFactory::new();
    let (mut base, mut shown, mut kept) = (false, false, false);
    for (_, list) in &body.ranges {
        for (index, instruction) in list.iter().enumerate() {
            if !mentions(&mut factory, instruction, register) || writes_only(instruction, register) {
                continue;
            }
            let after = &list[index + 1..];
            let handed = instruction.mnemonic() == Mnemonic::Mov
                && instruction.op0_kind() == OpKind::Register
                && instruction.op1_kind() == OpKind::Register
                && instruction.op1_register() == register;
            match () {
                () if only_as_base(instruction, register) || steps(instruction, after, register) => {
                    base = true
                }
                () if stores(instruction, register) => kept = true,
                () if handed => match straight(body, instruction.op0_register(), after, shows) {
                    Flow::Shown => shown = true,
                    Flow::Kept => kept = true,
                    _ => return Flow::Unknown,
                },
                () => return Flow::Unknown,
            }
        }
    }
    match (base, kept, shown) {
        // It may be a biased base that is kept for later.
        (true, true, _) => Flow::Unknown,
        (true, false, _) => Flow::Base,
        (false, true, _) => Flow::Kept,
        (false, false, _) => Flow::Shown,
    }
}

/// Whether the register steps through its object: a constant is added, or it is compared with an end
/// for being equal, which the mapping keeps.
fn steps(instruction: &Instruction, after: &[Instruction], register: Register) -> bool {
    let is = |operand: u32| {
        instruction.op_kind(operand) == OpKind::Register
            && instruction.op_register(operand).full_register() == register
    };
    let equality = || {
        after.first().is_some_and(|next| {
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

/// The register is saved, restored or given a new value: what it held is not looked at.
fn writes_only(instruction: &Instruction, register: Register) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pop => true,
        Mnemonic::Lea | Mnemonic::Mov => {
            let target = instruction.op0_kind() == OpKind::Register
                && instruction.op0_register().full_register() == register;
            let reads = instruction.op1_kind() == OpKind::Register
                && instruction.op1_register().full_register() == register;
            target && !reads && !is_base(instruction, register)
        }
        Mnemonic::Xor => {
            instruction.op0_kind() == OpKind::Register
                && instruction.op1_kind() == OpKind::Register
                && instruction.op0_register() == instruction.op1_register()
        }
        _ => false,
    }
}
