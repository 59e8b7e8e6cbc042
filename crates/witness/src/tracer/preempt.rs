//! Taking the turn from a thread that computes while another waits for it.
//!
//! A recorder that meets such a thread (the watchdog stops it) learns one point that the thread passes:
//! which event was the last, and where the next instruction lies. It then makes the whole run again, and
//! this time, as each replay does, switches where the thread passes that point: both are exact, since
//! everything before it is. The point stands in the capsule's schedule.

use assay_binary::Address;
use iced_x86::{Decoder, DecoderOptions};

use super::Machine;
use super::modules::{is_file, mappings};
use super::task::State;
use crate::error::WitnessError;
use crate::report::Ending;
use crate::schedule::{InstructionBytes, Place, Switch};
use crate::sys::memory::Text;
use crate::sys::ptrace;

const BREAKPOINT: u8 = 0xcc;
/// How far virtual time goes on when a turn is taken, in nanoseconds. Once so many turns were taken in vain,
/// the thread is held for twice as long each time, and others do all that they do meanwhile.
const SLICE: u64 = 10_000_000;
const TURNS_OF_ONE_SLICE: u32 = 4;
const MAX_DOUBLINGS: u32 = 16;

/// A switch whose breakpoint is in the code now.
pub(crate) struct Armed {
    address: u64,
    byte: u8,
}

/// The schedule and how far it has been followed.
#[derive(Default)]
pub(crate) struct Following {
    next: usize,
    hits: u64,
    /// Which switches were met, as places in the schedule.
    pub met: Vec<usize>,
    pub armed: Option<Armed>,
}

impl Following {
    pub(super) fn switches_met(&self) -> usize {
        self.met.len()
    }
}

impl Machine<'_> {
    /// After how many events the next switch is looked for.
    pub(super) fn next_switch_event(&self) -> Option<u64> {
        self.setup.schedule[self.following.next.min(self.setup.schedule.len())..]
            .iter()
            .map(|switch| switch.event)
            .find(|event| *event >= self.events)
    }

    fn next_switch(&self) -> Option<&Switch> {
        self.setup.schedule.get(self.following.next)
    }

    /// The next switch, if it is this thread's and comes before the next event.
    fn switch_now(&mut self, at: usize) -> Option<&Switch> {
        while self.next_switch().is_some_and(|switch| switch.event < self.events) {
            self.following.next += 1;
            self.following.hits = 0;
        }
        let (events, index) = (self.events, self.tasks[at].index);
        self.next_switch().filter(|switch| switch.event == events && switch.thread == index)
    }

    /// Whether a thread that is single-stepped comes to its switch; if so it is done.
    pub(super) fn meets_switch(&mut self, at: usize, address: u64) -> bool {
        const IN_PAGE: u64 = 0xfff;
        // Files are mapped by whole pages, so the mappings are looked at only where they can matter.
        let can = |switch: &&Switch| switch.place.offset.0 & IN_PAGE == address & IN_PAGE;
        let Some(switch) = self.switch_now(at).filter(can).cloned() else { return false };
        let lies_here = address_of(self.tasks[at].tid, &switch.place) == Some(address);
        if !lies_here || !self.lies_at(at, address, &switch.place) {
            return false;
        }
        self.following.hits += 1;
        if self.following.hits < switch.hits {
            return false;
        }
        self.finish_switch(at, switch.ahead_of);
        true
    }

    fn finish_switch(&mut self, at: usize, ahead_of: u32) {
        self.following.met.push(self.following.next);
        self.following.next += 1;
        self.following.hits = 0;
        self.take_turn(at, ahead_of);
    }

    /// Puts the breakpoint of the next switch into the code, if this thread is to meet it now.
    pub(super) fn arm_switch(&mut self, at: usize) -> Result<(), WitnessError> {
        let Some(switch) = self.switch_now(at).cloned() else { return Ok(()) };
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let Some(address) = address_of(tid, &switch.place) else { return Ok(()) };
        if !self.lies_at(at, address, &switch.place) {
            // Other code: a byte put into it could damage an instruction. The switch is not met.
            return Ok(());
        }
        if self.process(tgid).planted.contains_key(&address) {
            // Coverage strikes there first; the switch is met on the way through again.
            return Ok(());
        }
        let text = Text::open(tid).map_err(WitnessError::sandbox("opening the program's memory"))?;
        let mut byte = [0u8];
        if text.read(address, &mut byte).is_ok() && text.write(address, &[BREAKPOINT]).is_ok() {
            self.following.armed = Some(Armed { address, byte: byte[0] });
        }
        Ok(())
    }

    /// Takes the breakpoint out again: no other thread may meet it.
    pub(super) fn disarm_switch(&mut self, at: usize) {
        if let Some(armed) = self.following.armed.take()
            && let Ok(text) = Text::open(self.tasks[at].tid)
        {
            // A process that ended meanwhile has no code.
            let _ = text.write(armed.address, &[armed.byte]);
        }
    }

    /// Whether the trap that stopped a thread is the armed switch's; if so it is done.
    pub(super) fn on_switch(&mut self, at: usize) -> Result<bool, WitnessError> {
        let Some(address) = self.following.armed.as_ref().map(|armed| armed.address) else {
            return Ok(false);
        };
        let tid = self.tasks[at].tid;
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        if registers.rip.wrapping_sub(1) != address {
            return Ok(false);
        }
        registers.rip = address;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        self.disarm_switch(at);
        self.following.hits += 1;
        if self.next_switch().is_some_and(|switch| self.following.hits < switch.hits) {
            // The instruction is executed without the breakpoint, which then goes in again.
            return self.step_over(at).map(|()| true);
        }
        let ahead_of = self.next_switch().map_or(0, |switch| switch.ahead_of);
        self.finish_switch(at, ahead_of);
        Ok(true)
    }

    fn step_over(&mut self, at: usize) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        ptrace::step(tid, 0).map_err(WitnessError::sandbox("stepping over a breakpoint"))?;
        let report = ptrace::wait(tid, 0).map_err(WitnessError::sandbox("stepping over a breakpoint"))?;
        let trapped = report.is_some_and(|report| {
            libc::WIFSTOPPED(report.status) && libc::WSTOPSIG(report.status) == libc::SIGTRAP
        });
        if !trapped {
            let detail = "an instruction at a switch could not be stepped over".to_owned();
            self.end(Ending::Unsupported { code: "inexact_switch".to_owned(), detail });
        }
        Ok(())
    }

    pub(super) fn take_turn(&mut self, at: usize, ahead_of: u32) {
        let index = self.tasks[at].index;
        self.lower(at, ahead_of);
        self.trace.add(&format!("{index} turn taken"));
        // In an order it has fallen behind already.
        self.yielded = !self.has_order();
        self.run_length = 0;
        let before = self.now;
        self.now += SLICE;
        let turns = self.tasks[at].turns_in_vain;
        if turns >= TURNS_OF_ONE_SLICE {
            let until = before + self.longer_slice(turns);
            self.tasks[at].state = State::Held { until };
            self.tasks[at].time_in_vain += until - before;
        } else {
            self.pass_time_for_others(at);
            self.tasks[at].time_in_vain += self.now - before;
        }
        self.tasks[at].turns_in_vain = turns.saturating_add(1);
    }

    /// Virtual time goes on to the next time that somebody waits for, unless another thread can run.
    fn pass_time_for_others(&mut self, at: usize) {
        let ready = |other: usize| other != at && matches!(self.tasks[other].state, State::Ready);
        if !(0..self.tasks.len()).any(ready)
            && let Some(next) = self.next_deadline()
        {
            self.jump_to(self.now.max(next));
        }
    }

    fn longer_slice(&self, turns: u32) -> u64 {
        let most = self.setup.limits.cpu_micros.saturating_mul(1000).max(SLICE);
        (SLICE << (turns + 1 - TURNS_OF_ONE_SLICE).min(MAX_DOUBLINGS)).min(most)
    }

    /// A thread that the watchdog stopped: where a recorder can take its turn the next time.
    pub(super) fn on_patience(&mut self, at: usize) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        if self.is_clock_code(self.tasks[at].tgid, registers.rip) {
            // That code is not the program's own; the watchdog asks again.
            return Ok(());
        }
        let place = self.place_of(at, registers.rip);
        let (event, thread) = (self.events, self.tasks[at].index);
        self.stuck = Some(Switch { event, thread, place, hits: 1, ahead_of: 0 });
        let detail = "a thread computes while another, or a timer, waits for its turn".to_owned();
        self.end(Ending::Unsupported { code: "spin_needs_preemption".to_owned(), detail });
        Ok(())
    }
}

