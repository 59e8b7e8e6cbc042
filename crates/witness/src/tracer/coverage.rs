//! Which functions were executed, by breakpoints that each strike once.

use std::ops::Range;
use std::sync::Arc;

use assay_binary::{Address, FunctionRef};

use super::Machine;
use super::modules::mappings;
use super::unwind::Space;
use crate::error::WitnessError;
use crate::replay::CoveragePlan;
use crate::report::Ending;
use crate::sys::memory::Text;
use crate::sys::ptrace;

const BREAKPOINT: u8 = 0xcc;
/// What stands for the signal where a watched function was entered.
const WATCHED: i32 = 0;
/// Most places reported as executed without belonging to a known function.
const MAX_UNKNOWN: usize = 64;
/// Breakpoints closer together than this are written with one call.
const WINDOW: u64 = 64 * 1024;

/// An executable mapping whose functions are watched.
#[derive(Clone, Debug)]
pub(crate) struct Covered {
    range: Range<u64>,
    /// What an address of the file is shifted by.
    bias: u64,
    /// Its place in the plans.
    plan: usize,
}

/// A place in a watched module.
#[derive(Clone, Copy)]
struct Place {
    plan: usize,
    /// Its address in the file.
    address: u64,
    bias: u64,
}

/// A plan as it is asked at every breakpoint: each list sorted.
pub(crate) struct Lookup {
    entries: Vec<u64>,
    traps: Vec<Range<u64>>,
    watch: Vec<u64>,
}

impl Lookup {
    pub(super) fn of(plan: &CoveragePlan) -> Self {
        let sorted = |addresses: &[Address]| {
            let mut all: Vec<u64> = addresses.iter().map(|address| address.0).collect();
            all.sort_unstable();
            all
        };
        let mut all = plan.traps.clone();
        all.sort_unstable_by_key(|range| (range.start, range.end));
        let mut traps: Vec<Range<u64>> = Vec::with_capacity(all.len());
        for range in all {
            match traps.last_mut() {
                // Ranges that overlap are put back together.
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => traps.push(range),
            }
        }
        Self { entries: sorted(&plan.entries), traps, watch: sorted(&plan.watch) }
    }

    /// The range to which a trap's address belongs.
    fn trap(&self, address: u64) -> Option<Range<u64>> {
        let next = self.traps.partition_point(|range| range.start <= address);
        self.traps[..next].last().filter(|range| range.contains(&address)).cloned()
    }
}

