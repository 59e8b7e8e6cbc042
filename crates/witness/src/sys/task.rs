//! Looking at other processes from outside: their descriptors, clocks, ids and CPU.
#![allow(unsafe_code, reason = "raw system calls on descriptors")]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::check;

/// A handle on a process that cannot come to mean another one.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

impl From<OwnedFd> for PidFd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl PidFd {
    /// Opens the process with this id.
    pub(crate) fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        // SAFETY: the kernel just gave us this descriptor.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// A duplicate of one of its descriptors, to be kept; what is only looked at is a [`super::copies::Copy`].
    pub(crate) fn descriptor(&self, fd: i32) -> io::Result<OwnedFd> {
        // SAFETY: no pointers.
        let got = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), fd, 0) })?;
        // SAFETY: the kernel just gave us this descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(got as i32) })
    }

    /// Kills it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        // SAFETY: the info pointer may be null.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, 0usize, 0)
        };
        check(sent).map(drop)
    }
}

/// What `poll` says about descriptors right now.
pub(crate) fn poll_now(set: &mut [libc::pollfd]) -> io::Result<usize> {
    // SAFETY: the slice is live and as long as said.
    let ready = unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, 0) };
    check(ready.into()).map(|n| n as usize)
}

/// `fstat` of a descriptor.
pub(crate) fn stat(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) }.into())?;
    Ok(stat)
}

/// `fstat` of a descriptor, as the kernel lays it out.
pub(crate) fn stat_bytes(fd: &OwnedFd) -> io::Result<[u8; 144]> {
    let mut bytes = [0u8; 144];
    // SAFETY: the buffer is as large as the kernel's structure; the raw call asks no alignment of it.
    check(unsafe { libc::syscall(libc::SYS_fstat, fd.as_raw_fd(), bytes.as_mut_ptr()) })?;
    Ok(bytes)
}

/// The status flags of a descriptor.
pub(crate) fn status_flags(fd: &OwnedFd) -> io::Result<i32> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into()).map(|flags| flags as i32)
}

/// Tries a lock without waiting: whether somebody else holds it.
pub(crate) fn flock_is_held(fd: &OwnedFd, operation: i32) -> bool {
    // SAFETY: no pointers.
    let done = check(unsafe { libc::flock(fd.as_raw_fd(), operation | libc::LOCK_NB) }.into());
    done.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Moves the offset of a descriptor.
pub(crate) fn seek(fd: &OwnedFd, offset: i64, whence: i32) -> io::Result<i64> {
    // SAFETY: no pointers.
    check(unsafe { libc::lseek(fd.as_raw_fd(), offset, whence) })
}

/// Reads from a descriptor, at its own offset or at this one.
pub(crate) fn read(fd: &OwnedFd, into: &mut [u8], offset: Option<i64>) -> io::Result<usize> {
    // SAFETY: the buffer is live and as long as said.
    let got = unsafe {
        match offset {
            None => libc::read(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len()),
            Some(offset) => libc::pread(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), offset),
        }
    };
    check(got as i64).map(|n| n as usize)
}

/// The raw entries of an open directory from its current offset on.
pub(crate) fn directory_entries(fd: &OwnedFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is live and as long as said.
    let got = unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), into.as_mut_ptr(), into.len()) };
    check(got).map(|n| n as usize)
}

/// A file without a name, filled with `bytes`, its offset at the start.
pub(crate) fn nameless_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    // SAFETY: the name is a C string.
    let fd = check(unsafe { libc::memfd_create(c"assay".as_ptr(), libc::MFD_CLOEXEC) }.into())?;
    // SAFETY: the kernel just gave us this descriptor.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd as i32) };
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// A pipe: (reading end, writing end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the array has room for two.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: the kernel just gave us both descriptors.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// CPU time of a live process in microseconds.
pub(crate) fn cpu_micros(pid: i32) -> Option<u64> {
    // The kernel's encoding of a process's CPU clock: the complement of the id, then "scheduler clock".
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (done == 0).then(|| time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000)
}

/// How many runs of this process stand on each CPU.
static RUNS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// One CPU for one run. A stop that wakes another CPU costs many times what it costs on the same one.
pub(crate) struct OwnCpu {
    cpu: usize,
    before: libc::cpu_set_t,
}

impl OwnCpu {
    /// Pins the calling thread, and what it starts, to one of the CPUs that it may use: this one of them,
    /// or else the one that it is on, if no more runs stand there than elsewhere.
    pub(crate) fn pin(which: Option<usize>) -> Option<Self> {
        // SAFETY: the set is plain bits, for which zero is a value, and lives through the call.
        let (before, here) = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            check(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set).into()).ok()?;
            (set, libc::sched_getcpu() as usize)
        };
        // SAFETY: every number is within the set.
        let may = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &before) };
        let cpus: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(may).collect();
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        let cpu = match which {
            Some(which) => *cpus.get(which % cpus.len().max(1))?,
            None => *cpus.iter().min_by_key(|cpu| (runs.get(cpu).copied().unwrap_or(0), **cpu != here))?,
        };
        *runs.entry(cpu).or_default() += 1;
        drop(runs);
        // SAFETY: as above.
        unsafe {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one);
        }
        Some(Self { cpu, before })
    }

    /// Lets the calling thread, which is the one that was pinned, go back to where it may be.
    pub(crate) fn unpin_caller(&self) {
        // SAFETY: the set lives through the call.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.before) };
    }
}

