//! Executed units: equal instruction by instruction, with every reference made to correspond.

use std::collections::{BTreeSet, HashMap, HashSet};

use assay_binary::UnitKind;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::Reason;
use super::flow::{self, Flow};
use super::reach::Use;
use super::simulate::Simulation;
use crate::body::{Body, Reference, reference, without_reference};
use crate::tables::{Table, unresolved_jump, word};

/// Rust's start of every program divides the stack's size by the page's.
const RUST_START: &str = "lang_start_internal";
/// A number as wide as an address, in bytes.
const WIDE: usize = 8;
/// Both sides of one unit.
struct Pair<'p> {
    a: Body,
    b: Body,
    tables_a: &'p [Table],
    tables_b: &'p [Table],
    /// The addresses from which signed 32-bit words, which may be distances, are loaded.
    distances: Distances,
    /// The unit of A.
    unit: usize,
    /// Whether what it divides is known to be no address.
    divides_sizes: bool,
}

pub(super) fn compare(simulation: &mut Simulation<'_, '_>, index_a: usize, index_b: usize) {
    let (program_a, program_b) = (simulation.a, simulation.b);
    let (unit_a, unit_b) = (&program_a.map.units()[index_a], &program_b.map.units()[index_b]);
    if unit_a.kind != UnitKind::Function {
        return;
    }
    simulation.at(unit_a.name.clone());
    let a = Body::decode(&program_a.image, unit_a);
    let b = Body::decode(&program_b.image, unit_b);
    let distances = Distances::of(&a);
    let (tables_a, tables_b) = (&program_a.tables[index_a], &program_b.tables[index_b]);
    let divides_sizes = unit_a.name.contains(RUST_START);
    let pair = Pair { a, b, tables_a, tables_b, distances, unit: index_a, divides_sizes };
    if let Some(address) = unresolved_jump(&pair.a, pair.tables_a) {
        return simulation.refuse(Reason::UnresolvedIndirectJump, format!("the jump at {address:#x}"));
    }
    if pair.compare_instructions(simulation) {
        super::unwind::compare(simulation, unit_a, unit_b, (&pair.a, &pair.b));
    }
}

impl Pair<'_> {
    fn compare_instructions(&self, simulation: &mut Simulation<'_, '_>) -> bool {
        let lengths = |body: &Body| body.ranges.iter().map(|(_, list)| list.len()).collect::<Vec<_>>();
        if lengths(&self.a) != lengths(&self.b) {
            simulation.refuse(Reason::FunctionChanged, "the number of instructions differs");
            return false;
        }
        for ((_, list_a), (_, list_b)) in self.a.ranges.iter().zip(&self.b.ranges) {
            if !simulation.step(list_a.len() as u64) {
                return false;
            }
            for (a, b) in list_a.iter().zip(list_b) {
                if !self.compare_one(simulation, a, b) {
                    return false;
                }
            }
            if list_a.last().is_none_or(runs_on) {
                simulation.refuse(Reason::FallsThrough, "the last instruction continues");
                return false;
            }
        }
        true
    }

    /// False where the bodies differ, so that nothing after it is worth saying.
    fn compare_one(&self, simulation: &mut Simulation<'_, '_>, a: &Instruction, b: &Instruction) -> bool {
        if a.code() == Code::INVALID || b.code() == Code::INVALID {
            simulation.refuse(Reason::UndecodableBytes, format!("at {:#x}", a.ip()));
            return false;
        }
        if a.len() != b.len() || without_reference(a) != without_reference(b) {
            simulation.refuse(Reason::FunctionChanged, format!("the instruction at {:#x}", a.ip()));
            return false;
        }
        // Containers that hash take a hash modulo a prime; a pointer's hash is the pointer.
        let wide = a.op0_kind() == OpKind::Memory && a.memory_size().size() == WIDE
            || a.op0_kind() == OpKind::Register && a.op0_register().size() == WIDE;
        simulation.divides |= a.mnemonic() == Mnemonic::Div && wide && !self.divides_sizes;
        match (reference(a), reference(b)) {
            (None, None) => {}
            (Some(Reference::Branch(x)), Some(Reference::Branch(y))) => {
                return self.branch(simulation, a, x, y);
            }
            (Some(Reference::Address(x)), Some(Reference::Address(y))) => {
                let how = self.how(simulation, a);
                self.formed(simulation, (x, y), how);
            }
            (Some(Reference::Memory(x, size)), Some(Reference::Memory(y, _))) => {
                if simulation.a.is_code(x) || simulation.b.is_code(y) {
                    simulation.refuse(Reason::CodeReadAsData, format!("at {:#x}", a.ip()));
                } else if a.segment_prefix() == Register::FS || a.segment_prefix() == Register::GS {
                    simulation.refuse(
                        Reason::UnmodelledData,
                        format!("a thread-relative address at {:#x}", a.ip()),
                    );
                } else {
                    simulation.access(x, y, size);
                }
            }
            _ => simulation.refuse(Reason::FunctionChanged, format!("the instruction at {:#x}", a.ip())),
        }
        true
    }

    fn branch(&self, simulation: &mut Simulation<'_, '_>, from: &Instruction, x: u64, y: u64) -> bool {
        let own = |body: &Body, target: u64| body.ranges.iter().any(|(range, _)| range.contains(target));
        match (own(&self.a, x), own(&self.b, y)) {
            (true, true) => {
                let places = (self.a.position(x), self.b.position(y));
                if places.0.is_none() || places.0 != places.1 {
                    simulation.refuse(Reason::FunctionChanged, format!("the branch at {:#x}", from.ip()));
                    return false;
                }
            }
            (false, false) => simulation.code_reference(x, y, false),
            _ => simulation.refuse(Reason::FunctionChanged, format!("the branch at {:#x}", from.ip())),
        }
        true
    }

    fn how(&self, simulation: &Simulation<'_, '_>, formed: &Instruction) -> Use {
        match flow::of(&simulation.callees, self.unit, formed, &simulation.executed) {
            Flow::Shown => Use::Shown,
            Flow::Kept => Use::Passed,
            Flow::Base => Use::Base,
            Flow::Unknown => Use::Formed,
        }
    }

    fn formed(&self, simulation: &mut Simulation<'_, '_>, (x, y): (u64, u64), how: Use) {
        match (simulation.a.is_code(x), simulation.b.is_code(y)) {
            (true, true) => return simulation.code_reference(x, y, how != Use::Shown),
            (false, false) => {}
            _ => {
                return simulation
                    .refuse(Reason::ReferenceDiffers, format!("{x:#x} and {y:#x} are not of one kind"));
            }
        }
        let table = |tables: &[Table], base| tables.iter().position(|table| table.base == base);
        match (table(self.tables_a, x), table(self.tables_b, y)) {
            (Some(i), Some(j)) => self.jump_tables(simulation, &self.tables_a[i], &self.tables_b[j]),
            (None, None) => {
                simulation.data_reference(x, y, how);
                if self.distances.contains(x) {
                    simulation.relative_table(x, y);
                }
            }
            _ => simulation.refuse(Reason::JumpTableDiffers, format!("the table at {x:#x}")),
        }
    }

    fn jump_tables(&self, simulation: &mut Simulation<'_, '_>, a: &Table, b: &Table) {
        let places =
            |body: &Body, table: &Table| table.targets.iter().map(|&t| body.position(t)).collect::<Vec<_>>();
        if places(&self.a, a) != places(&self.b, b) {
            simulation.refuse(Reason::JumpTableDiffers, format!("the table at {:#x}", a.base));
        }
        if may_continue(simulation, &self.a, a) {
            let detail = format!("the table at {:#x} may go on to code outside the function", a.base);
            simulation.refuse(Reason::UnresolvedIndirectJump, detail);
        }
    }
}

