//! Identity numbers of countries, each with the check that its issuer describes.

use std::ops::Range;

use super::check::{day_and_month, luhn, pair, verhoeff, weighted};
use super::kind::Kind;
use super::numbers::Cluster;
use super::scan::Hits;
use super::text::{context, ends, mentions, starts};

type Found = (Kind, Range<usize>, usize);

/// Letters of the Spanish DNI by the number modulo 23.
const DNI: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
/// Characters of the Finnish code by the number modulo 31.
const HETU: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";

/// An identity number that begins with the group `at`.
pub(super) fn read(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    ssn(text, cluster, at)
        .or_else(|| grouped(text, cluster, at))
        .or_else(|| alone(text, cluster, at))
        .or_else(|| lettered(text, cluster, at))
}

/// AAA-GG-SSSS; area 000, 666 and 9xx, group 00 and serial 0000 were never issued (SSA, 2011).
fn ssn(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let keyed =
        || mentions(&context(text, cluster.groups[at].start, 32), &["ssn", "social security", "social"]);
    let hyphens = cluster.shape(text, at, &[3, 2, 4], b"-");
    let spaces = !hyphens && cluster.shape(text, at, &[3, 2, 4], b" ") && keyed();
    let plain = !hyphens && !spaces && cluster.groups[at].len() == 9 && keyed();
    let used = if hyphens || spaces { 3 } else { usize::from(plain) };
    if used == 0 {
        return None;
    }
    let range = cluster.range(at..at + used);
    let whole = starts(text, range.start) && ends(text, range.end) && text.get(range.end) != Some(&b'-');
    (whole && is_ssn(&cluster.digits(text, at..at + used))).then_some((Kind::UsSsn, range, used))
}

pub(super) fn is_ssn(digits: &[u8]) -> bool {
    let area = digits[..3].iter().fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let never = area == 0 || area == 666 || area >= 900;
    digits.len() == 9 && !never && digits[3..5] != [0, 0] && digits[5..] != [0, 0, 0, 0]
}

/// Numbers that are always written in groups.
fn grouped(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let keyed = |words: &[&str]| mentions(&context(text, cluster.groups[at].start, 40), words);
    let digits = |count: usize| cluster.digits(text, at..at + count);
    let used = if cluster.groups.len() >= at + 4 && cluster_cpf(text, cluster, at) {
        is_cpf(&digits(4)).then_some(4)
    } else if cluster.shape(text, at, &[4, 4, 4], b" -") {
        let number = digits(3);
        (number[0] >= 2 && verhoeff(&number)).then_some(3)
    } else if cluster.shape(text, at, &[1, 2, 2, 2, 3, 3, 2], b" ") {
        is_nir(&digits(7)).then_some(7)
    } else if cluster.shape(text, at, &[3, 3, 3], b" -") {
        (luhn(&digits(3)) && keyed(&["sin", "social insurance", "nas"])).then_some(3)
    } else if cluster.shape(text, at, &[3, 3, 4], b" -") {
        (is_nhs(&digits(3)) && keyed(&["nhs"])).then_some(3)
    } else if cluster.shape(text, at, &[6, 4], b"-+") || cluster.shape(text, at, &[8, 4], b"-+") {
        is_personnummer(&digits(2)).then_some(2)
    } else {
        None
    }?;
    let range = cluster.range(at..at + used);
    (ends(text, range.end) && starts(text, range.start)).then_some((Kind::NationalId, range, used))
}

/// `123.456.789-09`.
fn cluster_cpf(text: &[u8], cluster: &Cluster, at: usize) -> bool {
    let groups = &cluster.groups[at..at + 4];
    let separators: Vec<u8> = groups.windows(2).map(|pair| text[pair[0].end]).collect();
    groups.iter().map(ExactSizeIterator::len).eq([3, 3, 3, 2]) && separators == *b"..-"
}