impl Drop for OwnCpu {
    fn drop(&mut self) {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = runs.get_mut(&self.cpu) {
            *count = count.saturating_sub(1);
        }
    }
}

/// While this lives, the calling thread may not read the time stamp counter, just as the program may not.
///
/// The two take turns on one CPU at every stop, and where they differ in this the kernel writes a control
/// register each time, which a virtual machine pays for dearly: on one, a stop took 36 us instead of 18.
/// Reading a clock through the C library reads the counter, so nothing may do so meanwhile.
pub(crate) struct CounterRefused;

impl CounterRefused {
    pub(crate) fn start() -> Self {
        refuse_counter(true);
        Self
    }

    /// Does something that may read a clock.
    pub(crate) fn lifted<T>(work: impl FnOnce() -> T) -> T {
        refuse_counter(false);
        let done = work();
        refuse_counter(true);
        done
    }
}

impl Drop for CounterRefused {
    fn drop(&mut self) {
        refuse_counter(false);
    }
}

/// Whether the calling thread's reads of the counter raise a signal; what it starts inherits that.
pub(crate) fn refuse_counter(refuse: bool) {
    let mode = if refuse { libc::PR_TSC_SIGSEGV } else { libc::PR_TSC_ENABLE };
    // SAFETY: no pointers. Where the kernel refuses, nothing changes.
    unsafe { libc::prctl(libc::PR_SET_TSC, mode, 0, 0, 0) };
}

/// The effective user id of this process.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: it cannot fail.
    unsafe { libc::geteuid() }
}

/// The effective group id of this process.
pub(crate) fn effective_gid() -> u32 {
    // SAFETY: it cannot fail.
    unsafe { libc::getegid() }
}

/// Sends a signal to one thread of a process.
pub(crate) fn signal_thread(tgid: i32, tid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, signal) }).map(drop)
}

/// Adds to the count of an event descriptor.
pub(crate) fn add_event(fd: &OwnedFd, count: u64) -> io::Result<()> {
    // SAFETY: eight live bytes are written.
    let put = unsafe { libc::write(fd.as_raw_fd(), (&raw const count).cast(), size_of::<u64>()) };
    check(put as i64).map(drop)
}

/// Takes the count of an event descriptor away, if there is one.
pub(crate) fn drain_event(fd: &OwnedFd) {
    let mut set = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    if poll_now(&mut set).is_ok_and(|ready| ready > 0) {
        let mut count = 0u64;
        // SAFETY: eight live bytes are read into; there is a count, so that nothing waits.
        unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Sends what a POSIX timer sends, to a process or to one of its threads.
pub(crate) fn signal_timer(
    tgid: i32,
    tid: Option<i32>,
    signal: i32,
    id: i32,
    overrun: i32,
    value: u64,
) -> io::Result<()> {
    const SI_TIMER: i32 = -2;
    // The kernel's structure: signal, errno, code, (padding), timer, overrun, value.
    let mut info = [0u64; 16];
    info[0] = u64::from(signal as u32);
    info[1] = u64::from(SI_TIMER as u32);
    info[2] = u64::from(id as u32) | u64::from(overrun as u32) << 32;
    info[3] = value;
    // SAFETY: the structure is live and as large as the kernel's.
    let sent = unsafe {
        match tid {
            Some(tid) => libc::syscall(libc::SYS_rt_tgsigqueueinfo, tgid, tid, signal, info.as_ptr()),
            None => libc::syscall(libc::SYS_rt_sigqueueinfo, tgid, signal, info.as_ptr()),
        }
    };
    check(sent).map(drop)
}

/// The head of a thread's list of robust futexes.
pub(crate) fn robust_list(tid: i32) -> Option<u64> {
    let (mut head, mut size) = (0u64, 0u64);
    // SAFETY: both pointers are to live values.
    let done = unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut size) };
    (done == 0 && head != 0).then_some(head)
}

/// What `lstat` says of an absolute path in the file system at `root`, as long as no link and no other
/// file system is on the way: `ELOOP` or `EXDEV` where one is.
pub(crate) fn stat_inside(root: &OwnedFd, path: &[u8]) -> io::Result<[u8; 144]> {
    let path = std::ffi::CString::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    // SAFETY: the path is a C string, the structure is live and as long as said.
    let fd = check(unsafe {
        let size = size_of::<libc::open_how>();
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size)
    })?;
    // SAFETY: the kernel just gave us this descriptor.
    stat_bytes(&unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens a path as if `root` were the root: no link and no `..` leads out of it.
pub(crate) fn open_inside(root: &str, path: &str, flags: i32) -> io::Result<OwnedFd> {
    let folder = std::fs::File::open(root)?;
    let path = std::ffi::CString::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let size = size_of::<libc::open_how>();
    // SAFETY: the path is a C string, the structure is live and as long as said.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_openat2, folder.as_raw_fd(), path.as_ptr(), &raw const how, size)
    })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
