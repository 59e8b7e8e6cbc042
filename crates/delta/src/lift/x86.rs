//! x86, 32 and 64 bits, decoded by `iced-x86`.
//!
//! Addresses that an instruction names: branch targets, operands relative to the instruction pointer,
//! fields that a relocation fills, operands relative to a register that 32-bit code loaded with its own
//! address (`call __x86.get_pc_thunk.bx; add ebx, N`), and in position-dependent code absolute numbers
//! that [`Surroundings::is_address`] knows.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction as Raw, Mnemonic, OpKind, Register as Name};

use super::code::{
    Body, Condition, Convention, Effect, Exact, Flow, Instruction, Memory, Operand, Operation, Reference,
    Register,
};

/// System V, 64 bits. Windows passes the first four in others, see [`WINDOWS`].
pub(crate) const SYSTEM_V: Convention =
    Convention { arguments: &[7, 6, 2, 1, 8, 9], result: 0, frame: &[STACK, FRAME] };
/// The Microsoft x64 convention.
pub(crate) const WINDOWS: Convention =
    Convention { arguments: &[1, 2, 8, 9], result: 0, frame: &[STACK, FRAME] };
/// 32 bits: arguments are on the stack.
pub(crate) const STACKED: Convention = Convention { arguments: &[], result: 0, frame: &[STACK, FRAME] };

const STACK: Register = 4;
const FRAME: Register = 5;
const VECTOR: Register = 32;

/// What a decoder has to know of the module around the code.
pub(crate) trait Surroundings {
    /// The address that a relocation puts into the field of `width` bytes at `address`.
    fn field(&self, address: u64, width: u64) -> Option<u64>;
    /// Whether a bare number of position-dependent code is an address.
    fn is_address(&self, number: u64) -> bool;
    /// Whether [`Surroundings::field`] or [`Surroundings::is_address`] can ever say yes.
    fn knows_fields(&self) -> bool;
    /// The register that the code at `target` loads with its return address.
    fn program_counter_thunk(&self, target: u64) -> Option<Register>;
}

/// Decodes one range. Bytes that are no instruction become one-byte traps.
pub(crate) fn decode<S: Surroundings>(bytes: &[u8], address: u64, bits: u32, around: &S, body: &mut Body) {
    let mut decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
    let mut base = Base::default();
    let mut raw = Raw::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut raw);
        body.push(Lift::of(&decoder, &raw, around, bits, &base).instruction());
        base.after(&raw, around);
    }
}

/// Calls `found` for each address that an instruction names and does not go to.
pub(crate) fn data_references<S: Surroundings>(
    bytes: &[u8],
    address: u64,
    bits: u32,
    around: &S,
    mut found: impl FnMut(u64),
) {
    let mut decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
    let mut base = Base::default();
    let mut raw = Raw::default();
    let relative_only = bits == 64 && !around.knows_fields();
    while decoder.can_decode() {
        decoder.decode_out(&mut raw);
        if relative_only && !raw.is_ip_rel_memory_operand() {
            continue;
        }
        let lift = Lift::of(&decoder, &raw, around, bits, &base);
        if let (Some(Reference::Address(target) | Reference::Memory(target, _)), _) = lift.reference() {
            found(target);
        }
        base.after(&raw, around);
    }
}

/// The register that holds a known address in 32-bit position-independent code.
#[derive(Default)]
struct Base {
    known: Option<(Register, u64)>,
    called: Option<(Register, u64)>,
}

impl Base {
    fn after<S: Surroundings>(&mut self, raw: &Raw, around: &S) {
        if raw.code_size() != iced_x86::CodeSize::Code32 {
            return;
        }
        if raw.mnemonic() == Mnemonic::Call && raw.op0_kind() == OpKind::NearBranch32 {
            let register = around.program_counter_thunk(raw.near_branch_target());
            self.called = register.map(|register| (register, raw.next_ip()));
            return;
        }
        let called = self.called.take();
        if raw.op_count() == 0 || raw.op0_kind() != OpKind::Register {
            return;
        }
        let register = number(raw.op0_register());
        if raw.mnemonic() == Mnemonic::Add
            && let (Some((pc, at)), Ok(value)) = (called, raw.try_immediate(1))
            && pc == register
        {
            self.known = Some((register, at.wrapping_add(value) & 0xffff_ffff));
        } else if self.known.is_some_and(|(known, _)| known == register) && writes_first(raw.mnemonic()) {
            self.known = None;
        }
    }
}

fn writes_first(mnemonic: Mnemonic) -> bool {
    !matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Call | Mnemonic::Jmp)
}

struct Lift<'i, S> {
    raw: &'i Raw,
    around: &'i S,
    bits: u32,
    base: Option<(Register, u64)>,
    displacement: Option<(u64, u64)>,
    immediate: Option<(u64, u64)>,
    /// The address of its memory operand, where it names one.
    address: Option<u64>,
}