/// Numbers in one group; those without structure of their own need a word that names them.
fn alone(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let group = &cluster.groups[at];
    if !ends(text, group.end) || !starts(text, group.start) {
        return None;
    }
    let keyed = |words: &[&str]| mentions(&context(text, group.start, 40), words);
    let digits = || cluster.digits(text, at..at + 1);
    let holds = match group.len() {
        15 => is_nir(&digits()),
        9 => {
            (is_bsn(&digits()) && keyed(&["bsn", "burgerservicenummer"]))
                || (luhn(&digits()) && keyed(&["sin", "social insurance"]))
        }
        10 => is_nhs(&digits()) && keyed(&["nhs"]),
        11 => {
            (is_pesel(&digits()) && keyed(&["pesel"]))
                || (is_steuer_id(&digits())
                    && keyed(&["steuer", "steuerid", "idnr", "tin", "steuer-id", "tax"]))
                || (is_cpf(&digits()) && keyed(&["cpf"]))
        }
        12 => digits()[0] >= 2 && verhoeff(&digits()) && (keyed(&["aadhaar", "uidai"])),
        _ => false,
    };
    holds.then(|| (Kind::NationalId, group.clone(), 1))
}

/// Numbers that end with a letter: DNI (Spain) and HETU (Finland).
fn lettered(text: &[u8], cluster: &Cluster, at: usize) -> Option<Found> {
    let group = &cluster.groups[at];
    if group.len() == 8 {
        let letter = text.get(group.end)?;
        let hyphen = *letter == b'-';
        let place = group.end + usize::from(hyphen);
        let value = number(&text[group.clone()]);
        let holds = text.get(place) == Some(&DNI[(value % 23) as usize]) && ends(text, place + 1);
        return holds.then(|| (Kind::NationalId, group.start..place + 1, 1));
    }
    if group.len() != 6 || !b"-+ABCDEFYXWVU".contains(text.get(group.end)?) {
        return None;
    }
    let end = group.end + 5;
    let tail = text.get(group.end + 1..end)?;
    let digits = cluster.digits(text, at..at + 1);
    if !tail[..3].iter().all(u8::is_ascii_digit) || !day_and_month(pair(&digits, 0), pair(&digits, 2)) {
        return None;
    }
    let value = number(&text[group.clone()]) * 1000 + number(&tail[..3]);
    let holds = HETU[(value % 31) as usize] == tail[3] && ends(text, end) && starts(text, group.start);
    holds.then_some((Kind::NationalId, group.start..end, 1))
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}

/// An identity number that begins with a letter at `at`: NINO, NIE, codice fiscale.
pub(super) fn word(text: &[u8], at: usize) -> Option<(Kind, Range<usize>)> {
    nino(text, at).or_else(|| nie(text, at)).or_else(|| codice_fiscale(text, at))
}

/// Two letters, six digits, A to D (HMRC NIM39110); the prefixes that are never used are none.
fn nino(text: &[u8], at: usize) -> Option<(Kind, Range<usize>)> {
    let (first, second) = (*text.get(at)?, *text.get(at + 1)?);
    let letters = first.is_ascii_uppercase() && second.is_ascii_uppercase();
    let barred = b"DFIQUV".contains(&first) || b"DFIQUVO".contains(&second);
    const NEVER: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    if !letters || barred || NEVER.contains(&&[first, second]) {
        return None;
    }
    let spaced = text.get(at + 2) == Some(&b' ');
    let mut place = at + 2;
    for _ in 0..3 {
        place += usize::from(spaced && text.get(place) == Some(&b' '));
        if !text.get(place..place + 2)?.iter().all(u8::is_ascii_digit) {
            return None;
        }
        place += 2;
    }
    place += usize::from(spaced && text.get(place) == Some(&b' '));
    let suffix = matches!(text.get(place)?, b'A'..=b'D');
    (suffix && ends(text, place + 1)).then_some((Kind::UkNino, at..place + 1))
}

fn nie(text: &[u8], at: usize) -> Option<(Kind, Range<usize>)> {
    let lead = match text.get(at)? {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return None,
    };
    let first = at + 1 + usize::from(text.get(at + 1) == Some(&b'-'));
    let digits = text.get(first..first + 7).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let letter = first + 7 + usize::from(text.get(first + 7) == Some(&b'-'));
    let value = lead * 10_000_000 + number(digits);
    let holds = text.get(letter) == Some(&DNI[(value % 23) as usize]) && ends(text, letter + 1);
    holds.then_some((Kind::NationalId, at..letter + 1))
}

