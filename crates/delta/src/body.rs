//! The instructions of a unit, and where each reference of one goes.

use assay_binary::{CodeRange, Image, Unit};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// The decoded instructions of one unit, range by range in the unit's own order.
pub(crate) struct Body {
    pub ranges: Vec<(CodeRange, Vec<Instruction>)>,
    by_address: Vec<(CodeRange, usize)>,
}

impl Body {
    pub fn decode(image: &Image<'_>, unit: &Unit) -> Self {
        let ranges = unit.ranges.iter().map(|&range| (range, decode(image, range))).collect();
        let mut by_address: Vec<_> = unit.ranges.iter().copied().zip(0..).collect();
        by_address.sort_unstable();
        Self { ranges, by_address }
    }

    pub fn instructions(&self) -> impl Iterator<Item = &Instruction> {
        self.ranges.iter().flat_map(|(_, instructions)| instructions)
    }

    /// Which range holds `address`, and the offset in it, if an instruction starts there.
    pub fn position(&self, address: u64) -> Option<(usize, u64)> {
        let after = self.by_address.partition_point(|(range, _)| range.start.0 <= address);
        let (range, index) = *self.by_address.get(after.checked_sub(1)?)?;
        let instructions = &self.ranges[index].1;
        instructions.binary_search_by_key(&address, Instruction::ip).ok()?;
        Some((index, address - range.start.0))
    }

    pub fn starts_at(&self, address: u64) -> bool {
        self.position(address).is_some()
    }
}

fn decode(image: &Image<'_>, range: CodeRange) -> Vec<Instruction> {
    let bytes = usize::try_from(range.size()).ok().and_then(|size| image.bytes(range.start.0, size));
    let bytes = bytes.unwrap_or_default();
    Decoder::with_ip(64, bytes, range.start.0, DecoderOptions::NONE).into_iter().collect()
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

/// The address that `instruction` names, if it names one. An x86-64 instruction names at most one.
pub(crate) fn reference(instruction: &Instruction) -> Option<Reference> {
    for operand in 0..instruction.op_count() {
        match instruction.op_kind(operand) {
            OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16 => {
                return Some(Reference::Branch(instruction.near_branch_target()));
            }
            OpKind::Memory if is_relative(instruction) => {
                let target = instruction.ip_rel_memory_address();
                return Some(match (instruction.mnemonic(), instruction.memory_size().size() as u64) {
                    (Mnemonic::Nop, _) => return None,
                    (Mnemonic::Lea, _) | (_, 0) => Reference::Address(target),
                    (_, size) => Reference::Memory(target, size),
                });
            }
            _ => {}
        }
    }
    None
}

fn is_relative(instruction: &Instruction) -> bool {
    matches!(instruction.memory_base(), Register::RIP | Register::EIP)
}

/// The instruction with the address that it names taken out, so that two can be compared.
pub(crate) fn without_reference(instruction: &Instruction) -> Instruction {
    let mut copy = *instruction;
    match reference(instruction) {
        Some(Reference::Branch(_)) => copy.set_near_branch64(0),
        Some(_) => copy.set_memory_displacement64(0),
        None if is_relative(instruction) => copy.set_memory_displacement64(0),
        None => {}
    }
    copy
}
