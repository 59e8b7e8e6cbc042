//! Timers on virtual time: `alarm` and `setitimer`, POSIX timers, and timer descriptors.
//!
//! A timer descriptor is an event descriptor to the kernel: both give a count of eight bytes, block and
//! are polled in the same way. The tracer adds to the count when the timer is due.

use std::os::fd::OwnedFd;

use super::Machine;
use super::task::{Call, Exit, Flow};
use super::time::{give, read_timespec, timespec};
use crate::error::WitnessError;
use crate::sys::{memory, ptrace, task};

type Handled = Result<Flow, WitnessError>;

const TIMER_ABSTIME: u64 = 1;
/// Most timers of one run.
const MAX_TIMERS: usize = 4096;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD_ID: i32 = 4;
const SIGEVENT_BYTES: usize = 24;

/// Whose timer it is and what it does.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Signals a process, or one thread of it.
    Signal { tgid: i32, id: i32, signal: i32, value: u64, thread: Option<i32>, overrun: i32 },
    /// Counts in an event descriptor with this number of the kernel's own.
    Count { file: OwnedFd, number: u64 },
    /// Does nothing but be read.
    Nothing { tgid: i32, id: i32 },
}

/// When a timer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    Always,
    /// Not while everybody waits: it measures processor time.
    WhileBusy,
}

/// One timer; `next` is the virtual time at which it is due, `every` its period or zero.
#[derive(Debug)]
pub(crate) struct Timer {
    pub purpose: Purpose,
    base: u64,
    pub runs: Runs,
    pub next: Option<u64>,
    pub every: u64,
}

impl Timer {
    fn is(&self, process: i32, number: i32) -> bool {
        match self.purpose {
            Purpose::Signal { tgid, id, .. } | Purpose::Nothing { tgid, id } => {
                (tgid, id) == (process, number)
            }
            Purpose::Count { .. } => false,
        }
    }

    /// Interval and time left as an `itimerspec`.
    fn left(&self, now: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&timespec(self.every));
        let left = self.next.map_or(0, |next| next.saturating_sub(now).max(1));
        bytes[16..].copy_from_slice(&timespec(left));
        bytes
    }

    /// How often it came due up to now; its next time is set.
    fn expire(&mut self, now: u64) -> u64 {
        let Some(next) = self.next.filter(|next| *next <= now) else { return 0 };
        if self.every == 0 {
            self.next = None;
            return 1;
        }
        let times = (now - next) / self.every + 1;
        self.next = Some(next.saturating_add(times.saturating_mul(self.every)));
        times
    }
}

fn error(errno: i32) -> Flow {
    Flow::Done(-i64::from(errno))
}

fn runs(clock: u64) -> Runs {
    match clock as i32 {
        libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => Runs::WhileBusy,
        _ => Runs::Always,
    }
}

/// `setitimer` on processor time, as a timer whose number no POSIX timer has; what it was before.
pub(super) fn set_processor_timer(
    machine: &mut Machine<'_>,
    tgid: i32,
    which: i32,
    first: u64,
    every: u64,
) -> Option<(u64, u64)> {
    let id = -1 - which;
    let old = machine.processor_timer(tgid, which);
    machine.timers.retain(|timer| !timer.is(tgid, id));
    if first > 0 {
        let signal = if which == libc::ITIMER_PROF { libc::SIGPROF } else { libc::SIGVTALRM };
        let purpose = Purpose::Signal { tgid, id, signal, value: 0, thread: None, overrun: 0 };
        let next = Some(machine.now.saturating_add(first));
        machine.timers.push(Timer { purpose, base: 0, runs: Runs::WhileBusy, next, every });
    }
    old
}

fn is_clock(clock: u64) -> bool {
    matches!(clock as i32, 0..=11)
}

pub(super) fn create(machine: &mut Machine<'_>, call: Call) -> Handled {
    if !is_clock(call.args[0]) {
        return Ok(error(libc::EINVAL));
    }
    if machine.timers.len() >= MAX_TIMERS {
        return Ok(error(libc::EAGAIN));
    }
    let id = machine.next_timer;
    let mut event = [0u8; SIGEVENT_BYTES];
    let half = |bytes: &[u8], at: usize| i32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let (value, signal, how, thread) = match call.args[1] {
        0 => (id as u64, libc::SIGALRM, libc::SIGEV_SIGNAL, 0),
        address => {
            if memory::read(call.tid, address, &mut event).is_err() {
                return Ok(error(libc::EFAULT));
            }
            let value = u64::from_le_bytes(std::array::from_fn(|i| event[i]));
            (value, half(&event, 8), half(&event, 12), half(&event, 16))
        }
    };
    let thread = match how {
        SIGEV_THREAD_ID => match machine.task_inside(call.tgid, thread) {
            Some(tid) => Some(tid),
            None => return Ok(error(libc::EINVAL)),
        },
        _ => None,
    };
    let tgid = call.tgid;
    let purpose = match how {
        SIGEV_NONE => Purpose::Nothing { tgid, id },
        _ => Purpose::Signal { tgid, id, signal, value, thread, overrun: 0 },
    };
    machine.timers.push(Timer {
        purpose,
        base: machine.base(call.args[0]),
        runs: runs(call.args[0]),
        next: None,
        every: 0,
    });
    machine.next_timer += 1;
    Ok(give(call.tid, call.args[2], &id.to_le_bytes(), 0))
}