/// Sixteen characters of which the last is a sum over the others (decree of 23 December 1976).
fn codice_fiscale(text: &[u8], at: usize) -> Option<(Kind, Range<usize>)> {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let code = text.get(at..at + 16)?;
    let shape = b"LLLLLLDDLDDLDDDL";
    let fits = code.iter().zip(shape).all(|(byte, kind)| match kind {
        b'L' => byte.is_ascii_uppercase(),
        _ => byte.is_ascii_digit(),
    });
    if !fits || !b"ABCDEHLMPRST".contains(&code[8]) || !ends(text, at + 16) {
        return None;
    }
    let value =
        |byte: u8| if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte - b'A') };
    let sum: u32 = code[..15]
        .iter()
        .enumerate()
        .map(|(place, byte)| if place % 2 == 0 { ODD[value(*byte) as usize] } else { value(*byte) })
        .sum();
    (u32::from(code[15] - b'A') == sum % 26).then_some((Kind::NationalId, at..at + 16))
}

/// Brazil's CPF: two digits, each eleven minus a weighted sum modulo eleven.
fn is_cpf(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let weights: Vec<u32> = (2..=count as u32 + 1).rev().collect();
        let rest = weighted(&digits[..count], &weights) % 11;
        if rest < 2 { 0 } else { 11 - rest }
    };
    let alike = digits.iter().all(|digit| *digit == digits[0]);
    digits.len() == 11 && !alike && check(9) == u32::from(digits[9]) && check(10) == u32::from(digits[10])
}

/// France's NIR: sex, year, month, department, commune, order, and 97 minus the number modulo 97.
fn is_nir(digits: &[u8]) -> bool {
    if digits.len() != 15 || !matches!(digits[0], 1 | 2) || !(1..=12).contains(&pair(digits, 3)) {
        return false;
    }
    let value = |part: &[u8]| part.iter().fold(0u64, |value, digit| value * 10 + u64::from(*digit));
    value(&digits[13..]) == 97 - value(&digits[..13]) % 97
}

/// The Dutch eleven test: weights 9 to 2 and minus one.
fn is_bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    digits.len() == 9 && sum > 0 && sum % 11 == u32::from(digits[8]) % 11
}

/// Britain's NHS number: weights 10 to 2, eleven minus the rest.
fn is_nhs(digits: &[u8]) -> bool {
    let rest = 11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digits.len() == 10 && rest % 11 == u32::from(digits[9])
}

/// Poland's PESEL: a date with the century in the month, and weights 1, 3, 7, 9.
fn is_pesel(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    digits.len() == 11 && sum.is_multiple_of(10) && day_and_month(pair(digits, 4), pair(digits, 2) % 20)
}

/// Germany's tax number: ISO 7064 MOD 11,10, one digit of the first ten twice or thrice.
fn is_steuer_id(digits: &[u8]) -> bool {
    let product = digits[..10].iter().fold(10u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    let check = (11 - product) % 10;
    let mut counts = [0u8; 10];
    digits[..10].iter().for_each(|digit| counts[usize::from(*digit)] += 1);
    let repeats =
        counts.iter().filter(|count| **count > 1).count() == 1 && counts.iter().all(|count| *count < 4);
    digits.len() == 11 && digits[0] != 0 && repeats && check == u32::from(digits[10])
}

/// Sweden's personnummer: a date and three digits, closed by Luhn over the ten.
fn is_personnummer(digits: &[u8]) -> bool {
    let ten = &digits[digits.len().saturating_sub(10)..];
    ten.len() == 10 && luhn(ten) && day_and_month(pair(ten, 4), pair(ten, 2))
}

/// Whether a pseudonym is read as an identity number wherever its value is, whatever word stands before.
pub(super) fn same_check(value: &[u8], pseudonym: &[u8]) -> bool {
    const WORDS: [&str; 8] = ["", "bsn ", "nhs ", "pesel ", "tin ", "cpf ", "sin ", "aadhaar "];
    let is_read = |word: &str, number: &[u8]| {
        let text = [word.as_bytes(), number].concat();
        let mut hits = Hits::default();
        super::numbers::scan(&text, &mut hits);
        hits.has(&Kind::NationalId, &(word.len()..text.len()))
    };
    WORDS.iter().all(|word| !is_read(word, value) || is_read(word, pseudonym))
}
