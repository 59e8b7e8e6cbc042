//! Which functions were executed, by breakpoints that each strike once.

use std::ops::Range;

use assay_binary::{Address, FunctionRef};

use super::Machine;
use super::modules::mappings;
use super::unwind::Space;
use crate::error::WitnessError;
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
    path: String,
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
        let Some(plan) = self.setup.coverage.iter().find(|plan| plan.path == path) else { return Ok(()) };
        let image = self.unwinding.image(path, self.setup.module);
        let Some(address) = image.address_of(offset) else { return Ok(()) };
        let bias = range.start.wrapping_sub(address);
        let entries = plan.entries.iter().map(|entry| entry.0);
        let traps = plan.traps.iter().flat_map(Clone::clone);
        let here = entries.chain(traps).map(|at| at.wrapping_add(bias)).filter(|at| range.contains(at));
        let mut places: Vec<u64> = here.collect();
        places.sort_unstable();
        places.dedup();
        let text = Text::open(tid).map_err(WitnessError::sandbox("opening the program's memory"))?;
        let mut rest = places.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.partition_point(|at| at - first < WINDOW);
            let (group, others) = rest.split_at(count);
            if !self.plant_group(&text, tgid, group) {
                let detail = format!("breakpoints cannot be planted in {path} near {first:#x}");
                self.end(Ending::Unsupported { code: "coverage_plan".to_owned(), detail });
                return Ok(());
            }
            rest = others;
        }
        self.process(tgid).covered.push(Covered { range, bias, path: path.to_owned() });
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
    fn covered(&mut self, tgid: i32, place: u64) -> Option<(String, u64)> {
        let found = self.process(tgid).covered.iter().find(|covered| covered.range.contains(&place))?;
        Some((found.path.clone(), place.wrapping_sub(found.bias)))
    }

    fn plant_group(&mut self, text: &Text, tgid: i32, group: &[u64]) -> bool {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return true };
        let mut bytes = vec![0; (last - first + 1) as usize];
        if text.read(*first, &mut bytes).is_err() {
            return false;
        }
        for at in group {
            let byte = &mut bytes[(at - first) as usize];
            self.process(tgid).planted.insert(*at, *byte);
            *byte = BREAKPOINT;
        }
        text.write(*first, &bytes).is_ok()
    }

    /// Takes a breakpoint out where one struck; whether one did.
    pub(crate) fn on_breakpoint(&mut self, at: usize) -> Result<bool, WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let place = registers.rip.wrapping_sub(1);
        let Some(byte) = self.process(tgid).planted.remove(&place) else { return Ok(false) };
        let text = Text::open(tid).map_err(WitnessError::sandbox("opening the program's memory"))?;
        text.write(place, &[byte]).map_err(WitnessError::sandbox("taking a breakpoint out"))?;
        self.open_trap(tgid, place, &text)?;
        registers.rip = place;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        self.note_executed(tid, tgid, place);
        if self.is_watched(tgid, place) {
            self.note_fault(at, WATCHED)?;
        }
        Ok(true)
    }

    /// Every byte of a trap range holds a breakpoint, so the instruction that struck one is damaged behind
    /// its first byte: the whole range is put back.
    fn open_trap(&mut self, tgid: i32, place: u64, text: &Text) -> Result<(), WitnessError> {
        let Some((path, address)) = self.covered(tgid, place) else { return Ok(()) };
        let bias = place.wrapping_sub(address);
        let plan = self.setup.coverage.iter().find(|plan| plan.path == path);
        let range = plan.and_then(|plan| plan.traps.iter().find(|range| range.contains(&address)).cloned());
        let Some(range) = range else { return Ok(()) };
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

    fn is_watched(&mut self, tgid: i32, place: u64) -> bool {
        let Some((path, address)) = self.covered(tgid, place) else { return false };
        let address = Address(address);
        self.setup.coverage.iter().any(|plan| plan.path == path && plan.watch.contains(&address))
    }

    fn note_executed(&mut self, tid: i32, tgid: i32, place: u64) {
        let Some((path, address)) = self.covered(tgid, place) else { return };
        let address = Address(address);
        let plan = self.setup.coverage.iter().find(|plan| plan.path == path);
        let is_entry = plan.is_some_and(|plan| plan.entries.contains(&address));
        if is_entry {
            let module = self.unwinding.image(&path, self.setup.module).id.clone();
            self.functions.insert(FunctionRef { module, offset: address });
        } else if self.unknown_code.len() < MAX_UNKNOWN {
            let space = Space::of(tid, &mut self.unwinding, self.setup.module);
            self.unknown_code.push(space.frame(place, place));
        }
    }
}
