//! System V's interprocess communication: private to the run by its namespace, ids and times exact.
//!
//! Semaphores and message queues are the tracer's own, so that waiting for them is waiting like any other;
//! segments of shared memory are the kernel's, which gives the same ids and addresses each time, and only
//! the real times that it keeps are replaced. Without namespaces none of these calls is made
//! (`tracer::reduced`).

mod ids;
mod messages;
mod semaphores;
mod shared;

use super::Machine;
use super::task::{Call, Flow};
use crate::sys::memory;

pub(crate) use messages::Message;
pub(super) use messages::{msgctl, msgget, msgrcv, msgsnd};
pub(crate) use semaphores::Operation;
pub(super) use semaphores::{semctl, semget, semop};
pub(super) use shared::{shmat, shmctl, shmdt, shmget};

/// Everything of System V in a run.
#[derive(Default)]
pub(crate) struct Sysv {
    sets: ids::Registry<semaphores::Set>,
    queues: ids::Registry<messages::Queue>,
    segments: std::collections::BTreeMap<i32, shared::Segment>,
    /// What is undone when a process ends: by process, set and number.
    undo: std::collections::BTreeMap<(i32, i32, u16), i32>,
}

/// Commands that semaphores, queues and segments have in common.
const IPC_RMID: i32 = 0;
const IPC_SET: i32 = 1;
const IPC_STAT: i32 = 2;
const IPC_INFO: i32 = 3;
/// Most sets or queues at a time, as in a fresh namespace.
const MAX_IDS: usize = 32_000;

fn fail(errno: i32) -> Flow {
    Flow::Done(-i64::from(errno))
}

impl Machine<'_> {
    /// The real-time clock in whole seconds, as the kernel keeps it here.
    fn seconds(&self) -> u64 {
        (self.now + self.real_base()) / 1_000_000_000
    }

    fn inner_of(&self, call: Call) -> i32 {
        self.processes.get(&call.tgid).map_or(0, |process| process.inner)
    }
}

/// Writes 64-bit words into a structure at their offsets.
fn put(bytes: &mut [u8], words: &[(usize, u64)]) {
    for (at, value) in words {
        bytes[*at..*at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// The `mode` that a program sets (`struct ipc64_perm`: the ids are all the same here).
fn new_mode(call: Call, address: u64) -> Result<u32, Flow> {
    const MODE: u64 = 20;
    memory::read_u32(call.tid, address.wrapping_add(MODE)).map_err(|_| fail(libc::EFAULT))
}
