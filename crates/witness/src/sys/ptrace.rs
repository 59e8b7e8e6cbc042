//! The ptrace requests that the tracer uses.
#![allow(unsafe_code, reason = "ptrace and wait4 take raw pointers")]

use std::io;

pub(crate) use libc::user_regs_struct as Registers;

/// One report of `wait4`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub pid: i32,
    pub status: i32,
    pub cpu_micros: u64,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

fn request(kind: libc::c_uint, pid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: callers in this module pass, for each request, plain numbers or pointers to live values
    // of the type that the request documents.
    super::check(unsafe { libc::ptrace(kind, pid, address, data) }).map(drop)
}

/// Takes over a process and, from then on, everything it forks.
pub(crate) fn seize(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize)
}

/// Resumes until the next traced call, signal or event.
pub(crate) fn resume(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, pid, 0, signal as usize)
}

/// Resumes until the end of the current call (or the next stop before it).
pub(crate) fn resume_to_exit(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, signal as usize)
}

/// Resumes for one instruction.
pub(crate) fn step(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SINGLESTEP, pid, 0, signal as usize)
}

/// Reads the floating-point registers as FXSAVE lays them out.
pub(crate) fn float_registers(pid: i32) -> io::Result<[u8; 512]> {
    let mut state = [0u8; 512];
    request(libc::PTRACE_GETFPREGS, pid, 0, state.as_mut_ptr() as usize)?;
    Ok(state)
}

/// Reads the registers.
pub(crate) fn registers(pid: i32) -> io::Result<Registers> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, pid, 0, (&raw mut registers) as usize)?;
    Ok(registers)
}

/// Writes the registers.
pub(crate) fn set_registers(pid: i32, registers: &Registers) -> io::Result<()> {
    request(libc::PTRACE_SETREGS, pid, 0, std::ptr::from_ref(registers) as usize)
}

/// The signals that a thread blocks.
pub(crate) fn signal_mask(pid: i32) -> io::Result<u64> {
    let mut mask = 0u64;
    request(libc::PTRACE_GETSIGMASK, pid, size_of::<u64>(), (&raw mut mask) as usize)?;
    Ok(mask)
}

/// Says which signals a thread blocks.
pub(crate) fn set_signal_mask(pid: i32, mask: u64) -> io::Result<()> {
    request(libc::PTRACE_SETSIGMASK, pid, size_of::<u64>(), (&raw const mask) as usize)
}

/// The number that goes with an event: a new child's id, or the message of the filter.
pub(crate) fn event_message(pid: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut message) as usize)?;
    Ok(message)
}

/// What a signal about to be delivered says: code and address.
pub(crate) fn signal_info(pid: i32) -> io::Result<(i32, u64)> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETSIGINFO, pid, 0, (&raw mut info) as usize)?;
    // SAFETY: reading the address member of the union is reading eight plain bytes.
    let address = unsafe { info.si_addr() } as u64;
    Ok((info.si_code, address))
}

/// Waits for a child of this thread; `pid` is -1 for any.
pub(crate) fn wait(pid: i32, flags: i32) -> io::Result<Option<Report>> {
    let mut status = 0;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live values.
        let got = unsafe {
            libc::wait4(pid, &raw mut status, libc::__WALL | libc::__WNOTHREAD | flags, &raw mut usage)
        };
        match super::check(got.into()) {
            Ok(0) => return Ok(None),
            Ok(pid) => {
                let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
                let cpu_micros = micros(usage.ru_utime) + micros(usage.ru_stime);
                return Ok(Some(Report { pid: pid as i32, status, cpu_micros }));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Registers of nothing yet.
pub(crate) fn no_registers() -> Registers {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}
