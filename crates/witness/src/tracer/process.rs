//! Threads and processes: birth, new images, ends, and waiting for ends.

use super::Machine;
use super::task::{Call, Exit, Flow, Life, State, Wait};
use crate::error::WitnessError;
use crate::limits::LimitKind;
use crate::report::Ending;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

/// Flags that would make namespaces or share what the tracer takes to be private.
const FORBIDDEN: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_PTRACE
    | libc::CLONE_UNTRACED
    | libc::CLONE_PARENT;
/// Threads share all of these.
const THREAD: i32 = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_SIGHAND;

pub(super) fn set_tid_address(machine: &mut Machine<'_>, call: Call) -> Handled {
    machine.tasks[call.task].clear_tid = call.args[0];
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn clone(machine: &mut Machine<'_>, call: Call) -> Handled {
    let flags = if call.nr == libc::SYS_clone { call.args[0] as i32 } else { libc::SIGCHLD };
    if flags & FORBIDDEN != 0 {
        return Ok(Flow::Done(-i64::from(libc::EPERM)));
    }
    let is_thread = flags & libc::CLONE_THREAD != 0;
    let is_vfork = flags & libc::CLONE_VFORK != 0 || call.nr == libc::SYS_vfork;
    if is_thread && flags & THREAD != THREAD {
        return Ok(Machine::unsupported("unusual_clone", &format!("clone with flags {flags:#x}")));
    }
    if !is_thread && flags & libc::CLONE_VM != 0 && !is_vfork || !is_thread && flags & libc::CLONE_FILES != 0
    {
        return Ok(Machine::unsupported("unusual_clone", &format!("clone with flags {flags:#x}")));
    }
    let alive = machine.tasks.iter().filter(|task| !task.is_gone()).count();
    if alive >= machine.setup.limits.processes as usize {
        return Ok(Flow::End(Ending::LimitExceeded { limit: LimitKind::Processes }));
    }
    let clears = flags & libc::CLONE_CHILD_CLEARTID != 0;
    machine.tasks[call.task].child_clear_tid = if clears { call.args[3] } else { 0 };
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn execve(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn execveat(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(if call.args[4] == 0 {
        Flow::PassThen(Exit::Note)
    } else {
        Machine::unsupported("execveat_flags", "execveat with flags")
    })
}

pub(super) fn exit(machine: &mut Machine<'_>, call: Call) -> Handled {
    machine.tasks[call.task].held = super::inherit::held_futexes(call.tid);
    let is_leader = call.tid == call.tgid;
    let others =
        machine.tasks.iter().any(|task| task.tgid == call.tgid && task.tid != call.tid && !task.is_gone());
    if is_leader && others {
        // The kernel reports a first thread's end only after all others have ended.
        machine.tasks[call.task].ends_before_others = true;
    }
    Ok(Flow::Pass)
}

pub(super) fn exit_group(machine: &mut Machine<'_>, call: Call) -> Handled {
    machine.tasks[call.task].held = super::inherit::held_futexes(call.tid);
    machine.tasks[call.task].ending_process = true;
    Ok(Flow::Pass)
}

pub(super) fn wait4(machine: &mut Machine<'_>, call: Call) -> Handled {
    let options = call.args[2] as i32;
    wait_for(machine, call, call.args[0] as i32, options)
}

pub(super) fn waitid(machine: &mut Machine<'_>, call: Call) -> Handled {
    let pid = match call.args[0] as u32 {
        libc::P_PID => call.args[1] as i32,
        libc::P_ALL => -1,
        libc::P_PGID => (call.args[1] as i32).wrapping_neg(),
        _ => return Ok(Flow::Done(-i64::from(libc::EINVAL))),
    };
    wait_for(machine, call, pid, call.args[3] as i32)
}

fn wait_for(machine: &mut Machine<'_>, call: Call, pid: i32, options: i32) -> Handled {
    let ended = machine.child_to_wait_for(call.tgid, pid);
    if ended != Some(true)
        && let Some(result) = machine.answer_with_news(call.task, pid, options)
    {
        return Ok(Flow::Done(result));
    }
    let passes = options & libc::WNOHANG != 0 || ended != Some(false);
    Ok(if passes { Flow::PassThen(Exit::Reaped) } else { Flow::Block(Wait::Child { pid, options }) })
}

impl Machine<'_> {
    /// Whether a child that matches has ended; none if there is no such child.
    pub(crate) fn child_to_wait_for(&self, parent: i32, pid: i32) -> Option<bool> {
        let mut any = None;
        for (tgid, process) in &self.processes {
            if process.life != Life::Reaped && self.is_meant(parent, *tgid, pid) {
                any = Some(any == Some(true) || process.life == Life::Ended);
            }
        }
        any
    }

    /// What the parent collected: the kernel has forgotten it, and so does the tracer.
    pub(crate) fn note_reaped(&mut self, parent: i32, inner: i64) {
        for process in self.processes.values_mut() {
            if process.parent == parent && i64::from(process.inner) == inner && process.life == Life::Ended {
                process.life = Life::Reaped;
            }
        }
    }

    /// A thread is gone: whoever joins it may go on.
    pub(crate) fn note_thread_end(&mut self, at: usize) {
        let (tgid, address) = (self.tasks[at].tgid, self.tasks[at].clear_tid);
        self.tasks[at].state = State::Gone;
        if address != 0 {
            let key = super::task::FutexKey::Private { tgid, address };
            self.wake(key, u32::MAX, u32::MAX);
        }
        for key in std::mem::take(&mut self.tasks[at].held) {
            self.wake(key, 1, u32::MAX);
        }
    }

    /// The pid inside of a process, read once.
    pub(crate) fn inner_id(tid: i32) -> i32 {
        let text = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        line.and_then(|ids| ids.split_whitespace().last()).and_then(|id| id.parse().ok()).unwrap_or(tid)
    }

    /// Makes the stack of a fresh image the same everywhere: known random bytes, and no vDSO but the
    /// tracer's own.
    pub(crate) fn fix_auxiliary_vector(&mut self, tid: i32, has_clock: bool) -> std::io::Result<()> {
        let registers = crate::sys::ptrace::registers(tid)?;
        let (words, first) = initial_stack(tid, registers.rsp)?;
        for (at, pair) in words[first..].chunks_exact(2).enumerate() {
            let place = registers.rsp + 8 * (first + 2 * at) as u64;
            match pair[0] {
                libc::AT_NULL => break,
                libc::AT_SYSINFO_EHDR if !has_clock => {
                    memory::write(tid, place, &libc::AT_IGNORE.to_le_bytes())?;
                }
                libc::AT_RANDOM => {
                    let bytes = self.random.bytes(16);
                    memory::write(tid, pair[1], &bytes)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The words from the stack pointer of a fresh image on, and where in them the auxiliary vector begins.
fn initial_stack(tid: i32, from: u64) -> std::io::Result<(Vec<u64>, usize)> {
    const FIRST_LOOK: usize = 8 << 10;
    const LAST_LOOK: usize = 8 << 20;
    let mut look = FIRST_LOOK;
    loop {
        let mut bytes = vec![0; look];
        let got = memory::read_some(tid, from, &mut bytes)?;
        let word = |chunk: &[u8]| u64::from_le_bytes(std::array::from_fn(|i| chunk[i]));
        let words: Vec<u64> = bytes[..got].chunks_exact(8).map(word).collect();
        let environment = words.first().map_or(0, |arguments| *arguments as usize).saturating_add(2);
        let rest = words.get(environment..).unwrap_or(&[]);
        if let Some(variables) = rest.iter().position(|word| *word == 0) {
            let first = environment + variables + 1;
            if words[first..].chunks_exact(2).any(|pair| pair[0] == libc::AT_NULL) {
                return Ok((words, first));
            }
        }
        if got < look || look >= LAST_LOOK {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        look *= 4;
    }
}
