//! The two processes that a run starts with: an init of its own process-id namespace, which builds the
//! root and then only reaps, and the program.
//!
//! Both begin as raw clones of a process that may have many threads, so everything that they need is
//! prepared beforehand and the code here allocates nothing, takes no lock and calls the kernel only.
#![allow(unsafe_code, reason = "raw clone, mounts and exec between fork and exec")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::landlock::Rules;
use super::{check, ptrace, task};

/// The user and group that the program has inside.
pub(crate) const INSIDE_ID: u32 = 1000;
/// The user and group that a program run by root has outside.
pub(crate) const NOBODY: u32 = 65_534;
/// Descriptors handed over lie here or above, clear of the three standard ones.
const FIRST_DESCRIPTOR: i32 = 10;

/// One entry of the file tree to build; paths are relative to the new root.
#[derive(Debug)]
pub(crate) enum Entry {
    Directory {
        path: CString,
        mode: u32,
    },
    Bytes {
        path: CString,
        mode: u32,
        bytes: Vec<u8>,
    },
    Copy {
        path: CString,
        mode: u32,
        source: OwnedFd,
    },
    Link {
        path: CString,
        target: CString,
    },
    /// The time of an entry made before.
    Time {
        path: CString,
        seconds: i64,
    },
}

/// A file of the host to show at a path of the new root.
#[derive(Debug)]
pub(crate) struct Bind {
    pub source: CString,
    pub path: CString,
    pub writable: bool,
    pub device: bool,
}

/// Where the program's file tree comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Exactly the entries and binds.
    Closed,
    /// The host's own tree, read-only, with the entries' `/dev`, `/proc` and `/sys` laid over it and
    /// every write below `/tmp` kept apart.
    Host,
    /// The host's own tree, closed by Landlock alone; for hosts without namespaces.
    Bare,
}

/// Everything prepared for the two processes.
#[derive(Debug)]
pub(crate) struct Launch {
    pub tree: Tree,
    pub entries: Vec<Entry>,
    pub binds: Vec<Bind>,
    /// Directories of the new root that may be written, of those in `entries`.
    pub writable: Vec<CString>,
    /// Directories of the host hidden in a host tree, if they are there.
    pub hidden: Vec<CString>,
    pub tmpfs_bytes: CString,
    pub program: CString,
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
    pub working_directory: CString,
    pub stdio: [OwnedFd; 3],
    pub limits: Vec<(u32, u64)>,
    pub fixed_layout: bool,
    pub filter: Vec<libc::sock_filter>,
    pub landlock: Option<Rules>,
    /// Whether root outside becomes [`NOBODY`] (replay), or keeps its own id without any capability.
    pub become_nobody: bool,
}

/// A started init, traced, that will fork the program as its first child.
#[derive(Debug)]
pub(crate) struct Started {
    pub init: i32,
    pub handle: task::PidFd,
    failure: OwnedFd,
}

/// What a step of the children is called when it fails.
const STEPS: [&str; 22] = [
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
enum Step {
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

type Outcome<T> = Result<T, (Step, i32)>;

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

/// Blocks every signal in the calling thread; its children begin that way.
pub(crate) fn block_signals() {
    // SAFETY: the set is live; nothing else is touched.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
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
    // SAFETY: like fork: the child gets a copy of this address space and its own stack within it; it
    // runs only `Prepared::init`, which keeps to raw system calls and never returns.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone, i64::from(namespaces | libc::SIGCHLD), 0usize, 0usize, 0usize, 0usize)
    };
    if pid == 0 {
        prepared.init();
    }
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
        write_maps(init, launch.become_nobody)?;
    }
    ptrace::seize(init)?;
    // SAFETY: the buffer is live and one byte long.
    check(unsafe { libc::write(go.as_raw_fd(), [1u8].as_ptr().cast(), 1) } as i64).map(drop)
}

/// Tells the kernel which id outside the program's id inside stands for.
fn write_maps(pid: i32, become_nobody: bool) -> io::Result<()> {
    let (uid, gid) = match task::effective_uid() {
        0 if become_nobody => (NOBODY, NOBODY),
        uid => (uid, task::effective_gid()),
    };
    std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    std::fs::write(format!("/proc/{pid}/uid_map"), format!("{INSIDE_ID} {uid} 1\n"))?;
    std::fs::write(format!("/proc/{pid}/gid_map"), format!("{INSIDE_ID} {gid} 1\n"))
}

