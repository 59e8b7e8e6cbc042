//! Pseudonyms: keyed, of the same length and character classes, valid where the value was.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256 as Hasher;
use zeroize::Zeroizing;

use super::check::{self, BASE62};
use super::kind::Kind;
use super::national;

/// Most candidates tried for one that a validator accepts: MOD 97 takes 97 on average.
const MAX_CANDIDATES: u32 = 8192;

/// The tenant's secret for pseudonyms. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct PseudonymKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

impl PseudonymKey {
    /// Takes 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The pseudonym of a value: the same for the same kind, value and key, and never the value itself.
    pub fn pseudonym(&self, kind: &Kind, value: &[u8]) -> Vec<u8> {
        let mut last = Vec::new();
        for turn in 0..MAX_CANDIDATES {
            last = candidate(kind, value, &mut Stream::new(&self.0, kind, value, turn));
            if last != value && holds(kind, value, &last) {
                return last;
            }
        }
        last
    }
}

/// HMAC-SHA-256 in counter mode: as many bytes as a value needs.
struct Stream<'a> {
    key: &'a [u8; 32],
    seed: Vec<u8>,
    block: [u8; 32],
    at: usize,
    count: u32,
}

impl<'a> Stream<'a> {
    fn new(key: &'a [u8; 32], kind: &Kind, value: &[u8], turn: u32) -> Self {
        let seed =
            [b"assay/pseudonym/v1\0".as_slice(), kind.name().as_bytes(), b"\0", &turn.to_be_bytes(), value];
        Self { key, seed: seed.concat(), block: [0; 32], at: 32, count: 0 }
    }

    fn next(&mut self) -> u8 {
        if self.at == self.block.len() {
            let mut mac = Hmac::<Hasher>::new_from_slice(self.key).expect("HMAC takes a key of any length");
            mac.update(&self.count.to_be_bytes());
            mac.update(&self.seed);
            self.block = mac.finalize().into_bytes().into();
            self.count += 1;
            self.at = 0;
        }
        self.at += 1;
        self.block[self.at - 1]
    }

