//! Signals: sent by the kernel, delivered at the same place each time, interrupting emulated waits.

use super::Machine;
use super::task::{Call, Exit, Flow, State, Wait};
use super::time::read_timespec;
use crate::error::WitnessError;
use crate::sys::{memory, ptrace, task};

type Handled = Result<Flow, WitnessError>;

const RESTART: u64 = 0x1000_0000;
/// Signals whose default is to be ignored: CHLD, CONT, URG, WINCH.
const IGNORED_BY_DEFAULT: u64 =
    1 << (libc::SIGCHLD - 1) | 1 << (libc::SIGCONT - 1) | 1 << (libc::SIGURG - 1) | 1 << (libc::SIGWINCH - 1);

pub(super) fn kill(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (pid, signal) = (call.args[0] as i32, call.args[1] as i32);
    if pid < 1 && signal == libc::SIGKILL && call.nr == libc::SYS_kill {
        return super::jobs::kill_group(machine, call, pid);
    }
    Ok(Flow::PassThen(Exit::Sent { pid, signal }))
}

pub(super) fn tgkill(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Sent { pid: call.args[0] as i32, signal: call.args[2] as i32 }))
}

pub(super) fn sigaction(machine: &mut Machine<'_>, call: Call) -> Handled {
    if let (1..=64, true) = (call.args[0], call.args[1] != 0)
        && let Ok(flags) = memory::read_u64(call.tid, call.args[1].wrapping_add(8))
    {
        let bit = 1 << (call.args[0] - 1);
        let restarting = &mut machine.process(call.tgid).restarting;
        *restarting = if flags & RESTART != 0 { *restarting | bit } else { *restarting & !bit };
        if call.args[0] as i32 == libc::SIGCHLD {
            machine.process(call.tgid).is_quiet_about_stops = flags & libc::SA_NOCLDSTOP as u64 != 0;
        }
    }
    Ok(if action_is_taken(machine, call) { Flow::PassAs(0) } else { Flow::PassThen(Exit::Note) })
}

/// Whether the kernel can only say yes: the numbers are right, the new action can be read, and the old one
/// goes to the stack in use, which is taken to be writable.
fn action_is_taken(machine: &Machine<'_>, call: Call) -> bool {
    const SET_BYTES: u64 = 8;
    const NEAR: u64 = 4096;
    let [signal, new, old, size, ..] = call.args;
    let stack = machine.tasks[call.task].registers.rsp;
    let may_change = new == 0 || !matches!(signal as i32, libc::SIGKILL | libc::SIGSTOP);
    (1..=64).contains(&signal)
        && size == SET_BYTES
        && may_change
        && (new == 0 || memory::read(call.tid, new, &mut [0; 32]).is_ok())
        && (old == 0 || (stack..stack.saturating_add(NEAR)).contains(&old))
}

pub(super) fn sigsuspend(machine: &mut Machine<'_>, call: Call) -> Handled {
    let Ok(mask) = memory::read_u64(call.tid, call.args[0]) else {
        return Ok(Flow::Done(-i64::from(libc::EFAULT)));
    };
    let wait = Wait::Signal { mask, only: None, deadline: None };
    Ok(if machine.signal_pending(call.tid, &wait) { Flow::PassThen(Exit::Note) } else { Flow::Block(wait) })
}

pub(super) fn pause(machine: &mut Machine<'_>, call: Call) -> Handled {
    let blocked = status_masks(call.tid).map_or(0, |masks| masks.blocked);
    let wait = Wait::Signal { mask: blocked, only: None, deadline: None };
    Ok(if machine.signal_pending(call.tid, &wait) { Flow::PassThen(Exit::Note) } else { Flow::Block(wait) })
}

pub(super) fn sigtimedwait(machine: &mut Machine<'_>, call: Call) -> Handled {
    let Ok(set) = memory::read_u64(call.tid, call.args[0]) else {
        return Ok(Flow::Done(-i64::from(libc::EFAULT)));
    };
    let deadline = match call.args[2] {
        0 => None,
        address => match read_timespec(call.tid, address) {
            Ok(nanos) => Some(machine.now.saturating_add(nanos)),
            Err(error) => return Ok(Flow::Done(error)),
        },
    };
    let wait = Wait::Signal { mask: u64::MAX, only: Some(set), deadline };
    Ok(if machine.signal_pending(call.tid, &wait) { Flow::PassThen(Exit::Note) } else { Flow::Block(wait) })
}

/// Signals that stop a process unless it has a handler: STOP, TSTP, TTIN, TTOU.
const STOPS: u64 = 0b1111 << (libc::SIGSTOP - 1);

/// What an interrupted wait does afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// Fails, as an interrupted call does.
    Fail,
    /// Begins again where calls of its kind do.
    Restart,
    /// Goes on with the time that was left, as after a stop.
    Resume,
}

/// What the kernel says about a thread's signals.
struct Masks {
    pending: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

fn status_masks(tid: i32) -> Option<Masks> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some(Masks {
        pending: field("SigPnd:")? | field("ShdPnd:")?,
        blocked: field("SigBlk:")?,
        ignored: field("SigIgn:")?,
        caught: field("SigCgt:")?,
    })
}

