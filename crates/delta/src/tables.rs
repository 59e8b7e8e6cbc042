//! Jump tables: which constants are control flow.
//!
//! Position-independent code of GCC, Clang and rustc jumps through tables of 32-bit distances from
//! the table's own start: `lea T(%rip), b; movslq (b,i,4), r; add b, r; jmp *r`. A unit that jumps
//! through a register is searched for addresses `T` it forms whose words, read as distances, are
//! starts of instructions of that same unit; the table is the longest run of such words up to the
//! next address that any code forms. The run holds every entry that a defined run can read, because
//! each real entry is such a word and nothing refers into a table; it can hold more only where
//! unrelated bytes happen to be such words, and those are then compared as control flow, which
//! refuses more and never less. The proof refuses a table after which entries may go on
//! (`prove/code.rs`).

use std::collections::BTreeSet;

use assay_binary::{Image, SectionKind};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use crate::body::{Body, Reference, reference};
use crate::limits::{MAX_LOOK_BACK, MAX_TABLE_ENTRIES};

/// One jump table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub base: u64,
    pub targets: Vec<u64>,
}

impl Table {
    pub fn end(&self) -> u64 {
        self.base + self.targets.len() as u64 * 4
    }
}

/// The tables of a unit; `points` are the addresses, sorted, that anything refers to.
pub(crate) fn tables(image: &Image<'_>, body: &Body, points: &[u64]) -> Vec<Table> {
    if !body.instructions().any(is_register_jump) {
        return Vec::new();
    }
    let formed = |i: &Instruction| match reference(i) {
        Some(Reference::Address(target)) if target % 4 == 0 => Some(target),
        _ => None,
    };
    let bases: BTreeSet<u64> = body.instructions().filter_map(formed).collect();
    let next = |base: u64| points.get(points.partition_point(|&point| point <= base)).copied();
    bases.into_iter().filter_map(|base| table(image, body, base, next(base).unwrap_or(u64::MAX))).collect()
}

fn table(image: &Image<'_>, body: &Body, base: u64, limit: u64) -> Option<Table> {
    let section = image.section_at(base).filter(|section| section.kind == SectionKind::Data)?;
    let end = section.end().min(limit);
    let mut targets = Vec::new();
    let mut at = base;
    while at + 4 <= end && targets.len() < MAX_TABLE_ENTRIES {
        let Some(target) = word(image, at).map(|distance| base.wrapping_add_signed(distance)) else { break };
        if !body.starts_at(target) {
            break;
        }
        targets.push(target);
        at += 4;
    }
    (!targets.is_empty()).then_some(Table { base, targets })
}

/// The signed 32-bit word at `address`.
pub(crate) fn word(image: &Image<'_>, address: u64) -> Option<i64> {
    let bytes: [u8; 4] = image.bytes(address, 4)?.try_into().ok()?;
    Some(i64::from(i32::from_le_bytes(bytes)))
}

pub(crate) fn is_register_jump(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Jmp && instruction.op0_kind() == OpKind::Register
}

/// Whether every jump through a register either takes a pointer as it is (a tail call, a label) or
/// a distance from one of `tables`. The first jump that does neither is returned.
pub(crate) fn unresolved_jump(body: &Body, tables: &[Table]) -> Option<u64> {
    for (_, instructions) in &body.ranges {
        let jumps = instructions.iter().enumerate().filter(|(_, i)| is_register_jump(i));
        for (index, jump) in jumps {
            if is_computed(&instructions[..index], jump.op0_register(), tables) == Origin::Unknown {
                return Some(jump.ip());
            }
        }
    }
    None
}

#[derive(PartialEq, Eq)]
enum Origin {
    Pointer,
    Table,
    Unknown,
}

/// Where the jump's register comes from, by the nearest instructions before it.
fn is_computed(before: &[Instruction], register: Register, tables: &[Table]) -> Origin {
    let (near, cut) = near(before);
    let before = near;
    let Some(index) = before.iter().rposition(|i| writes(i, register)) else {
        return if cut { Origin::Unknown } else { Origin::Pointer };
    };
    let writer = &before[index];
    match writer.mnemonic() {
        Mnemonic::Mov | Mnemonic::Pop | Mnemonic::Cmovne | Mnemonic::Cmove => Origin::Pointer,
        Mnemonic::Lea if matches!(reference(writer), Some(Reference::Address(_))) => Origin::Pointer,
        Mnemonic::Add if !tables.is_empty() => added(&before[..index], writer, tables),
        _ => Origin::Unknown,
    }
}

/// The instructions that are looked back over, and whether there were more.
fn near(before: &[Instruction]) -> (&[Instruction], bool) {
    let from = before.len().saturating_sub(MAX_LOOK_BACK);
    (&before[from..], from > 0)
}

/// One side of the addition is a table's base: the nearest address formed in that register says
/// which; where none is found before it, the base was formed elsewhere and all tables are compared.
fn added(before: &[Instruction], add: &Instruction, tables: &[Table]) -> Origin {
    if add.op1_kind() != OpKind::Register {
        return Origin::Unknown;
    }
    let formed = [add.op0_register(), add.op1_register()].into_iter().filter_map(|register| {
        let index = before.iter().rposition(|i| writes(i, register))?;
        match reference(&before[index]) {
            Some(Reference::Address(target)) if before[index].mnemonic() == Mnemonic::Lea => Some(target),
            _ => None,
        }
    });
    let formed: Vec<u64> = formed.collect();
    let is_table = |target: &u64| tables.iter().any(|table| table.base == *target);
    if formed.iter().all(is_table) { Origin::Table } else { Origin::Unknown }
}

/// Whether the first operand is that register and is written.
pub(crate) fn writes(instruction: &Instruction, register: Register) -> bool {
    let reads_only =
        matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push | Mnemonic::Jmp)
            || instruction.mnemonic() == Mnemonic::Call;
    instruction.op_count() > 0
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register().full_register() == register.full_register()
        && !reads_only
}
