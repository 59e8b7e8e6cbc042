//! What is mapped where, as the kernel lists it.

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    pub executable: bool,
    pub shared: bool,
    pub device: u64,
    pub inode: u64,
    pub path: String,
}

fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let flags = fields.next()?.as_bytes();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let offset = hex(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let device = libc::makedev(hex(major)? as u32, hex(minor)? as u32);
    let inode = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or("").trim_start().to_owned();
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset,
        executable: flags.get(2) == Some(&b'x'),
        shared: flags.get(3) == Some(&b's'),
        device,
        inode,
        path,
    })
}

/// The mappings of a process, in order.
pub(crate) fn mappings(tid: i32) -> Vec<Mapping> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/maps")).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// The text that the program itself may read: device and inode numbers are the host's.
pub(crate) fn maps_text(tid: i32) -> Vec<u8> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/maps")).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.ends_with("[vdso]") || line.contains("[vvar") || line.ends_with("[vsyscall]") {
            continue;
        }
        if line.contains(crate::sys::clock::NAME) {
            continue;
        }
        let mut fields = line.splitn(6, ' ');
        let mut next = || fields.next().unwrap_or("");
        let (range, flags, offset, _, _, path) = (next(), next(), next(), next(), next(), next());
        out.push_str(&format!("{range} {flags} {offset} 00:01 0 {}\n", path.trim_start()));
    }
    out.into_bytes()
}

/// Hides the addresses in a piece of such a text, so that the trace does not depend on the layout: both
/// ends of the range that a line begins with.
pub(crate) fn mask_ranges(text: &mut [u8]) {
    const SHORTEST: usize = 8;
    for line in text.split_mut(|byte| *byte == b'\n') {
        let range = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        for word in line[..range].split_mut(|byte| *byte == b'-') {
            if word.len() >= SHORTEST && word.iter().all(u8::is_ascii_hexdigit) {
                word.fill(b'x');
            }
        }
    }
}

/// Device, inode and offset of a word in a shared mapping; none in a private one.
pub(crate) fn shared_word(tid: i32, address: u64) -> Option<(u64, u64, u64)> {
    let found = mappings(tid).into_iter().find(|m| m.start <= address && address < m.end)?;
    found.shared.then(|| (found.device, found.inode, found.offset + (address - found.start)))
}

/// Whether a mapping is of a file.
pub(crate) fn is_file(path: &str) -> bool {
    path.starts_with('/') && !path.ends_with(" (deleted)")
}
