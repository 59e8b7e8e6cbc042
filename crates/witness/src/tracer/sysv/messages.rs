//! Message queues (`msgop(2)`, `msgctl(2)`).

use std::collections::VecDeque;

use super::super::task::{Call, Flow, State, Wait};
use super::super::{Machine, digest_text};
use super::ids::Got;
use super::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, fail, new_mode, put};
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

const MSG_STAT: i32 = 11;
const MSG_INFO: i32 = 12;
const MSG_STAT_ANY: i32 = 13;
const MSG_NOERROR: i32 = 0o10_000;
const MSG_EXCEPT: i32 = 0o20_000;
const MSG_COPY: i32 = 0o40_000;
/// Most bytes of a message and of a queue: the kernel's own defaults.
const MAX_MESSAGE: u64 = 8192;
const MAX_QUEUE: u64 = 16_384;
const READ: u32 = 4;
const WRITE: u32 = 2;

/// A message with its type.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    kind: i64,
    text: Vec<u8>,
}

/// One queue.
pub(crate) struct Queue {
    messages: VecDeque<Message>,
    most: u64,
    sent: (u64, i32),
    received: (u64, i32),
}

impl Queue {
    fn bytes(&self) -> u64 {
        self.messages.iter().map(|message| message.text.len() as u64).sum()
    }

    fn has_room(&self, more: usize) -> bool {
        self.bytes() + more as u64 <= self.most && (self.messages.len() as u64) < self.most
    }

    /// Which message a receiver takes (`msgrcv(2)`).
    fn chosen(&self, kind: i64, flags: i32) -> Option<usize> {
        let all = || self.messages.iter().enumerate();
        match kind {
            0 => (!self.messages.is_empty()).then_some(0),
            1.. if flags & MSG_EXCEPT != 0 => all().find(|(_, m)| m.kind != kind).map(|(at, _)| at),
            1.. => all().find(|(_, m)| m.kind == kind).map(|(at, _)| at),
            _ => {
                let least = all().filter(|(_, m)| m.kind <= kind.saturating_neg());
                least.min_by_key(|(at, m)| (m.kind, *at)).map(|(at, _)| at)
            }
        }
    }
}

pub(in super::super) fn msgget(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (key, flags) = (call.args[0] as i32, call.args[1] as i32);
    let now = machine.seconds();
    let queues = &mut machine.sysv.queues;
    Ok(match queues.get(key, flags) {
        Err(errno) => fail(errno),
        Ok(Got::Found(id)) => Flow::Done(id.into()),
        Ok(Got::New) => {
            let queue = Queue { messages: VecDeque::new(), most: MAX_QUEUE, sent: (0, 0), received: (0, 0) };
            queues.add(key, flags, now, queue).map_or_else(fail, |id| Flow::Done(id.into()))
        }
    })
}

pub(in super::super) fn msgsnd(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (queue, size, flags) = (call.args[0] as i32, call.args[2], call.args[3] as i32);
    if size > MAX_MESSAGE {
        return Ok(fail(libc::EINVAL));
    }
    let mut text = vec![0; size as usize];
    let kind = memory::read_u64(call.tid, call.args[1]);
    let read = memory::read(call.tid, call.args[1].wrapping_add(8), &mut text);
    let (Ok(kind), Ok(())) = (kind, read) else { return Ok(fail(libc::EFAULT)) };
    if (kind as i64) < 1 {
        return Ok(fail(libc::EINVAL));
    }
    let said = format!(" type {kind} {}", digest_text(&text));
    machine.tasks[call.task].line.push_str(&said);
    let message = Message { kind: kind as i64, text };
    let now = (machine.seconds(), machine.inner_of(call));
    Ok(match machine.try_send(queue, &message, now) {
        Err(errno) => fail(errno),
        Ok(true) => {
            machine.wake_queue(queue);
            Flow::Done(0)
        }
        Ok(false) if flags & libc::IPC_NOWAIT != 0 => fail(libc::EAGAIN),
        Ok(false) => Flow::Block(Wait::Sending { queue, message, since: machine.events }),
    })
}

pub(in super::super) fn msgrcv(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (queue, flags) = (call.args[0] as i32, call.args[4] as i32);
    if flags & MSG_COPY != 0 {
        return Ok(fail(libc::ENOSYS));
    }
    if (call.args[2] as i64) < 0 {
        return Ok(fail(libc::EINVAL));
    }
    Ok(match machine.try_receive(call) {
        Err(errno) => fail(errno),
        Ok(Some((result, said))) => {
            machine.wake_queue(queue);
            Flow::DoneSaying(result, said)
        }
        Ok(None) if flags & libc::IPC_NOWAIT != 0 => fail(libc::ENOMSG),
        Ok(None) => Flow::Block(Wait::Receiving { queue, since: machine.events }),
    })
}

pub(in super::super) fn msgctl(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (id, command) = (call.args[0] as i32, call.args[1] as i32);
    let done = match command {
        IPC_INFO | MSG_INFO => machine.queue_limits(call, command == MSG_INFO),
        MSG_STAT | MSG_STAT_ANY => match machine.sysv.queues.at_index(id) {
            Some(found) => machine.queue_status(call, found).map(|_| found.into()),
            None => Err(libc::EINVAL),
        },
        IPC_STAT => machine.queue_status(call, id),
        IPC_SET => match new_mode(call, call.args[2]) {
            Ok(mode) => machine.change_queue(call, id, mode),
            Err(flow) => return Ok(flow),
        },
        IPC_RMID => machine.sysv.queues.remove(id).map(|()| 0),
        _ => Err(libc::EINVAL),
    };
    if matches!(command, IPC_RMID | IPC_SET) && done.is_ok() {
        machine.wake_queue(id);
    }
    Ok(done.map_or_else(fail, Flow::Done))
}

