//! The two processes that a run starts with: an init of its own process-id namespace, which builds the
//! root and then only reaps, and the program.
//!
//! Both begin as raw clones of a process that may have many threads, so everything that they need is
//! prepared beforehand and the code here allocates nothing, takes no lock and calls the kernel only.

mod descriptors;
mod entries;
mod init;
mod mounts;
mod network;
mod program;
mod root;
mod spawn;
mod step;

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use super::landlock::Rules;
pub(crate) use spawn::{Started, block_signals, start};

/// The user and group that the program has inside.
pub(crate) const INSIDE_ID: u32 = 1000;
/// The user and group that a program run by root has outside.
pub(crate) const NOBODY: u32 = 65_534;

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

impl Entry {
    pub(crate) fn path(&self) -> &CStr {
        match self {
            Self::Directory { path, .. }
            | Self::Bytes { path, .. }
            | Self::Copy { path, .. }
            | Self::Link { path, .. }
            | Self::Time { path, .. } => path,
        }
    }
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
    /// The user and group that root becomes outside (replay); none keeps its own id without any capability.
    pub outside_user: Option<u32>,
    /// The name of the host inside, which no modelled call shows.
    pub host_name: CString,
}
