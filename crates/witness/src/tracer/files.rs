//! Opening, reading and writing files and streams.

use super::Machine;
use super::signals;
use super::special::{self, Special};
use super::task::{Call, Exit, Flow, Kind, LongWrite, Wait};
use super::time::give;
use crate::error::WitnessError;
use crate::sys::copies::Copy;
use crate::sys::{memory, ptrace, task};

type Handled = Result<Flow, WitnessError>;

/// Writes of at most this many bytes to a pipe are never split.
const PIPE_CHUNK: u64 = 4096;
/// `fcntl`'s command that chooses a signal for readiness.
const F_SETSIG: i32 = 10;
/// Most bytes of a file that the tracer reads in the program's place.
const MAX_COPIED: u64 = 128 << 10;
/// Most random bytes that one read gives.
const MAX_RANDOM: u64 = 1 << 20;

fn error(errno: i32) -> Flow {
    Flow::Done(-i64::from(errno))
}

pub(super) fn read(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    let then = Exit::Fill { address: call.args[1] };
    Ok(match machine.kind(call.tgid, fd) {
        Kind::Random => {
            let count = call.args[2].min(MAX_RANDOM) as usize;
            let bytes = machine.random.bytes(count);
            give(call.tid, call.args[1], &bytes, count as i64)
        }
        Kind::Stream | Kind::Signals | Kind::Terminal if machine.would_block(call.tgid, fd, libc::POLLIN) => {
            Flow::Block(Wait::Descriptor { fd, events: libc::POLLIN, deadline: None, then })
        }
        Kind::Plain if call.args[2] <= MAX_COPIED && !machine.has_own_maps => machine.read_for(call),
        _ => Flow::PassThen(then),
    })
}

pub(super) fn read_vector(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    Ok(match machine.kind(call.tgid, fd) {
        Kind::Random => Machine::unsupported("random_readv", "readv on a random device"),
        Kind::Stream | Kind::Signals | Kind::Terminal if machine.would_block(call.tgid, fd, libc::POLLIN) => {
            Flow::Block(Wait::Descriptor { fd, events: libc::POLLIN, deadline: None, then: Exit::Note })
        }
        _ => Flow::PassThen(Exit::Note),
    })
}

pub(super) fn write(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    match machine.kind(call.tgid, fd) {
        Kind::Output => return Ok(Flow::PassThen(Exit::Output)),
        Kind::Plain | Kind::Random | Kind::Signals => return Ok(Flow::PassThen(Exit::Note)),
        Kind::Terminal => return Ok(Flow::PassThen(Exit::Typed)),
        Kind::Stream => {}
    }
    if !machine.is_blocking(call.tgid, fd) {
        return Ok(Flow::PassThen(Exit::Note));
    }
    if machine.would_block(call.tgid, fd, libc::POLLOUT) {
        let wait = Wait::Descriptor { fd, events: libc::POLLOUT, deadline: None, then: Exit::Write };
        clip(machine, call)?;
        return Ok(Flow::Block(wait));
    }
    clip(machine, call)?;
    Ok(Flow::PassThen(Exit::Write))
}

