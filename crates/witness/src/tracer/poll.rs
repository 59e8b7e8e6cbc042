//! Waiting for descriptors: poll, select and epoll.

use super::Machine;
use super::task::{Call, Exit, Flow, Wait};
use super::time::read_timespec;
use crate::error::WitnessError;
use crate::sys::{memory, task};

type Handled = Result<Flow, WitnessError>;

/// Most descriptors in one set: no process may have more, and the kernel refuses larger sets by itself.
const MAX_SET: usize = 65_536;
const POLLFD_BYTES: usize = 8;
const MILLI: u64 = 1_000_000;

fn blocks(machine: &mut Machine<'_>, call: Call, timeout: Option<u64>) -> Handled {
    let is_epoll = matches!(call.nr, libc::SYS_epoll_wait | libc::SYS_epoll_pwait);
    if is_epoll && timeout != Some(0) && machine.any_signal_file_ready(call.tgid) {
        // The kernel answers at once, whether the descriptor is in this set or not.
        let old = machine.tasks[call.task].registers;
        machine.zero_timeout(call.task);
        let registers = machine.tasks[call.task].registers;
        crate::sys::ptrace::set_registers(call.tid, &registers)
            .map_err(WitnessError::sandbox("writing registers"))?;
        return Ok(Flow::PassThen(Exit::Restore { rdx: old.rdx, r10: old.r10 }));
    }
    if timeout == Some(0) || machine.set_ready(call.task) != Some(false) {
        machine.tasks[call.task].restarted_deadline = None;
        return Ok(Flow::PassThen(Exit::Note));
    }
    let deadline = timeout.map(|nanos| machine.now.saturating_add(nanos));
    let restarted = machine.tasks[call.task].restarted_deadline.take();
    Ok(Flow::Block(Wait::Set { deadline: restarted.or(deadline) }))
}

fn millis(timeout: u64) -> Option<u64> {
    u64::try_from(timeout as i32).ok().map(|millis| millis * MILLI)
}

pub(super) fn poll(machine: &mut Machine<'_>, call: Call) -> Handled {
    if call.args[1] as u32 as usize > MAX_SET {
        return Ok(Flow::PassThen(Exit::Note));
    }
    blocks(machine, call, millis(call.args[2]))
}

pub(super) fn ppoll(machine: &mut Machine<'_>, call: Call) -> Handled {
    if call.args[3] != 0 && call.args[2] == 0 && call.args[1] as u32 == 0 {
        return Ok(Machine::unsupported("ppoll_mask", "ppoll used as sigsuspend"));
    }
    if call.args[1] as u32 as usize > MAX_SET {
        return Ok(Flow::PassThen(Exit::Note));
    }
    match timeout_at(call, call.args[2], 1) {
        Ok(timeout) => blocks(machine, call, timeout),
        Err(error) => Ok(Flow::Done(error)),
    }
}

fn timeout_at(call: Call, address: u64, unit: u64) -> Result<Option<u64>, i64> {
    match address {
        0 => Ok(None),
        address if unit == 1 => read_timespec(call.tid, address).map(Some),
        address => {
            let fault = |_| -i64::from(libc::EFAULT);
            let seconds = memory::read_u64(call.tid, address).map_err(fault)?;
            let micros = memory::read_u64(call.tid, address.wrapping_add(8)).map_err(fault)?;
            Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(micros.saturating_mul(unit))))
        }
    }
}

pub(super) fn select(machine: &mut Machine<'_>, call: Call) -> Handled {
    if (call.args[0] as i32) < 0 {
        return Ok(Flow::PassThen(Exit::Note));
    }
    let unit = if call.nr == libc::SYS_select { 1000 } else { 1 };
    match timeout_at(call, call.args[4], unit) {
        Ok(timeout) => blocks(machine, call, timeout),
        Err(error) => Ok(Flow::Done(error)),
    }
}

pub(super) fn epoll_wait(machine: &mut Machine<'_>, call: Call) -> Handled {
    blocks(machine, call, millis(call.args[3]))
}

impl Machine<'_> {
    /// Whether the descriptors of the thread's own call are ready; none where the kernel should judge.
    pub(crate) fn set_ready(&mut self, at: usize) -> Option<bool> {
        let registers = self.tasks[at].registers;
        let (tid, tgid) = (self.tasks[at].tid, self.tasks[at].tgid);
        let wanted = match registers.orig_rax as i64 {
            libc::SYS_poll | libc::SYS_ppoll => poll_set(tid, registers.rdi, registers.rsi as u32 as usize)?,
            libc::SYS_select | libc::SYS_pselect6 => {
                let sets = [registers.rsi, registers.rdx, registers.r10];
                select_set(tid, registers.rdi as u32 as usize, sets)?
            }
            _ => vec![(registers.rdi as i32, libc::POLLIN)],
        };
        let mut held = Vec::with_capacity(wanted.len());
        let mut set = Vec::with_capacity(wanted.len());
        for (fd, events) in wanted {
            if fd < 0 {
                continue;
            }
            if self.kind(tgid, fd) == super::task::Kind::Signals {
                // The kernel tells the tracer about the tracer's own signals.
                if events & libc::POLLIN != 0 && super::signals::file_is_ready(tgid, fd) {
                    return Some(true);
                }
                continue;
            }
            let copy = self.copy(tgid, fd).ok()?;
            set.push(libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&copy), events, revents: 0 });
            held.push(copy);
        }
        task::poll_now(&mut set).ok().map(|ready| ready > 0)
    }

    /// Makes the call of a thread whose time is up come back at once, as the kernel would.
    pub(crate) fn zero_timeout(&mut self, at: usize) {
        let tid = self.tasks[at].tid;
        let registers = &mut self.tasks[at].registers;
        let address = match registers.orig_rax as i64 {
            libc::SYS_poll => return registers.rdx = 0,
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait => return registers.r10 = 0,
            libc::SYS_ppoll => registers.rdx,
            _ => registers.r8,
        };
        // The kernel itself writes the time left, none, into these structures.
        let _ = memory::write(tid, address, &[0; 16]);
    }
}

fn poll_set(tid: i32, address: u64, count: usize) -> Option<Vec<(i32, i16)>> {
    let mut bytes = vec![0; count.min(MAX_SET) * POLLFD_BYTES];
    memory::read(tid, address, &mut bytes).ok()?;
    let entry = |chunk: &[u8]| {
        let fd = i32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        (fd, i16::from_le_bytes([chunk[4], chunk[5]]))
    };
    Some(bytes.chunks_exact(POLLFD_BYTES).map(entry).collect())
}

fn select_set(tid: i32, count: usize, sets: [u64; 3]) -> Option<Vec<(i32, i16)>> {
    let count = count.min(MAX_SET);
    let mut events = vec![0i16; count];
    for (address, event) in sets.into_iter().zip([libc::POLLIN, libc::POLLOUT, libc::POLLPRI]) {
        if address == 0 {
            continue;
        }
        let mut bytes = vec![0; count.div_ceil(64) * 8];
        memory::read(tid, address, &mut bytes).ok()?;
        for (fd, wanted) in events.iter_mut().enumerate() {
            if bytes[fd / 8] >> (fd % 8) & 1 != 0 {
                *wanted |= event;
            }
        }
    }
    Some(events.into_iter().enumerate().filter(|(_, e)| *e != 0).map(|(fd, e)| (fd as i32, e)).collect())
}
