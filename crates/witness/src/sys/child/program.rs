//! The second process: what it gives up before it becomes the program.
#![allow(unsafe_code, reason = "raw calls between fork and exec")]

use std::os::fd::AsRawFd;

use super::super::landlock;
use super::descriptors::close_all_but;
use super::init::Prepared;
use super::step::{Outcome, Step, done};
use super::{Launch, NOBODY, Tree};

impl Prepared<'_> {
    /// Becomes the program; comes back only with what failed.
    pub(super) fn program(&self) -> (Step, i32) {
        match self.try_program() {
            Ok(()) => (Step::Exec, 0),
            Err(failed) => failed,
        }
    }

    fn try_program(&self) -> Outcome<()> {
        let launch = self.launch;
        // SAFETY: raw calls on numbers and on prepared, live, NUL-terminated strings and arrays.
        unsafe {
            reset_signals();
            done(Step::Start, libc::setsid().into())?;
            for (to, from) in self.stdio.iter().enumerate() {
                done(Step::Start, libc::dup2(from.as_raw_fd(), to as i32).into())?;
            }
            close_all_but(&[0, 1, 2, self.fail.as_raw_fd()]);
            libc::umask(0o022);
            for (resource, value) in &launch.limits {
                set_own_limit(*resource, *value)?;
            }
            let persona = if launch.fixed_layout { libc::ADDR_NO_RANDOMIZE as u64 } else { 0 };
            done(Step::Layout, libc::syscall(libc::SYS_personality, persona))?;
            done(Step::TrapTsc, libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0).into())?;
            done(Step::Chdir, libc::chdir(launch.working_directory.as_ptr()).into())?;
            drop_privileges(launch)?;
            let filter = libc::sock_fprog {
                len: launch.filter.len() as u16,
                filter: launch.filter.as_ptr().cast_mut(),
            };
            let mode = libc::SECCOMP_MODE_FILTER;
            done(Step::Filter, libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter, 0, 0).into())?;
            let (program, arguments) = (launch.program.as_ptr(), self.arguments.as_ptr());
            done(Step::Exec, libc::execve(program, arguments, self.environment.as_ptr()).into()).map(drop)
        }
    }
}

/// Gives up every capability and every way to gain one.
///
/// # Safety
/// Only between fork and exec.
unsafe fn drop_privileges(launch: &Launch) -> Outcome<()> {
    const CAPABILITY_V3: u32 = 0x2008_0522;
    const CAPABILITY_NUMBERS: i32 = 64;
    // SAFETY: raw calls on numbers and live values.
    unsafe {
        if launch.tree == Tree::Bare && libc::geteuid() == 0 {
            done(Step::Drop, libc::syscall(libc::SYS_setgroups, 0usize, 0usize))?;
            done(Step::Drop, libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY))?;
            done(Step::Drop, libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY))?;
        }
        // Dropping bounding capabilities needs one; without it there is none to drop.
        for number in 0..CAPABILITY_NUMBERS {
            if libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) < 0 {
                // The kernel knows no further ones, or there is none to drop.
                break;
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let header = [CAPABILITY_V3, 0];
        let none = [0u32; 6];
        done(Step::Drop, libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()))?;
        done(Step::Drop, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
    }
    match &launch.landlock {
        Some(rules) => landlock::apply(rules).map_err(|errno| (Step::Landlock, errno)),
        None => Ok(()),
    }
}

fn set_own_limit(resource: u32, value: u64) -> Outcome<()> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures are live.
    unsafe {
        done(Step::Limits, libc::getrlimit(resource, &raw mut old).into())?;
        let value = value.min(old.rlim_max);
        let new = libc::rlimit { rlim_cur: value, rlim_max: value };
        done(Step::Limits, libc::setrlimit(resource, &raw const new).into()).map(drop)
    }
}

/// Gives every signal its default action again and lets all through.
///
/// # Safety
/// Only between fork and exec.
unsafe fn reset_signals() {
    const LAST_SIGNAL: i64 = 64;
    const SET_BYTES: usize = 8;
    // The kernel's own structure: handler, flags, restorer, mask.
    let default = [0u64; 4];
    let none = 0u64;
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the structure is live; no old one is asked for. Failing (KILL, STOP) is fine.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, SET_BYTES) };
    }
    // SAFETY: the mask is live; no old one is asked for.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, SET_BYTES) };
}
