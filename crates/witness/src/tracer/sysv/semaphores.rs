//! Sets of semaphores (`semop(2)`, `semctl(2)`).

use super::super::Machine;
use super::super::task::{Call, Flow, State, Wait};
use super::super::time::read_timespec;
use super::ids::Got;
use super::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, fail, new_mode, put};
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

const GETPID: i32 = 11;
const GETVAL: i32 = 12;
const GETALL: i32 = 13;
const GETNCNT: i32 = 14;
const GETZCNT: i32 = 15;
const SETVAL: i32 = 16;
const SETALL: i32 = 17;
const SEM_STAT: i32 = 18;
const SEM_INFO: i32 = 19;
const SEM_STAT_ANY: i32 = 20;
const SEM_UNDO: i16 = 0x1000;
/// Greatest value of a semaphore, most operations in one call, most semaphores in a set and in all of
/// them (the kernel's own defaults, but for the last).
const MAX_VALUE: i32 = 32_767;
const MAX_OPERATIONS: u64 = 500;
const MAX_IN_SET: i32 = 32_000;
const MAX_IN_ALL: usize = 1 << 20;
const READ: u32 = 4;
const WRITE: u32 = 2;

/// One semaphore.
#[derive(Clone, Copy, Default)]
struct Semaphore {
    value: i32,
    pid: i32,
}

/// One set.
pub(crate) struct Set {
    semaphores: Vec<Semaphore>,
    operated: u64,
}

/// `struct sembuf`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    number: u16,
    change: i16,
    flags: i16,
}

/// What trying operations gives.
enum Tried {
    Done,
    Fails(i32),
    /// The operation that cannot be done now.
    Waits(Operation),
}

pub(in super::super) fn semget(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (key, count, flags) = (call.args[0] as i32, call.args[1] as i32, call.args[2] as i32);
    if !(0..=MAX_IN_SET).contains(&count) {
        return Ok(fail(libc::EINVAL));
    }
    let now = machine.seconds();
    let sets = &mut machine.sysv.sets;
    Ok(match sets.get(key, flags) {
        Err(errno) => fail(errno),
        Ok(Got::Found(id)) => {
            let fits = sets.find(id).is_some_and(|set| count as usize <= set.value.semaphores.len());
            if fits { Flow::Done(id.into()) } else { fail(libc::EINVAL) }
        }
        Ok(Got::New) if count == 0 => fail(libc::EINVAL),
        Ok(Got::New) => {
            let used: usize = sets.values().map(|set| set.semaphores.len()).sum();
            if used + count as usize > MAX_IN_ALL {
                return Ok(fail(libc::ENOSPC));
            }
            let set = Set { semaphores: vec![Semaphore::default(); count as usize], operated: 0 };
            sets.add(key, flags, now, set).map_or_else(fail, |id| Flow::Done(id.into()))
        }
    })
}

pub(in super::super) fn semop(machine: &mut Machine<'_>, call: Call) -> Handled {
    let set = call.args[0] as i32;
    let timeout = if call.nr == libc::SYS_semtimedop { call.args[3] } else { 0 };
    let deadline = match timeout {
        0 => None,
        address => match read_timespec(call.tid, address) {
            Ok(nanos) => Some(machine.now.saturating_add(nanos)),
            Err(error) => return Ok(Flow::Done(error)),
        },
    };
    let operations = match read_operations(call) {
        Ok(operations) => operations,
        Err(flow) => return Ok(flow),
    };
    machine.tasks[call.task].line.push_str(&format!(" {}", text_of(&operations)));
    Ok(match machine.try_operations(call.tgid, set, &operations) {
        Tried::Fails(errno) => fail(errno),
        Tried::Done => {
            machine.wake_semaphores(set);
            Flow::Done(0)
        }
        Tried::Waits(operation) if i32::from(operation.flags) & libc::IPC_NOWAIT != 0 => fail(libc::EAGAIN),
        Tried::Waits(_) => Flow::Block(Wait::Semaphores { set, operations, deadline, since: machine.events }),
    })
}

fn read_operations(call: Call) -> Result<Vec<Operation>, Flow> {
    const BYTES: usize = 6;
    let count = call.args[2] as u32 as u64;
    match count {
        0 => return Err(fail(libc::EINVAL)),
        count if count > MAX_OPERATIONS => return Err(fail(libc::E2BIG)),
        _ => {}
    }
    let mut bytes = vec![0; count as usize * BYTES];
    memory::read(call.tid, call.args[1], &mut bytes).map_err(|_| fail(libc::EFAULT))?;
    let half = |chunk: &[u8], at: usize| i16::from_le_bytes([chunk[at], chunk[at + 1]]);
    let operation = |chunk: &[u8]| Operation {
        number: half(chunk, 0) as u16,
        change: half(chunk, 2),
        flags: half(chunk, 4),
    };
    Ok(bytes.chunks_exact(BYTES).map(operation).collect())
}

