//! What a call does with an address that it is given: which imports keep or compare none, and the
//! bodies of the program's own functions.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use assay_binary::{Lsda, Unit, UnitKind};

use crate::body::Body;
use crate::program::Program;

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

/// The callees of one program; bodies are decoded once.
pub(super) struct Callees<'p, 'data> {
    program: &'p Program<'data>,
    known: RefCell<HashMap<usize, Rc<Known>>>,
}

impl<'p, 'data> Callees<'p, 'data> {
    pub fn new(program: &'p Program<'data>) -> Self {
        Self { program, known: RefCell::default() }
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
