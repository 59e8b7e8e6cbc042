//! Brackets, operators and references inside native names.

pub(super) fn starts_operator(rest: &str, part: &str) -> bool {
    part.is_empty()
        && rest.strip_prefix("operator").is_some_and(|tail| {
            !tail.starts_with(|next: char| next.is_alphanumeric() || next == '_') && !tail.starts_with("::")
        })
}

/// The spelling of an operator and how many bytes of `rest` it takes.
pub(super) fn operator(rest: &str) -> (String, usize) {
    let tail = &rest[8..];
    for symbol in [
        "()", "[]", "<=>", "<<=", ">>=", "->*", "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "++",
        "--", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<", ">", "=", "+", "-", "*", "/", "%", "^",
        "&", "|", "~", "!", ",",
    ] {
        if tail.starts_with(symbol) {
            return (format!("operator{symbol}"), 8 + symbol.len());
        }
    }
    for word in [" new[]", " delete[]", " new", " delete", " co_await"] {
        if tail.starts_with(word) {
            return (format!("operator{word}"), 8 + word.len());
        }
    }
    // A conversion: the target type differs in spelling between tools.
    let end = tail.find('(').unwrap_or(tail.len());
    ("operator type".to_owned(), 8 + end)
}

/// The number of bytes up to and with the bracket that closes the first one of `text`.
pub(super) fn closing(text: &str, open: u8, close: u8) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == open {
            depth += 1;
        } else if byte == close && !(close == b'>' && at > 0 && bytes[at - 1] == b'-') {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    bytes.len()
}

pub(super) fn strip_reference(subject: &str) -> &str {
    let mut subject = subject.trim();
    loop {
        let before = subject;
        for prefix in ["&", "mut ", "dyn ", "*const ", "*mut "] {
            subject = subject.strip_prefix(prefix).unwrap_or(subject).trim_start();
        }
        if subject.len() == before.len() {
            return subject;
        }
    }
}

/// Splits at the first `mark` outside angle brackets.
pub(super) fn split_top<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let bytes = text.as_bytes();
    let mut depth = 0_i32;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'<' | b'(' => depth += 1,
            b')' => depth -= 1,
            b'>' if at == 0 || bytes[at - 1] != b'-' => depth -= 1,
            b' ' if depth == 0 && text[at..].starts_with(mark) => {
                return Some((&text[..at], &text[at + mark.len()..]));
            }
            _ => {}
        }
    }
    None
}
