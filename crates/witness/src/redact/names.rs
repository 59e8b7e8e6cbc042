//! Names of people and machines: mail addresses, home directories, hosts, and addresses of networks.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::kind::Kind;
use super::national;
use super::scan::Hits;
use super::text::{before, ends, is_word, run, run_back, starts};

/// Endings of names that are files or units of a service manager rather than domains.
const NO_DOMAINS: &[&str] = &[
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "css",
    "js",
    "mjs",
    "ts",
    "json",
    "html",
    "xml",
    "txt",
    "md",
    "so",
    "dll",
    "exe",
    "whl",
    "gz",
    "zip",
    "tar",
    "service",
    "socket",
    "timer",
    "target",
    "mount",
    "slice",
    "scope",
    "rs",
    "py",
    "rb",
    "go",
    "java",
    "lock",
    "toml",
    "yaml",
    "yml",
    "conf",
    "cfg",
    "log",
    "out",
    "example",
    "invalid",
    "test",
    "localhost",
];
/// Domains that RFC 2606 reserves for examples.
const EXAMPLES: &[&str] = &["example.com", "example.org", "example.net"];
/// Local parts that are no person.
const ROBOTS: &[&str] = &["git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply"];
/// Suffixes of names that only resolve inside an organisation (RFC 6762, RFC 8375, ICANN's `.internal`).
const INTERNAL: &[&str] =
    &[".internal", ".local", ".lan", ".corp", ".intranet", ".home.arpa", ".localdomain"];
/// Accounts of images and services, which name nobody.
const ACCOUNTS: &[&str] = &[
    "runner",
    "ubuntu",
    "vagrant",
    "circleci",
    "travis",
    "jenkins",
    "ec2-user",
    "user",
    "username",
    "shared",
    "public",
    "default",
    "linuxbrew",
    "root",
    "build",
    "builder",
    "node",
    "app",
    "www",
    "admin",
    "administrator",
    "all",
    "git",
    "postgres",
    "runneradmin",
    "containeradministrator",
    "you",
    "me",
    "name",
    "yourname",
    "guest",
    "nobody",
    "debian",
];
/// Where home directories lie, on Linux, macOS and Windows, as texts and JSON write them.
const HOMES: &[&str] = &["/home/", "/Users/", ":\\Users\\", ":\\\\Users\\\\", ":/Users/", "/export/home/"];

/// The anchors of this file as one automaton: homes first, then internal suffixes.
#[derive(Debug)]
pub(super) struct Names(AhoCorasick);

impl Names {
    pub fn new() -> Self {
        let built = AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::LeftmostLongest)
            .build(HOMES.iter().chain(INTERNAL));
        Self(built.expect("a dozen short literals make an automaton"))
    }

    pub fn scan(&self, text: &[u8], hits: &mut Hits) {
        for found in self.0.find_iter(text) {
            let named = if found.pattern().as_usize() < HOMES.len() {
                home(text, found.end()).map(|range| (Kind::UserName, range))
            } else {
                internal_host(text, found.start(), found.end()).map(|range| (Kind::HostName, range))
            };
            if let Some((kind, range)) = named {
                hits.add(kind, range);
            }
        }
        memchr::memchr_iter(b'@', text)
            .filter_map(|at| email(text, at))
            .for_each(|range| hits.add(Kind::Email, range));
        colons(text, hits);
        system_logs(text, hits);
    }
}

/// The user's name after the folder of homes.
fn home(text: &[u8], at: usize) -> Option<Range<usize>> {
    let end = run(text, at, 64, |byte| is_word(byte) || byte == b'-' || byte == b'.');
    let end = if text[at..end].ends_with(b".") { end - 1 } else { end };
    let name = text[at..end].to_ascii_lowercase();
    let bare = name.first().is_some_and(u8::is_ascii_alphabetic) && name.len() >= 2;
    (bare && !ACCOUNTS.iter().any(|account| name == account.as_bytes())).then_some(at..end)
}

