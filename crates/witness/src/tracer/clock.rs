//! Reads of the clock that cost no stop.

use std::sync::Arc;

use super::modules::Mapping;
use super::time::{self, EVENT_NANOS};
use super::{Machine, schedule};
use crate::error::WitnessError;
use crate::sys::clock::{self, CLOCKS, ClockPage, MAX_READS, SET_UP};
use crate::sys::ptrace::{self, Registers};
use crate::sys::task;

/// How far above everything that is mapped from the top down the shared page lies, and how much of the gap
/// below the stack must be left beyond it.
const ABOVE: u64 = 1 << 20;
const MARGIN: u64 = 32 << 20;

/// How a thread stops that makes a call which the filter traces.
const AT_A_CALL: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_SECCOMP << 8;

/// Where an image's clock lies.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    page: Arc<ClockPage>,
    code: std::ops::Range<u64>,
}

/// Where the shared page goes: into the gap below the stack, where nothing else is ever put.
fn place_for_page(mappings: &[Mapping]) -> Option<u64> {
    let stack = mappings.iter().find(|mapping| mapping.path == "[stack]")?;
    let below = mappings.iter().filter(|mapping| mapping.end <= stack.start).map(|m| m.end).max()?;
    let place = below.checked_add(ABOVE)?;
    (place + MARGIN <= stack.start).then_some(place)
}

/// The pages in which the kernel shows real time, one after the other; empty where there are none.
fn real_time(mappings: &[Mapping]) -> std::ops::Range<u64> {
    let pages = || mappings.iter().filter(|mapping| mapping.path.starts_with("[vvar"));
    let (start, end) = (pages().map(|m| m.start).min(), pages().map(|m| m.end).max());
    let (Some(start), Some(end)) = (start, end) else { return 0..0 };
    let only_they = mappings.iter().all(|m| m.end <= start || end <= m.start || m.path.starts_with("[vvar"));
    if only_they { start..end } else { 0..0 }
}

