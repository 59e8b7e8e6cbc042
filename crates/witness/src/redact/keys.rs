//! Values beside a key that speaks of a secret: environment, INI, YAML, JSON, command lines,
//! connection strings and headers.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check::entropy;
use super::kind::Kind;
use super::scan::Hits;
use super::text::{before, is_base64, is_word, run, run_back};

/// The longest key.
const MAX_KEY: usize = 64;
/// The longest value.
const MAX_VALUE: usize = 1024;
/// Bits a byte that a random value has at least.
const RANDOM_ENTROPY: f64 = 2.9;

/// What a key promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Whatever stands there is secret.
    Password,
    /// What stands there is secret if it looks random.
    Random,
    /// A scheme and credentials.
    Header,
    /// A machine's name.
    Host,
}

/// Words found anywhere in a key; the key's last part then decides.
const ANCHORS: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "authorization",
    "hostname",
    "host_name",
    "nodename",
    "computername",
];

/// Last parts of a key, joined, that promise something.
const ENDINGS: &[(&str, Promise)] = &[
    ("password", Promise::Password),
    ("passwd", Promise::Password),
    ("passphrase", Promise::Password),
    ("pwd", Promise::Password),
    ("secret", Promise::Password),
    ("token", Promise::Random),
    ("apikey", Promise::Random),
    ("accesskey", Promise::Random),
    ("secretkey", Promise::Random),
    ("secretaccesskey", Promise::Random),
    ("privatekey", Promise::Random),
    ("signingkey", Promise::Random),
    ("encryptionkey", Promise::Random),
    ("masterkey", Promise::Random),
    ("authkey", Promise::Random),
    ("sessionkey", Promise::Random),
    ("secretkeybase", Promise::Random),
    ("credential", Promise::Random),
    ("credentials", Promise::Random),
    ("authorization", Promise::Header),
    ("hostname", Promise::Host),
    ("nodename", Promise::Host),
    ("computername", Promise::Host),
];

#[derive(Debug)]
pub(super) struct Keys(AhoCorasick);

impl Keys {
    pub fn new() -> Self {
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build(ANCHORS);
        Self(built.expect("a dozen short literals make an automaton"))
    }

    pub fn scan(&self, text: &[u8], hits: &mut Hits) {
        let mut done = 0;
        for found in self.0.find_iter(text).filter(|found| found.end() > 0) {
            if found.start() < done {
                continue;
            }
            let key = run_back(text, found.start(), MAX_KEY, is_key)..run(text, found.end(), MAX_KEY, is_key);
            done = key.end;
            if let Some(promise) = promise(text, &key)
                && let Some((kind, value)) = read(text, &key, promise)
            {
                done = value.end;
                hits.add(kind, value);
            }
        }
    }
}

fn is_key(byte: u8) -> bool {
    is_word(byte) || byte == b'-' || byte == b'.'
}

/// What the key's last parts promise; `pass` alone does only in a compound such as `DB_PASS`.
fn promise(text: &[u8], key: &Range<usize>) -> Option<Promise> {
    let word = &text[key.clone()];
    let plain: Vec<u8> =
        word.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    if word.len() > 5 && plain.ends_with(b"pass") && b"_-.".contains(&word[word.len() - 5]) {
        return Some(Promise::Password);
    }
    let known = ENDINGS.iter().find(|(ending, _)| plain.ends_with(ending.as_bytes()))?;
    // `bypassword` is no key of a password: the ending begins a part, or a hump, or the key.
    let letters = known.0.len();
    let begins = nth_from_end(word, letters)?;
    let hump = word[begins].is_ascii_uppercase() && begins > 0 && word[begins - 1].is_ascii_lowercase();
    let part = begins == 0 || !word[begins - 1].is_ascii_alphabetic() || hump;
    let joined = known.1 == Promise::Password
        || ["db", "my", "user", "auth", "access", "refresh", "api", "pgp", "pg"]
            .iter()
            .any(|head| plain.len() == head.len() + letters && plain.starts_with(head.as_bytes()));
    (part || joined).then_some(known.1)
}

/// Where the last `count` letters and digits of a key begin.
fn nth_from_end(word: &[u8], count: usize) -> Option<usize> {
    word.iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .nth(count - 1)
        .map(|(at, _)| at)
}

/// How a value is set against its key.
struct Place {
    value: usize,
    quote: Option<u8>,
    /// `key: value`, the way prose and YAML write it.
    colon: bool,
    /// `--key value`.
    option: bool,
}

/// Finds where the value of a key begins, past quotes, spaces and the separator.
fn place(text: &[u8], key: &Range<usize>) -> Option<Place> {
    let mut at = key.end;
    let is_quote = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\''));
    // `\"` in JSON inside JSON.
    if text.get(at) == Some(&b'\\') && is_quote(text.get(at + 1)) {
        at += 1;
    }
    at += usize::from(is_quote(text.get(at)));
    at += usize::from(text.get(at) == Some(&b']'));
    let spaces = run(text, at, 8, |byte| byte == b' ' || byte == b'\t');
    let option = text[key.clone()].starts_with(b"-") && spaces > at;
    at = spaces;
    let mut colon = false;
    match text.get(at..at + 2) {
        Some(b":=" | b"=>" | b"==") => at += 2,
        _ => match text.get(at) {
            Some(b'=') => at += 1,
            Some(b'>') => at += 1,
            Some(b':') => {
                colon = true;
                at += 1;
            }
            _ if option => {}
            _ => return None,
        },
    }
    at = run(text, at, 8, |byte| byte == b' ' || byte == b'\t');
    if text.get(at) == Some(&b'\\') && is_quote(text.get(at + 1)) {
        at += 1;
    }
    let quote = text.get(at).copied().filter(|byte| is_quote(Some(byte)));
    Some(Place { value: at + usize::from(quote.is_some()), quote, colon, option })
}

