//! Linear sweeps over machine code: padding and the targets of direct calls.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::Architecture;

/// The decoder's bitness, for the two x86 architectures.
pub(crate) fn bitness(architecture: &Architecture) -> Option<u32> {
    match architecture {
        Architecture::X86_64 => Some(64),
        Architecture::X86 => Some(32),
        _ => None,
    }
}

/// What fills the space between functions: its length at the start of `code`, and where the code
/// before a last run of it ends. Both are offsets; for an architecture that is not lifted only zero
/// bytes fill.
pub(crate) fn filling(architecture: &Architecture, code: &[u8], address: u64) -> (usize, usize) {
    match bitness(architecture) {
        Some(bits) => x86_filling(bits, code, address),
        None => word_filling(architecture, code),
    }
}

fn x86_filling(bits: u32, code: &[u8], address: u64) -> (usize, usize) {
    let zeros = code.iter().take_while(|&&byte| byte == 0).count();
    if zeros == code.len() {
        return (zeros, zeros);
    }
    let tail = code.len() - code.iter().rev().take_while(|&&byte| byte == 0).count();
    let (mut leading, mut end) = (None, 0);
    let from = address.wrapping_add(zeros as u64);
    let mut decoder = Decoder::with_ip(bits, &code[zeros..], from, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        let start = zeros + decoder.position();
        // Zeros decode as additions to memory; at the end they only fill.
        if start >= tail {
            break;
        }
        decoder.decode_out(&mut instruction);
        if !is_x86_filler(&instruction) {
            leading.get_or_insert(start);
            end = zeros + decoder.position();
        }
    }
    (leading.unwrap_or(code.len()), end)
}

fn is_x86_filler(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Nop | Mnemonic::Int3 => true,
        // `lea esi, [esi+eiz*1+0]` and its shorter relatives, the nops of 32-bit assemblers.
        Mnemonic::Lea => {
            let same = instruction.op0_register() == instruction.memory_base();
            same && instruction.memory_displacement64() == 0 && instruction.memory_index() == Register::None
        }
        Mnemonic::Xchg | Mnemonic::Mov => {
            let both =
                instruction.op0_kind() == OpKind::Register && instruction.op1_kind() == OpKind::Register;
            both && instruction.op0_register() == instruction.op1_register()
                && instruction.code() != Code::Mov_r32_rm32
        }
        _ => false,
    }
}

const AARCH64_NOP: u32 = 0xd503_201f;
/// `brk #0xf000`, with which Windows' linkers fill.
const AARCH64_BREAK: u32 = 0xd43e_0000;

fn word_filling(architecture: &Architecture, code: &[u8]) -> (usize, usize) {
    let is_filler = |word: &[u8]| {
        let value = word.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
        let nop = *architecture == Architecture::Aarch64 && (value == AARCH64_NOP || value == AARCH64_BREAK);
        value == 0 || nop
    };
    let leading = code.chunks(4).take_while(|word| is_filler(word)).count() * 4;
    let trailing = code.chunks(4).rev().take_while(|word| is_filler(word)).count();
    let words = code.len().div_ceil(4);
    (leading.min(code.len()), ((words - trailing) * 4).min(code.len()))
}

/// Where the function that starts with `code` ends: behind a return or jump that is followed by filling,
/// and beyond which no jump of the function leads. All of it, where no such place is seen.
pub(crate) fn first_end(architecture: &Architecture, code: &[u8], address: u64) -> usize {
    let Some(bits) = bitness(architecture) else { return code.len() };
    let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut farthest = 0;
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let near = matches!(instruction.op0_kind(), OpKind::NearBranch64 | OpKind::NearBranch32);
        let end = decoder.position();
        let stops = match instruction.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                let target = instruction.near_branch_target().wrapping_sub(address);
                if near && target < code.len() as u64 {
                    farthest = farthest.max(target as usize);
                }
                instruction.flow_control() == FlowControl::UnconditionalBranch
            }
            FlowControl::Return => true,
            // A jump through a table may lead anywhere behind it.
            FlowControl::IndirectBranch if instruction.op0_kind() == OpKind::Memory => false,
            FlowControl::IndirectBranch => return code.len(),
            _ => false,
        };
        if stops && farthest < end && is_filled(bits, &code[end..], address.wrapping_add(end as u64)) {
            return end;
        }
    }
    code.len()
}

