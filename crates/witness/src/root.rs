//! The plan of a closed root: the capsule's files and the few that the runner adds itself.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assay_evidence::Sha256;

use crate::capsule::{Capsule, FileKind};
use crate::error::WitnessError;
use crate::source::FileSource;
use crate::substitutes::Substitutes;
use crate::sys::child::{Bind, Entry};
use crate::tree::{TreeEntry, TreeKind};

/// Files up to this size are read beforehand and written into the root.
const SMALL_FILE_BYTES: u64 = 256 * 1024;
/// Files from this size on are shown in place where their mode allows it, instead of being copied.
const BIND_BYTES: u64 = 1024 * 1024;
/// Directories that a run may write, as the program names them.
pub(crate) const WRITABLE: [&str; 3] = ["tmp", "dev/shm", "var/tmp"];
/// Devices of the host that are safe and deterministic.
const DEVICES: [&str; 4] = ["null", "zero", "full", "tty"];

const MEMINFO: &str = "MemTotal:        4194304 kB\nMemFree:         2097152 kB\n\
    MemAvailable:    2097152 kB\nBuffers:               0 kB\nCached:                0 kB\n\
    SwapCached:            0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n";
const CPUINFO: &str = "processor\t: 0\nvendor_id\t: witness\nmodel name\t: witness\ncpu MHz\t\t: 1000.000\n\
    cpu cores\t: 1\n\n";
const STAT: &str = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime 1600000000\n\
    processes 1\nprocs_running 1\nprocs_blocked 0\n";

