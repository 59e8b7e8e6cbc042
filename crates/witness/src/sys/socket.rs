//! Looking at a socket of another process through a duplicate of it, and giving it a fixed address.
#![allow(unsafe_code, reason = "socket calls take raw pointers")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::check;

/// Room for any address: a `sockaddr_storage`.
const MAX_ADDRESS: usize = 128;

/// An integer option of a socket; an error where the descriptor is no socket.
pub(crate) fn option(fd: &OwnedFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: both pointers are to live values, the size being that of the value.
    check(
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut size) }
            .into(),
    )?;
    Ok(value)
}

/// Sets an integer option.
pub(crate) fn set_option(fd: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointer is to a live value of the size said.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size) }.into())
        .map(drop)
}

/// A time option such as `SO_RCVTIMEO` in nanoseconds; none where no time is set.
pub(crate) fn timeout(fd: &OwnedFd, name: i32) -> Option<u64> {
    let mut value = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut size = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: both pointers are to live values, the size being that of the value.
    let done = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut size)
    };
    let nanos = (value.tv_sec as u64).saturating_mul(1_000_000_000) + value.tv_usec as u64 * 1000;
    (done == 0 && nanos > 0).then_some(nanos)
}

/// The local address as the kernel writes it.
pub(crate) fn local_address(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; MAX_ADDRESS];
    let mut size = MAX_ADDRESS as libc::socklen_t;
    // SAFETY: the buffer is live and as long as said.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut size) }.into())?;
    bytes.truncate(size as usize);
    Ok(bytes)
}

/// Binds to an address given as the kernel reads it.
pub(crate) fn bind(fd: &OwnedFd, address: &[u8]) -> io::Result<()> {
    let size = address.len() as libc::socklen_t;
    // SAFETY: the slice is live and as long as said.
    check(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr().cast(), size) }.into()).map(drop)
}
