//! The program's memory map: limits, executable mappings, code that lies in no file.

use super::Machine;
use super::task::{Call, Exit, Flow};
use crate::error::WitnessError;

type Handled = Result<Flow, WitnessError>;

pub(super) fn mmap(machine: &mut Machine<'_>, call: Call) -> Handled {
    const UNCOUNTED: i32 = libc::MAP_SHARED | libc::MAP_NORESERVE;
    let flags = call.args[3] as i32;
    if flags & libc::MAP_HUGETLB != 0 {
        // Whether there are huge pages is the host's affair: a kernel that has none left answers so, and
        // programs that ask for them take small ones then.
        return Ok(Flow::Done(-i64::from(libc::ENOMEM)));
    }
    let counted = call.args[2] as i32 & libc::PROT_WRITE != 0 && flags & UNCOUNTED == 0;
    if counted && call.args[1] > machine.setup.limits.memory_bytes {
        // What could never be had is refused, as the kernel would by its own reckoning of the host.
        return Ok(Flow::Done(-i64::from(libc::ENOMEM)));
    }
    let executable = call.args[2] as i32 & libc::PROT_EXEC != 0;
    let anonymous = call.args[3] as i32 & libc::MAP_ANONYMOUS != 0;
    let file = (executable && !anonymous).then_some(call.args[4] as i32);
    Ok(Flow::PassThen(Exit::Mapped { file, generated: executable && anonymous }))
}

/// Reaches the tracer only when it makes something executable.
pub(super) fn mprotect(machine: &mut Machine<'_>, call: Call) -> Handled {
    if call.args[2] as i32 & libc::PROT_EXEC != 0 {
        machine.note_made_executable(call.tid, call.args[0], call.args[1]);
    }
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn brk(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Address))
}

pub(super) fn remap(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Address))
}

pub(super) fn madvise(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[2] as i32 {
        libc::MADV_NORMAL
        | libc::MADV_RANDOM
        | libc::MADV_SEQUENTIAL
        | libc::MADV_WILLNEED
        | libc::MADV_HUGEPAGE
        | libc::MADV_NOHUGEPAGE
        | libc::MADV_DONTDUMP
        | libc::MADV_DODUMP
        | libc::MADV_COLD
        | libc::MADV_PAGEOUT => Flow::Done(0),
        // When MADV_FREE takes effect is the kernel's choice; taking it at once is a permitted one.
        libc::MADV_FREE => Flow::Done(-i64::from(libc::EINVAL)),
        libc::MADV_DONTNEED
        | libc::MADV_REMOVE
        | libc::MADV_DONTFORK
        | libc::MADV_DOFORK
        | libc::MADV_WIPEONFORK
        | libc::MADV_KEEPONFORK => Flow::PassThen(Exit::Note),
        _ => Flow::Done(-i64::from(libc::EINVAL)),
    })
}
