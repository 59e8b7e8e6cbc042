//! Closing what was inherited.
#![allow(unsafe_code, reason = "close_range is a raw call")]

/// Closes every descriptor but the sorted ones.
pub(super) fn close_all_but(keep: &[i32]) {
    let mut from = 0u32;
    for fd in keep {
        let fd = *fd as u32;
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: no pointers; the descriptors are this process's own copies.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