/// Sets a timer and gives what it was; the program's structure has been read.
fn set(timer: &mut Timer, now: u64, flags: u64, every: u64, first: u64) {
    timer.every = every;
    timer.next = match first {
        0 => None,
        first if flags & TIMER_ABSTIME != 0 && timer.runs == Runs::WhileBusy => Some(first.max(now)),
        first if flags & TIMER_ABSTIME != 0 => Some(first.saturating_sub(timer.base).max(now)),
        first => Some(now.saturating_add(first)),
    };
}

fn settime(machine: &mut Machine<'_>, call: Call, at: Option<usize>) -> Handled {
    let Some(at) = at else { return Ok(error(libc::EINVAL)) };
    let every = read_timespec(call.tid, call.args[2]);
    let first = read_timespec(call.tid, call.args[2].wrapping_add(16));
    let (every, first) = match (every, first) {
        (Ok(every), Ok(first)) => (every, first),
        (Err(failed), _) | (_, Err(failed)) => return Ok(Flow::Done(failed)),
    };
    let now = machine.now;
    let timer = &mut machine.timers[at];
    let old = timer.left(now);
    set(timer, now, call.args[1], every, first);
    if let Purpose::Count { file, .. } = &timer.purpose {
        task::drain_event(file);
    }
    Ok(give(call.tid, call.args[3], &old, 0))
}

pub(super) fn timer_settime(machine: &mut Machine<'_>, call: Call) -> Handled {
    let at = machine.timers.iter().position(|timer| timer.is(call.tgid, call.args[0] as i32));
    settime(machine, call, at)
}

pub(super) fn timer_gettime(machine: &mut Machine<'_>, call: Call) -> Handled {
    let timer = machine.timers.iter().find(|timer| timer.is(call.tgid, call.args[0] as i32));
    Ok(match timer {
        Some(timer) => give(call.tid, call.args[1], &timer.left(machine.now), 0),
        None => error(libc::EINVAL),
    })
}

pub(super) fn timer_getoverrun(machine: &mut Machine<'_>, call: Call) -> Handled {
    let timer = machine.timers.iter().find(|timer| timer.is(call.tgid, call.args[0] as i32));
    Ok(match timer.map(|timer| &timer.purpose) {
        Some(Purpose::Signal { overrun, .. }) => Flow::Done(i64::from(*overrun)),
        Some(_) => Flow::Done(0),
        None => error(libc::EINVAL),
    })
}

pub(super) fn timer_delete(machine: &mut Machine<'_>, call: Call) -> Handled {
    let at = machine.timers.iter().position(|timer| timer.is(call.tgid, call.args[0] as i32));
    Ok(match at {
        Some(at) => {
            machine.timers.remove(at);
            Flow::Done(0)
        }
        None => error(libc::EINVAL),
    })
}

/// Becomes `eventfd2` with the same two flags.
pub(super) fn timerfd_create(machine: &mut Machine<'_>, call: Call) -> Handled {
    if !is_clock(call.args[0]) || call.args[1] as i32 & !(libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) != 0 {
        return Ok(error(libc::EINVAL));
    }
    if machine.timers.len() >= MAX_TIMERS {
        return Ok(error(libc::EMFILE));
    }
    let original = machine.tasks[call.task].registers;
    let mut registers = original;
    registers.orig_rax = libc::SYS_eventfd2 as u64;
    registers.rax = registers.orig_rax;
    registers.rdi = 0;
    ptrace::set_registers(call.tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
    Ok(Flow::PassThen(Exit::TimerFile { original: Box::new(original) }))
}

pub(super) fn timerfd_settime(machine: &mut Machine<'_>, call: Call) -> Handled {
    let at = machine.timer_of(call.tgid, call.args[0] as i32);
    settime(machine, call, at)
}

pub(super) fn timerfd_gettime(machine: &mut Machine<'_>, call: Call) -> Handled {
    let at = machine.timer_of(call.tgid, call.args[0] as i32);
    Ok(match at {
        Some(at) => give(call.tid, call.args[1], &machine.timers[at].left(machine.now), 0),
        None => error(libc::EINVAL),
    })
}

/// The kernel's number of an event descriptor.
fn event_number(pid: i32, fd: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("eventfd-id:"))?.trim().parse().ok()
}