impl<'i, S: Surroundings> Lift<'i, S> {
    fn of(decoder: &Decoder<'_>, raw: &'i Raw, around: &'i S, bits: u32, base: &Base) -> Self {
        let mut lift =
            Self { raw, around, bits, base: base.known, displacement: None, immediate: None, address: None };
        if around.knows_fields() {
            let fields = decoder.get_constant_offsets(raw);
            let at = |offset: usize, size: usize| (size > 0).then(|| (raw.ip() + offset as u64, size as u64));
            lift.displacement = at(fields.displacement_offset(), fields.displacement_size());
            lift.immediate = at(fields.immediate_offset(), fields.immediate_size());
        }
        lift.address = lift.memory_address();
        lift
    }

    fn instruction(&self) -> Instruction {
        let raw = self.raw;
        let (reference, named) = self.reference();
        let flow = self.flow();
        let invalid = raw.code() == Code::INVALID;
        Instruction {
            address: raw.ip(),
            length: raw.len().max(1) as u8,
            exact: self.exact(named),
            reference,
            flow,
            effect: if invalid { Effect::None } else { self.effect() },
            padding: matches!(
                raw.mnemonic(),
                Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Endbr64 | Mnemonic::Endbr32
            ) || self.is_filler(),
        }
    }

    /// `lea (%esi),%esi`, `xchg %ax,%ax`, `mov %esi,%esi` in 32 bits: they do nothing and align what follows.
    fn is_filler(&self) -> bool {
        let raw = self.raw;
        match raw.mnemonic() {
            Mnemonic::Lea => {
                raw.op0_register() == raw.memory_base()
                    && raw.memory_index() == Name::None
                    && raw.memory_displacement64() == 0
                    && raw.op0_register().size() * 8 == self.bits as usize
            }
            Mnemonic::Xchg => raw.op0_kind() == OpKind::Register && raw.op0_register() == raw.op1_register(),
            _ => false,
        }
    }

    /// The address it names, and which operand names it.
    fn reference(&self) -> (Option<Reference>, Named) {
        let raw = self.raw;
        for operand in 0..raw.op_count() {
            match raw.op_kind(operand) {
                OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16 => {
                    let width = if raw.len() >= 5 { 4 } else { 1 };
                    let target = self.around.field(raw.next_ip() - width, width);
                    let target = target.unwrap_or_else(|| raw.near_branch_target());
                    return (Some(Reference::Branch(target)), Named::Branch);
                }
                OpKind::Memory => {
                    if let Some(target) = self.address {
                        let size = raw.memory_size().size() as u64;
                        return match (raw.mnemonic(), size) {
                            (Mnemonic::Nop, _) => (None, Named::Displacement),
                            (Mnemonic::Lea, _) | (_, 0) => {
                                (Some(Reference::Address(target)), Named::Displacement)
                            }
                            (_, size) => (Some(Reference::Memory(target, size)), Named::Displacement),
                        };
                    }
                }
                kind if is_immediate(kind) => {
                    if let Some(target) = self.immediate_address(operand) {
                        return (Some(Reference::Address(target)), Named::Immediate);
                    }
                }
                _ => {}
            }
        }
        (None, Named::Nothing)
    }

    fn memory_address(&self) -> Option<u64> {
        let raw = self.raw;
        if let Some((at, width)) = self.displacement
            && let Some(target) = self.around.field(at, width)
        {
            return Some(target);
        }
        if raw.is_ip_rel_memory_operand() {
            return Some(raw.ip_rel_memory_address());
        }
        let displacement = raw.memory_displacement64();
        if let Some((register, base)) = self.base
            && (number(raw.memory_base()) == register && raw.memory_base() != Name::None)
        {
            return Some(base.wrapping_add(displacement) & 0xffff_ffff);
        }
        let no_segment = !matches!(raw.segment_prefix(), Name::FS | Name::GS);
        let wide = self.displacement.is_some_and(|(_, width)| width >= 4);
        (wide && no_segment && self.around.is_address(displacement)).then_some(displacement)
    }

    fn immediate_address(&self, operand: u32) -> Option<u64> {
        let (at, width) = self.immediate?;
        if let Some(target) = self.around.field(at, width) {
            return Some(target);
        }
        let moves = matches!(self.raw.mnemonic(), Mnemonic::Mov | Mnemonic::Push | Mnemonic::Cmp);
        let value = self.raw.try_immediate(operand).ok()?;
        (moves && width >= 4 && self.around.is_address(value)).then_some(value)
    }

