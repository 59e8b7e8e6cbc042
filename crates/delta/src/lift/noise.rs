//! What differs between two builds of the same source and says nothing about what it does: the folder
//! it was built in, when, and on which line a message stands. A person is not shown it as a change; the
//! carry-over proof, which must not lose what a run can observe, never uses this room.

use assay_binary::{Module, SlotTarget};

/// The words for what was set aside, as they stand in a delta's `ignored`.
pub(crate) const SOURCE_POSITIONS: &str = "line numbers and build paths in messages";

const SOURCE_EXTENSIONS: [&str; 22] = [
    ".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".inc", ".rs", ".go", ".m", ".mm",
    ".y", ".l", ".pyx", ".d", ".zig", ".nim", ".hs", ".adb",
];

/// Whether a text is the path of a source file.
pub(crate) fn is_source_path(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    (3..=512).contains(&text.len())
        && !text.contains(|c: char| c.is_whitespace() || c == '%')
        && SOURCE_EXTENSIONS.iter().any(|extension| text.len() > extension.len() && text.ends_with(extension))
}

/// A text without what only the build put there: a source path is its file name, a date or time of
/// day that a compiler writes (`__DATE__`, `__TIME__`) is a date or time.
pub(crate) fn without(text: &[u8]) -> Vec<u8> {
    if is_source_path(text) {
        let from = text.iter().rposition(|&byte| byte == b'/' || byte == b'\\').map_or(0, |at| at + 1);
        return text[from..].to_vec();
    }
    if is_date(text) {
        return b"(date)".to_vec();
    }
    if is_time(text) {
        return b"(time)".to_vec();
    }
    text.to_vec()
}

/// `Jan  1 2026`, as C11 6.10.8.1 has it.
fn is_date(text: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    text.len() == 11
        && MONTHS.contains(&&text[..3])
        && text[3] == b' '
        && (text[4] == b' ' || text[4].is_ascii_digit())
        && text[5].is_ascii_digit()
        && text[6] == b' '
        && text[7..].iter().all(u8::is_ascii_digit)
}

/// `23:59:59`.
fn is_time(text: &[u8]) -> bool {
    let digit = |at: usize| text[at].is_ascii_digit();
    text.len() == 8 && [0, 1, 3, 4, 6, 7].into_iter().all(digit) && text[2] == b':' && text[5] == b':'
}

/// Where line and column stand in a location record of rustc (`core::panic::Location`: pointer and
/// length of the file name, line, column) that starts at `address`.
pub(crate) fn location(module: &Module<'_>, address: u64, size: u64) -> Option<(u64, u64)> {
    if size < 24 || !address.is_multiple_of(8) {
        return None;
    }
    let slot = module.slot_at(address)?;
    let SlotTarget::Address(target) = slot.target else { return None };
    let record = module.bytes(address + 8, 16)?;
    let number = |at: usize, size: usize| {
        record[at..at + size].iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let (length, line, column) = (number(0, 8), number(8, 4), number(12, 4));
    let plausible =
        (4..=4096).contains(&length) && (1..10_000_000).contains(&line) && (1..100_000).contains(&column);
    let is_source = plausible && module.bytes(target, length).is_some_and(is_source_path);
    is_source.then_some((address + 16, address + 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_puts_into_texts() {
        assert_eq!(without(b"/build/openssl-3.0.20/crypto/x509/v3_addr.c"), b"v3_addr.c");
        assert_eq!(without(b"Nov 23 2026"), b"(date)");
        assert_eq!(without(b"Nov  3 2026"), b"(date)");
        assert_eq!(without(b"10:25:21"), b"(time)");
        assert_eq!(without(b"cannot open %s.c"), b"cannot open %s.c");
        assert_eq!(without(b"a message"), b"a message");
    }
}
