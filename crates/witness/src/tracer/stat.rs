//! File metadata with everything taken out that differs between hosts.

use super::Machine;
use super::task::{Call, Exit, Flow};
use crate::error::WitnessError;
use crate::sys::child::INSIDE_ID;
use crate::sys::memory;

type Handled = Result<Flow, WitnessError>;

/// Device numbers inside: of files, and of `/dev/urandom`.
const DEVICE: u64 = 1;
const RANDOM_DEVICE: (u64, u64) = (1, 9);
const BLOCK: u64 = 4096;
const SECTOR: u64 = 512;
const DIRECTORY_SIZE: u64 = 4096;

pub(super) fn stat(machine: &mut Machine<'_>, call: Call) -> Handled {
    let follows = call.nr == libc::SYS_stat;
    let answer = machine.stat_of_path(call, call.args[0], call.args[1], follows);
    Ok(answer.unwrap_or(Flow::PassThen(Exit::Stat { address: call.args[1] })))
}

pub(super) fn fstat(machine: &mut Machine<'_>, call: Call) -> Handled {
    Ok(machine.stat_of_descriptor(call, call.args[1]))
}

pub(super) fn stat_at(machine: &mut Machine<'_>, call: Call) -> Handled {
    let [_, path, into, flags, ..] = call.args;
    let mut first = [0];
    if flags == libc::AT_EMPTY_PATH as u64
        && call.args[0] as i32 >= 0
        && memory::read(call.tid, path, &mut first).is_ok()
        && first == [0]
    {
        return Ok(machine.stat_of_descriptor(call, into));
    }
    let answer = match flags as i32 {
        0 => machine.stat_of_path(call, path, into, true),
        libc::AT_SYMLINK_NOFOLLOW => machine.stat_of_path(call, path, into, false),
        _ => None,
    };
    Ok(answer.unwrap_or(Flow::PassThen(Exit::Stat { address: into })))
}

pub(super) fn statx(_: &mut Machine<'_>, call: Call) -> Handled {
    Ok(Flow::PassThen(Exit::Statx { address: call.args[4] }))
}

/// Every file system looks like one of 4 GiB, half of it free.
pub(super) fn statfs(_: &mut Machine<'_>, call: Call) -> Handled {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const BLOCKS: u64 = 1 << 20;
    const NAME_MAX: u64 = 255;
    let words =
        [TMPFS_MAGIC, BLOCK, BLOCKS, BLOCKS / 2, BLOCKS / 2, BLOCKS, BLOCKS / 2, 0, NAME_MAX, BLOCK, 0];
    let mut bytes = [0u8; 120];
    for (at, word) in words.iter().enumerate() {
        bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
    }
    Ok(super::time::give(call.tid, call.args[1], &bytes, 0))
}

struct Seen {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    modified: i64,
}

struct Shown {
    inode: u64,
    mode: u32,
    size: u64,
    blocks: u64,
    rdev: Option<(u64, u64)>,
    modified: i64,
}