/// A name that ends with an internal suffix.
fn internal_host(text: &[u8], suffix: usize, end: usize) -> Option<Range<usize>> {
    let start =
        run_back(text, suffix, 253, |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    let start = start + text[start..suffix].iter().position(u8::is_ascii_alphanumeric)?;
    let called = text.get(end) == Some(&b'(')
        || text.get(end) == Some(&b'=')
        || (text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(|byte| is_word(*byte)));
    let path =
        before(text, start).is_some_and(|byte| b"/._$".contains(&byte)) && !text[..start].ends_with(b"//");
    let name = &text[start..suffix];
    let digit = name.iter().any(u8::is_ascii_digit) || memchr::memchr2(b'-', b'.', name).is_some();
    (ends(text, end) && !called && !path && digit && text.get(end) != Some(&b'-')).then_some(start..end)
}

/// Whether a value is the name of a machine that says something.
pub(super) fn is_host(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let letters = lower.iter().any(u8::is_ascii_alphabetic);
    let known = [
        "localhost",
        "none",
        "null",
        "string",
        "undefined",
        "hostname",
        "name",
        "host",
        "true",
        "false",
        "unknown",
    ];
    let example = EXAMPLES.iter().any(|domain| lower.ends_with(domain.as_bytes()));
    name.len() >= 3 && letters && !example && !known.iter().any(|word| lower == word.as_bytes())
}

/// A mail address around the `@` (RFC 5321's common form).
fn email(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = run_back(text, at, 64, |byte| is_word(byte) || b".%+-".contains(&byte));
    let start = start + text[start..at].iter().position(u8::is_ascii_alphanumeric)?;
    let end = run(text, at + 1, 253, |byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    let end = run_back(text, end, 3, |byte| byte == b'.' || byte == b'-');
    let local = text[start..at].to_ascii_lowercase();
    let domain = text.get(at + 1..end)?.to_ascii_lowercase();
    let labels: Vec<&[u8]> = domain.split(|byte| *byte == b'.').collect();
    let top = labels.last()?;
    let formed = labels.len() >= 2 && labels.iter().all(|label| !label.is_empty());
    let alphabetic = (2..=24).contains(&top.len()) && top.iter().all(u8::is_ascii_alphabetic);
    let reserved = NO_DOMAINS.iter().any(|ending| *top == ending.as_bytes())
        || EXAMPLES
            .iter()
            .any(|name| domain == name.as_bytes() || domain.ends_with(format!(".{name}").as_bytes()))
        || INTERNAL.iter().any(|suffix| domain.ends_with(suffix.as_bytes()));
    let robot = ROBOTS.iter().any(|name| local == name.as_bytes()) || domain == b"users.noreply.github.com";
    (formed && alphabetic && !reserved && !robot).then_some(start..end)
}

/// Whether an address is reachable from anywhere (IANA's special-purpose registry).
pub(super) fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a == 0
        || a >= 224;
    !special
}

/// MAC and IPv6 addresses: both are hexadecimal with colons.
fn colons(text: &[u8], hits: &mut Hits) {
    let mut done = 0;
    for at in memchr::memchr_iter(b':', text) {
        let hex = |place: usize| text.get(place).is_some_and(u8::is_ascii_hexdigit);
        if at < done || !hex(at.wrapping_sub(1)) || !(hex(at + 1) || text.get(at + 1) == Some(&b':')) {
            continue;
        }
        let start = run_back(text, at, 5, |byte| byte.is_ascii_hexdigit());
        let end = run(text, at, 48, |byte| byte.is_ascii_hexdigit() || byte == b':');
        done = end;
        if !starts(text, start) || before(text, start).is_some_and(|byte| byte == b':' || byte >= 0x80) {
            continue;
        }
        if let Some((kind, end)) = mac(text, start, end, b':').or_else(|| ipv6(text, start, end)) {
            hits.add(kind, start..end);
        }
    }
}

/// Six pairs; broadcast, zero and the addresses of multicast name no machine.
fn mac(text: &[u8], start: usize, end: usize, separator: u8) -> Option<(Kind, usize)> {
    let whole =
        end - start == 17 && text[start..end].split(|byte| *byte == separator).all(|pair| pair.len() == 2);
    let digits = text[start..end].iter().filter(|byte| **byte != separator);
    let flat = digits.clone().all(|byte| *byte == b'0')
        || digits.clone().all(|byte| byte.eq_ignore_ascii_case(&b'f'));
    let second = char::from(text[start + 1]).to_digit(16)?;
    (whole && !flat && second & 1 == 0 && ends(text, end)).then_some((Kind::MacAddress, end))
}

/// A global unicast address outside the range for documentation.
fn ipv6(text: &[u8], start: usize, end: usize) -> Option<(Kind, usize)> {
    let end =
        if text[start..end].ends_with(b":") && !text[start..end].ends_with(b"::") { end - 1 } else { end };
    let colons = text[start..end].iter().filter(|byte| **byte == b':').count();
    if colons < 2 || !ends(text, end) {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(&text[start..end]).ok()?.parse().ok()?;
    let segments = address.segments();
    let global = segments[0] & 0xe000 == 0x2000;
    let documentation = segments[0] == 0x2001 && segments[1] == 0x0db8 || segments[0] == 0x3fff;
    (global && !documentation).then_some((Kind::PublicIp, end))
}

/// Words at whose start something may be read: capitals for identity numbers and IBANs, hexadecimal
/// pairs with hyphens for MAC addresses.
pub(super) fn words(text: &[u8], hits: &mut Hits) {
    let mut at = 0;
    while let Some(skip) = text[at..].iter().position(|byte| is_word(*byte)) {
        let start = at + skip;
        let end = run(text, start, usize::MAX, is_word);
        let first = text[start];
        if first.is_ascii_uppercase()
            && (first >= b'X' || text.get(start + 1).is_some_and(u8::is_ascii_uppercase))
        {
            if let Some(range) = iban(text, start, end) {
                hits.add(Kind::Iban, range);
            } else if let Some((kind, range)) = national::word(text, start) {
                hits.add(kind, range);
            }
        }
        if end - start == 2 && text.get(end) == Some(&b'-') && before(text, start) != Some(b'-') {
            let stop = run(text, start, 18, |byte| byte.is_ascii_hexdigit() || byte == b'-');
            if let Some((kind, stop)) = (stop - start == 17).then(|| mac(text, start, stop, b'-')).flatten()
                && text.get(stop) != Some(&b'-')
            {
                hits.add(kind, start..stop);
            }
        }
        at = end;
    }
}

/// Country, check digits and the rest, in one word or in groups of four.
fn iban(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let head = text.get(start..start + 4)?;
    if !(head[1].is_ascii_uppercase() && head[2..].iter().all(u8::is_ascii_digit)) {
        return None;
    }
    if end - start != 4 {
        return super::check::iban(&text[start..end]).then_some(start..end);
    }
    // Groups of four: as many as the check needs, longest first.
    let stop =
        run(text, start, 42, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let places = (start + 15..=stop).rev();
    places
        .filter(|place| text[place - 1] != b' ' && ends(text, *place))
        .find(|place| in_fours(&text[start..*place]) && super::check::iban(&text[start..*place]))
        .map(|place| start..place)
}

fn in_fours(text: &[u8]) -> bool {
    let groups: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    let (last, full) = groups.split_last().expect("splitting gives at least one part");
    full.iter().all(|group| group.len() == 4) && (1..=4).contains(&last.len())
}

/// The host of a syslog line (RFC 3164: `Mmm dd hh:mm:ss host program[pid]:`).
fn system_logs(text: &[u8], hits: &mut Hits) {
    const MONTHS: &[&str] =
        &["Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec "];
    let mut line = 0;
    while line < text.len() {
        let end = memchr::memchr(b'\n', &text[line..]).map_or(text.len(), |at| line + at);
        let row = &text[line..end];
        if row.len() > 20
            && MONTHS.iter().any(|month| row.starts_with(month.as_bytes()))
            && row[15] == b' '
            && row[9] == b':'
            && row[12] == b':'
        {
            let stop = run(row, 16, 253, |byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            let program = row.get(stop) == Some(&b' ');
            if program && is_host(&row[16..stop]) {
                hits.add(Kind::HostName, line + 16..line + stop);
            }
        }
        line = end + 1;
    }
}
