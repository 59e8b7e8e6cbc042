//! Landlock by its raw calls, so that it can be applied between fork and exec.
#![allow(unsafe_code, reason = "raw system calls between fork and exec")]

use std::ffi::CString;

const CREATE_RULESET: i64 = 444;
const ADD_RULE: i64 = 445;
const RESTRICT_SELF: i64 = 446;
const VERSION_FLAG: u64 = 1;
const RULE_PATH_BENEATH: u64 = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// Every file right of the first version of the interface.
const V1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// Rights that make sense on something that is no directory.
const FILE_RIGHTS: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
const NET_BOTH: u64 = 0b11;
const SCOPE_BOTH: u64 = 0b11;

/// What a place may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read and execute below this directory.
    Read,
    /// Read and execute this one file.
    ReadFile,
    /// Anything below this directory.
    Write,
    /// Read and write this one device.
    Device,
    /// Read, write and control the devices in this directory.
    Terminals,
}

/// Whether TCP may be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// In a network namespace of its own there is nothing but its loopback interface.
    Own,
    /// The host's: not one call.
    Hosts,
}

/// Rules to apply to the process about to be the program.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The kernel's interface version.
    pub abi: u32,
    /// The places, every other place being refused.
    pub places: Vec<(CString, Access)>,
    pub network: Network,
}

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// The version of the kernel's interface; 0 without one.
pub(crate) fn abi() -> u32 {
    // SAFETY: with the version flag the call takes no pointer.
    let version = unsafe { libc::syscall(CREATE_RULESET, 0usize, 0usize, VERSION_FLAG) };
    u32::try_from(version).unwrap_or(0)
}

fn handled(abi: u32) -> u64 {
    let mut rights = V1;
    if abi >= 2 {
        rights |= REFER;
    }
    if abi >= 3 {
        rights |= TRUNCATE;
    }
    if abi >= 5 {
        rights |= IOCTL_DEV;
    }
    rights
}

/// Applies the rules to the calling thread; async-signal-safe. Gives the errno of what failed.
pub(crate) fn apply(rules: &Rules) -> Result<(), i32> {
    let all = handled(rules.abi);
    let attr = RulesetAttr {
        handled_access_fs: all,
        handled_access_net: if rules.abi >= 4 && rules.network == Network::Hosts { NET_BOTH } else { 0 },
        scoped: if rules.abi >= 6 { SCOPE_BOTH } else { 0 },
    };
    // The structure grew with the interface; an older kernel wants only the part that it knows.
    let size = match rules.abi {
        0..=3 => 8usize,
        4..=5 => 16,
        _ => 24,
    };
    // SAFETY: `attr` lives through the call and is at least `size` bytes long.
    let ruleset = unsafe { libc::syscall(CREATE_RULESET, &raw const attr, size, 0u64) };
    if ruleset < 0 {
        return Err(errno());
    }
    for (path, access) in &rules.places {
        let rights = match access {
            Access::Read => EXECUTE | READ_FILE | READ_DIR,
            Access::ReadFile => EXECUTE | READ_FILE,
            Access::Write => all,
            Access::Terminals => (READ_FILE | WRITE_FILE | READ_DIR | IOCTL_DEV) & all,
            Access::Device => (READ_FILE | WRITE_FILE | IOCTL_DEV) & FILE_RIGHTS,
        };
        // SAFETY: `path` is a C string.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
        if fd < 0 {
            return Err(errno());
        }
        let rule = PathBeneath { allowed_access: rights & all, parent_fd: fd };
        // SAFETY: `rule` lives through the call.
        let done = unsafe { libc::syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &raw const rule, 0u64) };
        // SAFETY: `fd` is ours.
        unsafe { libc::close(fd) };
        if done < 0 {
            return Err(errno());
        }
    }
    // SAFETY: no pointers.
    if unsafe { libc::syscall(RESTRICT_SELF, ruleset, 0u64) } < 0 {
        return Err(errno());
    }
    // SAFETY: the ruleset's descriptor is ours.
    unsafe { libc::close(ruleset as i32) };
    Ok(())
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
