//! The exact hash over a unit's decoded instructions with their operands resolved.
//!
//! What goes in: operation, registers, immediates, displacements that are no addresses; branch
//! targets as instruction numbers within the unit; callees and addresses by what they are
//! (the parent module); jump tables as lists of instruction numbers. What does not: addresses, encodings,
//! alignment padding (`nop`), the order of units, the contents of tables of distances.

use std::collections::HashMap;

use assay_evidence::Sha256;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::Identity;
use crate::body::{Body, Reference, reference};
use crate::limits::MAX_POINTER_DEPTH;
use crate::program::Program;
use crate::tables::Table;

/// The exact hash of one unit.
pub(crate) fn hash_unit(program: &Program<'_>, unit: usize) -> Sha256 {
    let body = Body::decode(&program.image, &program.map.units()[unit]);
    let lift = Lift { program, tables: &program.tables[unit], numbers: numbers(&body), body: &body };
    let mut whole = Sha256::stream();
    for instruction in body.instructions().filter(|i| i.mnemonic() != Mnemonic::Nop) {
        let mut identity = Identity::new(program);
        lift.instruction(instruction, &mut identity);
        whole.update(identity.finish().as_bytes());
    }
    whole.finish()
}

/// The number of each instruction; padding has the number of what follows it.
fn numbers(body: &Body) -> HashMap<u64, u32> {
    let mut number = 0;
    let mut numbers = HashMap::new();
    for instruction in body.instructions() {
        numbers.insert(instruction.ip(), number);
        number += u32::from(instruction.mnemonic() != Mnemonic::Nop);
    }
    numbers
}

struct Lift<'p, 'data> {
    program: &'p Program<'data>,
    body: &'p Body,
    tables: &'p [Table],
    numbers: HashMap<u64, u32>,
}

impl Lift<'_, '_> {
    fn instruction(&self, instruction: &Instruction, identity: &mut Identity<'_, '_>) {
        identity.part("operation", &operation(instruction));
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::Register => {
                    identity.part("register", &(instruction.op_register(operand) as u16).to_le_bytes())
                }
                OpKind::Memory => memory(instruction, identity),
                OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {}
                _ => match instruction.try_immediate(operand) {
                    Ok(value) => identity.part("number", &value.to_le_bytes()),
                    Err(_) => identity.part("implicit", &[]),
                },
            }
        }
        match reference(instruction) {
            None => {}
            Some(Reference::Branch(target)) => self.code(target, identity),
            Some(Reference::Address(target)) => self.formed(target, identity),
            Some(Reference::Memory(target, _)) if self.program.is_code(target) => self.code(target, identity),
            Some(Reference::Memory(target, size)) => identity.data(target, Some(size), MAX_POINTER_DEPTH),
        }
    }

    fn code(&self, target: u64, identity: &mut Identity<'_, '_>) {
        match self.numbers.get(&target) {
            Some(number) => identity.part("here", &number.to_le_bytes()),
            None => identity.code(target),
        }
    }

    fn formed(&self, target: u64, identity: &mut Identity<'_, '_>) {
        if let Some(table) = self.tables.iter().find(|table| table.base == target) {
            for entry in &table.targets {
                identity.part("case", &self.numbers.get(entry).copied().unwrap_or(u32::MAX).to_le_bytes());
            }
        } else if self.program.is_code(target) {
            self.code(target, identity);
        } else {
            identity.data(target, None, MAX_POINTER_DEPTH);
        }
        debug_assert!(!self.body.ranges.is_empty(), "a unit has at least its main range");
    }
}

/// Operation and prefixes. An operation's number is the decoder's, which the version pins.
fn operation(i: &Instruction) -> [u8; 6] {
    let [low, high] = (i.code() as u16).to_le_bytes();
    let flags = u8::from(i.has_lock_prefix())
        | u8::from(i.has_rep_prefix()) << 1
        | u8::from(i.has_repne_prefix()) << 2
        | u8::from(i.zeroing_masking()) << 3
        | u8::from(i.is_broadcast()) << 4
        | u8::from(i.suppress_all_exceptions()) << 5;
    [low, high, flags, i.op_mask() as u8, i.rounding_control() as u8, i.segment_prefix() as u8]
}

fn memory(i: &Instruction, identity: &mut Identity<'_, '_>) {
    let relative = matches!(i.memory_base(), Register::RIP | Register::EIP);
    let displacement = if relative { 0 } else { i.memory_displacement64() };
    identity.part("base", &(i.memory_base() as u16).to_le_bytes());
    identity.part("index", &(i.memory_index() as u16).to_le_bytes());
    identity.part("scale", &i.memory_index_scale().to_le_bytes());
    identity.part("displacement", &displacement.to_le_bytes());
}
