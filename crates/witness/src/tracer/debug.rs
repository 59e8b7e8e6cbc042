//! Handing a stopped run to a debugger.

use super::Machine;
use super::task::Process;
use crate::capsule::MAX_FILE_BYTES;
use crate::debug::{Inferior, REGISTERS, Resume, StopReason};
use crate::error::WitnessError;
use crate::report::Ending;
use crate::sys::memory::{self, Text};
use crate::sys::ptrace;

const BREAKPOINT: u8 = 0xcc;

impl Machine<'_> {
    /// Lets the debugger look, if there is one, and does what it says.
    pub(super) fn debugger_looks(&mut self, at: usize, reason: StopReason) {
        let Some(mut debugger) = self.setup.debugger.take() else { return };
        self.watched.pause(true);
        self.stepping = None;
        let resume = debugger.stopped(&mut View { machine: self, at }, reason);
        self.watched.pause(false);
        self.setup.debugger = Some(debugger);
        match resume {
            Resume::Continue => {}
            Resume::Step(thread) => {
                let task = self.tasks.iter().position(|task| task.index + 1 == thread);
                self.stepping = task.map(|task| Stepping { task, resumed: false });
            }
            Resume::End => {
                let detail = "the debugger ended the run".to_owned();
                self.end(Ending::Unsupported { code: "stopped_on_request".to_owned(), detail });
            }
        }
    }

    /// Whether a thread that is resumed now is to execute one instruction only.
    pub(super) fn steps(&mut self, at: usize) -> bool {
        match &mut self.stepping {
            Some(stepping) if stepping.task == at => {
                stepping.resumed = true;
                true
            }
            _ => false,
        }
    }

    /// After a step of the run: whether the stepped thread is where the debugger wants to see it.
    pub(super) fn stop_after_step(&mut self, at: usize) {
        use super::task::State;
        let here =
            self.stepping == Some(Stepping { task: at, resumed: true }) && self.tasks[at].exit.is_none();
        if here && matches!(self.tasks[at].state, State::Ready) && self.ending.is_none() {
            self.debugger_looks(at, StopReason::Step);
        }
    }

    /// The end of the run, while its last state can still be asked about.
    pub(super) fn debugger_sees_end(&mut self) {
        let reason = match self.ending {
            Some(Ending::Exited { code }) => StopReason::Exited(code),
            Some(Ending::Signalled { signal }) => StopReason::Killed(signal),
            _ => return,
        };
        let ending = self.ending.clone();
        self.debugger_looks(self.current.unwrap_or(0), reason);
        self.ending = ending;
    }

    /// A breakpoint of the debugger's; whether one struck.
    pub(super) fn on_debugger_breakpoint(&mut self, at: usize) -> Result<bool, WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let place = registers.rip.wrapping_sub(1);
        let steps = self.stepping.is_some_and(|stepping| stepping.task == at);
        if steps && !self.process(tgid).breakpoints.contains_key(&place) {
            // The single step's own trap; `stop_after_step` tells the debugger.
            return Ok(ptrace::signal_info(tid).is_ok_and(|(code, _)| code == libc::TRAP_TRACE));
        }
        if !self.process(tgid).breakpoints.contains_key(&place) {
            return Ok(false);
        }
        registers.rip = place;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        self.debugger_looks(at, StopReason::Breakpoint);
        Ok(true)
    }
}

/// The thread of which a debugger wants one instruction, and whether it was let go since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stepping {
    task: usize,
    resumed: bool,
}

/// The stopped run as a debugger sees it.
struct View<'a, 'b> {
    machine: &'a mut Machine<'b>,
    at: usize,
}

impl View<'_, '_> {
    fn tid(&self, thread: u32) -> Option<i32> {
        let task = self.machine.tasks.iter().find(|task| task.index + 1 == thread)?;
        (!task.is_gone()).then_some(task.tid)
    }

    fn process(&self) -> Option<&Process> {
        self.machine.processes.get(&self.machine.tasks[self.at].tgid)
    }
}

impl Inferior for View<'_, '_> {
    fn threads(&self) -> Vec<u32> {
        let tgid = self.machine.tasks[self.at].tgid;
        let own = self.machine.tasks.iter().filter(|task| task.tgid == tgid && !task.is_gone());
        own.map(|task| task.index + 1).collect()
    }

    fn current(&self) -> u32 {
        self.machine.tasks[self.at].index + 1
    }

    fn registers(&self, thread: u32) -> Option<[u64; REGISTERS]> {
        let r = ptrace::registers(self.tid(thread)?).ok()?;
        Some([
            r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
            r.r14, r.r15, r.rip, r.eflags, r.cs, r.ss, r.ds, r.es, r.fs, r.gs, r.orig_rax, r.fs_base,
            r.gs_base,
        ])
    }

    fn float_registers(&self, thread: u32) -> Option<[u8; 512]> {
        ptrace::float_registers(self.tid(thread)?).ok()
    }

    fn memory(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let got = memory::read_some(self.machine.tasks[self.at].tid, address, &mut bytes).unwrap_or(0);
        bytes.truncate(got);
        let own = self.process().map(|process| process.breakpoints.range(address..)).into_iter().flatten();
        for (place, byte) in own.take_while(|(place, _)| **place - address < got as u64) {
            bytes[(place - address) as usize] = *byte;
        }
        bytes
    }

    fn auxiliary_vector(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/auxv", self.machine.tasks[self.at].tid)).unwrap_or_default()
    }

    fn executable(&self) -> String {
        self.process().map(|process| process.executable.clone()).unwrap_or_default()
    }

    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let file = (self.machine.setup.module)(path)?;
        (file.metadata().ok()?.len() <= MAX_FILE_BYTES).then(|| std::fs::read(file).ok())?
    }

    fn breakpoint(&mut self, address: u64, set: bool) -> bool {
        let (tid, tgid) = (self.machine.tasks[self.at].tid, self.machine.tasks[self.at].tgid);
        let Ok(text) = Text::open(tid) else { return false };
        let known = self.machine.process(tgid).breakpoints.get(&address).copied();
        match (set, known) {
            (true, Some(_)) | (false, None) => true,
            (true, None) => {
                let mut byte = [0];
                let planted = text.read(address, &mut byte).and_then(|()| text.write(address, &[BREAKPOINT]));
                if planted.is_ok() {
                    self.machine.process(tgid).breakpoints.insert(address, byte[0]);
                }
                planted.is_ok()
            }
            (false, Some(byte)) => {
                self.machine.process(tgid).breakpoints.remove(&address);
                text.write(address, &[byte]).is_ok()
            }
        }
    }

    fn trace(&self, last: usize) -> (u64, Vec<String>) {
        let kept = self.machine.trace.kept();
        let from = kept.len().saturating_sub(last);
        (self.machine.trace.lines(), kept[from..].to_vec())
    }
}