fn read(text: &[u8], key: &Range<usize>, promise: Promise) -> Option<(Kind, Range<usize>)> {
    let place = place(text, key)?;
    let value = extent(text, &place);
    let bytes = &text[value.clone()];
    match promise {
        Promise::Password => {
            let shown = bytes.len() >= 4
                && !is_placeholder(bytes)
                && !is_code(text, &value, &place)
                && !(place.quote.is_none() && (place.colon || place.option) && is_prose(text, &value));
            shown.then_some((Kind::Password, value))
        }
        Promise::Random => (is_random(bytes) && !is_placeholder(bytes)).then_some((Kind::SecretValue, value)),
        Promise::Header => credentials(text, place.value).map(|value| (Kind::Authorization, value)),
        Promise::Host => {
            let end =
                run(text, value.start, 253, |byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            let name = &text[value.start..end];
            super::names::is_host(name).then_some((Kind::HostName, value.start..end))
        }
    }
}

/// The bytes of a value: to its closing quote, or to what ends a bare word.
fn extent(text: &[u8], place: &Place) -> Range<usize> {
    let start = place.value;
    let end = match place.quote {
        Some(quote) => run(text, start, MAX_VALUE, |byte| byte != quote && byte != b'\n' && byte != 0),
        None => run(text, start, MAX_VALUE, |byte| {
            !byte.is_ascii_whitespace() && !b";,&\"'<>`)]}|\0".contains(&byte)
        }),
    };
    let end = if place.quote.is_some() && before(text, end) == Some(b'\\') { end - 1 } else { end };
    start..end.max(start)
}

/// A variable, a template, a mask or a word that stands for "none".
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    const NOTHING: &[&str] = &[
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "string",
        "required",
        "optional",
        "redacted",
        "hidden",
        "masked",
        "empty",
        "unset",
        "default",
        "value",
        "password",
        "secret",
        "token",
        "yourpassword",
        "changeit",
    ];
    let plain: Vec<u8> =
        value.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    let masked = value.iter().all(|byte| b"*x.X-_#?".contains(byte)) || value.is_empty();
    masked
        || value.starts_with(b"$")
        || value.starts_with(b"{{")
        || value.starts_with(b"<")
        || value.starts_with(b"%")
        || value.starts_with(b"[")
        || value.starts_with(b"{")
        || memchr::memmem::find(value, b"${").is_some()
        || NOTHING.iter().any(|word| plain == word.as_bytes())
}

/// A call, an attribute or a path to the secret rather than the secret itself.
fn is_code(text: &[u8], value: &Range<usize>, place: &Place) -> bool {
    if place.quote.is_some() {
        return false;
    }
    let bytes = &text[value.clone()];
    let called = memchr::memchr(b'(', bytes).is_some() || text.get(value.end) == Some(&b'(');
    let path = bytes.starts_with(b"/") || bytes.starts_with(b"./") || bytes.starts_with(b"~/");
    let identifier = |part: &[u8]| {
        part.first().is_some_and(u8::is_ascii_alphabetic)
            && part.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    };
    let attribute =
        memchr::memchr(b'.', bytes).is_some() && bytes.split(|byte| *byte == b'.').all(identifier);
    let kebab = text.get(value.end) == Some(&b'[');
    called || path || attribute || kebab
}

/// `password: must be at least ...`: a word of letters with more words after it.
fn is_prose(text: &[u8], value: &Range<usize>) -> bool {
    let letters = text[value.clone()].iter().all(|byte| byte.is_ascii_alphabetic() || b".,!'".contains(byte));
    let next = run(text, value.end, 4, |byte| b" ,;)".contains(&byte));
    letters && next > value.end && text.get(next).is_some_and(u8::is_ascii_alphabetic)
}

/// At least twelve bytes of an alphabet for keys, with letters and digits, and entropy.
fn is_random(value: &[u8]) -> bool {
    let alphabet = value.iter().all(|byte| is_base64(*byte) || b".~:!@".contains(byte));
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    value.len() >= 12 && alphabet && digits >= 2 && letters >= 2 && entropy(value) >= RANDOM_ENTROPY
}

/// What stands after `Bearer`, `Basic`, `token` or `Digest` (RFC 7235).
fn credentials(text: &[u8], at: usize) -> Option<Range<usize>> {
    let scheme_end = run(text, at, 16, |byte| byte.is_ascii_alphabetic());
    let scheme = text[at..scheme_end].to_ascii_lowercase();
    let start = run(text, scheme_end, 4, |byte| byte == b' ');
    let end = run(text, start, 4096, |byte| is_base64(byte) || byte == b'.' || byte == b'~');
    let value = &text[start..end];
    let holds = match scheme.as_slice() {
        b"bearer" | b"token" => value.len() >= 12 && value.iter().any(u8::is_ascii_digit),
        b"basic" => STANDARD.decode(value).is_ok_and(|decoded| decoded.contains(&b':')),
        _ => false,
    };
    (start > scheme_end && holds && !is_placeholder(value)).then_some(start..end)
}