/// Lets only one chunk through, so that the kernel never has to wait for a reader.
fn clip(machine: &mut Machine<'_>, call: Call) -> Result<(), WitnessError> {
    let task = &mut machine.tasks[call.task];
    let original = task.registers;
    let long = task.long_write.get_or_insert(LongWrite { original, done: 0 });
    let left = long.original.rdx - long.done;
    if left > PIPE_CHUNK || long.done > 0 {
        task.registers.rsi = long.original.rsi + long.done;
        task.registers.rdx = left.min(PIPE_CHUNK);
        let registers = task.registers;
        ptrace::set_registers(call.tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
    }
    Ok(())
}

/// Writes that are not split: to streams they may be stuck, which the watchdog notices.
pub(super) fn write_whole(machine: &mut Machine<'_>, call: Call) -> Handled {
    let takes_from_stream = matches!(call.nr, libc::SYS_splice | libc::SYS_tee);
    if takes_from_stream && machine.kind(call.tgid, call.args[0] as i32) == Kind::Stream {
        let fd = call.args[0] as i32;
        if machine.would_block(call.tgid, fd, libc::POLLIN) {
            let wait = Wait::Descriptor { fd, events: libc::POLLIN, deadline: None, then: Exit::Note };
            return Ok(Flow::Block(wait));
        }
    }
    let fd = match call.nr {
        libc::SYS_tee => call.args[1],
        libc::SYS_copy_file_range | libc::SYS_splice => call.args[2],
        _ => call.args[0],
    } as i32;
    if machine.kind(call.tgid, fd) == Kind::Stream && machine.would_block(call.tgid, fd, libc::POLLOUT) {
        let wait = Wait::Descriptor { fd, events: libc::POLLOUT, deadline: None, then: Exit::Note };
        return Ok(Flow::Block(wait));
    }
    let typed = machine.kind(call.tgid, fd) == Kind::Terminal;
    Ok(Flow::PassThen(if typed { Exit::Typed } else { Exit::Output }))
}

pub(super) fn open(machine: &mut Machine<'_>, call: Call) -> Handled {
    let flags = if call.nr == libc::SYS_creat { libc::O_CREAT } else { call.args[1] as i32 };
    open_path(machine, call, call.args[0], flags)
}

pub(super) fn openat(machine: &mut Machine<'_>, call: Call) -> Handled {
    open_path(machine, call, call.args[1], call.args[2] as i32)
}

fn open_path(machine: &mut Machine<'_>, call: Call, address: u64, flags: i32) -> Handled {
    let Ok(path) = memory::read_c_string(call.tid, address) else {
        return Ok(Flow::PassThen(Exit::Note));
    };
    let (content, random) = match special::find(machine, call, &path) {
        None => return Ok(machine.open_or_wait(call, &path, flags)),
        Some(Special::Descriptor(fd)) => return duplicate(machine, call, fd, flags),
        Some(Special::Text(text)) => (text, false),
        Some(Special::Random) => (Vec::new(), true),
    };
    // The call becomes memfd_create with the path as its name: no memory of the program is touched.
    let cloexec = if flags & libc::O_CLOEXEC != 0 { libc::MFD_CLOEXEC } else { 0 };
    let task = &mut machine.tasks[call.task];
    let mut registers = task.registers;
    registers.orig_rax = libc::SYS_memfd_create as u64;
    registers.rax = registers.orig_rax;
    registers.rdi = address;
    registers.rsi = u64::from(cloexec);
    ptrace::set_registers(call.tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
    Ok(Flow::PassThen(if random { Exit::RandomDevice } else { Exit::Special(content) }))
}

/// Opening one's own descriptor by its name gives another one of the same open file.
fn duplicate(machine: &mut Machine<'_>, call: Call, fd: i32, flags: i32) -> Handled {
    let command = if flags & libc::O_CLOEXEC != 0 { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    let original = machine.tasks[call.task].registers;
    let mut registers = original;
    registers.orig_rax = libc::SYS_fcntl as u64;
    registers.rax = registers.orig_rax;
    (registers.rdi, registers.rsi, registers.rdx) = (fd as u64, command as u64, 0);
    ptrace::set_registers(call.tid, &registers).map_err(WitnessError::sandbox("writing registers"))?;
    Ok(Flow::PassThen(Exit::Duplicated { original: Box::new(original) }))
}

pub(super) fn close(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as u32;
    // In one stop, the kernel closes it only when the thread goes on: another thread could use the number
    // before that, or wait for the end of a pipe.
    let alone = machine.threads_of(call.tgid) == 1;
    if alone
        && machine.kind(call.tgid, fd as i32) != Kind::Stream
        && machine.copy(call.tgid, fd as i32).is_ok()
    {
        machine.forget(call.tgid, fd, fd);
        return Ok(Flow::PassAs(0));
    }
    Ok(Flow::PassThen(Exit::Forget { first: fd, last: fd }))
}

/// Done on a duplicate, which has the same offset.
pub(super) fn seek(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (fd, offset, whence) = (call.args[0] as i32, call.args[1] as i64, call.args[2] as i32);
    if machine.kind(call.tgid, fd) != Kind::Plain {
        return Ok(Flow::PassThen(Exit::Note));
    }
    let Ok(copy) = machine.copy(call.tgid, fd) else { return Ok(Flow::PassThen(Exit::Note)) };
    Ok(Flow::Done(task::seek(&copy, offset, whence).unwrap_or_else(|failed| error_of(&failed))))
}

pub(super) fn close_range(_: &mut Machine<'_>, call: Call) -> Handled {
    const UNSHARE: u64 = 2;
    if call.args[2] & UNSHARE != 0 {
        return Ok(error(libc::EINVAL));
    }
    Ok(Flow::PassThen(Exit::Forget { first: call.args[0] as u32, last: call.args[1] as u32 }))
}

pub(super) fn dup_to(_: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[1] as u32;
    Ok(Flow::PassThen(Exit::Forget { first: fd, last: fd }))
}

pub(super) fn fcntl(machine: &mut Machine<'_>, call: Call) -> Handled {
    Ok(match call.args[1] as i32 {
        libc::F_SETLKW | libc::F_OFD_SETLKW => {
            let registers = &mut machine.tasks[call.task].registers;
            registers.rsi -= 1;
            let registers = *registers;
            ptrace::set_registers(call.tid, &registers)
                .map_err(WitnessError::sandbox("writing registers"))?;
            Flow::PassThen(Exit::Lock)
        }
        libc::F_GETPIPE_SZ
        | libc::F_SETPIPE_SZ
        | libc::F_DUPFD
        | libc::F_DUPFD_CLOEXEC
        | libc::F_GETFD
        | libc::F_SETFD
        | libc::F_GETFL
        | libc::F_SETFL
        | libc::F_GETLK
        | libc::F_SETLK
        | libc::F_OFD_GETLK
        | libc::F_OFD_SETLK
        | libc::F_ADD_SEALS
        | libc::F_GET_SEALS => Flow::PassThen(Exit::Note),
        // Who gets the signal that `FIOASYNC` asks for; the kernel sends it as the data is written.
        libc::F_SETOWN | libc::F_GETOWN => Flow::PassThen(Exit::Note),
        F_SETSIG | libc::F_NOTIFY => {
            Machine::unsupported("signal_driven_io", &format!("fcntl command {}", call.args[1]))
        }
        _ => error(libc::EINVAL),
    })
}

/// Asks for a signal whenever a descriptor becomes ready (`ioctl_list(2)`).
const FIOASYNC: u64 = 0x5452;

pub(super) fn ioctl(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    let kind = machine.kind(call.tgid, fd);
    let is_interface = (0x8910..=0x8942).contains(&call.args[1]);
    Ok(match call.args[1] {
        FIOASYNC if kind == Kind::Stream => {
            machine.has_signal_descriptors = true;
            Flow::PassThen(Exit::Note)
        }
        libc::FIONREAD | libc::FIONBIO | libc::FIOCLEX | libc::FIONCLEX => Flow::PassThen(Exit::Note),
        _ if kind == Kind::Terminal => Flow::PassThen(Exit::Typed),
        // What interfaces there are: only the loopback.
        _ if is_interface && kind == Kind::Stream => Flow::PassThen(Exit::Note),
        // No other device, and no file with attributes of its own.
        _ => error(libc::ENOTTY),
    })
}

pub(super) fn access(machine: &mut Machine<'_>, call: Call) -> Handled {
    access_path(machine, call, call.args[0])
}

pub(super) fn access_at(machine: &mut Machine<'_>, call: Call) -> Handled {
    access_path(machine, call, call.args[1])
}

fn access_path(machine: &mut Machine<'_>, call: Call, address: u64) -> Handled {
    let special =
        memory::read_c_string(call.tid, address).ok().and_then(|path| special::find(machine, call, &path));
    Ok(if special.is_some() { Flow::Done(0) } else { Flow::PassThen(Exit::Note) })
}

pub(super) fn path_only(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Note))
}

pub(super) fn readlink(machine: &mut Machine<'_>, call: Call) -> Handled {
    read_link(machine, call, call.args[0], call.args[1], call.args[2])
}

pub(super) fn readlinkat(machine: &mut Machine<'_>, call: Call) -> Handled {
    read_link(machine, call, call.args[1], call.args[2], call.args[3])
}

fn read_link(machine: &mut Machine<'_>, call: Call, path: u64, into: u64, room: u64) -> Handled {
    let Ok(path) = memory::read_c_string(call.tid, path) else {
        return Ok(error(libc::EFAULT));
    };
    Ok(match special::link(machine, call, &path) {
        None => Flow::PassThen(Exit::Fill { address: into }),
        Some(None) => error(libc::ENOENT),
        Some(Some(target)) => {
            let bytes = &target.as_bytes()[..target.len().min(room as usize)];
            give(call.tid, into, bytes, bytes.len() as i64)
        }
    })
}

/// Named pipes and plain files only; devices need a privilege.
pub(super) fn mknod(machine: &mut Machine<'_>, call: Call) -> Handled {
    let mode = if call.nr == libc::SYS_mknod { call.args[1] } else { call.args[2] } as u32;
    Ok(match mode & libc::S_IFMT {
        libc::S_IFIFO => {
            machine.has_named_pipes = true;
            Flow::PassThen(Exit::Note)
        }
        0 | libc::S_IFREG | libc::S_IFSOCK => Flow::PassThen(Exit::Note),
        _ => error(libc::EPERM),
    })
}

pub(super) fn no_attributes(_: &mut Machine<'_>, _: Call) -> Handled {
    Ok(error(libc::EOPNOTSUPP))
}

pub(super) fn flock(machine: &mut Machine<'_>, call: Call) -> Handled {
    let (fd, operation) = (call.args[0] as i32, call.args[1] as i32);
    let waits = operation & libc::LOCK_NB == 0 && operation & libc::LOCK_UN == 0;
    if !waits {
        return Ok(Flow::PassThen(Exit::Note));
    }
    // The duplicate shares the open file, so what it locks the program's own descriptor holds too; the
    // kernel then gives the program its own answer at once.
    let copy = machine.copy(call.tgid, fd);
    let held = copy.is_ok_and(|copy| task::flock_is_held(&copy, operation));
    Ok(if held { Flow::Block(Wait::Lock { fd, operation }) } else { Flow::PassThen(Exit::Note) })
}

/// Whether a device is an end of a pseudo-terminal, or the name for one's own.
fn is_terminal(device: u64) -> bool {
    const OWN_TERMINAL_AND_MASTER: u32 = 5;
    const ENDS: std::ops::RangeInclusive<u32> = 128..=143;
    let major = libc::major(device);
    major == OWN_TERMINAL_AND_MASTER || ENDS.contains(&major)
}

fn is_signal_file(tgid: i32, fd: i32) -> bool {
    let target = std::fs::read_link(format!("/proc/{tgid}/fd/{fd}"));
    target.is_ok_and(|target| target.as_os_str() == "anon_inode:[signalfd]")
}

/// What the kernel would say, given its error.
fn error_of(error: &std::io::Error) -> i64 {
    -i64::from(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Machine<'_> {
    /// Reads a file for the program through a duplicate, which has the same offset: one stop, not two.
    /// The kernel does what depends on the program's own buffer: its alignment where nothing is cached, and
    /// how much of it is there.
    fn read_for(&mut self, call: Call) -> Flow {
        let by_kernel = Flow::PassThen(Exit::Fill { address: call.args[1] });
        let offset = (call.nr == libc::SYS_pread64).then_some(call.args[3] as i64);
        let mut bytes = vec![0; call.args[2] as usize];
        let Ok(copy) = self.copy(call.tgid, call.args[0] as i32) else { return by_kernel };
        if task::status_flags(&copy).is_ok_and(|flags| flags & libc::O_DIRECT != 0) {
            return by_kernel;
        }
        let got = match task::read(&copy, &mut bytes, offset) {
            Ok(got) => got,
            Err(failed) => return Flow::Done(error_of(&failed)),
        };
        bytes.truncate(got);
        if memory::write(call.tid, call.args[1], &bytes).is_err() {
            if offset.is_none() {
                // A file that cannot seek has no offset to put back.
                let _ = task::seek(&copy, -(got as i64), libc::SEEK_CUR);
            }
            return by_kernel;
        }
        Flow::DoneSaying(got as i64, format!(" {}", super::digest_text(&bytes)))
    }

    /// A copy of a program's descriptor, through any of its threads: the first one may have ended. What
    /// the host is short of is no answer to the program; it ends the run as a failure of the host.
    pub(crate) fn copy(&mut self, tgid: i32, fd: i32) -> std::io::Result<Copy> {
        let copied = Copy::of(&self.process(tgid).handle, fd).or_else(|failed| {
            let mut others = self.tasks.iter().filter(|task| task.tgid == tgid && !task.is_gone());
            let other = others.find(|task| task.tid != tgid);
            other.and_then(|task| Copy::of_thread(task.tid, fd).ok()).ok_or(failed)
        });
        let failed = copied.as_ref().err().and_then(std::io::Error::raw_os_error);
        if failed.is_some_and(|errno| matches!(errno, libc::EMFILE | libc::ENFILE | libc::ENOMEM)) {
            self.shortage = failed;
        }
        copied
    }

    /// How many threads of a process have not ended.
    fn threads_of(&self, tgid: i32) -> usize {
        self.tasks.iter().filter(|task| task.tgid == tgid && !task.is_gone()).count()
    }

    /// What a descriptor is, asked once.
    pub(crate) fn kind(&mut self, tgid: i32, fd: i32) -> Kind {
        if let Some(kind) = self.process(tgid).kinds.get(&fd) {
            return *kind;
        }
        let Ok(copy) = self.copy(tgid, fd) else { return Kind::Plain };
        let Ok(stat) = task::stat(&copy) else { return Kind::Plain };
        let id = (stat.st_dev, stat.st_ino);
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG if self.random_files.contains(&id) => Kind::Random,
            libc::S_IFREG if self.output_files.contains(&id) => Kind::Output,
            libc::S_IFCHR if is_terminal(stat.st_rdev) => Kind::Terminal,
            libc::S_IFREG | libc::S_IFDIR | libc::S_IFCHR | libc::S_IFBLK => Kind::Plain,
            0 if is_signal_file(tgid, fd) => Kind::Signals,
            _ => Kind::Stream,
        };
        self.process(tgid).kinds.insert(fd, kind);
        kind
    }

    pub(crate) fn is_blocking(&mut self, tgid: i32, fd: i32) -> bool {
        let Ok(copy) = self.copy(tgid, fd) else { return false };
        task::status_flags(&copy).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0)
    }

    /// Whether a call on the descriptor would wait in the kernel.
    pub(crate) fn would_block(&mut self, tgid: i32, fd: i32, events: i16) -> bool {
        let kind = self.kind(tgid, fd);
        let Ok(copy) = self.copy(tgid, fd) else { return false };
        if task::status_flags(&copy).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0) {
            return false;
        }
        if kind == Kind::Signals {
            return !signals::file_is_ready(tgid, fd);
        }
        let mut set = [libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&copy), events, revents: 0 }];
        task::poll_now(&mut set).is_ok_and(|ready| ready == 0)
    }

    /// The kernel carries what goes into a terminal to its other end on a thread of its own, unless
    /// somebody asks there first: so everybody asks. What is echoed comes back in a second round.
    pub(crate) fn carry_terminals(&mut self) {
        const ROUNDS: usize = 3;
        let ends: Vec<_> = self.living().into_iter().flat_map(|tgid| self.terminals(tgid)).collect();
        let wanted =
            |end| libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(end), events: libc::POLLIN, revents: 0 };
        for _ in 0..ROUNDS {
            let _ = task::poll_now(&mut ends.iter().map(wanted).collect::<Vec<_>>());
        }
    }

    fn terminals(&mut self, tgid: i32) -> Vec<Copy> {
        let entries = std::fs::read_dir(format!("/proc/{tgid}/fd")).into_iter().flatten().flatten();
        let fds = entries.filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            let target = target.to_str()?;
            let is_end = target.starts_with("/dev/pts/") || target.ends_with("/ptmx") || target == "/dev/tty";
            is_end.then(|| entry.file_name().to_str()?.parse().ok())?
        });
        let fds: Vec<i32> = fds.collect();
        fds.into_iter().filter_map(|fd| self.copy(tgid, fd).ok()).collect()
    }

    /// Whether any signal descriptor of a process could tell something.
    pub(crate) fn any_signal_file_ready(&mut self, tgid: i32) -> bool {
        let kinds = &self.process(tgid).kinds;
        let mut files = kinds.iter().filter(|(_, kind)| **kind == Kind::Signals).map(|(fd, _)| *fd);
        files.any(|fd| signals::file_is_ready(tgid, fd))
    }
}