/// Whether the table may have entries after those that were recognised: the next word leads to code
/// too, and either nothing refers to it, so that it is no start of something else, or it is a start
/// that no other table explains, and would be a good entry.
fn may_continue(simulation: &Simulation<'_, '_>, body: &Body, table: &Table) -> bool {
    let program = simulation.a;
    let Some(distance) = word(&program.image, table.end()) else { return false };
    let target = table.base.wrapping_add_signed(distance);
    let refers = program.points.binary_search(&table.end()).is_ok();
    match refers {
        false => program.is_code(target),
        true => body.starts_at(target) && !program.table_bases.contains(&table.end()),
    }
}

/// The bases of tables that a unit reads signed 32-bit words of.
enum Distances {
    /// Any address that the unit forms.
    Any,
    /// These.
    Of(BTreeSet<u64>),
}

impl Distances {
    /// For each `movslq (base,index,4)` every address that the unit forms in that base register
    /// anywhere; where it forms none there, the base came from elsewhere and may be any.
    fn of(body: &Body) -> Self {
        let mut formed: HashMap<Register, Vec<u64>> = HashMap::new();
        for instruction in body.instructions().filter(|i| i.mnemonic() == Mnemonic::Lea) {
            if let Some(Reference::Address(target)) = reference(instruction) {
                formed.entry(instruction.op0_register()).or_default().push(target);
            }
        }
        let loads = body.instructions().filter(|i| {
            i.mnemonic() == Mnemonic::Movsxd && i.op1_kind() == OpKind::Memory && i.memory_index_scale() == 4
        });
        let mut bases = BTreeSet::new();
        let registers: HashSet<Register> = loads.map(Instruction::memory_base).collect();
        for register in registers {
            match formed.get(&register) {
                Some(targets) => bases.extend(targets),
                None => return Self::Any,
            }
        }
        Self::Of(bases)
    }

    fn contains(&self, address: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(bases) => bases.contains(&address),
        }
    }
}

/// Whether control can go on to the next address. A call that ends a function does not return
/// (an assumption of the proof: compilers end a function so only where they know it).
fn runs_on(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::UnconditionalBranch
        | FlowControl::IndirectBranch
        | FlowControl::Return
        | FlowControl::Call
        | FlowControl::IndirectCall
        | FlowControl::Exception => false,
        FlowControl::Interrupt => false,
        _ => instruction.mnemonic() != Mnemonic::Hlt,
    }
}