impl Machine<'_> {
    /// Whether there was room.
    fn try_send(&mut self, queue: i32, message: &Message, now: (u64, i32)) -> Result<bool, i32> {
        let queue = &mut self.sysv.queues.allowed(queue, WRITE)?.value;
        let fits = queue.has_room(message.text.len());
        if fits {
            queue.messages.push_back(message.clone());
            queue.sent = now;
        }
        Ok(fits)
    }

    /// The result and what the trace says besides; none where nothing is there to be received.
    fn try_receive(&mut self, call: Call) -> Result<Option<(i64, String)>, i32> {
        let now = (self.seconds(), self.inner_of(call));
        let (room, kind, flags) = (call.args[2], call.args[3] as i64, call.args[4] as i32);
        let queue = &mut self.sysv.queues.allowed(call.args[0] as i32, READ)?.value;
        let Some(at) = queue.chosen(kind, flags) else { return Ok(None) };
        if queue.messages[at].text.len() as u64 > room && flags & MSG_NOERROR == 0 {
            return Err(libc::E2BIG);
        }
        queue.received = now;
        let Some(message) = queue.messages.remove(at) else { return Ok(None) };
        let text = &message.text[..message.text.len().min(room as usize)];
        let bytes = [&message.kind.to_le_bytes()[..], text].concat();
        memory::write(call.tid, call.args[1], &bytes).map_err(|_| libc::EFAULT)?;
        Ok(Some((text.len() as i64, format!(" type {} {}", message.kind, digest_text(text)))))
    }

    /// Lets go on whoever can, those that waited longest first.
    fn wake_queue(&mut self, queue: i32) {
        while let Some((at, result, said)) = self.first_that_can(queue) {
            self.tasks[at].line.push_str(&said);
            self.complete(at, result);
        }
    }

    fn first_that_can(&mut self, queue: i32) -> Option<(usize, i64, String)> {
        let mut waiting: Vec<(u64, usize)> = (0..self.tasks.len())
            .filter_map(|at| match &self.tasks[at].state {
                State::Waiting(
                    Wait::Sending { queue: theirs, since, .. } | Wait::Receiving { queue: theirs, since },
                ) if *theirs == queue => Some((*since, at)),
                _ => None,
            })
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().find_map(|(_, at)| {
            let call = self.waiting_call(at);
            let tried = match self.tasks[at].state.clone() {
                State::Waiting(Wait::Sending { message, .. }) => {
                    let now = (self.seconds(), self.inner_of(call));
                    self.try_send(queue, &message, now).map(|sent| sent.then(|| (0, String::new())))
                }
                _ => self.try_receive(call),
            };
            match tried {
                Ok(None) => None,
                Ok(Some((result, said))) => Some((at, result, said)),
                // The queue is gone.
                Err(libc::EINVAL) => Some((at, -i64::from(libc::EIDRM), String::new())),
                Err(errno) => Some((at, -i64::from(errno), String::new())),
            }
        })
    }

    fn waiting_call(&self, at: usize) -> Call {
        let task = &self.tasks[at];
        let r = &task.registers;
        let args = [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        Call { task: at, tid: task.tid, tgid: task.tgid, nr: r.orig_rax as i64, args }
    }

    fn change_queue(&mut self, call: Call, id: i32, mode: u32) -> Result<i64, i32> {
        const MOST: u64 = 88;
        let most = memory::read_u64(call.tid, call.args[2].wrapping_add(MOST)).map_err(|_| libc::EFAULT)?;
        if most > MAX_QUEUE {
            return Err(libc::EPERM);
        }
        let now = self.seconds();
        self.sysv.queues.change(id, mode, now)?.value.most = most;
        Ok(0)
    }

    fn queue_limits(&self, call: Call, in_use: bool) -> Result<i64, i32> {
        let all = || self.sysv.queues.values();
        let messages: usize = all().map(|queue| queue.messages.len()).sum();
        let bytes: u64 = all().map(Queue::bytes).sum();
        let (pool, map, headers) = match in_use {
            true => (self.sysv.queues.count() as u32, messages as u32, bytes as u32),
            false => (512_000, 16_384, 16_384),
        };
        let words = [pool, map, 8192, 16_384, 32_000, 16, headers];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&u32::from(u16::MAX).to_le_bytes());
        memory::write(call.tid, call.args[2], &bytes).map_err(|_| libc::EFAULT)?;
        Ok(self.sysv.queues.greatest_index())
    }

    /// `struct msqid64_ds`.
    fn queue_status(&mut self, call: Call, id: i32) -> Result<i64, i32> {
        let entry = self.sysv.queues.allowed(id, READ)?;
        let queue = &entry.value;
        let mut bytes = [0; 120];
        bytes[..48].copy_from_slice(&entry.permissions(id));
        let pids = u64::from(queue.sent.1 as u32) | u64::from(queue.received.1 as u32) << 32;
        let words = [
            (48, queue.sent.0),
            (56, queue.received.0),
            (64, entry.changed),
            (72, queue.bytes()),
            (80, queue.messages.len() as u64),
            (88, queue.most),
            (96, pids),
        ];
        put(&mut bytes, &words);
        memory::write(call.tid, call.args[2], &bytes).map_err(|_| libc::EFAULT).map(|()| 0)
    }
}
