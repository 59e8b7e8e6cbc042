//! Starting init under this thread's trace.
#![allow(unsafe_code, reason = "raw clone and signal masks")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::super::copies::Cloning;
use super::super::{check, ptrace, task};
use super::init::Prepared;
use super::step::{STEPS, Step};
use super::{INSIDE_ID, Launch, Tree};

/// Descriptors handed over lie here or above, clear of the three standard ones.
const FIRST_DESCRIPTOR: i32 = 10;

/// Room for the calls between fork and exec, in words of 16 bytes.
const STACK_WORDS: usize = 4096;

/// A started init, traced, that will fork the program as its first child.
#[derive(Debug)]
pub(crate) struct Started {
    pub init: i32,
    pub handle: task::PidFd,
    failure: OwnedFd,
}

impl Started {
    /// What the children reported before they gave up: the step, its error, and whether it was the exec.
    pub(crate) fn failure(&self) -> Option<(&'static str, io::Error, bool)> {
        let mut set = [libc::pollfd { fd: self.failure.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        if task::poll_now(&mut set).ok()? == 0 {
            return None;
        }
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is live and as long as said.
        let got = unsafe { libc::read(self.failure.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
        if got != bytes.len() as isize {
            return None;
        }
        let word = |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let step = word(0) as usize;
        let name = STEPS.get(step).copied().unwrap_or("starting");
        Some((name, io::Error::from_raw_os_error(word(4)), step == Step::Exec as usize))
    }
}

/// Pointers for `execve`, kept beside what they point at.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Moves a descriptor clear of the standard ones.
fn raised(fd: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the new descriptor is ours.
    unsafe {
        let up = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
        check(up.into())?;
        Ok(OwnedFd::from_raw_fd(up))
    }
}

/// Blocks every signal in the calling thread but the one that tells of children: its children begin that
/// way. Each stop of a traced thread raises that one; blocked here, it would be handed to some other thread
/// of this process, which would wake for nothing at every event.
pub(crate) fn block_signals() {
    // SAFETY: the set is live; nothing else is touched.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigdelset(&raw mut all, libc::SIGCHLD);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

/// Starts init under this thread's trace.
pub(crate) fn start(launch: &Launch) -> io::Result<Started> {
    let (go_read, go_write) = task::pipe()?;
    let (fail_read, fail_write) = task::pipe()?;
    let [input, output, error] = &launch.stdio;
    let prepared = Prepared {
        launch,
        arguments: pointers(&launch.arguments),
        environment: pointers(&launch.environment),
        stdio: [raised(input)?, raised(output)?, raised(error)?],
        go: raised(&go_read)?,
        fail: raised(&fail_write)?,
        trees: vec![-1; launch.binds.len()],
        stack: vec![0; STACK_WORDS],
        keep: Vec::new(),
    };
    drop((go_read, fail_write));
    let mut prepared = prepared;
    prepared.list_descriptors();
    let namespaces = if launch.tree == Tree::Bare {
        0
    } else {
        libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
    };
    let cloning = Cloning::begin();
    // SAFETY: like fork: the child gets a copy of this address space and its own stack within it; it
    // runs only `Prepared::init`, which keeps to raw system calls and never returns.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone, i64::from(namespaces | libc::SIGCHLD), 0usize, 0usize, 0usize, 0usize)
    };
    if pid == 0 {
        prepared.init();
    }
    drop(cloning);
    let init = check(pid)? as i32;
    let outcome = take_over(init, launch, &go_write);
    if let Err(failed) = outcome {
        // SAFETY: no pointers; the child is ours and not yet waited for.
        unsafe { libc::kill(init, libc::SIGKILL) };
        let _ = ptrace::wait(init, 0);
        return Err(failed);
    }
    Ok(Started { init, handle: task::PidFd::open(init)?, failure: fail_read })
}

fn take_over(init: i32, launch: &Launch, go: &OwnedFd) -> io::Result<()> {
    if launch.tree != Tree::Bare {
        write_maps(init, launch.outside_user)?;
    }
    ptrace::seize(init)?;
    // SAFETY: the buffer is live and one byte long.
    check(unsafe { libc::write(go.as_raw_fd(), [1u8].as_ptr().cast(), 1) } as i64).map(drop)
}

/// Tells the kernel which id outside the program's id inside stands for.
fn write_maps(pid: i32, outside_user: Option<u32>) -> io::Result<()> {
    let (uid, gid) = match (task::effective_uid(), outside_user) {
        (0, Some(user)) => (user, user),
        (uid, _) => (uid, task::effective_gid()),
    };
    std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    std::fs::write(format!("/proc/{pid}/uid_map"), format!("{INSIDE_ID} {uid} 1\n"))?;
    std::fs::write(format!("/proc/{pid}/gid_map"), format!("{INSIDE_ID} {gid} 1\n"))
}
