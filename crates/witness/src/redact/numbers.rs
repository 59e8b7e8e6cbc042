//! Numbers that name a person, an account or a place: one walk over the text, group by group.
//!
//! Sources: ISO/IEC 7812-1 (cards), ITU-T E.164 and the national numbering plans (telephone), ISO 6709
//! (coordinates), and each country's description of its identity number.

use std::ops::Range;

use super::check::{card_issuer, luhn};
use super::kind::Kind;
use super::national;
use super::scan::Hits;
use super::text::{before, context, ends, is_word, mentions, run};

/// Most digits of anything sought here.
const MAX_DIGITS: usize = 24;
/// Most groups of digits looked at together.
const MAX_GROUPS: usize = 8;

/// Digits in groups, each after the one separator byte that stands before it.
pub(super) struct Cluster {
    /// Where each group begins and ends.
    pub groups: Vec<Range<usize>>,
}

impl Cluster {
    /// The digits of the groups.
    pub fn digits(&self, text: &[u8], groups: Range<usize>) -> Vec<u8> {
        self.groups[groups]
            .iter()
            .flat_map(|group| text[group.clone()].iter().map(|byte| byte - b'0'))
            .collect()
    }

    /// The separators between neighbouring groups.
    fn separators<'a>(&'a self, text: &'a [u8], groups: Range<usize>) -> impl Iterator<Item = u8> + 'a {
        self.groups[groups].windows(2).map(|pair| text[pair[0].end])
    }

    /// Whether the groups from `at` on have these lengths, are joined by one separator out of `joined`, and
    /// neither side goes on with the same separator and more digits.
    pub fn shape(&self, text: &[u8], at: usize, lengths: &[usize], joined: &[u8]) -> bool {
        let Some(groups) = self.groups.get(at..at + lengths.len()) else { return false };
        if groups.iter().zip(lengths).any(|(group, length)| group.len() != *length) {
            return false;
        }
        let mut separators = self.separators(text, at..at + lengths.len());
        let Some(first) = separators.next() else { return true };
        if !joined.contains(&first) || separators.any(|byte| byte != first) {
            return false;
        }
        let goes_on = self.groups.len() > at + lengths.len()
            && text[groups[groups.len() - 1].end] == first
            && first != b' ';
        let came = at > 0 && before(text, groups[0].start) == Some(first) && first != b' ';
        !goes_on && !came
    }

    pub fn range(&self, groups: Range<usize>) -> Range<usize> {
        self.groups[groups.start].start..self.groups[groups.end - 1].end
    }
}

/// Walks over all numbers of a text.
pub(super) fn scan(text: &[u8], hits: &mut Hits) {
    let mut at = 0;
    while let Some(skip) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + skip;
        if before(text, start).is_some_and(|byte| is_word(byte) || byte >= 0x80) {
            // Inside a word: no number of anybody's.
            at = run(text, start, usize::MAX, is_word);
            continue;
        }
        let cluster = cluster(text, start);
        let end = cluster.groups.last().map_or(start + 1, |group| group.end);
        // The shortest that is sought: four groups of an address, or five digits of a coordinate.
        let count: usize = cluster.groups.iter().map(ExactSizeIterator::len).sum();
        if count >= 5 || cluster.groups.len() >= 4 {
            read(text, &cluster, hits);
        }
        at = end;
    }
}

/// The groups from `start` on: digits, joined by one of ` .-/()`.
fn cluster(text: &[u8], start: usize) -> Cluster {
    let mut groups = Vec::with_capacity(4);
    let mut at = start;
    let mut count = 0;
    loop {
        let end = run(text, at, 64, |byte| byte.is_ascii_digit());
        groups.push(at..end);
        count += end - at;
        let gap = run(text, end, 2, |byte| b" .-/()".contains(&byte));
        let separated =
            gap == end + 1 || (gap == end + 2 && matches!(&text[end..gap], b") " | b" (" | b", "));
        let more = separated && text.get(gap).is_some_and(u8::is_ascii_digit);
        if !more || groups.len() == MAX_GROUPS || count >= MAX_DIGITS {
            return Cluster { groups };
        }
        at = gap;
    }
}

fn read(text: &[u8], cluster: &Cluster, hits: &mut Hits) {
    let mut group = 0;
    while group < cluster.groups.len() {
        group += match one(text, cluster, group) {
            Some((kind, range, used)) => {
                hits.add(kind, range);
                used
            }
            None => 1,
        };
    }
}

type Found = (Kind, Range<usize>, usize);

fn one(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    address(text, cluster, at)
        .or_else(|| card(text, cluster, at))
        .or_else(|| coordinates(text, cluster, at))
        .or_else(|| national::read(text, cluster, at))
        .or_else(|| phone(text, cluster, at))
}