fn text_of(operations: &[Operation]) -> String {
    let one = |o: &Operation| format!("{}{:+}/{:#x}", o.number, o.change, o.flags);
    operations.iter().map(one).collect::<Vec<_>>().join(" ")
}

pub(in super::super) fn semctl(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (id, number, command, argument) =
        (call.args[0] as i32, call.args[1] as i32, call.args[2] as i32, call.args[3]);
    let done = match command {
        IPC_INFO | SEM_INFO => machine.semaphore_limits(call, command == SEM_INFO),
        SEM_STAT | SEM_STAT_ANY => match machine.sysv.sets.at_index(id) {
            Some(found) => machine.semaphore_status(call, found).map(|_| found.into()),
            None => Err(libc::EINVAL),
        },
        IPC_STAT => machine.semaphore_status(call, id),
        IPC_SET => match new_mode(call, argument) {
            Ok(mode) => {
                let now = machine.seconds();
                machine.sysv.sets.change(id, mode, now).map(|_| 0)
            }
            Err(flow) => return Ok(flow),
        },
        IPC_RMID => machine.remove_set(id),
        GETALL => machine.read_all(call, id),
        SETALL => machine.set_all(call, id),
        SETVAL => machine.set_value(call, id, number, argument as i32),
        GETPID | GETVAL | GETNCNT | GETZCNT => machine.ask_one(id, number, command),
        _ => Err(libc::EINVAL),
    };
    Ok(done.map_or_else(fail, Flow::Done))
}

