//! What a call does with an address that it is given: which imports keep or compare none, and the
//! bodies of the program's own functions.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use assay_binary::{Lsda, Unit, UnitKind};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};

use crate::body::Body;
use crate::program::{NEVER, Program};

/// The registers that arguments are passed in (System V ABI for AMD64, 3.2.3).
pub(super) const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];

/// Imports that look at what their arguments point to, or call it, and neither put the addresses in order
/// nor make numbers of them; and how many arguments they take in registers, all six where they are
/// variadic.
const IMPORTS: [(&str, usize); 56] = [
    ("__ctype_b_loc", 0),
    ("__cxa_atexit", 3),
    ("__cxa_begin_catch", 1),
    ("__cxa_end_catch", 0),
    ("__cxa_throw", 3),
    ("__errno_location", 0),
    ("__fprintf_chk", 6),
    ("__libc_start_main", 6),
    ("__printf_chk", 6),
    ("__snprintf_chk", 6),
    ("__sprintf_chk", 6),
    ("__stack_chk_fail", 0),
    ("abort", 0),
    ("access", 2),
    ("atexit", 1),
    ("atoi", 1),
    ("atol", 1),
    ("bsearch", 5),
    ("calloc", 2),
    ("exit", 1),
    ("fclose", 1),
    ("fflush", 1),
    ("fopen", 2),
    ("fopen64", 2),
    ("fprintf", 6),
    ("fputc", 2),
    ("fputs", 2),
    ("fread", 4),
    ("fwrite", 4),
    ("getenv", 1),
    ("malloc", 1),
    ("memcmp", 3),
    ("memcpy", 3),
    ("memset", 3),
    ("open", 6),
    ("open64", 6),
    ("perror", 1),
    ("printf", 6),
    ("putchar", 1),
    ("puts", 1),
    ("qsort", 4),
    ("read", 3),
    ("realloc", 2),
    ("snprintf", 6),
    ("sprintf", 6),
    ("strcasecmp", 2),
    ("strcmp", 2),
    ("strlen", 1),
    ("strncmp", 3),
    ("strtod", 2),
    ("strtol", 3),
    ("strtoul", 3),
    ("tolower", 1),
    ("toupper", 1),
    ("ungetc", 2),
    ("write", 3),
];
const NAMES: [&str; IMPORTS.len()] = {
    let mut names = [""; IMPORTS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = IMPORTS[at].0;
        at += 1;
    }
    names
};

/// What becomes of an address in one argument's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Nothing: it is no argument, or the call is never made.
    Ignored,
    /// It is looked at or called, and neither put in order nor made a number of.
    Shown,
    /// Anything that a pointer of the language may be used for.
    Kept,
    /// What the program's own unit of that number does with it.
    Own(usize),
}

/// One unit as far as the flow of addresses goes.
pub(super) struct Known {
    pub body: Body,
    /// Where exceptions that come out of calls are caught: the calls' addresses, and where control goes
    /// on; none where the table cannot be read.
    pub pads: Option<Vec<(Range<u64>, u64)>>,
    /// Where its jump tables lead.
    pub targets: Vec<u64>,
}

impl Known {
    /// The instruction that starts at an address.
    pub fn at(&self, address: u64) -> Option<Instruction> {
        let (range, _) = self.body.position(address)?;
        let list = &self.body.ranges[range].1;
        list.binary_search_by_key(&address, Instruction::ip).ok().map(|index| list[index])
    }
}