/// The reduced `/proc` and `/sys`: fixed texts that common runtimes look for.
const FIXED: [(&str, &str); 21] = [
    ("proc/cpuinfo", CPUINFO),
    ("proc/filesystems", "nodev\ttmpfs\n"),
    ("proc/loadavg", "0.00 0.00 0.00 1/1 2\n"),
    ("proc/meminfo", MEMINFO),
    ("proc/stat", STAT),
    ("proc/uptime", "1000.00 1000.00\n"),
    ("proc/version", "Linux version 6.1.0 (witness)\n"),
    ("proc/sys/fs/file-max", "100000\n"),
    ("proc/sys/fs/pipe-max-size", "1048576\n"),
    ("proc/sys/kernel/cap_last_cap", "40\n"),
    ("proc/sys/kernel/osrelease", "6.1.0\n"),
    ("proc/sys/kernel/ostype", "Linux\n"),
    ("proc/sys/kernel/pid_max", "32768\n"),
    ("proc/sys/kernel/random/boot_id", "5f1d3a2c-7b6e-4d0f-9a81-2c3b4d5e6f70\n"),
    ("proc/sys/kernel/threads-max", "32768\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("proc/sys/vm/max_map_count", "65530\n"),
    ("proc/sys/vm/overcommit_memory", "0\n"),
    ("sys/devices/system/cpu/online", "0\n"),
    ("sys/devices/system/cpu/possible", "0\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
];

/// Entries and binds, in an order in which they can be made.
#[derive(Debug, Default)]
pub(crate) struct RootPlan {
    pub entries: Vec<Entry>,
    pub binds: Vec<Bind>,
    made: BTreeSet<String>,
    /// Bytes that the root's own file system will hold.
    pub bytes: u64,
}

/// A C string of text without NUL; what holds one is no path of ours.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, WitnessError> {
    CString::new(text).map_err(|_| WitnessError::Request { what: "a path or argument holds NUL".to_owned() })
}

impl RootPlan {
    /// `/dev`, `/proc`, `/sys` and the writable directories.
    pub(crate) fn with_runner_files() -> Result<Self, WitnessError> {
        let mut plan = Self::default();
        for (path, text) in FIXED {
            plan.parents(path)?;
            plan.bytes_at(path, 0o444, text.as_bytes().to_vec())?;
        }
        for path in WRITABLE {
            plan.parents(path)?;
            plan.directory(path, 0o1777)?;
        }
        for device in DEVICES {
            let path = format!("dev/{device}");
            plan.bytes_at(&path, 0o666, Vec::new())?;
            plan.bind(&Path::new("/").join(&path), &path, true)?;
        }
        plan.directory("dev/pts", 0o755)?;
        plan.entries.push(Entry::Link { path: c_string("dev/ptmx")?, target: c_string("pts/ptmx")? });
        Ok(plan)
    }

    /// The entries, parents before what lies in them and files before their times; otherwise in an order
    /// that `shuffle` decides.
    pub(crate) fn in_order(&mut self, shuffle: Option<u64>) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        if let Some(seed) = shuffle {
            let key = |entry: &Entry| {
                let path = entry.path().to_bytes();
                let depth = path.iter().filter(|byte| **byte == b'/').count();
                let late = matches!(entry, Entry::Time { .. });
                (late, depth, Sha256::of(&[&seed.to_le_bytes(), path].concat()))
            };
            entries.sort_by_cached_key(key);
        }
        entries
    }

    /// The capsule's own files over the runner's, and the substitutes over those.
    pub(crate) fn add_capsule(
        &mut self,
        capsule: &Capsule,
        source: &dyn FileSource,
        substitutes: &Substitutes,
    ) -> Result<(), WitnessError> {
        for file in capsule.files.iter().filter(|file| !substitutes.replaces(&file.path)) {
            let inner = file.path.trim_start_matches('/');
            self.parents(inner)?;
            match &file.kind {
                FileKind::Directory => self.directory(inner, 0o755)?,
                FileKind::Symlink { target } => self.link(inner, target)?,
                FileKind::Regular { digest, size, executable, modified } => {
                    let mode = if *executable { 0o555 } else { 0o444 };
                    if let Some(path) = substitutes.file(&file.path) {
                        self.host_file(inner, mode, path, None)?;
                    } else {
                        let path = source
                            .path(digest)
                            .map_err(|source| WitnessError::Bytes { digest: *digest, source })?;
                        self.host_file(inner, mode, &path, Some((*digest, *size)))?;
                    }
                    if let Some(seconds) = modified {
                        self.entries.push(Entry::Time { path: c_string(inner)?, seconds: *seconds });
                    }
                }
            }
        }
        for (root, entries) in substitutes.trees() {
            self.tree(root.trim_start_matches('/'), entries)?;
        }
        if capsule.working_directory != "/" {
            let inner = format!("{}/.", capsule.working_directory.trim_start_matches('/'));
            self.parents(&inner)?;
        }
        Ok(())
    }

    fn tree(&mut self, root: &str, entries: &[TreeEntry]) -> Result<(), WitnessError> {
        self.parents(root)?;
        self.directory(root, 0o755)?;
        for entry in entries {
            let path = format!("{root}/{}", entry.path);
            match &entry.kind {
                TreeKind::Directory => self.directory(&path, 0o755)?,
                TreeKind::Symlink { target } => self.link(&path, target)?,
                TreeKind::Regular { file, executable } => {
                    self.host_file(&path, if *executable { 0o555 } else { 0o444 }, file, None)?;
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), WitnessError> {
        self.entries.push(Entry::Link { path: c_string(path)?, target: c_string(target)? });
        Ok(())
    }

    fn parents(&mut self, path: &str) -> Result<(), WitnessError> {
        for (at, _) in path.match_indices('/') {
            self.directory(&path[..at], 0o755)?;
        }
        Ok(())
    }

    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> Result<(), WitnessError> {
        if !path.is_empty() && self.made.insert(path.to_owned()) {
            self.entries.push(Entry::Directory { path: c_string(path)?, mode });
        }
        Ok(())
    }

    fn bytes_at(&mut self, path: &str, mode: u32, bytes: Vec<u8>) -> Result<(), WitnessError> {
        self.parents(path)?;
        self.bytes += bytes.len() as u64;
        self.entries.push(Entry::Bytes { path: c_string(path)?, mode, bytes });
        Ok(())
    }

    fn bind(&mut self, source: &Path, path: &str, device: bool) -> Result<(), WitnessError> {
        let source = c_string(source.as_os_str().as_encoded_bytes())?;
        self.binds.push(Bind { source, path: c_string(path)?, writable: device, device });
        Ok(())
    }

    /// Puts a file of the host at `path`: small ones by their bytes, large ones in place where their mode
    /// lets anybody use them so, and the others as a copy.
    fn host_file(
        &mut self,
        path: &str,
        mode: u32,
        host: &Path,
        expected: Option<(Sha256, u64)>,
    ) -> Result<(), WitnessError> {
        let unreadable = |source| WitnessError::File { path: host.display().to_string(), source };
        let mut file = File::open(host).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if !meta.is_file() {
            return Err(unreadable(std::io::ErrorKind::InvalidInput.into()));
        }
        if meta.len() <= SMALL_FILE_BYTES {
            let mut bytes = vec![0; meta.len() as usize];
            file.read_exact(&mut bytes).map_err(unreadable)?;
            if let Some((expected, _)) = expected {
                let found = Sha256::of(&bytes);
                if found != expected {
                    return Err(WitnessError::WrongBytes { expected, found });
                }
            }
            return self.bytes_at(path, mode, bytes);
        }
        if let Some((expected, size)) = expected
            && size != meta.len()
        {
            let found = crate::record::digest_of(&file).map_err(unreadable)?;
            return Err(WitnessError::WrongBytes { expected, found });
        }
        let wanted = mode & 0o005;
        let anybody_may = meta.permissions().mode() & 0o005 & wanted == wanted;
        if meta.len() >= BIND_BYTES && anybody_may && reachable_by_anybody(host) {
            self.bytes_at(path, mode, Vec::new())?;
            return self.bind(host, path, false);
        }
        self.bytes += meta.len();
        self.entries.push(Entry::Copy { path: c_string(path)?, mode, source: file.into() });
        Ok(())
    }
}

/// Whether every directory on the way may be searched by anybody.
fn reachable_by_anybody(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else { return false };
    real == path
        && path
            .ancestors()
            .skip(1)
            .all(|dir| std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
}
