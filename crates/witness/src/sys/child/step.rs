//! The steps of the children, their failures, and how these reach the parent.
#![allow(unsafe_code, reason = "the thread's errno and raw calls between fork and exec")]

/// What a step of the children is called when it fails.
pub(super) const STEPS: [&str; 23] = [
    "starting",
    "opening a file to bind",
    "making a file system",
    "taking the unprivileged user id",
    "making a directory",
    "writing a file",
    "copying a file",
    "making a link",
    "attaching the root",
    "binding a file",
    "closing the root for writing",
    "changing the root",
    "naming the host",
    "turning on the loopback interface",
    "forking the program",
    "setting limits",
    "fixing the layout",
    "trapping the time stamp counter",
    "dropping privileges",
    "applying Landlock",
    "entering the working directory",
    "installing the filter",
    "executing the program",
];

#[repr(usize)]
#[derive(Clone, Copy)]
pub(super) enum Step {
    Start,
    OpenBind,
    MakeFs,
    TakeId,
    Directory,
    File,
    Copy,
    Link,
    Attach,
    Bind,
    CloseRoot,
    Pivot,
    HostName,
    Loopback,
    Fork,
    Limits,
    Layout,
    TrapTsc,
    Drop,
    Landlock,
    Chdir,
    Filter,
    Exec,
}

pub(super) type Outcome<T> = Result<T, (Step, i32)>;

pub(super) fn errno() -> i32 {
    // SAFETY: the pointer to this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

pub(super) fn done(step: Step, result: i64) -> Outcome<i64> {
    if result < 0 { Err((step, errno())) } else { Ok(result) }
}

pub(super) fn raw(result: i64) -> Result<i32, i32> {
    if result < 0 { Err(errno()) } else { Ok(result as i32) }
}

pub(super) fn give_up(fail: i32, step: Step, errno: i32) -> ! {
    let mut bytes = [0u8; 8];
    bytes[..4].copy_from_slice(&(step as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&errno.to_le_bytes());
    // SAFETY: eight live bytes are written; `_exit` runs nothing of the parent's.
    unsafe {
        libc::write(fail, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(127)
    }
}
