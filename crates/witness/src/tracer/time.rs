//! Clocks, sleeps and timers on virtual time.

use super::Machine;
use super::task::{Call, Flow, Wait};
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

/// The real-time clock at the start, in nanoseconds: 2020-09-13T12:26:40Z.
pub(crate) const REAL_START: u64 = 1_600_000_000 * SECOND;
/// The monotonic clocks at the start.
pub(crate) const MONOTONIC_START: u64 = 1000 * SECOND;
/// What one event takes.
pub(crate) use crate::sys::clock::EVENT_NANOS;
/// What reading the time stamp counter takes.
pub(crate) const COUNTER_NANOS: u64 = 100;
const SECOND: u64 = 1_000_000_000;
/// Clock reads in a row after which a thread lets others run: it is probably waiting for one of them.
pub(super) const PATIENT_READS: u32 = 100;
const TIMER_ABSTIME: u64 = 1;

impl Machine<'_> {
    /// The real-time clock at the start, in nanoseconds.
    pub(super) fn real_base(&self) -> u64 {
        self.setup.conditions.clock_start.map_or(REAL_START, |seconds| seconds * SECOND)
    }

    /// A clock at the start.
    pub(super) fn base(&self, clock: u64) -> u64 {
        match clock as i32 {
            libc::CLOCK_REALTIME
            | libc::CLOCK_REALTIME_COARSE
            | libc::CLOCK_REALTIME_ALARM
            | libc::CLOCK_TAI => self.real_base(),
            libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => 0,
            _ => MONOTONIC_START,
        }
    }
}

pub(super) fn timespec(nanos: u64) -> [u8; 16] {
    pair(nanos / SECOND, nanos % SECOND)
}

fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

/// Reads a `timespec`: nanoseconds, or the error that the kernel would give.
pub(crate) fn read_timespec(tid: i32, address: u64) -> Result<u64, i64> {
    let mut bytes = [0; 16];
    memory::read(tid, address, &mut bytes).map_err(|_| -i64::from(libc::EFAULT))?;
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let (seconds, nanos) = (word(0), word(8));
    if seconds < 0 || !(0..SECOND as i64).contains(&nanos) {
        return Err(-i64::from(libc::EINVAL));
    }
    Ok((seconds as u64).saturating_mul(SECOND).saturating_add(nanos as u64))
}

/// Writes a result into the program's memory, or gives EFAULT.
pub(crate) fn give(tid: i32, address: u64, bytes: &[u8], result: i64) -> Flow {
    if address != 0 && memory::write(tid, address, bytes).is_err() {
        return Flow::Done(-i64::from(libc::EFAULT));
    }
    Flow::Done(result)
}

pub(super) fn clock_gettime(machine: &mut Machine<'_>, call: Call) -> Handled {
    let busy = matches!(call.args[0] as i32, libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID)
        || (call.args[0] as i32) < 0;
    let now = if busy { machine.now - machine.idle } else { machine.now + machine.base(call.args[0]) };
    let flow = give(call.tid, call.args[1], &timespec(now), 0);
    Ok(patient(machine, call, flow))
}

fn patient(machine: &mut Machine<'_>, call: Call, flow: Flow) -> Flow {
    let task = &mut machine.tasks[call.task];
    task.clock_streak += 1;
    match flow {
        Flow::Done(result) if task.clock_streak >= PATIENT_READS => {
            task.clock_streak = 0;
            Flow::Yield(result)
        }
        flow => flow,
    }
}

pub(super) fn clock_getres(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(give(call.tid, call.args[1], &timespec(1), 0))
}

pub(super) fn gettimeofday(machine: &mut Machine<'_>, call: Call) -> Handled {
    let now = machine.now + machine.real_base();
    if call.args[1] != 0 && memory::write(call.tid, call.args[1], &[0; 8]).is_err() {
        return Ok(Flow::Done(-i64::from(libc::EFAULT)));
    }
    let flow = give(call.tid, call.args[0], &pair(now / SECOND, now % SECOND / 1000), 0);
    Ok(patient(machine, call, flow))
}

pub(super) fn time(machine: &mut Machine<'_>, call: Call) -> Handled {
    let seconds = (machine.now + machine.real_base()) / SECOND;
    let flow = give(call.tid, call.args[0], &seconds.to_le_bytes(), seconds as i64);
    Ok(patient(machine, call, flow))
}

pub(super) fn times(machine: &mut Machine<'_>, call: Call) -> Handled {
    const TICK: u64 = SECOND / 100;
    let ticks = machine.now / TICK;
    let busy = (machine.now - machine.idle) / TICK;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&busy.to_le_bytes());
    Ok(give(call.tid, call.args[0], &bytes, (ticks + MONOTONIC_START / TICK) as i64))
}