/// A number of 13 to 19 digits, in one group or as issuers print it.
fn card(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    const SHAPES: &[&[usize]] = &[&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3], &[6, 13]];
    let lone = (13..=19).contains(&cluster.groups[at].len()) && !in_fraction(text, &cluster.groups[at]);
    let shape = SHAPES.iter().find(|lengths| cluster.shape(text, at, lengths, b" -"));
    let count = if lone { 1 } else { shape?.len() };
    let digits = cluster.digits(text, at..at + count);
    let range = cluster.range(at..at + count);
    let international = before(text, range.start) == Some(b'+');
    let whole = ends(text, range.end) && !goes_on_as_id(text, &range) && !international;
    (whole && card_issuer(&digits) && luhn(&digits)).then_some((Kind::PaymentCard, range, count))
}

/// Whether the number is the fraction of a decimal, or has one.
fn in_fraction(text: &[u8], group: &Range<usize>) -> bool {
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    (before(text, group.start) == Some(b'.') && group.start > 1 && digit(group.start - 2))
        || (text.get(group.end) == Some(&b'.') && digit(group.end + 1))
}

/// Whether hyphens join the number to letters, as in a UUID or the name of a build.
fn goes_on_as_id(text: &[u8], range: &Range<usize>) -> bool {
    let right =
        text.get(range.end) == Some(&b'-') && text.get(range.end + 1).is_some_and(|byte| is_word(*byte));
    let left = range.start > 1 && text[range.start - 1] == b'-' && is_word(text[range.start - 2]);
    left || right
}

/// A public IPv4 address.
fn address(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let groups = cluster.groups.get(at..at + 4)?;
    if cluster.separators(text, at..at + 4).any(|byte| byte != b'.')
        || groups.iter().any(|group| group.len() > 3)
    {
        return None;
    }
    let range = cluster.range(at..at + 4);
    let dotted =
        text.get(range.end) == Some(&b'.') && text.get(range.end + 1).is_some_and(|byte| is_word(*byte));
    let came = before(text, range.start).is_some_and(|byte| b".-+~^".contains(&byte));
    if dotted || came || !ends(text, range.end) || text.get(range.end) == Some(&b'-') {
        return None;
    }
    let address: std::net::Ipv4Addr = std::str::from_utf8(&text[range.clone()]).ok()?.parse().ok()?;
    let version =
        mentions(&context(text, range.start, 24), &["version", "ver", "release", "v", "build", "firmware"]);
    (super::names::is_public_v4(address) && !version).then_some((Kind::PublicIp, range, 4))
}

/// Two decimals of degrees beside each other, or one beside a key such as `lat`.
fn coordinates(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let (range, value) = decimal(text, cluster, at)?;
    let words = context(text, range.start, 24);
    let keyed = |keys: &[&str]| {
        keys.iter().any(|key| {
            memchr::memmem::rfind(&words, key.as_bytes()).is_some_and(|place| {
                words[place + key.len()..].iter().all(|byte| b"itudeng\"': =\t".contains(byte))
            })
        })
    };
    if (keyed(&["lat"]) && value.abs() <= 90.0) || (keyed(&["lon", "lng"]) && value.abs() <= 180.0) {
        return Some((Kind::Location, range, 2));
    }
    let gap = run(text, range.end, 2, |byte| byte == b',' || byte == b' ');
    let sign = usize::from(text.get(gap) == Some(&b'-'));
    if gap == range.end || text[range.end] != b',' || value.abs() > 90.0 {
        return None;
    }
    let next = Cluster { groups: cluster_at(text, gap + sign)? };
    let (second, other) = decimal(text, &next, 0)?;
    let three = text.get(second.end) == Some(&b',')
        && text.get(second.end + 1..second.end + 3).is_some_and(|tail| tail.iter().any(u8::is_ascii_digit));
    (other.abs() <= 180.0 && !three).then_some((Kind::Location, range.start..second.end, 2))
}

fn cluster_at(text: &[u8], at: usize) -> Option<Vec<Range<usize>>> {
    text.get(at).is_some_and(u8::is_ascii_digit).then(|| cluster(text, at).groups)
}

/// A decimal with four to eight places, its sign included.
fn decimal(text: &[u8], cluster: &Cluster, at: usize) -> Option<(Range<usize>, f64)> {
    let whole = cluster.groups.get(at)?;
    let places = cluster.groups.get(at + 1)?;
    let fits = whole.len() <= 3 && (4..=8).contains(&places.len()) && text[whole.end] == b'.';
    if !fits || places.start != whole.end + 1 || before(text, whole.start) == Some(b'.') {
        return None;
    }
    let signed = before(text, whole.start).is_some_and(|byte| byte == b'-' || byte == b'+');
    let range = whole.start - usize::from(signed)..places.end;
    let ended = !text.get(range.end).is_some_and(|byte| is_word(*byte) || *byte == b'%');
    let value: f64 = std::str::from_utf8(&text[range.clone()]).ok()?.parse().ok()?;
    ended.then_some((range, value))
}

