//! Mounts by descriptor.
#![allow(unsafe_code, reason = "mount calls take raw pointers")]

use std::ffi::CStr;

use super::step::{Outcome, Step, done, raw};

pub(super) fn open_tree(at: i32, path: &CStr, flags: u32) -> Result<i32, i32> {
    let flags = flags | libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string.
    raw(unsafe { libc::syscall(libc::SYS_open_tree, at, path.as_ptr(), flags) })
}

pub(super) fn move_mount(from: i32, at: i32, path: &CStr) -> Result<(), i32> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both paths are C strings.
    raw(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), at, path.as_ptr(), flags) })
        .map(drop)
}

pub(super) fn set_flags(mount: i32, set: u64, recursive: bool) -> Result<(), i32> {
    let attr = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path is a C string, the structure is live and as long as said.
    raw(unsafe { libc::syscall(libc::SYS_mount_setattr, mount, c"".as_ptr(), flags, &raw const attr, size) })
        .map(drop)
}

pub(super) fn new_file_system(kind: &CStr, options: &[(&CStr, &CStr)]) -> Result<i32, i32> {
    const SET_STRING: u32 = 1;
    const CREATE: u32 = 6;
    // SAFETY: every pointer is to a C string or null where the interface allows it.
    unsafe {
        let fs = raw(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1))?;
        for (name, value) in options {
            raw(libc::syscall(libc::SYS_fsconfig, fs, SET_STRING, name.as_ptr(), value.as_ptr(), 0))?;
        }
        raw(libc::syscall(libc::SYS_fsconfig, fs, CREATE, 0usize, 0usize, 0))?;
        let mount = raw(libc::syscall(libc::SYS_fsmount, fs, 1, libc::MOUNT_ATTR_NOSUID))?;
        libc::close(fs);
        Ok(mount)
    }
}

pub(super) fn change_root(root: i32) -> Outcome<()> {
    let here = c".";
    // SAFETY: the paths are C strings.
    unsafe {
        done(Step::Pivot, libc::fchdir(root).into())?;
        done(Step::Pivot, libc::syscall(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()))?;
        done(Step::Pivot, libc::umount2(here.as_ptr(), libc::MNT_DETACH).into())?;
        done(Step::Pivot, libc::chdir(c"/".as_ptr()).into()).map(drop)
    }
}
