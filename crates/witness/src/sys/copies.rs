//! Copies of a program's descriptors, kept out of what other runs inherit.
//!
//! The tracer copies a descriptor to look at it and closes the copy at once. A run's first process is a
//! clone of the whole service, with its table of descriptors: one that was cloned meanwhile would hold the
//! copy until it has closed what is not its own, and the end of a pipe that the program had closed would
//! stay open that long. So no copy is there while anybody clones.
#![allow(unsafe_code, reason = "raw system calls on descriptors")]

use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, PoisonError};

use super::check;
use super::task::PidFd;

/// `pidfd_open`'s flag for one thread, which is `O_EXCL` (since Linux 6.9).
const PIDFD_THREAD: i32 = 0o200;

#[derive(Debug, Default)]
struct Gate {
    /// Threads of this process that hold copies.
    holding: usize,
    /// Clones that are made, or that wait for the copies to go.
    cloning: usize,
}

static GATE: Mutex<Gate> = Mutex::new(Gate { holding: 0, cloning: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Copies that this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A copy of a program's descriptor, to be dropped before the program goes on.
#[derive(Debug)]
pub(crate) struct Copy {
    // Closed before the gate is left.
    fd: OwnedFd,
    _held: Held,
}

impl Copy {
    /// Of a process's descriptor.
    pub(crate) fn of(process: &PidFd, fd: i32) -> io::Result<Self> {
        let held = Held::new();
        Ok(Self { fd: process.descriptor(fd)?, _held: held })
    }

    /// The same through any thread of the process: its first one may have ended.
    pub(crate) fn of_thread(tid: i32, fd: i32) -> io::Result<Self> {
        // SAFETY: no pointers.
        let opened = check(unsafe { libc::syscall(libc::SYS_pidfd_open, tid, PIDFD_THREAD) })?;
        // SAFETY: the kernel just gave us this descriptor.
        let thread = PidFd::from(unsafe { OwnedFd::from_raw_fd(opened as i32) });
        Self::of(&thread, fd)
    }
}

impl Deref for Copy {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.fd
    }
}

impl AsRawFd for Copy {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[derive(Debug)]
struct Held;

impl Held {
    fn new() -> Self {
        // Whoever holds one already must not wait for a clone that waits for it.
        if HELD.get() == 0 {
            let mut gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
            while gate.cloning > 0 {
                gate = CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner);
            }
            gate.holding += 1;
        }
        HELD.set(HELD.get() + 1);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
        if HELD.get() == 0 {
            let mut gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
            gate.holding -= 1;
            if gate.cloning > 0 {
                CHANGED.notify_all();
            }
        }
    }
}

/// While it lives this process may be cloned: nobody holds a copy.
#[derive(Debug)]
pub(crate) struct Cloning;

impl Cloning {
    /// Waits until the copies of all threads are gone. The caller's own thread holds none.
    pub(crate) fn begin() -> Self {
        let mut gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        gate.cloning += 1;
        while gate.holding > 0 {
            gate = CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        Self
    }
}

impl Drop for Cloning {
    fn drop(&mut self) {
        GATE.lock().unwrap_or_else(PoisonError::into_inner).cloning -= 1;
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::sys::task::pipe;

    #[test]
    fn nobody_clones_while_a_copy_is_there() {
        static CLONED: AtomicBool = AtomicBool::new(false);
        let (reader, writer) = pipe().unwrap();
        let own = PidFd::open(std::process::id() as i32).unwrap();
        let copy = Copy::of(&own, writer.as_raw_fd()).unwrap();
        drop(writer);
        let cloner = std::thread::spawn(|| {
            let _cloning = Cloning::begin();
            CLONED.store(true, Ordering::SeqCst);
        });
        // A thread that holds a copy may take another one although somebody waits to clone.
        std::thread::sleep(std::time::Duration::from_millis(20));
        drop(Copy::of(&own, reader.as_raw_fd()).unwrap());
        assert!(!CLONED.load(Ordering::SeqCst));
        drop(copy);
        cloner.join().unwrap();
        assert!(CLONED.load(Ordering::SeqCst));
        // The last end of the pipe was the copy.
        assert_eq!(std::fs::File::from(reader).read(&mut [0; 1]).unwrap(), 0);
    }
}
