//! The words of a source text in C, C++ or Rust, as far as edits need them.

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Name,
    Number,
    Text,
    Letter,
    Sign,
}

/// One word and its place.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub at: usize,
    /// How many braces are open around it.
    pub depth: u32,
}

impl Token<'_> {
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

const SIGNS: [&str; 26] = [
    "<<=", ">>=", "...", "..=", "->", "=>", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::", "..",
];

/// The words, without comments and preprocessor lines.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let (mut all, mut at, mut depth) = (Vec::new(), 0, 0u32);
    while at < bytes.len() {
        let rest = &source[at..];
        let skipped = skipped(source, at);
        if skipped > 0 {
            at += skipped;
            continue;
        }
        let (kind, length) = word(rest);
        let text = &rest[..length];
        if text == "}" {
            depth = depth.saturating_sub(1);
        }
        all.push(Token { kind, text, at, depth });
        if text == "{" {
            depth += 1;
        }
        at += length;
    }
    all
}

/// How much at `at` is space, a comment, a preprocessor line or an attribute.
fn skipped(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    let through = |end: &str| rest.find(end).map_or(rest.len(), |found| found + end.len());
    let starts_line = source[..at].rsplit('\n').next().is_none_or(|line| line.trim().is_empty());
    match rest.as_bytes() {
        [b' ' | b'\t' | b'\n' | b'\r', ..] => 1,
        [b'/', b'/', ..] => through("\n"),
        [b'/', b'*', ..] => through("*/"),
        [b'#', b'[' | b'!', ..] => through("]"),
        [b'#', ..] if starts_line => through("\n"),
        _ => 0,
    }
}

fn word(rest: &str) -> (Kind, usize) {
    let while_holds = |holds: fn(char) -> bool| rest.find(|c| !holds(c)).unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        'a'..='z' | 'A'..='Z' | '_' => (Kind::Name, while_holds(|c| c.is_alphanumeric() || c == '_')),
        '0'..='9' => (Kind::Number, number(rest)),
        '"' => (Kind::Text, closed(rest, '"')),
        '\'' if is_letter(rest) => (Kind::Letter, closed(rest, '\'')),
        _ => {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            (Kind::Sign, sign.map_or(first.len_utf8(), |sign| sign.len()))
        }
    }
}

/// Digits, letters and one point that a digit follows.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let point = bytes[end] == b'.' && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !point && !bytes[end].is_ascii_alphanumeric() && bytes[end] != b'_' {
            break;
        }
        end += 1;
    }
    end
}

/// A character, and not a lifetime of Rust.
fn is_letter(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn closed(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