struct Prepared<'a> {
    launch: &'a Launch,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    stdio: [OwnedFd; 3],
    go: OwnedFd,
    fail: OwnedFd,
    /// Detached mounts, one for each bind, filled in by the child.
    trees: Vec<i32>,
    /// The descriptors that init keeps, sorted.
    keep: Vec<i32>,
}

impl Prepared<'_> {
    fn list_descriptors(&mut self) {
        let sources = self.launch.entries.iter().filter_map(|entry| match entry {
            Entry::Copy { source, .. } => Some(source.as_raw_fd()),
            _ => None,
        });
        let own = self.stdio.iter().chain([&self.go, &self.fail]).map(AsRawFd::as_raw_fd);
        self.keep = own.chain(sources).collect();
        self.keep.sort_unstable();
    }

    fn init(mut self) -> ! {
        match self.prepare_and_fork() {
            Ok(()) => reap_for_ever(),
            Err((step, errno)) => give_up(self.fail.as_raw_fd(), step, errno),
        }
    }

    fn prepare_and_fork(&mut self) -> Outcome<()> {
        close_all_but(&self.keep);
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
            let name = c"witness";
            // SAFETY: the name is live and seven bytes long.
            done(Step::HostName, unsafe { libc::sethostname(name.as_ptr(), 7) }.into())?;
        }
        // SAFETY: as in `start`; the child runs only `program`, which never returns.
        let pid = unsafe {
            libc::syscall(libc::SYS_clone, i64::from(libc::SIGCHLD), 0usize, 0usize, 0usize, 0usize)
        };
        if pid == 0 {
            let (step, errno) = self.program();
            give_up(self.fail.as_raw_fd(), step, errno);
        }
        done(Step::Fork, pid)?;
        close_all_but(&[]);
        Ok(())
    }

    fn open_binds(&mut self) -> Outcome<()> {
        for (bind, tree) in self.launch.binds.iter().zip(&mut self.trees) {
            *tree = open_tree(libc::AT_FDCWD, &bind.source, 0).map_err(|errno| (Step::OpenBind, errno))?;
        }
        Ok(())
    }

    fn take_id(&self) -> Outcome<()> {
        let id = INSIDE_ID;
        // SAFETY: no pointers. The raw calls change this process alone.
        unsafe {
            done(Step::TakeId, libc::syscall(libc::SYS_setresgid, id, id, id))?;
            done(Step::TakeId, libc::syscall(libc::SYS_setresuid, id, id, id)).map(drop)
        }
    }

    /// A tmpfs, attached at `place`, filled with the entries; its descriptor.
    fn filled_tmpfs(&self, place: &CStr) -> Outcome<i32> {
        let root = new_file_system(c"tmpfs", &[(c"size", &self.launch.tmpfs_bytes), (c"mode", c"0755")])
            .map_err(|errno| (Step::MakeFs, errno))?;
        for entry in &self.launch.entries {
            make(root, entry)?;
        }
        move_mount(root, libc::AT_FDCWD, place).map_err(|errno| (Step::Attach, errno))?;
        Ok(root)
    }

    fn attach_binds(&self, root: i32) -> Outcome<()> {
        for (bind, tree) in self.launch.binds.iter().zip(&self.trees) {
            let mut flags = libc::MOUNT_ATTR_NOSUID;
            if !bind.device {
                flags |= libc::MOUNT_ATTR_NODEV;
            }
            if !bind.writable {
                flags |= libc::MOUNT_ATTR_RDONLY;
            }
            set_flags(*tree, flags, false).map_err(|errno| (Step::Bind, errno))?;
            move_mount(*tree, root, &bind.path).map_err(|errno| (Step::Bind, errno))?;
        }
        Ok(())
    }

    fn closed_root(&mut self) -> Outcome<()> {
        self.open_binds()?;
        self.take_id()?;
        let root = self.filled_tmpfs(c"/proc")?;
        let no_dev = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        for path in &self.launch.writable {
            let tree = open_tree(root, path, 0).map_err(|errno| (Step::CloseRoot, errno))?;
            set_flags(tree, no_dev, false).map_err(|errno| (Step::CloseRoot, errno))?;
            move_mount(tree, root, path).map_err(|errno| (Step::CloseRoot, errno))?;
        }
        self.attach_binds(root)?;
        set_flags(root, no_dev | libc::MOUNT_ATTR_RDONLY, false).map_err(|errno| (Step::CloseRoot, errno))?;
        change_root(root)
    }

    fn host_root(&mut self) -> Outcome<()> {
        self.open_binds()?;
        let root = open_tree(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE as u32)
            .map_err(|errno| (Step::Attach, errno))?;
        self.take_id()?;
        let scratch = self.filled_tmpfs(c"/proc")?;
        let overlay = new_file_system(
            c"overlay",
            &[(c"lowerdir", c"/tmp"), (c"upperdir", c"/proc/upper"), (c"workdir", c"/proc/work")],
        )
        .map_err(|errno| (Step::MakeFs, errno))?;
        self.attach_binds(scratch)?;
        let closed = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_RDONLY;
        set_flags(root, closed, true).map_err(|errno| (Step::CloseRoot, errno))?;
        move_mount(root, libc::AT_FDCWD, c"/dev").map_err(|errno| (Step::Attach, errno))?;
        for place in [c"dev", c"proc", c"sys"] {
            let tree = open_tree(scratch, place, libc::AT_RECURSIVE as u32)
                .map_err(|errno| (Step::Attach, errno))?;
            match move_mount(tree, root, place) {
                Ok(()) | Err(libc::ENOENT) => {}
                Err(errno) => return Err((Step::Attach, errno)),
            }
        }
        for place in &self.launch.hidden {
            let tree = open_tree(scratch, c"empty", 0).map_err(|errno| (Step::Attach, errno))?;
            match move_mount(tree, root, place) {
                Ok(()) | Err(libc::ENOENT | libc::ENOTDIR) => {}
                Err(errno) => return Err((Step::Attach, errno)),
            }
        }
        move_mount(overlay, root, c"tmp").map_err(|errno| (Step::Attach, errno))?;
        change_root(root)
    }

    /// Becomes the program; comes back only with what failed.
    fn program(&self) -> (Step, i32) {
        match self.try_program() {
            Ok(()) => (Step::Exec, 0),
            Err(failed) => failed,
        }
    }

    fn try_program(&self) -> Outcome<()> {
        let launch = self.launch;
        // SAFETY: raw calls on numbers and on prepared, live, NUL-terminated strings and arrays.
        unsafe {
            reset_signals();
            done(Step::Start, libc::setsid().into())?;
            for (to, from) in self.stdio.iter().enumerate() {
                done(Step::Start, libc::dup2(from.as_raw_fd(), to as i32).into())?;
            }
            close_all_but(&[0, 1, 2, self.fail.as_raw_fd()]);
            libc::umask(0o022);
            for (resource, value) in &launch.limits {
                set_own_limit(*resource, *value)?;
            }
            let persona = if launch.fixed_layout { libc::ADDR_NO_RANDOMIZE as u64 } else { 0 };
            done(Step::Layout, libc::syscall(libc::SYS_personality, persona))?;
            done(Step::TrapTsc, libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0).into())?;
            done(Step::Chdir, libc::chdir(launch.working_directory.as_ptr()).into())?;
            drop_privileges(launch)?;
            let filter = libc::sock_fprog {
                len: launch.filter.len() as u16,
                filter: launch.filter.as_ptr().cast_mut(),
            };
            let mode = libc::SECCOMP_MODE_FILTER;
            done(Step::Filter, libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter, 0, 0).into())?;
            let (program, arguments) = (launch.program.as_ptr(), self.arguments.as_ptr());
            done(Step::Exec, libc::execve(program, arguments, self.environment.as_ptr()).into()).map(drop)
        }
    }
}