    fn exact(&self, named: Named) -> Exact {
        let raw = self.raw;
        let mut exact = Exact::default();
        let [low, high] = (long_form(raw.code()) as u16).to_le_bytes();
        let flags = u8::from(raw.has_lock_prefix())
            | u8::from(raw.has_rep_prefix()) << 1
            | u8::from(raw.has_repne_prefix()) << 2
            | u8::from(raw.zeroing_masking()) << 3
            | u8::from(raw.is_broadcast()) << 4
            | u8::from(raw.suppress_all_exceptions()) << 5
            | (raw.rounding_control() as u8) << 6;
        exact.push(&[low, high, flags, raw.op_mask() as u8 ^ (raw.segment_prefix() as u8).rotate_left(3)]);
        for operand in 0..raw.op_count() {
            match raw.op_kind(operand) {
                OpKind::Register => exact.push(&[1, raw.op_register(operand) as u8]),
                OpKind::Memory => {
                    let displacement = match named {
                        Named::Displacement => 0,
                        _ if raw.is_ip_rel_memory_operand() => 0,
                        _ => raw.memory_displacement64() as u32,
                    };
                    let base = if raw.is_ip_rel_memory_operand() { 0xff } else { raw.memory_base() as u8 };
                    let index = raw.memory_index() as u8;
                    exact.push(&[2, base, index, raw.memory_index_scale() as u8]);
                    exact.push(&displacement.to_le_bytes());
                }
                OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => exact.push(&[3]),
                _ if named == Named::Immediate => exact.push(&[4]),
                _ => match raw.try_immediate(operand) {
                    Ok(value) => {
                        exact.push(&[5]);
                        exact.push(&value.to_le_bytes());
                    }
                    Err(_) => exact.push(&[6]),
                },
            }
        }
        exact
    }

    fn flow(&self) -> Flow {
        use iced_x86::FlowControl as F;
        match self.raw.flow_control() {
            F::Next | F::XbeginXabortXend => Flow::Next,
            F::UnconditionalBranch => Flow::Jump,
            F::IndirectBranch => Flow::Computed,
            F::ConditionalBranch => Flow::Conditional,
            F::Return => Flow::Return,
            F::Call => Flow::Call,
            F::IndirectCall => Flow::ComputedCall,
            F::Interrupt if matches!(self.raw.mnemonic(), Mnemonic::Int | Mnemonic::Syscall) => Flow::Next,
            F::Interrupt | F::Exception => Flow::Trap,
        }
    }

    fn operand(&self, operand: u32) -> Operand {
        let raw = self.raw;
        if operand >= raw.op_count() {
            return Operand::None;
        }
        match raw.op_kind(operand) {
            OpKind::Register => Operand::Register(number(raw.op_register(operand))),
            OpKind::Memory => Operand::Memory(self.memory()),
            _ => match (self.immediate_address(operand), raw.try_immediate(operand)) {
                (Some(address), _) => Operand::Address(address),
                (None, Ok(value)) if self.bits == 32 => Operand::Number(i64::from(value as u32 as i32)),
                (None, Ok(value)) => Operand::Number(value as i64),
                _ => Operand::None,
            },
        }
    }

    fn memory(&self) -> Memory {
        let raw = self.raw;
        let register =
            |name: Name| (name != Name::None && !raw.is_ip_rel_memory_operand()).then(|| number(name));
        let address = self.address;
        Memory {
            base: register(raw.memory_base()).filter(|_| address.is_none()),
            index: register(raw.memory_index()),
            scale: raw.memory_index_scale() as u8,
            displacement: if address.is_some() { 0 } else { sign(raw.memory_displacement64(), self.bits) },
            named: address.is_some(),
            size: raw.memory_size().size() as u8,
        }
    }

