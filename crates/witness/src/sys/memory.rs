//! Reading and writing the memory of a stopped process.
#![allow(unsafe_code, reason = "process_vm_readv and process_vm_writev take raw pointers")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Longest C string read from a process.
pub(crate) const MAX_C_STRING: usize = 4096;
const PAGE: u64 = 4096;

/// Fills `into` from `address`; all or nothing.
pub(crate) fn read(pid: i32, address: u64, into: &mut [u8]) -> io::Result<()> {
    let got = read_some(pid, address, into)?;
    if got == into.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
}

/// Reads up to the length of `into`, stopping at the first unreadable page.
pub(crate) fn read_some(pid: i32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    if into.is_empty() {
        return Ok(0);
    }
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: into.len() };
    // SAFETY: `local` is the caller's exclusive buffer; `remote` is only an address of the other process.
    let got = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    super::check(got as i64).map(|n| n as usize)
}

/// Writes all of `bytes` to writable memory at `address`.
pub(crate) fn write(pid: i32, address: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
    // SAFETY: the kernel only reads from `local`; `remote` is only an address of the other process.
    let put = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if super::check(put as i64)? as usize == bytes.len() {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EFAULT))
    }
}

/// Reads a C string of at most [`MAX_C_STRING`] bytes, page by page.
pub(crate) fn read_c_string(pid: i32, address: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(128);
    let mut at = address;
    while text.len() < MAX_C_STRING {
        let mut chunk = [0u8; 256];
        let to_page_end = (PAGE - at % PAGE) as usize;
        let want = to_page_end.min(chunk.len());
        let got = read_some(pid, at, &mut chunk[..want])?;
        if let Some(end) = chunk[..got].iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&chunk[..end]);
            return Ok(text);
        }
        if got < want {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        text.extend_from_slice(&chunk[..got]);
        at += got as u64;
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// Reads one 64-bit word.
pub(crate) fn read_u64(pid: i32, address: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    read(pid, address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads one 32-bit word.
pub(crate) fn read_u32(pid: i32, address: u64) -> io::Result<u32> {
    let mut bytes = [0; 4];
    read(pid, address, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// The process's memory as a file: writes through it reach read-only private mappings too.
pub(crate) struct Text(File);

impl Text {
    /// Opens the memory of a process that this thread traces.
    pub(crate) fn open(pid: i32) -> io::Result<Self> {
        File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).map(Self)
    }

    /// Reads exactly.
    pub(crate) fn read(&self, address: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, address)
    }

    /// Writes exactly.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address)
    }
}
