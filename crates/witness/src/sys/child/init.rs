//! The first process: it builds the root, forks the program, and then only reaps.
#![allow(unsafe_code, reason = "raw clone and wait between fork and exec")]

use std::os::fd::{AsRawFd, OwnedFd};

use super::descriptors::close_all_but;
use super::network::raise_loopback;
use super::step::{Outcome, Step, done, errno, give_up};
use super::{Entry, Launch, Tree};

pub(super) struct Prepared<'a> {
    pub launch: &'a Launch,
    pub arguments: Vec<*const libc::c_char>,
    pub environment: Vec<*const libc::c_char>,
    pub stdio: [OwnedFd; 3],
    pub go: OwnedFd,
    pub fail: OwnedFd,
    /// Detached mounts, one for each bind, filled in by the child.
    pub trees: Vec<i32>,
    /// The program's stack until it has its own, aligned as calls want it.
    pub stack: Vec<u128>,
    /// The descriptors that init keeps, sorted.
    pub keep: Vec<i32>,
}

impl Prepared<'_> {
    pub(super) fn list_descriptors(&mut self) {
        let sources = self.launch.entries.iter().filter_map(|entry| match entry {
            Entry::Copy { source, .. } => Some(source.as_raw_fd()),
            _ => None,
        });
        let own = self.stdio.iter().chain([&self.go, &self.fail]).map(AsRawFd::as_raw_fd);
        self.keep = own.chain(sources).collect();
        self.keep.sort_unstable();
    }

    pub(super) fn init(mut self) -> ! {
        match self.prepare_and_fork() {
            Ok(()) => reap_for_ever(),
            Err((step, errno)) => give_up(self.fail.as_raw_fd(), step, errno),
        }
    }

    fn prepare_and_fork(&mut self) -> Outcome<()> {
        close_all_but(&self.keep);
        // Entries are made with the very modes that they shall have.
        // SAFETY: no pointers.
        unsafe { libc::umask(0) };
        let mut byte = 0u8;
        // SAFETY: one byte is read into one live byte.
        if unsafe { libc::read(self.go.as_raw_fd(), (&raw mut byte).cast(), 1) } != 1 {
            return Err((Step::Start, libc::EPIPE));
        }
        match self.launch.tree {
            Tree::Closed => self.closed_root()?,
            Tree::Host => self.host_root()?,
            Tree::Bare => {
                // SAFETY: no pointers: orphans of the program come to this process.
                unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
            }
        }
        if self.launch.tree != Tree::Bare {
            let name = &self.launch.host_name;
            // SAFETY: the name is live and as long as said.
            done(Step::HostName, unsafe { libc::sethostname(name.as_ptr(), name.as_bytes().len()) }.into())?;
            raise_loopback()?;
        }
        let top = self.stack.as_mut_ptr_range().end;
        // SAFETY: as vfork, on a stack of its own: the child borrows this address space while this process
        // waits, runs only `program`, which never returns, and changes nothing that is looked at afterwards.
        let pid = unsafe {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            libc::clone(become_program, top.cast(), flags, std::ptr::from_ref(&*self).cast_mut().cast())
        };
        done(Step::Fork, pid.into())?;
        close_all_but(&[]);
        Ok(())
    }
}

/// The program's process, from its first instruction to its exec.
extern "C" fn become_program(prepared: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent passes what it is waiting on, alive and unchanged.
    let prepared = unsafe { &*prepared.cast::<Prepared<'_>>() };
    let (step, errno) = prepared.program();
    give_up(prepared.fail.as_raw_fd(), step, errno)
}

fn reap_for_ever() -> ! {
    loop {
        // SAFETY: the status pointer may be null.
        if unsafe { libc::wait4(-1, std::ptr::null_mut(), libc::__WALL, std::ptr::null_mut()) } < 0
            && errno() == libc::ECHILD
        {
            // SAFETY: `_exit` runs nothing of the parent's.
            unsafe { libc::_exit(0) }
        }
    }
}