    fn effect(&self) -> Effect {
        use Mnemonic as M;
        let raw = self.raw;
        if matches!(raw.mnemonic(), M::Pop | M::Call | M::Ret | M::Jmp | M::Nop | M::Leave | M::Endbr64) {
            return Effect::None;
        }
        if raw.is_jcc_short_or_near() {
            return Effect::Branch(condition(raw.condition_code()));
        }
        let (a, b) = (self.operand(0), self.operand(1));
        let set = |operation, from| Effect::Set { to: a, operation, from };
        let same = raw.op_count() > 1 && a == b && matches!(a, Operand::Register(_));
        match raw.mnemonic() {
            M::Mov
            | M::Movzx
            | M::Movsx
            | M::Movsxd
            | M::Movaps
            | M::Movups
            | M::Movdqa
            | M::Movdqu
            | M::Movd
            | M::Movq
            | M::Movss
            | M::Movsd
            | M::Movapd
            | M::Movupd
            | M::Vmovups
            | M::Vmovaps
            | M::Vmovdqu
            | M::Vmovdqa
            | M::Vmovss
            | M::Vmovsd
            | M::Vmovd
            | M::Vmovq => set(Operation::Move, [b, Operand::None]),
            M::Lea => {
                let memory = self.memory();
                set(
                    Operation::Move,
                    match self.address {
                        Some(address) if memory.index.is_none() => [Operand::Address(address), Operand::None],
                        _ => [Operand::Effective(memory), Operand::None],
                    },
                )
            }
            M::Xor | M::Sub | M::Pxor | M::Xorps | M::Vpxor | M::Vxorps if same => {
                set(Operation::Move, [Operand::Number(0), Operand::None])
            }
            M::Add => set(Operation::Add, [a, b]),
            M::Inc => set(Operation::Add, [a, Operand::Number(1)]),
            M::Dec => set(Operation::Subtract, [a, Operand::Number(1)]),
            M::Sub => set(Operation::Subtract, [a, b]),
            M::And => set(Operation::And, [a, b]),
            M::Or => set(Operation::Or, [a, b]),
            M::Xor => set(Operation::Xor, [a, b]),
            M::Imul if raw.op_count() == 3 => set(Operation::Multiply, [b, self.operand(2)]),
            M::Imul if raw.op_count() == 2 => set(Operation::Multiply, [a, b]),
            M::Imul | M::Mul => to_accumulator(Operation::Multiply, a),
            M::Div | M::Idiv => to_accumulator(Operation::Divide, a),
            M::Shl => set(Operation::ShiftLeft, [a, b]),
            M::Shr | M::Sar => set(Operation::ShiftRight, [a, b]),
            M::Rol | M::Ror => set(Operation::Rotate, [a, b]),
            M::Neg => set(Operation::Negate, [a, Operand::None]),
            M::Not => set(Operation::Not, [a, Operand::None]),
            M::Cmp => Effect::Compare { from: [a, b], and: false },
            M::Test if same => Effect::Compare { from: [a, Operand::Number(0)], and: false },
            M::Test => Effect::Compare { from: [a, b], and: true },
            M::Ucomiss | M::Ucomisd | M::Comiss | M::Comisd => Effect::Compare { from: [a, b], and: false },
            M::Push => Effect::Push(a),
            M::Endbr32 => Effect::None,
            _ if is_select(raw.mnemonic()) => set(Operation::Select, [a, b]),
            _ if is_set_byte(raw.mnemonic()) => {
                set(Operation::Select, [Operand::Number(1), Operand::Number(0)])
            }
            mnemonic => self.unknown(mnemonic, a, b),
        }
    }

    fn unknown(&self, mnemonic: Mnemonic, a: Operand, b: Operand) -> Effect {
        if !matches!(a, Operand::Register(_) | Operand::Memory(_)) {
            return Effect::None;
        }
        let vector = matches!(a, Operand::Register(register) if register >= VECTOR);
        let operation = if vector { Operation::Float } else { Operation::Other(mnemonic as u16) };
        Effect::Set { to: a, operation, from: [a, b] }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Nothing,
    Branch,
    Displacement,
    Immediate,
}

fn to_accumulator(operation: Operation, by: Operand) -> Effect {
    Effect::Set { to: Operand::Register(0), operation, from: [Operand::Register(0), by] }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(kind, OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64)
}

fn sign(value: u64, bits: u32) -> i64 {
    if bits == 32 { i64::from(value as u32 as i32) } else { value as i64 }
}

/// General registers by their number, others from 32.
fn number(name: Name) -> Register {
    let full = name.full_register();
    let is_general = full.is_gpr();
    let (number, base) = if is_general { (full.number(), 0) } else { (full.number(), usize::from(VECTOR)) };
    (base + number) as Register
}

/// The long form of a jump that also has a short one: which it is depends on the layout only.
fn long_form(code: Code) -> Code {
    code.as_near_branch()
}

fn condition(code: iced_x86::ConditionCode) -> Condition {
    use iced_x86::ConditionCode as C;
    match code {
        C::e => Condition::Equal,
        C::ne => Condition::NotEqual,
        C::l => Condition::SignedLess,
        C::le => Condition::SignedLessOrEqual,
        C::g => Condition::SignedGreater,
        C::ge => Condition::SignedGreaterOrEqual,
        C::b => Condition::UnsignedLess,
        C::be => Condition::UnsignedLessOrEqual,
        C::a => Condition::UnsignedGreater,
        C::ae => Condition::UnsignedGreaterOrEqual,
        _ => Condition::Other,
    }
}

fn is_select(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::Cmova
            | M::Cmovae
            | M::Cmovb
            | M::Cmovbe
            | M::Cmove
            | M::Cmovne
            | M::Cmovg
            | M::Cmovge
            | M::Cmovl
            | M::Cmovle
            | M::Cmovs
            | M::Cmovns
    )
}

fn is_set_byte(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::Seta
            | M::Setae
            | M::Setb
            | M::Setbe
            | M::Sete
            | M::Setne
            | M::Setg
            | M::Setge
            | M::Setl
            | M::Setle
            | M::Sets
            | M::Setns
    )
}