/// Gives up every capability and every way to gain one.
///
/// # Safety
/// Only between fork and exec.
unsafe fn drop_privileges(launch: &Launch) -> Outcome<()> {
    const CAPABILITY_V3: u32 = 0x2008_0522;
    const CAPABILITY_NUMBERS: i32 = 64;
    // SAFETY: raw calls on numbers and live values.
    unsafe {
        if launch.tree == Tree::Bare && libc::geteuid() == 0 {
            done(Step::Drop, libc::syscall(libc::SYS_setgroups, 0usize, 0usize))?;
            done(Step::Drop, libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY))?;
            done(Step::Drop, libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY))?;
        }
        // Dropping bounding capabilities needs one; without it there is none to drop.
        for number in 0..CAPABILITY_NUMBERS {
            libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let header = [CAPABILITY_V3, 0];
        let none = [0u32; 6];
        done(Step::Drop, libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()))?;
        done(Step::Drop, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
    }
    match &launch.landlock {
        Some(rules) => super::landlock::apply(rules).map_err(|errno| (Step::Landlock, errno)),
        None => Ok(()),
    }
}

fn errno() -> i32 {
    // SAFETY: the pointer to this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}

fn done(step: Step, result: i64) -> Outcome<i64> {
    if result < 0 { Err((step, errno())) } else { Ok(result) }
}

fn give_up(fail: i32, step: Step, errno: i32) -> ! {
    let mut bytes = [0u8; 8];
    bytes[..4].copy_from_slice(&(step as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&errno.to_le_bytes());
    // SAFETY: eight live bytes are written; `_exit` runs nothing of the parent's.
    unsafe {
        libc::write(fail, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(127)
    }
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

/// Closes every descriptor but the sorted ones.
fn close_all_but(keep: &[i32]) {
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

fn set_own_limit(resource: u32, value: u64) -> Outcome<()> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures are live.
    unsafe {
        done(Step::Limits, libc::getrlimit(resource, &raw mut old).into())?;
        let value = value.min(old.rlim_max);
        let new = libc::rlimit { rlim_cur: value, rlim_max: value };
        done(Step::Limits, libc::setrlimit(resource, &raw const new).into()).map(drop)
    }
}

/// Gives every signal its default action again and lets all through.
///
/// # Safety
/// Only between fork and exec.
unsafe fn reset_signals() {
    const LAST_SIGNAL: i64 = 64;
    const SET_BYTES: usize = 8;
    // The kernel's own structure: handler, flags, restorer, mask.
    let default = [0u64; 4];
    let none = 0u64;
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the structure is live; no old one is asked for. Failing (KILL, STOP) is fine.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, SET_BYTES) };
    }
    // SAFETY: the mask is live; no old one is asked for.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, SET_BYTES) };
}

fn raw(result: i64) -> Result<i32, i32> {
    if result < 0 { Err(errno()) } else { Ok(result as i32) }
}

fn open_tree(at: i32, path: &CStr, flags: u32) -> Result<i32, i32> {
    let flags = flags | libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string.
    raw(unsafe { libc::syscall(libc::SYS_open_tree, at, path.as_ptr(), flags) })
}

fn move_mount(from: i32, at: i32, path: &CStr) -> Result<(), i32> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both paths are C strings.
    raw(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), at, path.as_ptr(), flags) })
        .map(drop)
}

