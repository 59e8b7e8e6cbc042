//! Resuming one thread and making sense of what stops it.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::task::{Life, Process, State, Task};
use super::{Machine, modules};
use crate::debug::StopReason;
use crate::error::WitnessError;
use crate::limits::LimitKind;
use crate::report::Ending;
use crate::sys::filter::FOREIGN_ABI;
use crate::sys::ptrace::{self, Report};
use crate::sys::task::PidFd;

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// How often a thread that is ending is looked at, and the pause between.
const END_LOOKS: u32 = 2000;
const END_PAUSE: std::time::Duration = std::time::Duration::from_micros(50);

fn event_of(status: i32) -> i32 {
    status >> 16
}

/// Whether a fresh image runs in compatibility mode (the selector of `__USER32_CS`).
fn is_32_bit(tid: i32) -> Result<bool, WitnessError> {
    const USER32: u64 = 0x23;
    let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
    Ok(registers.cs == USER32)
}

/// Signals that a program's own instruction raises, or abort.
fn is_fault(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGSEGV
            | libc::SIGBUS
            | libc::SIGILL
            | libc::SIGFPE
            | libc::SIGABRT
            | libc::SIGTRAP
            | libc::SIGSYS
    )
}

fn is_stop(status: i32) -> bool {
    libc::WIFSTOPPED(status)
}

