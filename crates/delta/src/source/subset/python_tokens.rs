//! Tokens of the part of Python that is recognised.

use super::{Recognised, Unrecognised};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Keyword,
    Number,
    Text,
    Bytes,
    Operator,
    /// The end of a logical line.
    End,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub at: usize,
}

/// A logical line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Where its first token stands in its line.
    pub indentation: usize,
    pub tokens: Vec<Token<'a>>,
    /// Its text, without the indentation and the line's end.
    pub text: &'a str,
    /// Where the next line begins.
    pub end: usize,
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
/// Longest first.
const OPERATORS: [&str; 43] = [
    "**=", "//=", ">>=", "<<=", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "@=", "+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "(", ")", "[",
    "]", "{", "}", ",", ":", ".",
];
const MAX_DIGITS: usize = 15;
const MAX_TOKENS: usize = 2000;

/// Reads the logical line that begins at or after `at`, past blank lines and comments; none at the end, or
/// where it is indented less than `least`.
pub(super) fn line(source: &str, mut at: usize, least: usize) -> Recognised<Option<Line<'_>>> {
    let indentation = loop {
        let rest = &source[at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let spaces = rest.bytes().take_while(|byte| *byte == b' ').count();
        match rest.as_bytes().get(spaces) {
            Some(b'\n') => at += spaces + 1,
            Some(b'#') => at += comment(rest, at)? + 1,
            None => return Ok(None),
            Some(_) if spaces < least => return Ok(None),
            Some(_) => break spaces,
        }
        if at > source.len() {
            return Ok(None);
        }
    };
    let mut reader = Reader { source, at: at + indentation, brackets: Vec::new(), tokens: Vec::new() };
    let start = reader.at;
    while reader.token()? {}
    let (end, tokens) = (reader.at, reader.tokens);
    Ok(Some(Line { indentation, tokens, text: &source[start..end], end: (end + 1).min(source.len()) }))
}

/// The length of a line up to its end, which a comment reaches.
fn comment(rest: &str, at: usize) -> Recognised<usize> {
    let length = rest.find('\n').unwrap_or(rest.len());
    plain(&rest[..length], at)?;
    Ok(length)
}

/// Refuses what other readers take for the end of a line, or for nothing.
fn plain(text: &str, at: usize) -> Recognised<()> {
    match text.find(|letter: char| letter.is_control() && letter != '\n') {
        Some(found) => Err(Unrecognised { at: at + found, what: "a control character" }),
        None => Ok(()),
    }
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    brackets: Vec<u8>,
    tokens: Vec<Token<'a>>,
}

impl<'a> Reader<'a> {
    fn refuse<T>(&self, what: &'static str) -> Recognised<T> {
        Err(Unrecognised { at: self.at, what })
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, text: &self.source[self.at..self.at + length], at: self.at });
        self.at += length;
    }

    /// Reads one token; false where the logical line ends.
    fn token(&mut self) -> Recognised<bool> {
        let rest = &self.source[self.at..];
        if self.tokens.len() > MAX_TOKENS {
            return self.refuse("a very long line");
        }
        match rest.bytes().next() {
            None | Some(b'\n') if self.brackets.is_empty() => {
                self.push(Kind::End, 0);
                return Ok(false);
            }
            None => return self.refuse("an open bracket"),
            Some(b' ' | b'\n') => self.at += 1,
            Some(b'#') => self.at += comment(rest, self.at)?,
            Some(b'0'..=b'9') => self.number(rest)?,
            Some(b'\'' | b'"') => self.string(rest, 0)?,
            Some(byte) if byte == b'_' || byte.is_ascii_alphabetic() => self.word(rest)?,
            Some(_) => self.operator(rest)?,
        }
        Ok(true)
    }

    fn word(&mut self, rest: &'a str) -> Recognised<()> {
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if rest[length..].starts_with(['\'', '"']) {
            return self.string(rest, length);
        }
        if rest[length..].starts_with(|letter: char| !letter.is_ascii()) {
            return self.refuse("a name that is not ASCII");
        }
        let kind = if KEYWORDS.contains(&&rest[..length]) { Kind::Keyword } else { Kind::Name };
        if &rest[..length] == "__debug__" {
            return self.refuse("__debug__");
        }
        self.push(kind, length);
        Ok(())
    }

    /// A plain number: nothing may follow it directly that could be part of it.
    fn number(&mut self, rest: &'a str) -> Recognised<()> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(rest);
        let whole = length;
        if rest[length..].starts_with('.') && digits(&rest[length + 1..]) > 0 {
            length += 1 + digits(&rest[length + 1..]);
        }
        let leading = rest.starts_with('0') && whole > 1;
        let joined = rest[length..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        if leading || joined || length > MAX_DIGITS {
            return self.refuse("a number that is not plain");
        }
        self.push(Kind::Number, length);
        Ok(())
    }

    fn operator(&mut self, rest: &'a str) -> Recognised<()> {
        if rest.starts_with(":=") || rest.starts_with("...") {
            return self.refuse("an operator that is not checked");
        }
        let found = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
        let found =
            found.copied().or(rest.starts_with('=').then_some("=")).or(rest.starts_with(';').then_some(";"));
        let Some(operator) = found else { return self.refuse("a character that is not checked") };
        match operator.as_bytes() {
            [open @ (b'(' | b'[' | b'{')] => self.brackets.push(*open),
            [close @ (b')' | b']' | b'}')] => {
                let fits = matches!(
                    (self.brackets.pop(), close),
                    (Some(b'('), b')') | (Some(b'['), b']') | (Some(b'{'), b'}')
                );
                if !fits {
                    return self.refuse("a bracket that closes nothing");
                }
            }
            _ => {}
        }
        if self.brackets.len() > super::MAX_DEPTH {
            return self.refuse("nested too deeply");
        }
        self.push(Kind::Operator, operator.len());
        Ok(())
    }

    /// A string with a prefix of so many letters.
    fn string(&mut self, rest: &'a str, prefix: usize) -> Recognised<()> {
        let (raw, kind, fields) = match rest[..prefix].to_ascii_lowercase().as_str() {
            "" | "u" => (false, Kind::Text, false),
            "r" => (true, Kind::Text, false),
            "f" => (false, Kind::Text, true),
            "b" => (false, Kind::Bytes, false),
            _ => return self.refuse("a string of another kind"),
        };
        let body = &rest[prefix..];
        let quote = &body[..1];
        let triple = body.len() >= 3 && body.as_bytes()[..3].iter().all(|byte| *byte == quote.as_bytes()[0]);
        let mark = if triple { &body[..3] } else { quote };
        let inner = &body[mark.len()..];
        let Some(length) = closed_at(inner, mark, triple) else { return self.refuse("an open string") };
        let text = &inner[..length];
        plain(text, self.at)?;
        if !raw && !known_escapes(text) || fields && !simple_fields(text) {
            return self.refuse("a string whose escapes or fields are not checked");
        }
        if raw && text.contains('\\') && text.contains(['\'', '"']) || kind == Kind::Bytes && !text.is_ascii()
        {
            return self.refuse("a string that is not checked");
        }
        self.push(kind, prefix + 2 * mark.len() + length);
        Ok(())
    }
}

