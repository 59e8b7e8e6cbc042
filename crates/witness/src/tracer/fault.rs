//! Faults, looked at before they are delivered; and the trapped time stamp counter.

use super::unwind::Space;
use super::{Machine, time};
use crate::error::WitnessError;
use crate::report::{Fault, MAX_FAULTS};
use crate::sys::{memory, ptrace};

/// `rdtsc` and `rdtscp`.
const RDTSC: [u8; 2] = [0x0f, 0x31];
const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];

impl Machine<'_> {
    pub(crate) fn note_fault(&mut self, at: usize, signal: i32) -> Result<(), WitnessError> {
        if self.faults.len() >= MAX_FAULTS {
            return Ok(());
        }
        let tid = self.tasks[at].tid;
        let (code, address) = match signal {
            0 => (0, 0),
            _ => ptrace::signal_info(tid).map_err(WitnessError::sandbox("reading a signal"))?,
        };
        let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let space = Space::of(tid, &mut self.unwinding, self.setup.module);
        let (frames, frames_omitted) = space.stack(tid, &registers);
        let from_kernel = code > 0;
        self.faults.push(Fault {
            signal,
            code,
            address: (from_kernel && signal != libc::SIGABRT).then_some(address),
            thread: self.tasks[at].index,
            frames,
            frames_omitted,
        });
        Ok(())
    }

    /// Answers the time stamp counter from virtual time; whether that was what faulted.
    pub(crate) fn on_counter(&mut self, at: usize) -> Result<bool, WitnessError> {
        let tid = self.tasks[at].tid;
        let mut registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        let mut code = [0u8; 3];
        if memory::read_some(tid, registers.rip, &mut code).unwrap_or(0) < RDTSC.len() {
            return Ok(false);
        }
        let length = if code[..2] == RDTSC {
            RDTSC.len()
        } else if code == RDTSCP {
            registers.rcx = 0;
            RDTSCP.len()
        } else {
            return Ok(false);
        };
        self.now += time::COUNTER_NANOS;
        registers.rax = self.now & 0xffff_ffff;
        registers.rdx = self.now >> 32;
        registers.rip += length as u64;
        ptrace::set_registers(tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
        Ok(true)
    }
}