    /// One of `alphabet`, each as likely as the others.
    fn choose(&mut self, alphabet: &[u8]) -> u8 {
        let fair = 256 - 256 % alphabet.len();
        loop {
            let byte = usize::from(self.next());
            if byte < fair {
                return alphabet[byte % alphabet.len()];
            }
        }
    }
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// How many bytes at the front say what the value is, and stay.
fn kept(kind: &Kind, value: &[u8]) -> usize {
    let past = |byte: u8, most: usize| {
        value[..value.len().min(most)].iter().rposition(|found| *found == byte).map_or(0, |at| at + 1)
    };
    match kind {
        Kind::PaymentCard => 1,
        Kind::Iban | Kind::NationalId if value.len() < 2 => 0,
        Kind::Iban => 2,
        Kind::AwsKey | Kind::GithubToken if value.starts_with(b"github_pat_") => 11,
        Kind::AwsKey | Kind::GithubToken => 4,
        Kind::GcpKey => 4,
        Kind::GitlabToken | Kind::SlackToken => past(b'-', 6),
        Kind::StripeKey | Kind::NpmToken => past(b'_', 8),
        Kind::PypiToken => 20,
        Kind::CratesToken => 3,
        Kind::Phone => usize::from(value.starts_with(b"+")) * 3,
        _ => 0,
    }
}

fn candidate(kind: &Kind, value: &[u8], stream: &mut Stream<'_>) -> Vec<u8> {
    let kept = kept(kind, value).min(value.len());
    let hex = value.iter().all(|byte| !byte.is_ascii_alphabetic() || byte.is_ascii_hexdigit());
    let tail = if *kind == Kind::Email { memchr::memrchr(b'.', value) } else { None };
    let tail = tail.unwrap_or(value.len());
    let mut out = value[..kept].to_vec();
    while out.len() < value.len() {
        let at = out.len();
        // The last label of a mail address stays a domain that exists; JSON's escapes stay escapes.
        if at >= tail || (value[at] == b'\\' && at + 1 < value.len()) {
            let count = if at >= tail { 1 } else { 2 };
            out.extend_from_slice(&value[at..at + count]);
            continue;
        }
        other(value, at, hex, stream, &mut out);
    }
    match kind {
        Kind::GithubToken if !value.starts_with(b"github_pat_") && value.len() == 40 => {
            let checksum = check::github_checksum(&out[4..34]);
            out[34..].copy_from_slice(&checksum);
        }
        Kind::Jwt => keep_header(value, &mut out),
        _ => {}
    }
    out
}

/// A character of the same class and the same number of bytes.
fn other(value: &[u8], at: usize, hex: bool, stream: &mut Stream<'_>, out: &mut Vec<u8>) {
    let byte = value[at];
    match byte {
        b'0'..=b'9' => out.push(stream.choose(&BASE62[..10])),
        b'a'..=b'f' if hex => out.push(stream.choose(&LOWER[..6])),
        b'A'..=b'F' if hex => out.push(stream.choose(&UPPER[..6])),
        b'a'..=b'z' => out.push(stream.choose(LOWER)),
        b'A'..=b'Z' => out.push(stream.choose(UPPER)),
        0xC3..=0xDF if value.len() > at + 1 => {
            out.extend([0xC4 + stream.next() % 2, 0x80 + stream.next() % 64])
        }
        0xE1..=0xEF if value.len() > at + 2 => {
            out.extend([0xE4 + stream.next() % 4, 0x80 + stream.next() % 64, 0x80 + stream.next() % 64])
        }
        0xF0 if value.len() > at + 3 => out.extend([0xF0, 0x9F, 0x98, 0x80 + stream.next() % 64]),
        byte => out.push(byte),
    }
}

/// The header of a token says only its algorithm, and a reader decodes it.
fn keep_header(value: &[u8], out: &mut [u8]) {
    let end = memchr::memchr(b'.', value).unwrap_or(0);
    out[..end].copy_from_slice(&value[..end]);
}

/// Whether a pseudonym passes the check that its value passes.
fn holds(kind: &Kind, value: &[u8], pseudonym: &[u8]) -> bool {
    let digits = check::digits(pseudonym);
    match kind {
        Kind::PaymentCard => check::luhn(&digits) && check::card_issuer(&digits),
        Kind::Iban => check::iban(pseudonym),
        Kind::UsSsn => national::is_ssn(&digits),
        Kind::UkNino => national::word(pseudonym, 0).is_some_and(|(kind, _)| kind == Kind::UkNino),
        Kind::NationalId => national_holds(value, pseudonym),
        Kind::PublicIp if value.contains(&b'.') => std::str::from_utf8(pseudonym)
            .ok()
            .and_then(|text| text.parse().ok())
            .is_some_and(super::names::is_public_v4),
        Kind::PublicIp => pseudonym.first().is_some_and(|byte| matches!(byte, b'2' | b'3')),
        Kind::MacAddress => pseudonym.get(1).is_some_and(|byte| b"02468aAcCeE".contains(byte)),
        Kind::Location => in_degrees(pseudonym),
        Kind::UserName | Kind::HostName => pseudonym.first().is_some_and(u8::is_ascii_alphanumeric),
        _ => true,
    }
}

fn national_holds(value: &[u8], pseudonym: &[u8]) -> bool {
    if value.first().is_some_and(u8::is_ascii_alphabetic) {
        return national::word(pseudonym, 0).is_some();
    }
    national::same_check(value, pseudonym)
}

fn in_degrees(text: &[u8]) -> bool {
    let parts = text
        .split(|byte| *byte == b',')
        .map(|part| std::str::from_utf8(part).ok()?.trim().parse::<f64>().ok());
    parts.zip([90.0, 180.0]).all(|(degrees, most)| degrees.is_some_and(|degrees| degrees.abs() <= most))
}
