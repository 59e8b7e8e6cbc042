//! Stopping and continuing processes, and signals to groups of them.
//!
//! A stop is kept here and not in the kernel: the signal is swallowed where it would be delivered, the
//! process gets no turn, and its parent is told what the kernel would have told.

use super::Machine;
use super::procfs::inner_of;
use super::task::{Call, Exit, Flow, Life};
use crate::error::WitnessError;
use crate::sys::{memory, ptrace, task};

type Handled = Result<Flow, WitnessError>;

const CONTINUED: i32 = 0xffff;
const RUSAGE_BYTES: usize = 144;
const SIGINFO_BYTES: usize = 128;

/// What a parent can still learn about a child that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Stopped(i32),
    Continued,
}

pub(super) fn is_stop(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// SIGKILL to several: one after the other, in the order of their birth, the sender last.
pub(super) fn kill_group(machine: &mut Machine<'_>, call: Call, pid: i32) -> Handled {
    let own_group = inner_of(call.tgid, "NSpgid").unwrap_or(0);
    let group = if pid == 0 { own_group } else { -pid };
    let targets: Vec<i32> = machine
        .living()
        .into_iter()
        .filter(|tgid| {
            pid == -1 && *tgid != call.tgid || pid != -1 && inner_of(*tgid, "NSpgid") == Some(group)
        })
        .collect();
    if targets.is_empty() {
        return Ok(Flow::Done(-i64::from(libc::ESRCH)));
    }
    for tgid in targets.iter().filter(|tgid| **tgid != call.tgid) {
        machine.process(*tgid).handle.kill().map_err(WitnessError::sandbox("killing a process"))?;
        machine.drain(*tgid)?;
    }
    if !targets.contains(&call.tgid) {
        return Ok(Flow::Done(0));
    }
    let own = machine.process(call.tgid).inner;
    let registers = &mut machine.tasks[call.task].registers;
    registers.rdi = own as u64;
    let registers = *registers;
    ptrace::set_registers(call.tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
    Ok(Flow::PassThen(Exit::Sent { pid: own, signal: libc::SIGKILL }))
}

impl Machine<'_> {
    pub(crate) fn is_stopped(&self, at: usize) -> bool {
        self.processes.get(&self.tasks[at].tgid).is_some_and(|process| process.is_stopped)
    }

    /// Stops a process and tells its parent.
    pub(crate) fn stop_process(&mut self, tgid: i32, signal: i32) -> Result<(), WitnessError> {
        let process = self.process(tgid);
        process.is_stopped = true;
        process.news = Some(News::Stopped(signal));
        let inner = process.inner;
        self.trace.add(&format!("stop {inner} signal {signal}"));
        self.tell_parent(tgid)
    }

    /// Lets the stopped ones among those that a SIGCONT was sent to go on.
    pub(crate) fn continue_processes(&mut self, pid: i32, sender: i32) -> Result<(), WitnessError> {
        let own_group = inner_of(sender, "NSpgid");
        for tgid in self.living() {
            let group = || inner_of(tgid, "NSpgid");
            let process = &self.processes[&tgid];
            let meant = match pid {
                -1 => true,
                0 => group() == own_group,
                pid if pid < 0 => group() == Some(-pid),
                pid => process.inner == pid,
            };
            if meant && process.is_stopped {
                let process = self.process(tgid);
                process.is_stopped = false;
                process.news = Some(News::Continued);
                let inner = process.inner;
                self.trace.add(&format!("continue {inner}"));
                self.tell_parent(tgid)?;
            }
        }
        Ok(())
    }

    fn tell_parent(&mut self, tgid: i32) -> Result<(), WitnessError> {
        let parent = self.process(tgid).parent;
        let Some(process) = self.processes.get(&parent).filter(|process| process.life == Life::Alive) else {
            return Ok(());
        };
        if process.is_quiet_about_stops {
            return Ok(());
        }
        task::signal_thread(parent, parent, libc::SIGCHLD)
            .map_err(WitnessError::sandbox("telling a parent"))?;
        self.interrupt(parent)
    }

    /// Whether a child is one of those that `pid` means, as `wait4` takes it.
    pub(crate) fn is_meant(&self, parent: i32, tgid: i32, pid: i32) -> bool {
        let process = &self.processes[&tgid];
        process.parent == parent
            && match pid {
                -1 => true,
                0 => inner_of(tgid, "NSpgid") == inner_of(parent, "NSpgid"),
                pid if pid < 0 => inner_of(tgid, "NSpgid") == Some(-pid),
                pid => process.inner == pid,
            }
    }

    /// A child whose stop or continuation the caller wants to know.
    fn child_with_news(&self, parent: i32, pid: i32, options: i32) -> Option<(i32, News)> {
        let wanted = |news: News| match news {
            News::Stopped(_) => options & libc::WUNTRACED != 0,
            News::Continued => options & libc::WCONTINUED != 0,
        };
        self.processes.iter().find_map(|(tgid, process)| {
            let news = process.news.filter(|news| process.life == Life::Alive && wanted(*news))?;
            self.is_meant(parent, *tgid, pid).then_some((*tgid, news))
        })
    }

    /// The answer to a wait that a stop or a continuation ends.
    pub(crate) fn answer_with_news(&mut self, at: usize, pid: i32, options: i32) -> Option<i64> {
        let (tid, parent) = (self.tasks[at].tid, self.tasks[at].tgid);
        let (tgid, news) = self.child_with_news(parent, pid, options)?;
        let registers = self.tasks[at].registers;
        let child = self.process(tgid);
        if options & libc::WNOWAIT == 0 || registers.orig_rax as i64 == libc::SYS_wait4 {
            child.news = None;
        }
        let inner = child.inner;
        let put = |address: u64, bytes: &[u8]| address == 0 || memory::write(tid, address, bytes).is_ok();
        if registers.orig_rax as i64 == libc::SYS_wait4 {
            let status = match news {
                News::Stopped(signal) => signal << 8 | 0x7f,
                News::Continued => CONTINUED,
            };
            let done = put(registers.rsi, &status.to_le_bytes()) && put(registers.r10, &[0; RUSAGE_BYTES]);
            return Some(if done { inner.into() } else { -i64::from(libc::EFAULT) });
        }
        let (code, status) = match news {
            News::Stopped(signal) => (libc::CLD_STOPPED, signal),
            News::Continued => (libc::CLD_CONTINUED, libc::SIGCONT),
        };
        let mut info = [0u8; SIGINFO_BYTES];
        let id = crate::sys::child::INSIDE_ID as i32;
        // Signal, code, and after four bytes of padding process, user and status.
        for (place, value) in [(0, libc::SIGCHLD), (8, code), (16, inner), (20, id), (24, status)] {
            info[place..place + 4].copy_from_slice(&value.to_le_bytes());
        }
        let done = put(registers.rdx, &info);
        Some(if done { 0 } else { -i64::from(libc::EFAULT) })
    }
}
