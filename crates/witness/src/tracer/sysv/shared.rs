//! Segments of shared memory (`shmget(2)`, `shmop(2)`, `shmctl(2)`): the kernel's, in the run's namespace.

use super::super::Machine;
use super::super::modules::mappings;
use super::super::task::{Call, Exit, Flow};
use super::{IPC_RMID, IPC_SET, IPC_STAT, fail};
use crate::error::WitnessError;
use crate::limits::LimitKind;
use crate::report::Ending;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

const SHM_LOCK: i32 = 11;
const SHM_UNLOCK: i32 = 12;
const SHM_STAT: i32 = 13;
const SHM_INFO: i32 = 14;
const SHM_STAT_ANY: i32 = 15;
const SHM_HUGETLB: i32 = 0o4000;
const SHM_EXEC: i32 = 0o100_000;

/// What the tracer keeps of a segment: its size and, in seconds of the run's clock, when it was attached,
/// detached and changed last.
#[derive(Clone, Copy, Default)]
pub(crate) struct Segment {
    size: u64,
    attached: u64,
    detached: u64,
    changed: u64,
}

pub(in super::super) fn shmget(machine: &mut Machine<'_>, call: Call) -> Handled {
    if call.args[2] as i32 & SHM_HUGETLB != 0 {
        // As for mappings of huge pages: the host has none to spare.
        return Ok(fail(libc::ENOMEM));
    }
    let used: u64 = machine.sysv.segments.values().map(|segment| segment.size).sum();
    let limit = machine.setup.limits.memory_bytes;
    if call.args[1] > limit {
        return Ok(fail(libc::ENOMEM));
    }
    if used.saturating_add(call.args[1]) > limit {
        // Segments outlive those that made them, where no other limit would see them.
        return Ok(Flow::End(Ending::LimitExceeded { limit: LimitKind::Memory }));
    }
    Ok(Flow::PassThen(Exit::SharedMemory { segment: None }))
}

pub(in super::super) fn shmat(machine: &mut Machine<'_>, call: Call) -> Handled {
    machine.generated_code |= call.args[2] as i32 & SHM_EXEC != 0;
    Ok(Flow::PassThen(Exit::SharedMemory { segment: Some(call.args[0] as i32) }))
}

pub(in super::super) fn shmdt(_: &mut Machine<'_>, call: Call) -> Handled {
    // The kernel numbers the mappings of a segment by its id.
    let found =
        mappings(call.tid).into_iter().find(|m| m.start == call.args[0] && m.path.starts_with("/SYSV"));
    Ok(Flow::PassThen(Exit::SharedMemory { segment: found.map(|m| m.inode as i32) }))
}

pub(in super::super) fn shmctl(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[1] as i32 {
        // Nothing is ever written out here.
        SHM_LOCK | SHM_UNLOCK => Flow::Done(0),
        // How much of it lies in swap space is the host's affair.
        SHM_INFO => fail(libc::EINVAL),
        _ => Flow::PassThen(Exit::SharedMemory { segment: Some(call.args[0] as i32) }),
    })
}

impl Machine<'_> {
    /// The end of a call on shared memory; whether its result is an address.
    pub(crate) fn leave_shared_memory(&mut self, at: usize, segment: Option<i32>, result: i64) -> bool {
        let registers = self.tasks[at].registers;
        let now = self.seconds();
        let failed = (-4095..0).contains(&result);
        let is_address = registers.orig_rax as i64 == libc::SYS_shmat;
        if failed {
            return false;
        }
        match registers.orig_rax as i64 {
            libc::SYS_shmget => {
                let fresh = Segment { size: registers.rsi, changed: now, ..Segment::default() };
                self.sysv.segments.entry(result as i32).or_insert(fresh);
            }
            libc::SYS_shmat => self.touch(segment, |known| known.attached = now),
            libc::SYS_shmdt => self.touch(segment, |known| known.detached = now),
            _ => self.leave_control(at, segment, result, now),
        }
        is_address
    }

    fn touch(&mut self, segment: Option<i32>, change: impl FnOnce(&mut Segment)) {
        if let Some(known) = segment.and_then(|id| self.sysv.segments.get_mut(&id)) {
            change(known);
        }
    }

    fn leave_control(&mut self, at: usize, segment: Option<i32>, result: i64, now: u64) {
        let (tid, registers) = (self.tasks[at].tid, self.tasks[at].registers);
        let id = match registers.rsi as i32 {
            IPC_STAT => segment,
            SHM_STAT | SHM_STAT_ANY => Some(result as i32),
            IPC_SET => return self.touch(segment, |known| known.changed = now),
            IPC_RMID => {
                let _ = segment.and_then(|id| self.sysv.segments.remove(&id));
                return;
            }
            _ => return,
        };
        // One that is marked to be destroyed is known no more, and tells no time.
        let known = id.and_then(|id| self.sysv.segments.get(&id)).copied().unwrap_or_default();
        for (offset, seconds) in [(56, known.attached), (64, known.detached), (72, known.changed)] {
            // The kernel has just written there.
            let _ = memory::write(tid, registers.rdx.wrapping_add(offset), &seconds.to_le_bytes());
        }
    }
}