/// Whether filling stands here up to a boundary of 16 bytes.
fn is_filled(bits: u32, code: &[u8], address: u64) -> bool {
    let distance = (address.next_multiple_of(16) - address) as usize;
    let Some(filler) = code.get(..distance).filter(|filler| !filler.is_empty()) else { return false };
    let instructions = Decoder::with_ip(bits, filler, address, DecoderOptions::NONE).into_iter();
    instructions.into_iter().all(|instruction| is_x86_filler(&instruction)) || filler.iter().all(|&b| b == 0)
}

/// Whether the bytes can all be instructions up to the first end; only the x86 encodings, which leave
/// holes, can be told from data so.
pub(crate) fn is_code(architecture: &Architecture, code: &[u8], address: u64) -> bool {
    let Some(bits) = bitness(architecture) else { return false };
    let end = first_end(architecture, code, address);
    let decoder = Decoder::with_ip(bits, &code[..end], address, DecoderOptions::NONE);
    let mut last = None;
    for instruction in decoder {
        if instruction.is_invalid() || matches!(instruction.mnemonic(), Mnemonic::In | Mnemonic::Out) {
            return false;
        }
        last = Some(instruction);
    }
    let ends = |instruction: Instruction| {
        let flow = instruction.flow_control();
        let leaves = matches!(
            flow,
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        );
        leaves || matches!(flow, FlowControl::Call | FlowControl::IndirectCall | FlowControl::Exception)
    };
    last.is_some_and(ends)
}

/// The targets of direct calls in `code`. A call to the next instruction only asks for its own address,
/// and one to itself is an object file's, to be filled in.
pub(crate) fn call_targets(architecture: &Architecture, code: &[u8], address: u64, out: &mut Vec<u64>) {
    if let Some(bits) = bitness(architecture) {
        let mut decoder = Decoder::with_ip(bits, code, address, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if instruction.is_call_near() && instruction.near_branch_target() != instruction.next_ip() {
                out.push(instruction.near_branch_target());
            }
        }
    } else if *architecture == Architecture::Aarch64 {
        let words = code.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word));
        for (index, word) in words.enumerate().filter(|(_, word)| word >> 26 == 0b10_0101 && *word << 6 != 0)
        {
            let offset = i64::from((word << 6) as i32 >> 6) * 4;
            out.push(address.wrapping_add(index as u64 * 4).wrapping_add_signed(offset));
        }
    }
}

/// The targets of direct jumps in `code`, conditional ones included.
pub(crate) fn jump_targets(architecture: &Architecture, code: &[u8], address: u64) -> Vec<u64> {
    if let Some(bits) = bitness(architecture) {
        let is_jump =
            |flow| matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch);
        let instructions = Decoder::with_ip(bits, code, address, DecoderOptions::NONE).into_iter();
        return instructions.filter(|i| is_jump(i.flow_control())).map(|i| i.near_branch_target()).collect();
    }
    if *architecture != Architecture::Aarch64 {
        return Vec::new();
    }
    let words = code.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).enumerate();
    words
        .filter_map(|(index, word)| {
            Some(aarch64_jump(word)?.wrapping_add((address as i64) + index as i64 * 4))
        })
        .map(|target| target as u64)
        .collect()
}

/// The offset in bytes of a direct jump: `B`, `B.cond`, `CBZ`, `TBZ` and their like (Arm ARM, C4.1.66).
fn aarch64_jump(word: u32) -> Option<i64> {
    let offset = if word >> 26 == 0b00_0101 {
        (word << 6) as i32 >> 6
    } else if word >> 24 == 0b0101_0100 || word >> 25 & 0x3f == 0b01_1010 {
        (word << 8) as i32 >> 13
    } else if word >> 25 & 0x3f == 0b01_1011 {
        (word << 13) as i32 >> 18
    } else {
        return None;
    };
    Some(i64::from(offset) * 4)
}