impl Machine<'_> {
    fn normalised(&mut self, seen: &Seen) -> Shown {
        let key = (seen.device, seen.inode);
        let next = self.inodes.len() as u64 + 1;
        let inode = *self.inodes.entry(key).or_insert(next);
        let kind = seen.mode & libc::S_IFMT;
        let mut shown = Shown {
            inode,
            mode: seen.mode,
            size: seen.size,
            blocks: seen.size.div_ceil(SECTOR),
            rdev: None,
            modified: self.shown_time(seen, kind),
        };
        if self.random_files.contains(&key) {
            shown.mode = libc::S_IFCHR | 0o666;
            shown.rdev = Some(RANDOM_DEVICE);
            shown.size = 0;
        } else if kind == libc::S_IFDIR {
            shown.size = DIRECTORY_SIZE;
            shown.blocks = DIRECTORY_SIZE / SECTOR;
        } else if kind == libc::S_IFREG
            && self.root_device.is_some_and(|root| root != seen.device)
            && !self.is_own_file(key)
        {
            // Shown in place from the host: its mode there is not the capsule's.
            shown.mode = kind | if seen.mode & 0o111 != 0 { 0o555 } else { 0o444 };
        }
        shown
    }

    /// A time that was given on purpose is shown; one that is only the run's own real time is not.
    fn shown_time(&self, seen: &Seen, kind: u32) -> i64 {
        /// The kernel stamps files by a clock that may be a tick behind.
        const MARGIN: i64 = 2;
        let given = seen.modified < self.real_start - MARGIN;
        let own = self.setup.recording || self.root_device == Some(seen.device);
        if kind == libc::S_IFREG && given && own { seen.modified } else { self.start_seconds() as i64 }
    }

    /// What every file's times are that were not given on purpose: the run's own clock at its start.
    fn start_seconds(&self) -> u64 {
        self.real_base() / 1_000_000_000
    }

    fn is_own_file(&self, key: (u64, u64)) -> bool {
        self.output_files.contains(&key) || self.memory_device == Some(key.0)
    }

    /// Answers for an absolute path in the capsule's own file system, which nobody may write to and in
    /// which everybody may search every directory; none where another one or a link is on the way.
    fn stat_of_path(&mut self, call: Call, path: u64, into: u64, follows: bool) -> Option<Flow> {
        let root = self.root.as_ref()?;
        let path = memory::read_c_string(call.tid, path).ok().filter(|path| path.first() == Some(&b'/'))?;
        let found = crate::sys::task::stat_inside(root, &path);
        let Ok(bytes) = found else {
            let absent = |error: &std::io::Error| {
                error.raw_os_error().filter(|errno| matches!(*errno, libc::ENOENT | libc::ENOTDIR))
            };
            return found.err().as_ref().and_then(absent).map(|errno| Flow::Done(-i64::from(errno)));
        };
        let mode = u32::from_le_bytes(std::array::from_fn(|i| bytes[24 + i]));
        if follows && mode & libc::S_IFMT == libc::S_IFLNK {
            return None;
        }
        Some(self.give_stat(call, into, bytes))
    }

    /// Answers for a descriptor by a duplicate of it; what cannot be duplicated the kernel answers for.
    fn stat_of_descriptor(&mut self, call: Call, into: u64) -> Flow {
        let copy = self.copy(call.tgid, call.args[0] as i32);
        match copy.and_then(|copy| crate::sys::task::stat_bytes(&copy)) {
            Ok(bytes) => self.give_stat(call, into, bytes),
            Err(_) => Flow::PassThen(Exit::Stat { address: into }),
        }
    }

    fn give_stat(&mut self, call: Call, into: u64, mut bytes: [u8; 144]) -> Flow {
        let said = self.normalise_stat_bytes(&mut bytes);
        match memory::write(call.tid, into, &bytes) {
            Ok(()) => Flow::DoneSaying(0, said),
            Err(_) => Flow::Done(-i64::from(libc::EFAULT)),
        }
    }

    /// Rewrites a `struct stat` in place; what the trace says about it.
    pub(crate) fn normalise_stat(&mut self, tid: i32, address: u64) -> String {
        let mut bytes = [0u8; 144];
        if memory::read(tid, address, &mut bytes).is_err() {
            return String::new();
        }
        let said = self.normalise_stat_bytes(&mut bytes);
        let _ = memory::write(tid, address, &bytes);
        said
    }

    fn normalise_stat_bytes(&mut self, bytes: &mut [u8; 144]) -> String {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let mode = u32::from_le_bytes(std::array::from_fn(|i| bytes[24 + i]));
        let seen = Seen { device: word(0), inode: word(8), mode, size: word(48), modified: word(88) as i64 };
        let shown = self.normalised(&seen);
        let rdev = shown.rdev.map_or(word(40), |(major, minor)| major << 8 | minor);
        let ids = u64::from(INSIDE_ID) | u64::from(INSIDE_ID) << 32;
        let seconds = self.start_seconds();
        let is_directory = shown.mode & libc::S_IFMT == libc::S_IFDIR;
        let links = if is_directory { 2 } else { word(16) };
        let fields = [
            (0, DEVICE),
            (8, shown.inode),
            (16, links),
            (40, rdev),
            (48, shown.size),
            (56, BLOCK),
            (64, shown.blocks),
            (72, seconds),
            (80, 0),
            (88, shown.modified as u64),
            (96, 0),
            (104, seconds),
            (112, 0),
        ];
        for (at, value) in fields {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[24..28].copy_from_slice(&shown.mode.to_le_bytes());
        bytes[28..36].copy_from_slice(&ids.to_le_bytes());
        format!(" mode {:o} size {} inode {}", shown.mode, shown.size, shown.inode)
    }

    /// Rewrites a `struct statx` in place; what the trace says about it.
    pub(crate) fn normalise_statx(&mut self, tid: i32, address: u64) -> String {
        const BASIC_STATS: u32 = 0x7ff;
        let mut bytes = [0u8; 256];
        if memory::read(tid, address, &mut bytes).is_err() {
            return String::new();
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let mode = u32::from(u16::from_le_bytes([bytes[28], bytes[29]]));
        // The device in the kernel's encoding for `struct stat`, so that both agree on one file.
        let device = libc::makedev(half(136), half(140));
        let seen = Seen { device, inode: word(32), mode, size: word(40), modified: word(112) as i64 };
        let shown = self.normalised(&seen);
        let links = if shown.mode & libc::S_IFMT == libc::S_IFDIR { 2 } else { half(16) };
        let rdev = shown.rdev.unwrap_or((half(128).into(), half(132).into()));
        let mut out = [0u8; 256];
        let seconds = self.start_seconds().to_le_bytes();
        let mut put = |at: usize, value: &[u8]| out[at..at + value.len()].copy_from_slice(value);
        put(0, &BASIC_STATS.to_le_bytes());
        put(4, &(BLOCK as u32).to_le_bytes());
        put(16, &links.to_le_bytes());
        put(20, &INSIDE_ID.to_le_bytes());
        put(24, &INSIDE_ID.to_le_bytes());
        put(28, &(shown.mode as u16).to_le_bytes());
        put(32, &shown.inode.to_le_bytes());
        put(40, &shown.size.to_le_bytes());
        put(48, &shown.blocks.to_le_bytes());
        put(64, &seconds);
        put(96, &seconds);
        put(112, &shown.modified.to_le_bytes());
        put(128, &(rdev.0 as u32).to_le_bytes());
        put(132, &(rdev.1 as u32).to_le_bytes());
        put(140, &(DEVICE as u32).to_le_bytes());
        let _ = memory::write(tid, address, &out);
        format!(" mode {:o} size {} inode {}", shown.mode, shown.size, shown.inode)
    }
}
