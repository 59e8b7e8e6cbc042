//! Filling the root's file system.
#![allow(unsafe_code, reason = "raw calls between fork and exec")]

use std::ffi::CStr;
use std::os::fd::AsRawFd;

use super::Entry;
use super::step::{Outcome, Step, done, errno};

pub(super) fn make(root: i32, entry: &Entry) -> Outcome<()> {
    // SAFETY: raw calls on live C strings and buffers.
    unsafe {
        match entry {
            Entry::Directory { path, mode } => {
                if libc::mkdirat(root, path.as_ptr(), *mode) == 0 {
                    return Ok(());
                }
                if errno() != libc::EEXIST {
                    return Err((Step::Directory, errno()));
                }
                done(Step::Directory, libc::fchmodat(root, path.as_ptr(), *mode, 0).into()).map(drop)
            }
            Entry::Link { path, target } => {
                done(Step::Link, libc::symlinkat(target.as_ptr(), root, path.as_ptr()).into()).map(drop)
            }
            Entry::Time { path, seconds } => {
                let times = [libc::timespec { tv_sec: *seconds, tv_nsec: 0 }; 2];
                done(Step::File, libc::utimensat(root, path.as_ptr(), times.as_ptr(), 0).into()).map(drop)
            }
            Entry::Bytes { path, mode, bytes } => {
                let fd = create(root, path, *mode, Step::File)?;
                write_all(fd, bytes)?;
                done(Step::File, libc::close(fd).into()).map(drop)
            }
            Entry::Copy { path, mode, source } => {
                let fd = create(root, path, *mode, Step::Copy)?;
                copy_all(source.as_raw_fd(), fd)?;
                done(Step::Copy, libc::close(fd).into()).map(drop)
            }
        }
    }
}

fn create(root: i32, path: &CStr, mode: u32, step: Step) -> Outcome<i32> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the path is a C string.
    unsafe {
        let fd = libc::openat(root, path.as_ptr(), flags, mode);
        done(step, fd.into())?;
        Ok(fd)
    }
}

fn write_all(fd: i32, bytes: &[u8]) -> Outcome<()> {
    let mut at = 0;
    while at < bytes.len() {
        // SAFETY: the range lies within the live slice.
        let put = unsafe { libc::write(fd, bytes.as_ptr().add(at).cast(), bytes.len() - at) };
        at += done(Step::File, put as i64)? as usize;
    }
    Ok(())
}

fn copy_all(from: i32, to: i32) -> Outcome<()> {
    const CHUNK: usize = 1 << 30;
    let mut offset = 0i64;
    loop {
        // SAFETY: the offset is live.
        let put = unsafe { libc::sendfile(to, from, &raw mut offset, CHUNK) };
        if done(Step::Copy, put as i64)? == 0 {
            return Ok(());
        }
    }
}
