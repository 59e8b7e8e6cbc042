//! Everything that talks to the kernel directly; the only modules of this crate with `unsafe` in them.

pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod copies;
pub(crate) mod cpu;
pub(crate) mod filter;
pub(crate) mod landlock;
pub(crate) mod memory;
pub(crate) mod ptrace;
pub(crate) mod socket;
pub(crate) mod task;

use std::io;

/// The result of a raw system call as an [`io::Result`].
pub(crate) fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
