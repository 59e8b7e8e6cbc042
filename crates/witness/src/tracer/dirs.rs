//! Directory listings, sorted by name.

use super::Machine;
use super::task::{Call, Flow, Listing};
use super::time::give;
use crate::error::WitnessError;
use crate::sys::task;

type Handled = Result<Flow, WitnessError>;

const HEADER: usize = 19;
const CHUNK: usize = 64 * 1024;
/// Most bytes of entries in one directory.
const MAX_LISTING: usize = 64 << 20;

pub(super) fn list(machine: &mut Machine<'_>, call: Call) -> Handled {
    let fd = call.args[0] as i32;
    let Ok(copy) = machine.copy(call.tgid, fd) else {
        return Ok(Flow::Done(-i64::from(libc::EBADF)));
    };
    if !task::stat(&copy).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR) {
        return Ok(Flow::Done(-i64::from(libc::ENOTDIR)));
    }
    let Ok(offset) = task::seek(&copy, 0, libc::SEEK_CUR) else {
        return Ok(Flow::Done(-i64::from(libc::ENOTDIR)));
    };
    if offset == 0 || !machine.process(call.tgid).listings.contains_key(&fd) {
        if offset != 0 {
            return Ok(Machine::unsupported("directory_offset", "a directory read from its middle"));
        }
        match read_all(machine, &copy) {
            Ok(listing) => machine.process(call.tgid).listings.insert(fd, listing),
            Err(errno) => return Ok(Flow::Done(-i64::from(errno))),
        };
    }
    let Some(listing) = machine.process(call.tgid).listings.get_mut(&fd) else {
        return Ok(Flow::Done(-i64::from(libc::EBADF)));
    };
    if offset != 0 && offset != listing.end {
        return Ok(Machine::unsupported("directory_offset", "seekdir to the middle of a directory"));
    }
    let room = call.args[2] as usize;
    let mut out = Vec::new();
    while let Some(entry) = listing.entries.get(listing.next) {
        if out.len() + entry.len() > room {
            break;
        }
        out.extend_from_slice(entry);
        listing.next += 1;
    }
    if out.is_empty() && listing.next < listing.entries.len() {
        return Ok(Flow::Done(-i64::from(libc::EINVAL)));
    }
    Ok(give(call.tid, call.args[1], &out, out.len() as i64))
}

fn read_all(machine: &mut Machine<'_>, fd: &std::os::fd::OwnedFd) -> Result<Listing, i32> {
    let os = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let device = task::stat(fd).map_err(os)?.st_dev;
    let mut raw = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let got = task::directory_entries(fd, &mut chunk).map_err(os)?;
        if got == 0 {
            break;
        }
        raw.extend_from_slice(&chunk[..got]);
        if raw.len() > MAX_LISTING {
            return Err(libc::ENOMEM);
        }
    }
    let mut found: Vec<(Vec<u8>, u64, u8)> = Vec::new();
    let mut at = 0;
    while at + HEADER <= raw.len() {
        let length = usize::from(u16::from_le_bytes([raw[at + 16], raw[at + 17]]));
        if length < HEADER || at + length > raw.len() {
            break;
        }
        let inode = u64::from_le_bytes(std::array::from_fn(|i| raw[at + i]));
        let name = &raw[at + HEADER..at + length];
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        found.push((name.to_vec(), inode, raw[at + 18]));
        at += length;
    }
    found.sort();
    let entries =
        found.iter().enumerate().map(|(i, entry)| encode(machine, device, entry, i as u64 + 1)).collect();
    // The kernel's own offset at the end marks this listing until somebody rewinds.
    let end = task::seek(fd, 0, libc::SEEK_CUR).map_err(os)?;
    Ok(Listing { entries, next: 0, end })
}

fn encode(machine: &mut Machine<'_>, device: u64, entry: &(Vec<u8>, u64, u8), offset: u64) -> Vec<u8> {
    let (name, inode, kind) = entry;
    let next = machine.inodes.len() as u64 + 1;
    let inode = *machine.inodes.entry((device, *inode)).or_insert(next);
    let length = (HEADER + name.len() + 1).next_multiple_of(8);
    let mut bytes = vec![0; length];
    bytes[..8].copy_from_slice(&inode.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..18].copy_from_slice(&(length as u16).to_le_bytes());
    bytes[18] = *kind;
    bytes[HEADER..HEADER + name.len()].copy_from_slice(name);
    bytes
}