impl Machine<'_> {
    /// Where an address lies, so that it is found again wherever its module is mapped.
    pub(super) fn place_of(&self, at: usize, address: u64) -> Place {
        let tid = self.tasks[at].tid;
        let found = mappings(tid).into_iter().find(|m| m.start <= address && address < m.end);
        let (file, offset) = match found {
            Some(mapping) if is_file(&mapping.path) => {
                (Some(mapping.path), Address(address - mapping.start + mapping.offset))
            }
            _ => (None, Address(address)),
        };
        Place { file, offset, instruction: self.instruction_at(at, address) }
    }

    /// Whether the instruction of a place lies at this address.
    fn lies_at(&self, at: usize, address: u64, place: &Place) -> bool {
        let Some(wanted) = &place.instruction else { return true };
        let found = self.code_at(at, address, wanted.bytes().len());
        found.is_some_and(|found| found == wanted.bytes())
    }

    fn instruction_at(&self, at: usize, address: u64) -> Option<InstructionBytes> {
        let code = (1..=InstructionBytes::MAX).rev().find_map(|length| self.code_at(at, address, length))?;
        let instruction = Decoder::with_ip(64, &code, address, DecoderOptions::NONE).decode();
        InstructionBytes::new(&code[..instruction.len().min(code.len())])
    }

    /// The program's own code, whatever breakpoints lie in it; none where it cannot be read.
    fn code_at(&self, at: usize, address: u64, length: usize) -> Option<Vec<u8>> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let mut code = vec![0; length];
        Text::open(tid).ok()?.read(address, &mut code).ok()?;
        let process = self.processes.get(&tgid);
        let range = address..address + length as u64;
        let planted = process
            .into_iter()
            .flat_map(|p| p.breakpoints.range(range.clone()).chain(p.planted.range(range.clone())));
        for (place, byte) in planted {
            code[(place - address) as usize] = *byte;
        }
        if let Some(armed) = self.following.armed.as_ref().filter(|armed| range.contains(&armed.address)) {
            code[(armed.address - address) as usize] = armed.byte;
        }
        Some(code)
    }
}

fn address_of(tid: i32, place: &Place) -> Option<u64> {
    let offset = place.offset.0;
    let Some(file) = &place.file else { return Some(offset) };
    mappings(tid).into_iter().find_map(|m| {
        let holds =
            m.executable && m.path == *file && m.offset <= offset && offset - m.offset < m.end - m.start;
        holds.then(|| m.start + (offset - m.offset))
    })
}