fn is_write(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// The callees of one program; bodies are decoded once.
pub(super) struct Callees<'p, 'data> {
    program: &'p Program<'data>,
    known: RefCell<HashMap<usize, Rc<Known>>>,
    /// Registers that a unit and what it calls write, as bits; none while that is being found out.
    written: RefCell<HashMap<usize, u16>>,
}

/// All sixteen general registers.
const ALL: u16 = u16::MAX;
/// The most places that are looked at after a call.
const MAX_AFTER: usize = 64;
/// Callees of callees that are looked into.
const MAX_DEPTH: usize = 3;

fn bit(register: Register) -> u16 {
    let full = register.full_register();
    if full.is_gpr64() { 1 << (full as usize - Register::RAX as usize) } else { 0 }
}

impl<'p, 'data> Callees<'p, 'data> {
    pub fn new(program: &'p Program<'data>) -> Self {
        Self { program, known: RefCell::default(), written: RefCell::default() }
    }

    /// The unit of that number.
    pub fn known(&self, unit: usize) -> Rc<Known> {
        let mut known = self.known.borrow_mut();
        Rc::clone(known.entry(unit).or_insert_with(|| Rc::new(self.read(unit))))
    }

    fn read(&self, number: usize) -> Known {
        let unit = &self.program.map.units()[number];
        let targets = self.program.tables[number].iter().flat_map(|table| table.targets.clone()).collect();
        Known { body: Body::decode(&self.program.image, unit), pads: self.pads(unit), targets }
    }

    fn pads(&self, unit: &Unit) -> Option<Vec<(Range<u64>, u64)>> {
        let image = &self.program.image;
        let mut pads = Vec::new();
        for fde in unit.ranges.iter().flat_map(|range| image.unwind().fdes_in(*range)) {
            let Some(table) = fde.lsda else { continue };
            for site in Lsda::read(image, table, fde.range.start).ok()?.call_sites {
                let start = fde.range.start.0.checked_add(site.start)?;
                let Some(pad) = site.landing_pad else { continue };
                pads.push((start..start.checked_add(site.length)?, pad.0));
            }
        }
        Some(pads)
    }

    /// What the function at `callee`, or in the slot there, does with its argument of that number;
    /// `executed` are the units that run.
    pub fn given(&self, callee: Option<u64>, argument: usize, executed: &BTreeSet<usize>) -> Given {
        let Some(callee) = callee else { return Given::Kept };
        if let Some(import) = self.program.import_among(callee, &NAMES) {
            return if argument < IMPORTS[import].1 { Given::Shown } else { Given::Ignored };
        }
        let Some(number) = self.program.map.unit_at(callee) else { return Given::Kept };
        let unit = &self.program.map.units()[number];
        match unit.kind {
            UnitKind::Function if !executed.contains(&number) => Given::Ignored,
            UnitKind::Function if unit.entries.first().is_some_and(|entry| entry.address.0 == callee) => {
                Given::Own(number)
            }
            _ => Given::Kept,
        }
    }

    /// Whether a call of `callee` leaves a register as it was, so that a caller that knows the callee may
    /// rely on it (GCC's `-fipa-ra`). What the convention says is for the caller of this.
    pub fn leaves(&self, callee: Option<u64>, register: Register) -> bool {
        callee.is_some_and(|callee| self.written_by_call(callee) & bit(register) == 0)
    }

    fn written_by_call(&self, callee: u64) -> u16 {
        match self.program.map.unit_at(callee) {
            Some(unit) if self.program.map.units()[unit].kind == UnitKind::Function => self.written(unit),
            _ => ALL,
        }
    }

    /// A write on any path counts: no caller relies on a register that may be written.
    fn written(&self, unit: usize) -> u16 {
        if let Some(&written) = self.written.borrow().get(&unit) {
            return written;
        }
        self.written.borrow_mut().insert(unit, 0);
        let known = self.known(unit);
        let mut factory = InstructionInfoFactory::new();
        let own = |target: u64| known.body.ranges.iter().any(|(range, _)| range.contains(target));
        let mut written = 0;
        for instruction in known.body.instructions() {
            match instruction.flow_control() {
                FlowControl::Call => written |= self.written_by_call(instruction.near_branch_target()),
                FlowControl::IndirectCall => written |= ALL,
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                    if !own(instruction.near_branch_target()) =>
                {
                    written |= self.written_by_call(instruction.near_branch_target());
                }
                FlowControl::IndirectBranch if known.targets.is_empty() => written |= ALL,
                _ => {}
            }
            let used = factory.info(instruction).used_registers();
            let writes = used.iter().filter(|used| is_write(used.access()));
            written |= writes.fold(0, |all, used| all | bit(used.register()));
        }
        self.written.borrow_mut().insert(unit, written);
        written
    }

    /// Whether a caller of the unit may take a result out of a register; always, where it may be called
    /// by its address.
    pub fn may_return(&self, unit: usize, register: Register) -> bool {
        let entries = &self.program.map.units()[unit].entries;
        entries.iter().any(|entry| {
            let callers = self.program.callers.get(&entry.address.0).map(Vec::as_slice).unwrap_or_default();
            let read = |&(caller, after): &(usize, u64)| {
                caller != unit && (after == NEVER || self.is_read(caller, after, register, MAX_DEPTH))
                    || caller == unit && after != NEVER && self.is_read(caller, after, register, MAX_DEPTH)
            };
            self.program.taken.contains(&entry.address.0) || callers.iter().any(read)
        })
    }

    /// Whether a callee may read an argument's register.
    fn is_read_by(&self, callee: u64, register: Register, depth: usize) -> bool {
        let argument = ARGUMENTS.iter().position(|argument| *argument == register);
        if let (Some(import), Some(argument)) = (self.program.import_among(callee, &NAMES), argument) {
            return argument < IMPORTS[import].1;
        }
        let unit = self.program.map.unit_at(callee);
        let own = unit.filter(|&unit| self.program.map.units()[unit].kind == UnitKind::Function);
        own.is_none_or(|unit| self.is_read(unit, callee, register, depth))
    }

    /// Whether what a register holds at a place may be read from there on.
    fn is_read(&self, unit: usize, from: u64, register: Register, depth: usize) -> bool {
        let known = self.known(unit);
        let mut factory = InstructionInfoFactory::new();
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            let Some(instruction) = known.at(at).filter(|_| seen.len() <= MAX_AFTER) else { return true };
            let used = factory.info(&instruction).used_registers();
            let accesses = || used.iter().filter(|used| used.register().full_register() == register);
            if accesses().any(|used| used.access() != OpAccess::Write) {
                return true;
            }
            if accesses().any(|used| used.register().size() >= 4) {
                continue;
            }
            let inside = |target: u64| known.body.ranges.iter().any(|(range, _)| range.contains(target));
            match instruction.flow_control() {
                FlowControl::Next => open.push(instruction.next_ip()),
                FlowControl::ConditionalBranch if inside(instruction.near_branch_target()) => {
                    open.extend([instruction.next_ip(), instruction.near_branch_target()]);
                }
                FlowControl::UnconditionalBranch if inside(instruction.near_branch_target()) => {
                    open.push(instruction.near_branch_target());
                }
                FlowControl::Call => {
                    let callee = instruction.near_branch_target();
                    if depth == 0 || self.is_read_by(callee, register, depth - 1) {
                        return true;
                    }
                    // What may be written on some path no caller relies on.
                    if self.leaves(Some(callee), register) {
                        open.push(instruction.next_ip());
                    }
                }
                FlowControl::Exception => {}
                _ => return true,
            }
        }
        false
    }

    /// Where a unit is entered.
    pub fn entry(&self, unit: usize) -> u64 {
        self.program.map.units()[unit].entry.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_imports_are_sorted_so_that_none_stands_twice() {
        assert!(NAMES.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
