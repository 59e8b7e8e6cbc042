//! Looking into a replay with a debugger: the run is stopped at a fault or an event, and gdb reads it.
//!
//! The replay stays exact: registers and memory cannot be written, breakpoints are the only change, and
//! virtual time stands still while the debugger looks.

mod files;
mod gdb;
mod packet;
mod target;

use std::io::{Read, Write};

pub use gdb::{Accept, GdbServer};

/// A connection to a debugger.
pub trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The event that was asked for.
    Event(u64),
    /// A signal that the program is about to get.
    Signal(i32),
    /// A breakpoint.
    Breakpoint,
    /// One instruction was executed.
    Step,
    /// The program exited with this code.
    Exited(i32),
    /// The program was ended by this signal.
    Killed(i32),
}

/// What the run is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on to the next stop.
    Continue,
    /// Execute one instruction of this thread, numbered as in [`Inferior::threads`].
    Step(u32),
    /// End the run.
    End,
}

/// A stopped run.
pub trait Inferior {
    /// The threads of the stopped process, by their place in the order of birth, from 1.
    fn threads(&self) -> Vec<u32>;
    /// The thread that ran.
    fn current(&self) -> u32;
    /// The registers of a thread; `gs_base` is the last. None where it has ended.
    fn registers(&self, thread: u32) -> Option<[u64; REGISTERS]>;
    /// The floating-point state of a thread, as FXSAVE lays it out (Intel SDM, volume 1, 10.5.1).
    fn float_registers(&self, thread: u32) -> Option<[u8; 512]>;
    /// As many bytes as can be read at an address; breakpoints do not show.
    fn memory(&self, address: u64, length: usize) -> Vec<u8>;
    /// The auxiliary vector.
    fn auxiliary_vector(&self) -> Vec<u8>;
    /// The executable's path inside.
    fn executable(&self) -> String;
    /// The bytes of a file inside.
    fn file(&self, path: &str) -> Option<Vec<u8>>;
    /// Puts a breakpoint in, or takes it out; whether that could be done.
    fn breakpoint(&mut self, address: u64, set: bool) -> bool;
    /// How long the trace is, and its last lines.
    fn trace(&self, last: usize) -> (u64, Vec<String>);
}

/// How many registers [`Inferior::registers`] gives: rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15,
/// rip, eflags, cs, ss, ds, es, fs, gs, `orig_rax`, `fs_base`, `gs_base`.
pub const REGISTERS: usize = 27;

/// Somebody who looks at a stopped run.
pub trait Debugger {
    /// The run is stopped; what is it to do next?
    fn stopped(&mut self, inferior: &mut dyn Inferior, reason: StopReason) -> Resume;
}
