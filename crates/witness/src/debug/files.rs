//! gdb's host I/O packets (GDB manual, appendix E.7) over the capsule's files: with its default `sysroot`
//! gdb reads the program and its libraries from here and needs no copy of its own.

use std::collections::BTreeMap;

use super::packet::{MAX_PACKET, unhex};

/// The protocol's own error numbers.
const ENOENT: i32 = 2;
const EBADF: i32 = 9;
const EINVAL: i32 = 22;
/// Most files open at one time.
const MAX_OPEN: usize = 256;
const STAT_BYTES: usize = 64;

/// Files that the debugger opened.
#[derive(Default)]
pub(super) struct Files {
    open: BTreeMap<u32, Vec<u8>>,
    next: u32,
}

/// What is answered: a number or an error, and bytes behind it.
pub(super) fn answer(
    files: &mut Files,
    request: &str,
    read: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let (name, rest) = request.split_once(':')?;
    let result = match name {
        "setfs" => Ok((0, Vec::new())),
        "open" => files.open(rest, read),
        "close" => files.close(rest),
        "fstat" => files.stat(rest),
        "pread" => files.read(rest),
        _ => return None,
    };
    Some(match result {
        Ok((number, bytes)) if bytes.is_empty() && name != "pread" && name != "fstat" => {
            format!("F{number:x}").into_bytes()
        }
        Ok((number, bytes)) => [format!("F{number:x};").into_bytes(), bytes].concat(),
        Err(errno) => format!("F-1,{errno:x}").into_bytes(),
    })
}

type Answered = Result<(usize, Vec<u8>), i32>;

impl Files {
    fn open(&mut self, rest: &str, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Answered {
        let path = rest.split(',').next().and_then(unhex).and_then(|bytes| String::from_utf8(bytes).ok());
        let bytes = read(&path.ok_or(EINVAL)?).ok_or(ENOENT)?;
        if self.open.len() >= MAX_OPEN {
            return Err(EINVAL);
        }
        self.next += 1;
        self.open.insert(self.next, bytes);
        Ok((self.next as usize, Vec::new()))
    }

    fn close(&mut self, rest: &str) -> Answered {
        self.open.remove(&number(rest)?).map(|_| (0, Vec::new())).ok_or(EBADF)
    }

    fn stat(&self, rest: &str) -> Answered {
        let bytes = self.open.get(&number(rest)?).ok_or(EBADF)?;
        // Big-endian: device, inode, mode, links, user, group, device, size, block size, blocks, times.
        let mut stat = [0u8; STAT_BYTES];
        stat[8..12].copy_from_slice(&0o100_444u32.to_be_bytes());
        stat[12..16].copy_from_slice(&1u32.to_be_bytes());
        stat[28..36].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
        stat[36..44].copy_from_slice(&4096u64.to_be_bytes());
        Ok((STAT_BYTES, stat.to_vec()))
    }

    fn read(&self, rest: &str) -> Answered {
        let mut fields = rest.split(',').map(|field| u64::from_str_radix(field, 16));
        let mut next = || fields.next().and_then(Result::ok).ok_or(EINVAL);
        let (file, count, from) = (next()?, next()?, next()?);
        let bytes = self.open.get(&u32::try_from(file).map_err(|_| EBADF)?).ok_or(EBADF)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        // Each byte may be escaped.
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_PACKET / 2 - 16);
        let piece = &bytes[from..from.saturating_add(count).min(bytes.len())];
        Ok((piece.len(), piece.to_vec()))
    }
}

fn number(text: &str) -> Result<u32, i32> {
    u32::from_str_radix(text, 16).map_err(|_| EBADF)
}

#[cfg(test)]
mod tests {
    use super::super::packet::hex;
    use super::*;

    #[test]
    fn a_file_is_opened_and_read() {
        let mut files = Files::default();
        let read = |path: &str| (path == "/bin/x").then(|| b"0123456789".to_vec());
        let mut ask = |request: &str| {
            String::from_utf8_lossy(&answer(&mut files, request, &read).unwrap()).into_owned()
        };
        assert_eq!(ask(&format!("open:{},0,0", hex(b"/bin/x"))), "F1");
        assert_eq!(ask("pread:1,4,3"), "F4;3456");
        assert_eq!(ask("pread:1,ffff,8"), "F2;89");
        assert_eq!(ask("pread:1,4,ffffffffffffffff"), "F0;");
        assert!(ask("fstat:1").starts_with("F40;"));
        assert_eq!((ask("close:1"), ask("pread:1,4,3")), ("F0".to_owned(), "F-1,9".to_owned()));
        assert_eq!(ask(&format!("open:{},0,0", hex(b"/etc/passwd"))), "F-1,2");
        assert_eq!(ask("open:zz"), "F-1,16");
    }
}
