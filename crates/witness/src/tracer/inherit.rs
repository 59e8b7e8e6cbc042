//! Futexes that know their owner: priority-inheriting ones (there is one priority, so they are plain locks)
//! and robust ones, which outlive the thread that holds them.

use super::Machine;
use super::modules::shared_word;
use super::task::{Call, Flow, FutexKey, State, Wait};
use super::time::{MONOTONIC_START, read_timespec};
use crate::sys::{memory, task};

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const OWNER: u32 = 0x3fff_ffff;
/// The mask by which waiters for an owner are told from plain ones.
const INHERITING: u32 = 1 << 31;
/// Longest list of robust futexes walked, the kernel's own limit.
const MAX_HELD: usize = 2048;
const LOCK_PI: i32 = libc::FUTEX_LOCK_PI;

fn error(errno: i32) -> Flow {
    Flow::Done(-i64::from(errno))
}

fn put(call: Call, value: u32) -> Result<(), Flow> {
    memory::write(call.tid, call.args[0], &value.to_le_bytes()).map_err(|_| error(libc::EFAULT))
}

/// Takes a free word, or says why it cannot be taken; none where its owner must be waited for.
fn take(call: Call) -> Result<Option<Flow>, Flow> {
    let own = Machine::inner_id(call.tid) as u32;
    let word = memory::read_u32(call.tid, call.args[0]).map_err(|_| error(libc::EFAULT))?;
    match word & OWNER {
        0 => {
            put(call, own | word & (WAITERS | OWNER_DIED))?;
            Ok(Some(Flow::Done(0)))
        }
        owner if owner == own => Ok(Some(error(libc::EDEADLK))),
        _ => {
            put(call, word | WAITERS)?;
            Ok(None)
        }
    }
}

pub(super) fn lock(machine: &Machine<'_>, call: Call, key: FutexKey, operation: i32) -> Flow {
    match take(call) {
        Ok(Some(flow)) | Err(flow) => return flow,
        Ok(None) => {}
    }
    let deadline = match call.args[3] {
        0 => None,
        address => match read_timespec(call.tid, address) {
            Err(failed) => return Flow::Done(failed),
            Ok(nanos) => {
                let real = operation & 0x7f == LOCK_PI || operation & libc::FUTEX_CLOCK_REALTIME != 0;
                let base = if real { machine.real_base() } else { MONOTONIC_START };
                Some(nanos.saturating_sub(base).max(machine.now))
            }
        },
    };
    Flow::Block(Wait::Futex { key, mask: INHERITING, deadline })
}

pub(super) fn try_lock(_: &Machine<'_>, call: Call) -> Flow {
    match take(call) {
        Ok(Some(flow)) | Err(flow) => flow,
        Ok(None) => error(libc::EAGAIN),
    }
}

/// Gives the word to the waiter that was born first.
pub(super) fn unlock(machine: &mut Machine<'_>, call: Call, key: FutexKey) -> Flow {
    let own = Machine::inner_id(call.tid) as u32;
    let Ok(word) = memory::read_u32(call.tid, call.args[0]) else { return error(libc::EFAULT) };
    if word & OWNER != own {
        return error(libc::EPERM);
    }
    let waits = |task: &super::task::Task| matches!(task.state, State::Waiting(Wait::Futex { key: theirs, mask: INHERITING, .. }) if theirs == key);
    let mut waiting = machine.tasks.iter().filter(|task| waits(task)).map(|task| task.tid);
    let (next, more) = (waiting.next(), waiting.next().is_some());
    let value = match next {
        Some(tid) => Machine::inner_id(tid) as u32 | if more { WAITERS } else { 0 },
        None => 0,
    };
    if let Err(flow) = put(call, value) {
        return flow;
    }
    machine.wake(key, 1, INHERITING);
    Flow::Done(0)
}

/// The robust futexes that a thread about to end still holds.
pub(super) fn held_futexes(tid: i32) -> Vec<FutexKey> {
    let mut held = Vec::new();
    let Some(head) = task::robust_list(tid) else { return held };
    let own = Machine::inner_id(tid) as u32;
    let word = |at: u64| memory::read_u64(tid, at).unwrap_or(0);
    let (mut entry, offset) = (word(head), word(head.wrapping_add(8)));
    while entry != 0 && entry & !1 != head && held.len() < MAX_HELD {
        let address = (entry & !1).wrapping_add(offset);
        if memory::read_u32(tid, address).is_ok_and(|value| value & OWNER == own) {
            held.extend(keys(tid, address));
        }
        entry = word(entry & !1);
    }
    held
}

/// Under which keys others may wait for a word.
fn keys(tid: i32, address: u64) -> Vec<FutexKey> {
    let tgid = crate::tracer::procfs::outer_group(tid).unwrap_or(tid);
    let own = FutexKey::Private { tgid, address };
    let shared =
        shared_word(tid, address).map(|(device, inode, offset)| FutexKey::Shared { device, inode, offset });
    [Some(own), shared].into_iter().flatten().collect()
}