pub(super) fn getrusage(machine: &mut Machine<'_>, call: Call) -> Handled {
    let mut bytes = [0; 144];
    if call.args[0] as i32 != libc::RUSAGE_CHILDREN {
        let busy = machine.now - machine.idle;
        bytes[..16].copy_from_slice(&pair(busy / SECOND, busy % SECOND / 1000));
    }
    Ok(give(call.tid, call.args[1], &bytes, 0))
}

pub(super) fn nanosleep(machine: &mut Machine<'_>, call: Call) -> Handled {
    sleep(machine, call, call.args[0], None, call.args[1])
}

pub(super) fn clock_nanosleep(machine: &mut Machine<'_>, call: Call) -> Handled {
    let absolute = call.args[1] & TIMER_ABSTIME != 0;
    let base = absolute.then(|| machine.base(call.args[0]));
    sleep(machine, call, call.args[2], base, call.args[3])
}

fn sleep(machine: &mut Machine<'_>, call: Call, request: u64, base: Option<u64>, remain: u64) -> Handled {
    let nanos = match read_timespec(call.tid, request) {
        Ok(nanos) => nanos,
        Err(error) => return Ok(Flow::Done(error)),
    };
    let deadline = match base {
        Some(base) => nanos.saturating_sub(base).max(machine.now),
        None => machine.now.saturating_add(nanos),
    };
    let deadline = machine.tasks[call.task].restarted_deadline.take().unwrap_or(deadline);
    Ok(Flow::Block(Wait::Sleep { deadline, remain: if base.is_some() { 0 } else { remain } }))
}

/// Tells an interrupted sleep how much was left.
pub(super) fn write_remaining(tid: i32, address: u64, nanos: u64) {
    if address != 0 {
        // An address that cannot be written loses the remainder, as it does in the kernel.
        let _ = memory::write(tid, address, &timespec(nanos));
    }
}

pub(super) fn alarm(machine: &mut Machine<'_>, call: Call) -> Handled {
    let now = machine.now;
    let process = machine.process(call.tgid);
    let left = process.alarm.map_or(0, |(next, _)| next.saturating_sub(now).div_ceil(SECOND));
    process.alarm = match call.args[0] {
        0 => None,
        seconds => Some((now.saturating_add((seconds & 0xffff_ffff).saturating_mul(SECOND)), 0)),
    };
    Ok(Flow::Done(left as i64))
}

fn read_timeval(tid: i32, address: u64) -> Option<u64> {
    let seconds = memory::read_u64(tid, address).ok()?;
    let micros = memory::read_u64(tid, address.wrapping_add(8)).ok()?;
    Some(seconds.saturating_mul(SECOND).saturating_add(micros.saturating_mul(1000)))
}

fn timer_bytes(alarm: Option<(u64, u64)>, now: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    if let Some((next, every)) = alarm {
        let left = next.saturating_sub(now).max(1000);
        bytes[..16].copy_from_slice(&pair(every / SECOND, every % SECOND / 1000));
        bytes[16..].copy_from_slice(&pair(left / SECOND, left % SECOND / 1000));
    }
    bytes
}

pub(super) fn setitimer(machine: &mut Machine<'_>, call: Call) -> Handled {
    let which = call.args[0] as i32;
    if !matches!(which, libc::ITIMER_REAL | libc::ITIMER_VIRTUAL | libc::ITIMER_PROF) {
        return Ok(Flow::Done(-i64::from(libc::EINVAL)));
    }
    let now = machine.now;
    let (Some(every), Some(first)) =
        (read_timeval(call.tid, call.args[1]), read_timeval(call.tid, call.args[1].wrapping_add(16)))
    else {
        return Ok(Flow::Done(-i64::from(libc::EFAULT)));
    };
    let old = if which == libc::ITIMER_REAL {
        let next = (first != 0).then(|| (now.saturating_add(first), every));
        std::mem::replace(&mut machine.process(call.tgid).alarm, next)
    } else {
        super::timers::set_processor_timer(machine, call.tgid, which, first, every)
    };
    let old = timer_bytes(old, now);
    Ok(give(call.tid, call.args[2], &old, 0))
}

pub(super) fn getitimer(machine: &mut Machine<'_>, call: Call) -> Handled {
    let alarm = match call.args[0] as i32 {
        libc::ITIMER_REAL => machine.process(call.tgid).alarm,
        which => machine.processor_timer(call.tgid, which),
    };
    let bytes = timer_bytes(alarm, machine.now);
    Ok(give(call.tid, call.args[1], &bytes, 0))
}
