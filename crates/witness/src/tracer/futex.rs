//! Futexes, wholly emulated: the kernel never blocks a thread.

use super::task::{Call, Flow, FutexKey, State, Wait};
use super::time::{MONOTONIC_START, read_timespec};
use super::{Machine, inherit};
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

const ANY: u32 = u32::MAX;
const LOCK_PI2: i32 = 13;

pub(super) fn futex(machine: &mut Machine<'_>, call: Call) -> Handled {
    let operation = call.args[1] as i32;
    let count = call.args[2] as u32;
    let key = machine.futex_key(call, call.args[0]);
    Ok(match operation & 0x7f {
        libc::FUTEX_WAIT => wait(machine, call, key, ANY, false),
        libc::FUTEX_WAIT_BITSET => wait(machine, call, key, call.args[5] as u32, true),
        libc::FUTEX_WAKE => Flow::Done(machine.wake(key, count, ANY)),
        libc::FUTEX_WAKE_BITSET => Flow::Done(machine.wake(key, count, call.args[5] as u32)),
        libc::FUTEX_REQUEUE => requeue(machine, call, key, count, None),
        libc::FUTEX_CMP_REQUEUE => requeue(machine, call, key, count, Some(call.args[5] as u32)),
        libc::FUTEX_WAKE_OP => wake_operation(machine, call, key, count),
        libc::FUTEX_LOCK_PI | LOCK_PI2 => inherit::lock(machine, call, key, operation),
        libc::FUTEX_TRYLOCK_PI => inherit::try_lock(machine, call),
        libc::FUTEX_UNLOCK_PI => inherit::unlock(machine, call, key),
        other => Machine::unsupported("futex_operation", &format!("futex operation {other}")),
    })
}

fn wait(machine: &mut Machine<'_>, call: Call, key: FutexKey, mask: u32, absolute: bool) -> Flow {
    let Ok(value) = memory::read_u32(call.tid, call.args[0]) else {
        return Flow::Done(-i64::from(libc::EFAULT));
    };
    if value != call.args[2] as u32 {
        return Flow::Done(-i64::from(libc::EAGAIN));
    }
    if mask == 0 {
        return Flow::Done(-i64::from(libc::EINVAL));
    }
    let deadline = match call.args[3] {
        0 => None,
        address => match read_timespec(call.tid, address) {
            Err(error) => return Flow::Done(error),
            Ok(nanos) if absolute => {
                let real = call.args[1] as i32 & libc::FUTEX_CLOCK_REALTIME != 0;
                let base = if real { machine.real_base() } else { MONOTONIC_START };
                Some(nanos.saturating_sub(base).max(machine.now))
            }
            Ok(nanos) => Some(machine.now.saturating_add(nanos)),
        },
    };
    let restarted = machine.tasks[call.task].restarted_deadline.take();
    Flow::Block(Wait::Futex { key, mask, deadline: restarted.or(deadline) })
}

fn requeue(machine: &mut Machine<'_>, call: Call, from: FutexKey, count: u32, expected: Option<u32>) -> Flow {
    if let Some(expected) = expected {
        match memory::read_u32(call.tid, call.args[0]) {
            Err(_) => return Flow::Done(-i64::from(libc::EFAULT)),
            Ok(value) if value != expected => return Flow::Done(-i64::from(libc::EAGAIN)),
            Ok(_) => {}
        }
    }
    let to = machine.futex_key(call, call.args[4]);
    let most = call.args[3] as u32;
    let woken = machine.wake(from, count, ANY);
    let mut moved = 0;
    for task in &mut machine.tasks {
        if let State::Waiting(Wait::Futex { key, .. }) = &mut task.state
            && *key == from
            && moved < most
        {
            *key = to;
            moved += 1;
        }
    }
    Flow::Done(woken + i64::from(moved))
}

fn wake_operation(machine: &mut Machine<'_>, call: Call, first: FutexKey, count: u32) -> Flow {
    let code = call.args[5] as u32;
    let Ok(old) = memory::read_u32(call.tid, call.args[4]) else {
        return Flow::Done(-i64::from(libc::EFAULT));
    };
    let sign_extended = |bits: u32| ((bits << 20) as i32) >> 20;
    let mut operand = sign_extended(code >> 12 & 0xfff) as u32;
    if code >> 31 != 0 {
        operand = 1u32.wrapping_shl(operand);
    }
    let new = match code >> 28 & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => return Flow::Done(-i64::from(libc::ENOSYS)),
    };
    if memory::write(call.tid, call.args[4], &new.to_le_bytes()).is_err() {
        return Flow::Done(-i64::from(libc::EFAULT));
    }
    let (old, against) = (old as i32, sign_extended(code & 0xfff));
    let holds = match code >> 24 & 15 {
        0 => old == against,
        1 => old != against,
        2 => old < against,
        3 => old <= against,
        4 => old > against,
        5 => old >= against,
        _ => return Flow::Done(-i64::from(libc::ENOSYS)),
    };
    let second = machine.futex_key(call, call.args[4]);
    let mut woken = machine.wake(first, count, ANY);
    if holds {
        woken += machine.wake(second, call.args[3] as u32, ANY);
    }
    Flow::Done(woken)
}

impl Machine<'_> {
    fn futex_key(&self, call: Call, address: u64) -> FutexKey {
        let private = call.args[1] as i32 & libc::FUTEX_PRIVATE_FLAG != 0;
        let alone = self.processes.values().filter(|p| p.life == super::task::Life::Alive).count() == 1;
        let own = FutexKey::Private { tgid: call.tgid, address };
        if private || alone {
            // A word that is shared later keeps its private key only while nobody waits on it.
            return own;
        }
        super::modules::shared_word(call.tid, address)
            .map_or(own, |(device, inode, offset)| FutexKey::Shared { device, inode, offset })
    }

    /// Wakes up to `count` waiters in the order of their birth, or else in the chosen one.
    pub(crate) fn wake(&mut self, key: FutexKey, count: u32, mask: u32) -> i64 {
        let mut woken = 0;
        let mut waiters: Vec<usize> = (0..self.tasks.len()).collect();
        if self.has_order() {
            waiters.sort_by_key(|at| std::cmp::Reverse(self.rank(self.tasks[*at].index)));
        }
        for at in waiters {
            if woken >= i64::from(count) {
                break;
            }
            let matches = matches!(&self.tasks[at].state,
                State::Waiting(Wait::Futex { key: theirs, mask: bits, .. }) if *theirs == key && bits & mask != 0);
            if matches {
                self.complete(at, 0);
                woken += 1;
            }
        }
        woken
    }
}