impl Machine<'_> {
    /// Brings init through its work and the program to its first instruction.
    pub(crate) fn launch(&mut self) -> Result<(), WitnessError> {
        let init = self.started.init;
        loop {
            let report = self.wait(-1)?;
            if report.pid == init {
                if !is_stop(report.status) {
                    return Err(self.launch_failure());
                }
                if matches!(event_of(report.status), libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) {
                    self.main = ptrace::event_message(init)
                        .map_err(WitnessError::sandbox("reading an event"))?
                        as i32;
                }
                let _ = ptrace::resume(init, 0);
                continue;
            }
            if !is_stop(report.status) {
                if let Some((_, error, true)) = self.started.failure() {
                    let detail = format!("the program cannot be executed: {error}");
                    self.end(Ending::Unsupported { code: "exec_failed".to_owned(), detail });
                    return Ok(());
                }
                return Err(self.launch_failure());
            }
            if event_of(report.status) == libc::PTRACE_EVENT_EXEC {
                return self.enter_main(report.pid);
            }
            let _ = ptrace::resume(report.pid, 0);
        }
    }

    fn launch_failure(&self) -> WitnessError {
        match self.started.failure() {
            Some((step, source, _)) => WitnessError::Sandbox { step, source },
            None => WitnessError::Sandbox { step: "starting", source: std::io::ErrorKind::BrokenPipe.into() },
        }
    }

    fn enter_main(&mut self, pid: i32) -> Result<(), WitnessError> {
        self.main = pid;
        self.add_task(pid, pid);
        let process = self.new_process(pid, 0)?;
        self.processes.insert(pid, process);
        if !self.setup.recording {
            self.root_device = std::fs::metadata(format!("/proc/{pid}/root"))
                .map(|meta| std::os::unix::fs::MetadataExt::dev(&meta))
                .ok();
            if self.setup.visible.is_none() {
                self.root = std::fs::File::open(format!("/proc/{pid}/root")).map(OwnedFd::from).ok();
            }
        }
        self.on_exec(0)
    }

    fn add_task(&mut self, tid: i32, tgid: i32) -> usize {
        let at = self.tasks.len();
        self.tasks.push(Task::new(tid, tgid, at as u32));
        self.by_tid.insert(tid, at);
        at
    }

    fn new_process(&self, pid: i32, parent: i32) -> Result<Process, WitnessError> {
        let handle = Arc::new(PidFd::open(pid).map_err(WitnessError::sandbox("opening a process"))?);
        self.watched.add(pid, Arc::clone(&handle));
        Ok(Process {
            parent,
            inner: Self::inner_id(pid),
            handle,
            life: Life::Alive,
            kinds: HashMap::new(),
            listings: HashMap::new(),
            restarting: 0,
            planted: BTreeMap::new(),
            breakpoints: BTreeMap::new(),
            covered: Vec::new(),
            executable: String::new(),
            text: None,
            clock: None,
            is_stopped: false,
            news: None,
            is_quiet_about_stops: false,
            alarm: None,
        })
    }

    fn wait(&self, pid: i32) -> Result<Report, WitnessError> {
        match ptrace::wait(pid, 0) {
            Ok(Some(report)) => Ok(report),
            Ok(None) => {
                Err(WitnessError::Sandbox { step: "waiting", source: std::io::ErrorKind::Other.into() })
            }
            Err(source) => Err(WitnessError::Sandbox { step: "waiting", source }),
        }
    }

    /// Runs one thread to its next stop.
    pub(crate) fn step(&mut self, at: usize) -> Result<(), WitnessError> {
        let signal = std::mem::take(&mut self.tasks[at].signal);
        let tid = self.tasks[at].tid;
        let to_exit = self.tasks[at].exit.is_some();
        self.others_wait = self.somebody_lacks_a_turn(at);
        // What follows the end of a first thread is no step of it: its process only reports it much later.
        if !to_exit && !self.tasks[at].ends_before_others && self.explores(at) {
            return self.explore(at, signal);
        }
        if self.setup.patience.is_some() {
            let running = self.others_wait.then(|| (self.tasks[at].tgid, tid));
            self.watched.note_running(running);
        }
        if !to_exit && !self.setup.schedule.is_empty() {
            self.arm_switch(at)?;
        }
        if !to_exit {
            self.arm_clock(at);
        }
        // A thread that was killed meanwhile cannot be resumed; its end is reported by itself.
        let _ = if to_exit {
            ptrace::resume_to_exit(tid, signal)
        } else if self.steps(at) {
            ptrace::step(tid, signal)
        } else {
            ptrace::resume(tid, signal)
        };
        if std::mem::take(&mut self.tasks[at].ends_before_others) {
            return self.let_leader_end(at);
        }
        let outcome = self.wait_for_stop(at);
        self.disarm_switch(at);
        outcome
    }

    pub(super) fn wait_for_stop(&mut self, at: usize) -> Result<(), WitnessError> {
        loop {
            let report = self.wait(-1)?;
            if report.pid == self.tasks[at].tid {
                self.take_clock_reads(at);
            }
            if self.dispatch(at, report)? || self.tasks[at].is_gone() || self.ending.is_some() {
                return Ok(());
            }
        }
    }

    /// A first thread that ends before the others is reported only after them.
    fn let_leader_end(&mut self, at: usize) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        for _ in 0..END_LOOKS {
            let text = std::fs::read_to_string(format!("/proc/{tid}/stat")).unwrap_or_default();
            if text.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z') || rest.is_empty()) {
                break;
            }
            std::thread::sleep(END_PAUSE);
        }
        self.note_thread_end(at);
        self.tasks[at].state = State::EndedLeader;
        Ok(())
    }

    /// Takes one report; whether it was the awaited thread's.
    fn dispatch(&mut self, awaited: usize, report: Report) -> Result<bool, WitnessError> {
        if report.pid == self.started.init {
            if !is_stop(report.status) {
                let lost = Ending::Unsupported { code: "lost".to_owned(), detail: "init ended".to_owned() };
                if self.watched.fired().is_none() {
                    self.end(lost);
                }
                return Ok(true);
            }
            let _ = ptrace::resume(report.pid, 0);
            return Ok(false);
        }
        if is_stop(report.status) && event_of(report.status) == libc::PTRACE_EVENT_EXEC {
            let at = self.take_over_leader(report.pid)?;
            self.on_exec(at)?;
            return Ok(at == awaited);
        }
        let Some(at) = self.by_tid.get(&report.pid).copied() else {
            if is_stop(report.status) {
                self.early.insert(report.pid);
            }
            return Ok(false);
        };
        if !is_stop(report.status) {
            self.on_end(at, report)?;
            return Ok(at == awaited);
        }
        if at != awaited {
            return Ok(false);
        }
        self.on_stop(at, report.status)?;
        Ok(true)
    }

    fn on_stop(&mut self, at: usize, status: i32) -> Result<(), WitnessError> {
        let signal = libc::WSTOPSIG(status);
        match event_of(status) {
            libc::PTRACE_EVENT_SECCOMP => self.enter(at),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.on_birth(at, event_of(status))
            }
            libc::PTRACE_EVENT_STOP => {
                if signal != libc::SIGTRAP {
                    let detail = format!("stopped by signal {signal}");
                    self.end(Ending::Unsupported { code: "job_control".to_owned(), detail });
                }
                Ok(())
            }
            0 if signal == SYSCALL_STOP => self.leave(at),
            0 => self.on_signal(at, signal),
            _ => Ok(()),
        }
    }

    /// An exec by a thread that is not the first takes over the first one's id.
    fn take_over_leader(&mut self, pid: i32) -> Result<usize, WitnessError> {
        let former = ptrace::event_message(pid).map_err(WitnessError::sandbox("reading an event"))? as i32;
        let at = self.by_tid.get(&former).or_else(|| self.by_tid.get(&pid)).copied();
        let at = at.ok_or(WitnessError::Sandbox {
            step: "following an exec",
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let tgid = self.tasks[at].tgid;
        for other in 0..self.tasks.len() {
            if other != at && self.tasks[other].tgid == tgid && !self.tasks[other].is_gone() {
                self.tasks[other].state = State::Gone;
                self.by_tid.remove(&self.tasks[other].tid);
            }
        }
        self.by_tid.remove(&former);
        self.by_tid.insert(pid, at);
        self.tasks[at].tid = pid;
        Ok(at)
    }

    fn on_exec(&mut self, at: usize) -> Result<(), WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        self.tasks[at].clear_tid = 0;
        self.tasks[at].state = State::Ready;
        self.exploring.forget(tgid, self.tasks[at].index);
        let executable = std::fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let process = self.process(tgid);
        process.kinds.clear();
        process.listings.clear();
        process.restarting = 0;
        process.planted.clear();
        process.text = None;
        process.breakpoints.clear();
        process.executable = executable.to_string_lossy().into_owned();
        if is_32_bit(tid)? {
            let detail = "a 32-bit program".to_owned();
            self.end(Ending::Unsupported { code: "unmodelled_architecture".to_owned(), detail });
            return Ok(());
        }
        let mappings = modules::mappings(tid);
        let has_clock = self.give_clock(at, &mappings)?;
        self.fix_auxiliary_vector(tid, has_clock)
            .map_err(WitnessError::sandbox("fixing the auxiliary vector"))?;
        for mapping in mappings {
            if modules::is_file(&mapping.path) {
                self.touched.insert(mapping.path.clone());
                if mapping.executable {
                    self.modules.insert(mapping.path);
                }
            }
        }
        self.release_vfork_parent(tgid);
        self.plant_all(tid, tgid)?;
        self.leave_exec(at);
        Ok(())
    }

    /// The call that led to a fresh image has succeeded; its end is not seen once the clock was given.
    fn leave_exec(&mut self, at: usize) {
        if self.tasks[at].exit.take().is_none() {
            return;
        }
        if self.setup.recording {
            self.note_touched(at);
        }
        let line = std::mem::take(&mut self.tasks[at].line);
        self.trace.add(&format!("{line} = 0"));
    }

    fn release_vfork_parent(&mut self, child_process: i32) {
        for task in &mut self.tasks {
            if matches!(task.state, State::VforkParent { child } if child == child_process) {
                task.state = State::Ready;
            }
        }
    }

    fn on_birth(&mut self, at: usize, event: i32) -> Result<(), WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let child = ptrace::event_message(tid).map_err(WitnessError::sandbox("reading an event"))? as i32;
        if !self.early.remove(&child) {
            let report = self.wait(child)?;
            if !is_stop(report.status) {
                return Ok(());
            }
        }
        let flags = self.tasks[at].registers.rdi as i32;
        let is_thread = event == libc::PTRACE_EVENT_CLONE && flags & libc::CLONE_THREAD != 0;
        let new = self.add_task(child, if is_thread { tgid } else { child });
        self.tasks[new].clear_tid = self.tasks[at].child_clear_tid;
        if !is_thread {
            let mut process = self.new_process(child, tgid)?;
            let parent = self.process(tgid);
            process.kinds = parent.kinds.clone();
            process.listings = parent.listings.clone();
            process.restarting = parent.restarting;
            process.planted = parent.planted.clone();
            process.breakpoints = parent.breakpoints.clone();
            process.covered = parent.covered.clone();
            process.executable = parent.executable.clone();
            process.clock = parent.clock.clone();
            process.is_quiet_about_stops = parent.is_quiet_about_stops;
            self.processes.insert(child, process);
        }
        if event == libc::PTRACE_EVENT_VFORK {
            self.tasks[at].state = State::VforkParent { child };
        }
        Ok(())
    }

    fn on_signal(&mut self, at: usize, signal: i32) -> Result<(), WitnessError> {
        if signal == libc::SIGSTOP && self.watched.take_asked() {
            // Single steps are slow: that a thread takes long says nothing about it then.
            return if self.exploring.is_stepping() { Ok(()) } else { self.on_patience(at) };
        }
        if signal == libc::SIGTRAP && self.is_explored_step(at) {
            return Ok(());
        }
        if signal == libc::SIGTRAP
            && (self.on_switch(at)? || self.on_breakpoint(at)? || self.on_debugger_breakpoint(at)?)
            || signal == libc::SIGSEGV && self.on_counter(at)?
        {
            return Ok(());
        }
        if signal == libc::SIGSYS && self.is_foreign_call(at) {
            return Ok(());
        }
        match signal {
            signal if is_fault(signal) => self.note_fault(at, signal)?,
            libc::SIGXFSZ => self.end(Ending::LimitExceeded { limit: LimitKind::FileSize }),
            _ => {}
        }
        let (index, tgid) = (self.tasks[at].index, self.tasks[at].tgid);
        if super::jobs::is_stop(signal) && !super::signals::is_caught(self.tasks[at].tid, signal) {
            return self.stop_process(tgid, signal);
        }
        self.trace.add(&format!("{index} signal {signal}"));
        self.tasks[at].signal = signal;
        if is_fault(signal) {
            self.debugger_looks(at, StopReason::Signal(signal));
        }
        Ok(())
    }

    /// Whether a signal is the filter's own, for a call through another instruction set's table: if so the
    /// run ends here.
    fn is_foreign_call(&mut self, at: usize) -> bool {
        let tid = self.tasks[at].tid;
        let is_filters = ptrace::signal_info(tid).is_ok_and(|(code, _)| code == FOREIGN_ABI);
        if is_filters {
            let nr = ptrace::registers(tid).map_or(0, |registers| registers.orig_rax as i64);
            let detail = format!("foreign call {nr}");
            self.end(Ending::Unsupported { code: "unmodelled_syscall".to_owned(), detail });
        }
        is_filters
    }

    fn on_end(&mut self, at: usize, report: Report) -> Result<(), WitnessError> {
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let already_noted = matches!(self.tasks[at].state, State::EndedLeader);
        self.by_tid.remove(&tid);
        let whole = self.tasks[at].ending_process || libc::WIFSIGNALED(report.status);
        if already_noted {
            self.tasks[at].state = State::Gone;
        } else {
            self.note_thread_end(at);
        }
        if tid == tgid && tid == self.main {
            self.end(if libc::WIFSIGNALED(report.status) {
                Ending::Signalled { signal: libc::WTERMSIG(report.status) }
            } else {
                Ending::Exited { code: libc::WEXITSTATUS(report.status) }
            });
        }
        if self.tasks.iter().any(|task| task.tgid == tgid && !task.is_gone()) {
            return if whole { self.drain(tgid) } else { Ok(()) };
        }
        self.on_process_end(tgid, report)
    }

    /// Waits for every thread of a process that is ending as a whole.
    pub(crate) fn drain(&mut self, tgid: i32) -> Result<(), WitnessError> {
        while self.tasks.iter().any(|task| task.tgid == tgid && !task.is_gone()) && self.ending.is_none() {
            let report = self.wait(-1)?;
            self.dispatch(usize::MAX, report)?;
        }
        Ok(())
    }

    fn on_process_end(&mut self, tgid: i32, report: Report) -> Result<(), WitnessError> {
        self.watched.remove(tgid, report.cpu_micros);
        self.done += 1;
        let parent = self.process(tgid).parent;
        let orphan = !self.processes.get(&parent).is_some_and(|p| p.life == Life::Alive);
        let process = self.process(tgid);
        process.life = if orphan { Life::Reaped } else { Life::Ended };
        // Nobody asks a process that has ended, and a run may have thousands.
        process.text = None;
        process.clock = None;
        process.planted.clear();
        process.covered.clear();
        process.kinds.clear();
        process.listings.clear();
        let inner = process.inner;
        self.trace.add(&format!("end {inner} status {:#x}", report.status));
        for process in self.processes.values_mut().filter(|process| process.parent == tgid) {
            process.parent = 0;
            if process.life == Life::Ended {
                process.life = Life::Reaped;
            }
        }
        self.undo_semaphores(tgid, inner);
        self.release_vfork_parent(tgid);
        if orphan || self.ending.is_some() { Ok(()) } else { self.interrupt(parent) }
    }

    /// Kills whatever is left and waits for all of it.
    pub(crate) fn kill_everything(&mut self) {
        for tgid in self.living() {
            let _ = self.process(tgid).handle.kill();
        }
        let _ = self.started.handle.kill();
        while let Ok(Some(report)) = ptrace::wait(-1, 0) {
            if is_stop(report.status) {
                // A child born at the last moment: it is init's, and dies with it.
                if let Ok(handle) = PidFd::open(report.pid) {
                    let _ = handle.kill();
                }
                let _ = ptrace::resume(report.pid, 0);
            }
        }
    }
}