impl Machine<'_> {
    /// Puts a clock into a fresh image, at its first instruction; false where it has no room for one.
    pub(super) fn give_clock(&mut self, at: usize, mappings: &[Mapping]) -> Result<bool, WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        self.process(tgid).clock = None;
        let code = mappings.iter().find(|mapping| mapping.path == "[vdso]").map(|m| m.start..m.end);
        let (Some(code), Some(place)) = (code, place_for_page(mappings)) else { return Ok(false) };
        let (mut image, set_up) = clock::image(place);
        // Nothing of the kernel's own code stays behind it.
        image.resize(image.len().max((code.end - code.start) as usize), 0);
        if self.program_text(tid, tgid)?.write(code.start, &image).is_err() {
            return Ok(false);
        }
        let page = self.map_page((tid, tgid), code.start + set_up, place, real_time(mappings))?;
        let has_page = page.is_some();
        self.process(tgid).clock = page.map(|page| Clock { page: Arc::new(page), code });
        Ok(has_page)
    }

    /// Lets the thread make the calls that hide the kernel's time and map the page, and puts its registers
    /// back.
    fn map_page(
        &mut self,
        (tid, tgid): (i32, i32),
        start: u64,
        place: u64,
        real_time: std::ops::Range<u64>,
    ) -> Result<Option<ClockPage>, WitnessError> {
        let failed = || WitnessError::sandbox("giving the program its clock");
        let before = ptrace::registers(tid).map_err(failed())?;
        let mask = ptrace::signal_mask(tid).map_err(failed())?;
        ptrace::set_signal_mask(tid, u64::MAX).map_err(failed())?;
        let (r12, r13) = (real_time.start, real_time.end - real_time.start);
        let mut own = Registers { rip: start, r12, r13, orig_rax: u64::MAX, ..before };
        ptrace::set_registers(tid, &own).map_err(failed())?;
        let (mut page, mut told_to_stop) = (None, false);
        loop {
            ptrace::resume(tid, 0).map_err(failed())?;
            let report = ptrace::wait(tid, 0).map_err(failed())?;
            match report.map(|report| report.status >> 8) {
                Some(AT_A_CALL) => {}
                // The one signal that cannot be masked waits until the clock is there.
                Some(libc::SIGSTOP) => {
                    told_to_stop = true;
                    continue;
                }
                // Killed from outside: nothing of it can be looked at any more.
                _ => return Err(failed()(std::io::ErrorKind::BrokenPipe.into())),
            }
            own = ptrace::registers(tid).map_err(failed())?;
            match own.orig_rax {
                SET_UP => break,
                nr if nr as i64 == libc::SYS_mmap && own.r8 as i32 >= 0 => {
                    let file = self.copy(tgid, own.r8 as i32);
                    page = file.and_then(|file| ClockPage::map(&file)).ok();
                }
                _ => {}
            }
        }
        ptrace::set_registers(tid, &Registers { orig_rax: u64::MAX, ..before }).map_err(failed())?;
        ptrace::set_signal_mask(tid, mask).map_err(failed())?;
        if told_to_stop {
            task::signal_thread(tgid, tid, libc::SIGSTOP).map_err(failed())?;
        }
        Ok(page.filter(|_| own.rbp == place))
    }

    /// Says how many reads the thread about to run may have answered without a stop.
    pub(super) fn arm_clock(&mut self, at: usize) {
        let allowed = self.reads_without_stop(at);
        let Some(clock) = self.processes.get(&self.tasks[at].tgid).and_then(|p| p.clock.as_ref()) else {
            return;
        };
        let bases: [u64; CLOCKS] = std::array::from_fn(|id| match id as i32 {
            libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => 0u64.wrapping_sub(self.idle),
            _ => self.base(id as u64),
        });
        clock.page.arm(&bases, self.now, allowed);
        self.clock_allowed = allowed;
    }

    /// As many as would each be followed by nothing but the same thread going on: no other one's turn, no
    /// timer, no limit, no place where anybody looks.
    fn reads_without_stop(&self, at: usize) -> u64 {
        if self.setup.stop_at.is_some()
            || self.setup.debugger.is_some()
            || self.setup.patience.is_some()
            || self.setup.explore.is_some()
            || self.has_order()
        {
            return 0;
        }
        let until_due = self.next_due().map_or(MAX_READS, |due| {
            // The last read must end before the time at which something is due.
            due.saturating_sub(self.now).saturating_sub(1) / EVENT_NANOS
        });
        let next_switch = self.next_switch_event();
        let until_switch =
            next_switch.map_or(MAX_READS, |event| event.saturating_sub(self.events).saturating_sub(1));
        let patience = time::PATIENT_READS - 1;
        [
            MAX_READS,
            // One of the share is left for the event that the next stop is.
            u64::from(schedule::SHARE.saturating_sub(self.run_length).saturating_sub(1)),
            u64::from(patience.saturating_sub(self.tasks[at].clock_streak)),
            self.setup.limits.events.saturating_sub(self.events),
            until_due,
            until_switch,
        ]
        .into_iter()
        .min()
        .unwrap_or(0)
    }

    /// When the next timer, alarm or waiting thread is due.
    fn next_due(&self) -> Option<u64> {
        let waits = self.tasks.iter().filter_map(|task| task.state.deadline());
        waits.chain(self.next_alarm()).chain(self.next_timer_due()).min()
    }

    /// Takes down the reads that were answered since the thread went on, each as the event that it is.
    pub(super) fn take_clock_reads(&mut self, at: usize) {
        let Some(clock) = self.processes.get(&self.tasks[at].tgid).and_then(|p| p.clock.clone()) else {
            return;
        };
        let answered = clock.page.answered().min(self.clock_allowed);
        if answered == 0 {
            return;
        }
        for read in 0..answered {
            self.tasks[at].line.clear();
            let (index, id) = (self.tasks[at].index, clock.page.clock(read));
            self.trace.add(&format!("{index} clock_gettime({id},*) = 0"));
        }
        self.events += answered;
        self.now += answered * EVENT_NANOS;
        self.run_length += answered as u32;
        self.tasks[at].clock_streak += answered as u32;
        self.clock_allowed = 0;
    }

    /// Whether an address lies in the clock's own code.
    pub(super) fn is_clock_code(&self, tgid: i32, address: u64) -> bool {
        let clock = self.processes.get(&tgid).and_then(|process| process.clock.as_ref());
        clock.is_some_and(|clock| clock.code.contains(&address))
    }
}