impl Machine<'_> {
    /// Plants the breakpoints asked for in every executable mapping of a fresh image.
    pub(crate) fn plant_all(&mut self, tid: i32, tgid: i32) -> Result<(), WitnessError> {
        self.process(tgid).covered.clear();
        if self.setup.coverage.is_empty() {
            return Ok(());
        }
        for mapping in mappings(tid).into_iter().filter(|mapping| mapping.executable) {
            self.plant(tid, tgid, &mapping.path, mapping.start..mapping.end, mapping.offset)?;
        }
        Ok(())
    }

    /// Plants those that lie in one executable mapping of a file, from `offset` of the file on.
    pub(crate) fn plant(
        &mut self,
        tid: i32,
        tgid: i32,
        path: &str,
        range: Range<u64>,
        offset: u64,
    ) -> Result<(), WitnessError> {
        self.forget_covered(tgid, &range);
        let Some(index) = self.setup.coverage.iter().position(|plan| plan.path == path) else {
            return Ok(());
        };
        let plan = &self.setup.coverage[index];
        let image = self.unwinding.image(path, self.setup.module);
        let Some(address) = image.address_of(offset) else { return Ok(()) };
        let bias = range.start.wrapping_sub(address);
        let entries = plan.entries.iter().map(|entry| entry.0);
        let traps = plan.traps.iter().flat_map(Clone::clone);
        let here = entries.chain(traps).map(|at| at.wrapping_add(bias)).filter(|at| range.contains(at));
        let mut places: Vec<u64> = here.collect();
        places.sort_unstable();
        places.dedup();
        let text = self.program_text(tid, tgid)?;
        let mut rest = places.as_slice();
        let mut planted = Vec::with_capacity(places.len());
        while let Some(first) = rest.first() {
            let count = rest.partition_point(|at| at - first < WINDOW);
            let (group, others) = rest.split_at(count);
            if !plant_group(&text, group, &mut planted) {
                let detail = format!("breakpoints cannot be planted in {path} near {first:#x}");
                self.end(Ending::Unsupported { code: "coverage_plan".to_owned(), detail });
                return Ok(());
            }
            rest = others;
        }
        let process = self.process(tgid);
        process.planted.append(&mut planted.into_iter().collect());
        process.covered.push(Covered { range, bias, plan: index });
        Ok(())
    }

    /// What was mapped there before is gone.
    fn forget_covered(&mut self, tgid: i32, range: &Range<u64>) {
        let process = self.process(tgid);
        if process.covered.iter().any(|c| c.range.start < range.end && range.start < c.range.end) {
            process.planted.retain(|at, _| !range.contains(at));
            process.covered.retain(|c| c.range.end <= range.start || range.end <= c.range.start);
        }
    }

    /// The module that a place lies in, and its address there.
    fn covered(&mut self, tgid: i32, place: u64) -> Option<Place> {
        let found = self.process(tgid).covered.iter().find(|covered| covered.range.contains(&place))?;
        Some(Place { plan: found.plan, address: place.wrapping_sub(found.bias), bias: found.bias })
    }

    /// The program's memory as a file, opened once for each image.
    pub(super) fn program_text(&mut self, tid: i32, tgid: i32) -> Result<Arc<Text>, WitnessError> {
        if let Some(text) = &self.process(tgid).text {
            return Ok(Arc::clone(text));
        }
        let text = Arc::new(Text::open(tid).map_err(WitnessError::sandbox("opening the program's memory"))?);
        self.process(tgid).text = Some(Arc::clone(&text));
        Ok(text)
    }

    /// Takes a breakpoint out where one struck; whether one did.
    pub(crate) fn on_breakpoint(&mut self, at: usize) -> Result<bool, WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let place = registers.rip.wrapping_sub(1);
        let Some(byte) = self.process(tgid).planted.remove(&place) else { return Ok(false) };
        let text = self.program_text(tid, tgid)?;
        text.write(place, &[byte]).map_err(WitnessError::sandbox("taking a breakpoint out"))?;
        self.open_trap(tgid, place, &text)?;
        registers.rip = place;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        let known = self.covered(tgid, place);
        self.note_executed(tid, known, place);
        if known.is_some_and(|known| self.lookups[known.plan].watch.binary_search(&known.address).is_ok()) {
            self.note_fault(at, WATCHED)?;
        }
        Ok(true)
    }

    /// Every byte of a trap range holds a breakpoint, so the instruction that struck one is damaged behind
    /// its first byte: the whole range is put back.
    fn open_trap(&mut self, tgid: i32, place: u64, text: &Text) -> Result<(), WitnessError> {
        let Some(Place { plan, address, bias }) = self.covered(tgid, place) else { return Ok(()) };
        let Some(range) = self.lookups[plan].trap(address) else { return Ok(()) };
        let (from, to) = (range.start.wrapping_add(bias), range.end.wrapping_add(bias));
        let planted = &mut self.process(tgid).planted;
        let own: Vec<(u64, u8)> = planted.range(from..to).map(|(at, byte)| (*at, *byte)).collect();
        for (at, _) in &own {
            planted.remove(at);
        }
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        let failed = || WitnessError::sandbox("taking a breakpoint out");
        text.read(from, &mut bytes).map_err(failed())?;
        for (at, byte) in own {
            bytes[(at - from) as usize] = byte;
        }
        text.write(from, &bytes).map_err(failed())?;
        Ok(())
    }

    fn note_executed(&mut self, tid: i32, known: Option<Place>, place: u64) {
        let Some(Place { plan, address, .. }) = known else { return };
        if self.lookups[plan].entries.binary_search(&address).is_ok() {
            let module = self.unwinding.image(&self.setup.coverage[plan].path, self.setup.module).id.clone();
            self.functions.insert(FunctionRef { module, offset: Address(address) });
        } else if self.unknown_code.len() < MAX_UNKNOWN {
            let space = Space::of(tid, &mut self.unwinding, self.setup.module);
            self.unknown_code.push(space.frame(place, place));
        }
    }
}

/// Writes the breakpoints of one group, noting the bytes that they stand for; whether it could be done.
fn plant_group(text: &Text, group: &[u64], planted: &mut Vec<(u64, u8)>) -> bool {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return true };
    let mut bytes = vec![0; (last - first + 1) as usize];
    if text.read(*first, &mut bytes).is_err() {
        return false;
    }
    for at in group {
        let byte = &mut bytes[(at - first) as usize];
        planted.push((*at, *byte));
        *byte = BREAKPOINT;
    }
    text.write(*first, &bytes).is_ok()
}