/// A telephone number: E.164, or one of the common national forms.
fn phone(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    international(text, cluster, at).or_else(|| national_phone(text, cluster, at))
}

fn international(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let start = cluster.groups[at].start;
    let plus = before(text, start) == Some(b'+') && (start < 2 || !is_word(text[start - 2]));
    let zeros = at == 0
        && text[start..].starts_with(b"00")
        && cluster.groups[at].len() >= 4
        && keyed_phone(text, start);
    if !plus && !zeros || (plus && text[start] == b'0') {
        return None;
    }
    let mut count = 0;
    let mut used = 0;
    for group in &cluster.groups[at..] {
        let joined = used == 0 || text[cluster.groups[at + used - 1].end] != b'.' || group.len() >= 2;
        if count + group.len() > 15 || !joined {
            break;
        }
        count += group.len();
        used += 1;
    }
    if used == 0 {
        return None;
    }
    let range = cluster.range(at..at + used);
    let zone = text[start..range.end].contains(&b':') || text.get(range.end) == Some(&b':');
    ((8..=15).contains(&count) && ends(text, range.end) && !zone).then_some((
        Kind::Phone,
        range.start - usize::from(plus)..range.end,
        used,
    ))
}

/// Whether a key or word before the number says that it is one of telephones.
fn keyed_phone(text: &[u8], at: usize) -> bool {
    const WORDS: &[&str] = &[
        "phone",
        "tel",
        "telephone",
        "mobile",
        "cell",
        "fax",
        "call",
        "telefon",
        "handy",
        "sms",
        "whatsapp",
        "msisdn",
        "phone_number",
        "phonenumber",
        "contact",
    ];
    mentions(&context(text, at, 28), WORDS)
}

fn national_phone(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let shape =
        |lengths: &[usize], joined: &[u8]| cluster.shape(text, at, lengths, joined).then_some(lengths.len());
    let start = cluster.groups[at].start;
    let zero = text[start] == b'0' && text.get(start + 1).is_some_and(|byte| *byte != b'0');
    let keyed = || keyed_phone(text, start);
    let open = before(text, start) == Some(b'(');
    let used = if open && cluster.groups[at].len() == 3 && text.get(cluster.groups[at].end) == Some(&b')') {
        bracketed(text, cluster, at)?
    } else if north_american(text, cluster, at)
        && shape(&[3, 3, 4], b"-.").or_else(|| shape(&[3, 3, 4], b" ").filter(|_| keyed())).is_some()
    {
        3
    } else if zero {
        let plain = (10..=11).contains(&cluster.groups[at].len()) && keyed();
        // French pairs; British area and mobile numbers; German area codes with a slash, a hyphen or a space.
        shape(&[2, 2, 2, 2, 2], b" .-")
            .or_else(|| shape(&[5, 6], b" -"))
            .or_else(|| shape(&[5, 3, 3], b" -"))
            .or_else(|| shape(&[3, 4, 4], b" -"))
            .or_else(|| shape(&[4, 3, 4], b" -"))
            .or_else(|| german(cluster, text, at))
            .or_else(|| plain.then_some(1))?
    } else if keyed() && matches!(cluster.groups[at].len(), 9..=12) {
        1
    } else {
        return None;
    };
    let range = cluster.range(at..at + used);
    let first = range.start - usize::from(open);
    (ends(text, range.end) && !goes_on_as_id(text, &range)).then_some((Kind::Phone, first..range.end, used))
}

/// Area code and exchange begin with 2 to 9 (North American numbering plan).
fn north_american(text: &[u8], cluster: &Cluster, at: usize) -> bool {
    let leads = |group: &Range<usize>| (b'2'..=b'9').contains(&text[group.start]);
    cluster.groups.get(at..at + 3).is_some_and(|groups| leads(&groups[0]) && leads(&groups[1]))
}

/// `(212) 555-1234`.
fn bracketed(text: &[u8], cluster: &Cluster, at: usize) -> Option<usize> {
    let groups = cluster.groups.get(at..at + 3)?;
    let lengths = groups.iter().map(ExactSizeIterator::len).eq([3, 3, 4]);
    (lengths && north_american(text, cluster, at)).then_some(3)
}

/// `030/1234567`, `0171 1234567`, `089-12345678`.
fn german(cluster: &Cluster, text: &[u8], at: usize) -> Option<usize> {
    let groups = cluster.groups.get(at..at + 2)?;
    let slash = text[groups[0].end] == b'/';
    let fits = (3..=5).contains(&groups[0].len()) && (6..=8).contains(&groups[1].len());
    (fits && (slash || keyed_phone(text, groups[0].start))).then_some(2)
}