/// Where a string's closing quotes stand.
fn closed_at(inner: &str, mark: &str, triple: bool) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\n' if !triple => return None,
            _ if bytes[at..].starts_with(mark.as_bytes()) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Whether every escape is one that never warns and needs nothing behind it.
fn known_escapes(text: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' && !matches!(letters.next(), Some('n' | 't' | 'r' | '\\' | '\'' | '"')) {
            return false;
        }
    }
    true
}

/// Whether every field of a formatted string is a dotted name, with a plain format behind it.
fn simple_fields(text: &str) -> bool {
    let mut rest = text;
    if rest.contains('\\') {
        return false;
    }
    while let Some(at) = rest.find(['{', '}']) {
        let from = &rest[at..];
        if from.starts_with("{{") || from.starts_with("}}") {
            rest = &from[2..];
            continue;
        }
        let Some(end) = from.find('}').filter(|_| from.starts_with('{')) else { return false };
        if !simple_field(&from[1..end]) {
            return false;
        }
        rest = &from[end + 1..];
    }
    true
}

fn simple_field(field: &str) -> bool {
    let (name, format) = field.split_once(':').unwrap_or((field, ""));
    let name = name.strip_suffix("!r").or_else(|| name.strip_suffix("!s")).unwrap_or(name);
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !KEYWORDS.contains(&part)
            && !matches!(part, "super" | "__class__" | "__debug__")
    };
    let plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | ',' | '<' | '>' | '^' | '+');
    name.split('.').all(is_name) && format.chars().all(plain)
}
