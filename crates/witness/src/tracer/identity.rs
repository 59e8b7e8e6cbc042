//! What a program may learn about the machine and itself: the same everywhere.

use super::Machine;
use super::task::{Call, Exit, Flow};
use super::time::give;
use crate::error::WitnessError;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

/// Most bytes that one call gives.
const MAX_RANDOM: u64 = 1 << 20;
const UTSNAME_FIELD: usize = 65;
/// `sysinfo`'s total memory.
const TOTAL_MEMORY: u64 = 4 << 30;
/// The nice value 0 as the kernel's call gives it.
const NICE_ZERO: i64 = 20;

pub(super) fn getrandom(machine: &mut Machine<'_>, call: Call) -> Handled {
    let count = call.args[1].min(MAX_RANDOM) as usize;
    let bytes = machine.random.bytes(count);
    Ok(give(call.tid, call.args[0], &bytes, count as i64))
}

pub(super) fn uname(_: &mut Machine<'_>, call: Call) -> Handled {
    let mut bytes = [0u8; UTSNAME_FIELD * 6];
    let fields = ["Linux", "witness", "6.1.0", "#1 SMP", "x86_64", "(none)"];
    for (at, text) in fields.iter().enumerate() {
        bytes[at * UTSNAME_FIELD..][..text.len()].copy_from_slice(text.as_bytes());
    }
    Ok(give(call.tid, call.args[0], &bytes, 0))
}

pub(super) fn sysinfo(machine: &mut Machine<'_>, call: Call) -> Handled {
    const UPTIME: usize = 0;
    const TOTAL: usize = 32;
    const FREE: usize = 40;
    const PROCESSES: usize = 80;
    const UNIT: usize = 104;
    let mut bytes = [0u8; 112];
    let uptime = 1000 + machine.now / 1_000_000_000;
    bytes[UPTIME..][..8].copy_from_slice(&uptime.to_le_bytes());
    bytes[TOTAL..][..8].copy_from_slice(&TOTAL_MEMORY.to_le_bytes());
    bytes[FREE..][..8].copy_from_slice(&(TOTAL_MEMORY / 2).to_le_bytes());
    bytes[PROCESSES] = 1;
    bytes[UNIT] = 1;
    Ok(give(call.tid, call.args[0], &bytes, 0))
}

pub(super) fn getcpu(_: &mut Machine<'_>, call: Call) -> Handled {
    if call.args[1] != 0 && memory::write(call.tid, call.args[1], &[0; 4]).is_err() {
        return Ok(Flow::Done(-i64::from(libc::EFAULT)));
    }
    Ok(give(call.tid, call.args[0], &[0; 4], 0))
}

pub(super) fn sched_yield(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::Yield(0))
}

pub(super) fn sched_getaffinity(_: &mut Machine<'_>, call: Call) -> Handled {
    const MASK_BYTES: u64 = 8;
    if call.args[1] < MASK_BYTES {
        return Ok(Flow::Done(-i64::from(libc::EINVAL)));
    }
    Ok(give(call.tid, call.args[2], &1u64.to_le_bytes(), MASK_BYTES as i64))
}

pub(super) fn sched_getparam(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(give(call.tid, call.args[1], &[0; 4], 0))
}

pub(super) fn getpriority(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::Done(NICE_ZERO))
}

/// Lowering one's own limits is the program's business; the kernel refuses raising them.
pub(super) fn setrlimit(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn prlimit(machine: &mut Machine<'_>, call: Call) -> Handled {
    let about_others = call.args[0] as i32 != 0 && call.args[0] as i32 != machine.process(call.tgid).inner;
    if about_others {
        return Ok(Flow::Done(-i64::from(libc::EPERM)));
    }
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn prctl(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[0] as i32 {
        libc::PR_SET_NAME
        | libc::PR_GET_NAME
        | libc::PR_SET_PDEATHSIG
        | libc::PR_GET_PDEATHSIG
        | libc::PR_GET_NO_NEW_PRIVS
        | libc::PR_SET_NO_NEW_PRIVS
        | libc::PR_CAPBSET_READ
        | libc::PR_GET_KEEPCAPS
        | libc::PR_SET_KEEPCAPS
        | libc::PR_GET_SECUREBITS
        | libc::PR_CAP_AMBIENT => Flow::PassThen(Exit::Note),
        libc::PR_SET_CHILD_SUBREAPER => Machine::unsupported("subreaper", "prctl(PR_SET_CHILD_SUBREAPER)"),
        libc::PR_SET_SECCOMP => Machine::unsupported("nested_seccomp", "prctl(PR_SET_SECCOMP)"),
        libc::PR_GET_DUMPABLE => Flow::Done(1),
        libc::PR_SET_DUMPABLE | libc::PR_SET_THP_DISABLE | libc::PR_SET_TIMERSLACK | libc::PR_SET_PTRACER => {
            Flow::Done(0)
        }
        libc::PR_SET_TSC | libc::PR_SET_MM | libc::PR_CAPBSET_DROP => Flow::Done(-i64::from(libc::EPERM)),
        // Naming anonymous memory and everything newer: as on a kernel without it.
        _ => Flow::Done(-i64::from(libc::EINVAL)),
    })
}

pub(super) fn arch_prctl(_: &mut Machine<'_>, call: Call) -> Handled {
    const SET_GS: u64 = 0x1001;
    const GET_GS: u64 = 0x1004;
    Ok(match call.args[0] {
        SET_GS..=GET_GS => Flow::Pass,
        _ => Flow::Done(-i64::from(libc::EINVAL)),
    })
}

/// Asking is fine; changing would change the layout.
pub(super) fn personality(_: &mut Machine<'_>, call: Call) -> Handled {
    const ASK: u64 = 0xffff_ffff;
    Ok(match call.args[0] {
        ASK => Flow::Done(0),
        _ => Flow::Done(-i64::from(libc::EPERM)),
    })
}
