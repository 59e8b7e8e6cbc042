//! What takes the place of namespaces where the host has none: absent paths, invented ids, one thread.

use super::task::{Call, Flow};
use super::{Machine, special};
use crate::sys::ptrace;

/// The ids that a program in a process-id namespace of its own would have.
const OWN_ID: i64 = 2;
const PARENT_ID: i64 = 1;

impl Machine<'_> {
    /// The answer to a call that namespaces would have answered; none where they make no difference.
    pub(crate) fn reduced_answer(&mut self, call: Call) -> Option<Flow> {
        let visible = self.setup.visible?;
        let paths = std::mem::take(&mut self.tasks[call.task].paths);
        let hidden = paths.iter().any(|path| !visible(path) && !self.is_special(call, path));
        let error = |errno: i32| Some(Flow::Done(-i64::from(errno)));
        match call.nr {
            libc::SYS_getpid | libc::SYS_gettid | libc::SYS_set_tid_address | libc::SYS_getpgrp => {
                Some(Flow::Done(OWN_ID))
            }
            libc::SYS_getppid => Some(Flow::Done(PARENT_ID)),
            libc::SYS_kill | libc::SYS_tkill | libc::SYS_tgkill => self.signal_itself(call),
            libc::SYS_clone
            | libc::SYS_fork
            | libc::SYS_vfork
            | libc::SYS_execve
            | libc::SYS_execveat
            | libc::SYS_setsid
            | libc::SYS_setpgid
            | libc::SYS_getpgid
            | libc::SYS_getsid
            | libc::SYS_rt_sigqueueinfo
            | libc::SYS_rt_tgsigqueueinfo => {
                Some(Self::unsupported("needs_namespaces", "processes and threads need namespaces"))
            }
            libc::SYS_shmget
            | libc::SYS_shmat
            | libc::SYS_shmdt
            | libc::SYS_shmctl
            | libc::SYS_semget
            | libc::SYS_semop
            | libc::SYS_semtimedop
            | libc::SYS_semctl
            | libc::SYS_msgget
            | libc::SYS_msgsnd
            | libc::SYS_msgrcv
            | libc::SYS_msgctl => {
                // Segments would be the host's own, and outlive the run.
                Some(Self::unsupported("needs_namespaces", "System V's objects need a namespace"))
            }
            libc::SYS_socket => error(libc::EACCES),
            _ if hidden => error(libc::ENOENT),
            _ => None,
        }
    }

    fn is_special(&mut self, call: Call, path: &str) -> bool {
        let bytes = path.as_bytes();
        special::find(self, call, bytes).is_some() || special::link(self, call, bytes).is_some()
    }

    /// Signals to itself go to its real id; anybody else is not there.
    fn signal_itself(&mut self, call: Call) -> Option<Flow> {
        let is_thread_call = call.nr == libc::SYS_tgkill;
        let second_matches = !is_thread_call || i64::from(call.args[1] as i32) == OWN_ID;
        if i64::from(call.args[0] as i32) != OWN_ID || !second_matches {
            return Some(Flow::Done(-i64::from(libc::ESRCH)));
        }
        let registers = &mut self.tasks[call.task].registers;
        registers.rdi = call.tgid as u64;
        if is_thread_call {
            registers.rsi = call.tid as u64;
        }
        let registers = *registers;
        // A program that was killed meanwhile has no registers; its end is reported by itself.
        let _ = ptrace::set_registers(call.tid, &registers);
        None
    }
}