/// Whether a signal descriptor has something to tell to its process.
pub(super) fn file_is_ready(tgid: i32, fd: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{tgid}/fdinfo/{fd}")).unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("sigmask:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    status_masks(tgid).is_some_and(|masks| masks.pending & mask != 0)
}

/// Whether a signal has a handler.
pub(super) fn is_caught(tid: i32, signal: i32) -> bool {
    status_masks(tid).is_some_and(|masks| masks.caught & 1 << (signal - 1) != 0)
}

/// Whether a signal waits for a thread or its process.
pub(super) fn is_pending(tid: i32, signal: i32) -> bool {
    let bit = 1u64.checked_shl(signal.wrapping_sub(1) as u32).unwrap_or(0);
    status_masks(tid).is_some_and(|masks| masks.pending & bit != 0)
}

impl Masks {
    fn acting(&self, blocked: u64) -> u64 {
        let ignored = self.ignored | IGNORED_BY_DEFAULT & !self.caught;
        self.pending & !blocked & !ignored
    }
}

impl Machine<'_> {
    /// Whether a signal that ends this wait is pending.
    pub(crate) fn signal_pending(&self, tid: i32, wait: &Wait) -> bool {
        let Wait::Signal { mask, only, .. } = wait else { return false };
        let Some(masks) = status_masks(tid) else { return true };
        match only {
            Some(set) => masks.pending & set != 0 || masks.acting(masks.blocked) != 0,
            None => masks.acting(*mask) != 0,
        }
    }

    /// Ends the emulated waits of a process that a pending signal would end.
    pub(crate) fn interrupt(&mut self, tgid: i32) -> Result<(), WitnessError> {
        for at in 0..self.tasks.len() {
            if self.tasks[at].tgid != tgid {
                continue;
            }
            let State::Waiting(wait) = &self.tasks[at].state else { continue };
            if matches!(wait, Wait::Signal { .. }) {
                continue;
            }
            let mine = &self.processes[&tgid];
            if mine.is_stopped {
                continue;
            }
            let tid = self.tasks[at].tid;
            let Some(masks) = status_masks(tid) else { continue };
            let acting = masks.acting(masks.blocked);
            if acting != 0 {
                let restarts = self.process(tgid).restarting;
                let first = 1u64 << acting.trailing_zeros();
                let stops = STOPS & first & !masks.caught != 0;
                let after = match first & restarts & masks.caught {
                    _ if stops => After::Resume,
                    0 => After::Fail,
                    _ => After::Restart,
                };
                self.interrupt_one(at, after)?;
            }
        }
        Ok(())
    }

    fn interrupt_one(&mut self, at: usize, after: After) -> Result<(), WitnessError> {
        let task = &mut self.tasks[at];
        let State::Waiting(wait) = std::mem::replace(&mut task.state, State::Ready) else { return Ok(()) };
        let deadline = wait.deadline();
        let restartable = matches!(
            wait,
            Wait::Child { .. } | Wait::Descriptor { .. } | Wait::Lock { .. } | Wait::Record { .. }
        ) || matches!(wait, Wait::Futex { deadline: None, .. });
        if let Wait::Sleep { deadline, remain } = wait {
            super::time::write_remaining(task.tid, remain, deadline.saturating_sub(self.now));
        }
        let partial = task.long_write.take();
        if let Some(long) = partial {
            task.registers.rsi = long.original.rsi;
            task.registers.rdx = long.original.rdx;
        }
        let done = partial.map_or(0, |long| long.done);
        if done > 0 {
            task.registers.rax = done;
        } else if after == After::Resume || after == After::Restart && restartable {
            if after == After::Resume {
                task.restarted_deadline = deadline;
            }
            // Two bytes back lies the instruction itself: the kernel's own way to restart.
            task.registers.rax = task.registers.orig_rax;
            task.registers.rip -= 2;
        } else {
            task.registers.rax = (-i64::from(libc::EINTR)) as u64;
        }
        task.registers.orig_rax = u64::MAX;
        let (tid, registers) = (task.tid, task.registers);
        let line = std::mem::take(&mut task.line);
        self.trace.add(&format!("{line} = interrupted"));
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))
    }

    /// Fires the real-time timers that are due.
    pub(crate) fn fire_alarms(&mut self) -> Result<(), WitnessError> {
        let now = self.now;
        let due = |p: &super::task::Process| p.alarm.is_some_and(|(next, _)| next <= now);
        let tgids: Vec<i32> = self.processes.iter().filter(|(_, p)| due(p)).map(|(tgid, _)| *tgid).collect();
        for tgid in tgids {
            let process = self.process(tgid);
            process.alarm = process.alarm.and_then(|(next, every)| {
                (every > 0).then(|| (next.saturating_add(every).max(now + 1), every))
            });
            let first = self.tasks.iter().find(|t| t.tgid == tgid && !t.is_gone()).map(|t| t.tid);
            if let Some(tid) = first {
                task::signal_thread(tgid, tid, libc::SIGALRM)
                    .map_err(WitnessError::sandbox("sending an alarm"))?;
                let inner = self.process(tgid).inner;
                self.trace.add(&format!("alarm {inner}"));
                self.interrupt(tgid)?;
            }
        }
        Ok(())
    }

    pub(crate) fn next_alarm(&self) -> Option<u64> {
        self.processes.values().filter_map(|process| process.alarm.map(|(next, _)| next)).min()
    }
}