impl Machine<'_> {
    fn try_operations(&mut self, tgid: i32, id: i32, operations: &[Operation]) -> Tried {
        let access = if operations.iter().any(|o| o.change != 0) { WRITE } else { READ };
        let (now, pid) = (self.seconds(), self.processes.get(&tgid).map_or(0, |process| process.inner));
        let set = match self.sysv.sets.allowed(id, access) {
            Ok(entry) => &mut entry.value,
            Err(errno) => return Tried::Fails(errno),
        };
        if operations.iter().any(|o| usize::from(o.number) >= set.semaphores.len()) {
            return Tried::Fails(libc::EFBIG);
        }
        let mut values: Vec<i32> = set.semaphores.iter().map(|semaphore| semaphore.value).collect();
        for operation in operations {
            let value = &mut values[usize::from(operation.number)];
            let wanted = *value + i32::from(operation.change);
            match operation.change {
                0 if *value != 0 => return Tried::Waits(*operation),
                _ if wanted < 0 => return Tried::Waits(*operation),
                _ if wanted > MAX_VALUE => return Tried::Fails(libc::ERANGE),
                _ => *value = wanted,
            }
        }
        for operation in operations {
            let at = usize::from(operation.number);
            set.semaphores[at] = Semaphore { value: values[at], pid };
            if operation.flags & SEM_UNDO != 0 {
                *self.sysv.undo.entry((tgid, id, operation.number)).or_default() -=
                    i32::from(operation.change);
            }
        }
        set.operated = now;
        Tried::Done
    }

    /// Lets go on whoever can, those that waited longest first.
    fn wake_semaphores(&mut self, set: i32) {
        loop {
            let mut waiting: Vec<(u64, usize)> = (0..self.tasks.len())
                .filter_map(|at| match &self.tasks[at].state {
                    State::Waiting(Wait::Semaphores { set: theirs, since, .. }) if *theirs == set => {
                        Some((*since, at))
                    }
                    _ => None,
                })
                .collect();
            waiting.sort_unstable();
            let mut any = false;
            for (_, at) in waiting {
                let State::Waiting(Wait::Semaphores { operations, .. }) = self.tasks[at].state.clone() else {
                    continue;
                };
                let result = match self.try_operations(self.tasks[at].tgid, set, &operations) {
                    Tried::Waits(_) => continue,
                    Tried::Done => 0,
                    // The set is gone.
                    Tried::Fails(libc::EINVAL) => -i64::from(libc::EIDRM),
                    Tried::Fails(errno) => -i64::from(errno),
                };
                self.complete(at, result);
                any = true;
            }
            if !any {
                return;
            }
        }
    }

    /// What a process that has ended wanted undone.
    pub(crate) fn undo_semaphores(&mut self, tgid: i32, pid: i32) {
        let own: Vec<((i32, i32, u16), i32)> = self
            .sysv
            .undo
            .range((tgid, i32::MIN, 0)..=(tgid, i32::MAX, u16::MAX))
            .map(|(k, v)| (*k, *v))
            .collect();
        for (key, change) in own {
            self.sysv.undo.remove(&key);
            let (_, id, number) = key;
            let now = self.seconds();
            if let Ok(entry) = self.sysv.sets.allowed(id, 0)
                && let Some(semaphore) = entry.value.semaphores.get_mut(usize::from(number))
                && change != 0
            {
                *semaphore = Semaphore { value: (semaphore.value + change).clamp(0, MAX_VALUE), pid };
                entry.value.operated = now;
                self.wake_semaphores(id);
            }
        }
    }

    fn semaphore_limits(&self, call: Call, in_use: bool) -> Result<i64, i32> {
        const MAX_SEMAPHORES: u32 = 1_024_000_000;
        let used: usize = self.sysv.sets.values().map(|set| set.semaphores.len()).sum();
        let (size, all) = if in_use { (self.sysv.sets.count() as u32, used as u32) } else { (20, 32_767) };
        let fields =
            [MAX_SEMAPHORES, 32_000, MAX_SEMAPHORES, MAX_SEMAPHORES, 32_000, 500, 500, size, 32_767, all];
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        memory::write(call.tid, call.args[3], &bytes).map_err(|_| libc::EFAULT)?;
        Ok(self.sysv.sets.greatest_index())
    }

    /// `struct semid64_ds`.
    fn semaphore_status(&mut self, call: Call, id: i32) -> Result<i64, i32> {
        let entry = self.sysv.sets.allowed(id, READ)?;
        let mut bytes = [0; 104];
        bytes[..48].copy_from_slice(&entry.permissions(id));
        let count = entry.value.semaphores.len() as u64;
        put(&mut bytes, &[(48, entry.value.operated), (64, entry.changed), (80, count)]);
        memory::write(call.tid, call.args[3], &bytes).map_err(|_| libc::EFAULT).map(|()| 0)
    }

    fn remove_set(&mut self, id: i32) -> Result<i64, i32> {
        self.sysv.sets.remove(id)?;
        self.sysv.undo.retain(|(_, set, _), _| *set != id);
        self.wake_semaphores(id);
        Ok(0)
    }

    fn read_all(&mut self, call: Call, id: i32) -> Result<i64, i32> {
        let set = &self.sysv.sets.allowed(id, READ)?.value;
        let bytes: Vec<u8> = set.semaphores.iter().flat_map(|s| (s.value as u16).to_le_bytes()).collect();
        memory::write(call.tid, call.args[3], &bytes).map_err(|_| libc::EFAULT).map(|()| 0)
    }

    fn set_all(&mut self, call: Call, id: i32) -> Result<i64, i32> {
        let (now, pid) = (self.seconds(), self.inner_of(call));
        let entry = self.sysv.sets.allowed(id, WRITE)?;
        let mut bytes = vec![0; entry.value.semaphores.len() * 2];
        memory::read(call.tid, call.args[3], &mut bytes).map_err(|_| libc::EFAULT)?;
        let values: Vec<i32> =
            bytes.chunks_exact(2).map(|chunk| u16::from_le_bytes([chunk[0], chunk[1]]).into()).collect();
        if values.iter().any(|value| *value > MAX_VALUE) {
            return Err(libc::ERANGE);
        }
        entry.value.semaphores = values.into_iter().map(|value| Semaphore { value, pid }).collect();
        entry.changed = now;
        self.sysv.undo.retain(|(_, set, _), _| *set != id);
        self.wake_semaphores(id);
        Ok(0)
    }

    fn set_value(&mut self, call: Call, id: i32, number: i32, value: i32) -> Result<i64, i32> {
        let (now, pid) = (self.seconds(), self.inner_of(call));
        if !(0..=MAX_VALUE).contains(&value) {
            return Err(libc::ERANGE);
        }
        let entry = self.sysv.sets.allowed(id, WRITE)?;
        let at = usize::try_from(number).map_err(|_| libc::EINVAL)?;
        *entry.value.semaphores.get_mut(at).ok_or(libc::EINVAL)? = Semaphore { value, pid };
        entry.changed = now;
        self.sysv.undo.retain(|(_, set, of), _| *set != id || usize::from(*of) != at);
        self.wake_semaphores(id);
        Ok(0)
    }

    fn ask_one(&mut self, id: i32, number: i32, command: i32) -> Result<i64, i32> {
        let at = usize::try_from(number).map_err(|_| libc::EINVAL)?;
        let semaphore = *self.sysv.sets.allowed(id, READ)?.value.semaphores.get(at).ok_or(libc::EINVAL)?;
        Ok(match command {
            GETPID => semaphore.pid.into(),
            GETVAL => semaphore.value.into(),
            _ => self.waiting_for(id, at, command == GETZCNT),
        })
    }

    /// How many threads wait for a semaphore to grow, or to become zero.
    fn waiting_for(&self, id: i32, number: usize, zero: bool) -> i64 {
        let waits = |operation: &Operation| {
            usize::from(operation.number) == number
                && if zero { operation.change == 0 } else { operation.change < 0 }
        };
        let waiting = self.tasks.iter().filter(|task| {
            matches!(&task.state, State::Waiting(Wait::Semaphores { set, operations, .. })
                if *set == id && operations.iter().any(waits))
        });
        waiting.count() as i64
    }
}
