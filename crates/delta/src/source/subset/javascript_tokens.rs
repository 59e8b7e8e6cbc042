//! Tokens of the part of JavaScript that is recognised, read as the grammar asks for them.

use super::{Recognised, Unrecognised};

const OPERATORS: [&str; 54] = [
    ">>>=", "...", "===", "!==", "**=", "<<=", ">>=", ">>>", "&&=", "||=", "??=", "=>", "==", "!=", "<=",
    ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>",
    "**", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "=", "?", ":", ";", ",", ".", "(", ")",
    "[",
];
const BRACKETS: [&str; 3] = ["]", "{", "}"];
const MAX_DIGITS: usize = 15;

/// Words that are no names here: every reserved word of either mode, and those that mean something in places.
const NO_NAMES: [&str; 50] = [
    "arguments",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "of",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

pub(super) fn is_name(word: &str) -> bool {
    !word.is_empty() && !NO_NAMES.contains(&word)
}

/// Reads tokens from left to right.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    pub source: &'a str,
    pub at: usize,
    /// Whether a line ended before the next token.
    pub after_line: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn refuse<T>(&self, what: &'static str) -> Recognised<T> {
        Err(Unrecognised { at: self.at, what })
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Goes to the next token.
    pub(super) fn skip(&mut self) -> Recognised<()> {
        self.after_line = false;
        loop {
            let rest = self.rest();
            match rest.as_bytes() {
                [b' ' | b'\t', ..] => self.at += 1,
                [b'\n', ..] => {
                    self.after_line = true;
                    self.at += 1;
                }
                [b'/', b'/', ..] => self.comment(rest.find('\n').unwrap_or(rest.len()))?,
                [b'/', b'*', ..] => {
                    let Some(length) = rest[2..].find("*/") else { return self.refuse("an open comment") };
                    let length = length + 4;
                    self.after_line |= rest[..length].contains('\n');
                    self.comment(length)?;
                }
                [] => return self.refuse("the end of the source"),
                _ => return Ok(()),
            }
        }
    }

    /// Some comments tell the engine the script's name, or where its map is.
    fn comment(&mut self, length: usize) -> Recognised<()> {
        let text = &self.rest()[..length];
        plain(text, self.at)?;
        if text.contains("URL")
            || text.starts_with("//#")
            || text.starts_with("//@")
            || text.starts_with("/*#")
        {
            return self.refuse("a comment that the engine may read");
        }
        self.at += length;
        Ok(())
    }

    /// The word at this place; empty where there is none.
    pub(super) fn word(&self) -> &'a str {
        let rest = self.rest();
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = rest.bytes().take_while(part).count();
        if rest.starts_with(|letter: char| letter.is_ascii_digit()) { "" } else { &rest[..length] }
    }

    /// The operator or bracket at this place.
    pub(super) fn operator(&self) -> &'static str {
        let rest = self.rest();
        let found = OPERATORS.iter().chain(&BRACKETS).find(|operator| rest.starts_with(**operator));
        found.copied().unwrap_or("")
    }

    /// Takes this very operator or word, and goes to the next token.
    pub(super) fn take(&mut self, text: &str) -> Recognised<bool> {
        if self.operator() != text && self.word() != text {
            return Ok(false);
        }
        self.step(text.len())?;
        Ok(true)
    }

    pub(super) fn step(&mut self, length: usize) -> Recognised<()> {
        self.at += length;
        // A letter that is no ASCII, or an escape, might go on with a word.
        if self.rest().starts_with(|letter: char| !letter.is_ascii() || letter == '\\' || letter == '#') {
            return self.refuse("a character that is not checked");
        }
        self.skip()
    }

    pub(super) fn expect(&mut self, text: &'static str) -> Recognised<()> {
        if self.take(text)? { Ok(()) } else { self.refuse(text) }
    }

    /// Any word, a keyword too: the name of a property.
    pub(super) fn property(&mut self) -> Recognised<&'a str> {
        let word = self.word();
        if word.is_empty() || word == "__proto__" {
            return self.refuse("no name of a property");
        }
        self.step(word.len())?;
        Ok(word)
    }

    /// A plain number.
    pub(super) fn number(&mut self) -> Recognised<()> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let length = if let Some(digits) = rest.strip_prefix("0x") {
            2 + digits.bytes().take_while(u8::is_ascii_hexdigit).count()
        } else {
            let whole = digits(rest);
            let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
            if whole > 1 && rest.starts_with('0') {
                return self.refuse("a number that begins with zero");
            }
            whole + if fraction > 0 { 1 + fraction } else { 0 }
        };
        let joined =
            rest[length..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'));
        if joined || length > MAX_DIGITS || rest[..length] == *"0x" {
            return self.refuse("a number that is not plain");
        }
        self.step(length)
    }

    /// A string between quotes.
    pub(super) fn string(&mut self) -> Recognised<()> {
        let rest = self.rest();
        let quote = rest.as_bytes().first().copied().unwrap_or_default();
        let bytes = rest.as_bytes();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                Some(b'\\') if escapes(bytes.get(at + 1)) => at += 2,
                Some(b'\\' | b'\n') | None => return self.refuse("a string that is not checked"),
                Some(byte) if *byte == quote => break,
                Some(_) => at += 1,
            }
        }
        plain(&rest[..at], self.at)?;
        self.step(at + 1)
    }

    /// The piece of a template up to `${` or its end; whether it ended.
    pub(super) fn template_piece(&mut self) -> Recognised<bool> {
        let bytes = self.rest().as_bytes();
        let mut at = 0;
        let ended = loop {
            match bytes.get(at) {
                Some(b'\\') if escapes(bytes.get(at + 1)) => at += 2,
                Some(b'\\') | None => return self.refuse("a template that is not checked"),
                Some(b'`') => break true,
                Some(b'$') if bytes.get(at + 1) == Some(&b'{') => break false,
                Some(_) => at += 1,
            }
        };
        plain(&self.rest()[..at], self.at)?;
        self.step(at + if ended { 1 } else { 2 })?;
        Ok(ended)
    }

    /// A regular expression: its text. What it means is not looked at.
    pub(super) fn regular_expression(&mut self) -> Recognised<&'a str> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let (mut at, mut class) = (1, false);
        loop {
            match bytes.get(at) {
                Some(b'\\') => at += 1,
                Some(b'[') => class = true,
                Some(b']') => class = false,
                Some(b'/') if !class => break,
                Some(b'\n') | None => return self.refuse("an open regular expression"),
                Some(_) => {}
            }
            at += 1;
        }
        let flags = rest[at + 1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let text = &rest[..at + 1 + flags];
        plain(text, self.at)?;
        self.step(text.len())?;
        Ok(text)
    }
}

fn escapes(next: Option<&u8>) -> bool {
    matches!(next, Some(b'n' | b't' | b'r' | b'\\' | b'\'' | b'"' | b'`'))
}

/// Refuses what ends a line for some readers and not for others.
fn plain(text: &str, at: usize) -> Recognised<()> {
    let odd = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    match text.find(odd) {
        Some(found) => Err(Unrecognised { at: at + found, what: "a control character" }),
        None => Ok(()),
    }
}