fn set_flags(mount: i32, set: u64, recursive: bool) -> Result<(), i32> {
    let attr = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = size_of::<libc::mount_attr>();
    // SAFETY: the path is a C string, the structure is live and as long as said.
    raw(unsafe { libc::syscall(libc::SYS_mount_setattr, mount, c"".as_ptr(), flags, &raw const attr, size) })
        .map(drop)
}

fn new_file_system(kind: &CStr, options: &[(&CStr, &CStr)]) -> Result<i32, i32> {
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

fn change_root(root: i32) -> Outcome<()> {
    let here = c".";
    // SAFETY: the paths are C strings.
    unsafe {
        done(Step::Pivot, libc::fchdir(root).into())?;
        done(Step::Pivot, libc::syscall(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()))?;
        done(Step::Pivot, libc::umount2(here.as_ptr(), libc::MNT_DETACH).into())?;
        done(Step::Pivot, libc::chdir(c"/".as_ptr()).into()).map(drop)
    }
}

fn make(root: i32, entry: &Entry) -> Outcome<()> {
    // SAFETY: raw calls on live C strings and buffers.
    unsafe {
        match entry {
            Entry::Directory { path, mode } => {
                if libc::mkdirat(root, path.as_ptr(), 0o755) < 0 && errno() != libc::EEXIST {
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
        let fd = libc::openat(root, path.as_ptr(), flags, 0o600);
        done(step, fd.into())?;
        done(step, libc::fchmod(fd, mode).into())?;
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