impl Machine<'_> {
    /// The thread with an id inside.
    fn task_inside(&self, tgid: i32, inner: i32) -> Option<i32> {
        let mut own = self.tasks.iter().filter(|task| task.tgid == tgid && !task.is_gone());
        own.find(|task| Self::inner_id(task.tid) == inner).map(|task| task.tid)
    }

    fn timer_of(&self, tgid: i32, fd: i32) -> Option<usize> {
        let wanted = event_number(tgid, fd)?;
        self.timers
            .iter()
            .position(|timer| matches!(timer.purpose, Purpose::Count { number, .. } if number == wanted))
    }

    /// A new event descriptor that stands for a timer.
    pub(crate) fn note_timer_file(&mut self, tgid: i32, fd: i64, clock: u64) {
        let Ok(fd) = i32::try_from(fd) else { return };
        let (Ok(file), Some(number)) = (self.process(tgid).handle.descriptor(fd), event_number(tgid, fd))
        else {
            return;
        };
        let purpose = Purpose::Count { file, number };
        self.timers.push(Timer { purpose, base: self.base(clock), runs: Runs::Always, next: None, every: 0 });
    }

    /// Whether any process still holds the event descriptor.
    fn is_held(&self, number: u64) -> bool {
        self.living().into_iter().any(|tgid| {
            let names = std::fs::read_dir(format!("/proc/{tgid}/fd")).into_iter().flatten().flatten();
            let fds = names.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            fds.into_iter().any(|fd| event_number(tgid, fd) == Some(number))
        })
    }

    /// Next time and period of a processor timer.
    pub(crate) fn processor_timer(&self, tgid: i32, which: i32) -> Option<(u64, u64)> {
        let timer = self.timers.iter().find(|timer| timer.is(tgid, -1 - which))?;
        Some((timer.next?, timer.every))
    }

    /// The virtual time of the next timer.
    pub(crate) fn next_timer_due(&self) -> Option<u64> {
        self.timers.iter().filter_map(|timer| timer.next).min()
    }

    /// The same, of those that run while everybody waits.
    pub(crate) fn next_timer_while_idle(&self) -> Option<u64> {
        self.timers.iter().filter(|timer| timer.runs == Runs::Always).filter_map(|timer| timer.next).min()
    }

    /// Time jumps while everybody waits.
    pub(crate) fn jump_to(&mut self, next: u64) {
        let idle = next.saturating_sub(self.now);
        self.now += idle;
        self.idle += idle;
        for timer in self.timers.iter_mut().filter(|timer| timer.runs == Runs::WhileBusy) {
            timer.next = timer.next.map(|next| next.saturating_add(idle));
        }
    }

    /// Does what the timers that are due are for.
    pub(crate) fn fire_timers(&mut self) -> Result<(), WitnessError> {
        for at in 0..self.timers.len() {
            let now = self.now;
            let times = self.timers[at].expire(now);
            if times > 0 {
                self.fire(at, times)?;
            }
        }
        let gone: Vec<i32> = self
            .processes
            .iter()
            .filter(|(_, p)| p.life != super::task::Life::Alive)
            .map(|(t, _)| *t)
            .collect();
        self.timers.retain(|timer| match timer.purpose {
            Purpose::Signal { tgid, .. } | Purpose::Nothing { tgid, .. } => !gone.contains(&tgid),
            Purpose::Count { .. } => true,
        });
        Ok(())
    }

    fn fire(&mut self, at: usize, times: u64) -> Result<(), WitnessError> {
        let (process, thread, wanted, number, word) = match &self.timers[at].purpose {
            Purpose::Nothing { .. } => return Ok(()),
            Purpose::Count { file, number } => {
                let number = *number;
                task::add_event(file, times).map_err(WitnessError::sandbox("counting a timer"))?;
                self.trace.add(&format!("timer file {times}"));
                if !self.is_held(number) {
                    self.timers[at].next = None;
                }
                return Ok(());
            }
            Purpose::Signal { tgid, id, signal, value, thread, .. } => (*tgid, *thread, *signal, *id, *value),
        };
        if self.processes.get(&process).is_none_or(|p| p.life != super::task::Life::Alive) {
            self.timers[at].next = None;
            return Ok(());
        }
        let target = thread.unwrap_or(process);
        // A timer has one signal under way at most; what comes due meanwhile is counted.
        let waits = super::signals::is_pending(target, wanted);
        let now_overrun = times.saturating_sub(u64::from(!waits)).min(i32::MAX as u64) as i32;
        if let Purpose::Signal { overrun, .. } = &mut self.timers[at].purpose {
            *overrun = if waits { overrun.saturating_add(now_overrun) } else { now_overrun };
        }
        self.trace.add(&format!("timer {number} signal {wanted}"));
        if waits {
            return Ok(());
        }
        task::signal_timer(process, thread, wanted, number, now_overrun, word)
            .map_err(WitnessError::sandbox("sending a timer's signal"))?;
        self.interrupt(process)
    }
}
