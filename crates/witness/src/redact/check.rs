//! Check digits and other rules that tell an identifier from a number that looks like one.

/// The alphabet of base62 as GitHub's tokens use it.
pub(super) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The decimal digits of a text, everything else passed over.
pub(super) fn digits(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect()
}

/// ISO/IEC 7812-1 annex B: the sum over every digit, every second one from the right doubled.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { doubled((*digit).into()) } else { (*digit).into() })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Whether the number lies in the range of an issuer of payment cards, with a length it issues.
pub(super) fn card_issuer(digits: &[u8]) -> bool {
    if digits.len() < 12 {
        return false;
    }
    let head =
        |count: usize| digits[..count].iter().fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let (two, three, four, six) = (head(2), head(3), head(4), head(6));
    match digits.len() {
        13 => digits[0] == 4,
        14 => (300..=305).contains(&three) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            digits[0] == 4
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || four == 6011
                || (644..=649).contains(&three)
                || two == 65
                || (3528..=3589).contains(&four)
                || two == 62
                || (622_126..=622_925).contains(&six)
                || matches!(two, 50 | 56..=58)
        }
        19 => digits[0] == 4 || two == 62 || two == 65 || four == 6011,
        _ => false,
    }
}

/// ISO 7064 MOD 97-10 over letters and digits, as ISO 13616 uses it for IBANs.
pub(super) fn iban(text: &[u8]) -> bool {
    let compact: Vec<u8> = text.iter().copied().filter(|byte| *byte != b' ').collect();
    if compact.len() < 5 || iban_length(&compact[..2]) != Some(compact.len()) {
        return false;
    }
    let rotated = compact[4..].iter().chain(&compact[..4]);
    let remainder = rotated.fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    remainder == 1
}

/// The length of an IBAN by country (SWIFT's IBAN registry, release 99).
fn iban_length(country: &[u8]) -> Option<usize> {
    const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 \
        DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 \
        IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 \
        MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 \
        SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";
    let known = LENGTHS.split_ascii_whitespace().find(|entry| entry.as_bytes().starts_with(country))?;
    known[2..].parse().ok()
}

/// CRC-32 (ISO 3309), reflected, as zlib and GitHub's token checksums use it.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// The six base62 digits that end a GitHub token whose random part is `random`.
pub(super) fn github_checksum(random: &[u8]) -> [u8; 6] {
    let mut rest = crc32(random);
    let mut out = [b'0'; 6];
    for place in out.iter_mut().rev() {
        *place = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    out
}

/// Verhoeff's dihedral check, as Aadhaar numbers use it.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const TIMES: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const PERMUTED: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let checked = digits.iter().rev().enumerate().fold(0u8, |sum, (at, digit)| {
        TIMES[usize::from(sum)][usize::from(PERMUTED[at % 8][usize::from(*digit)])]
    });
    checked == 0
}

/// The sum of digits times weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// Whether day and month can be those of a birth.
pub(super) fn day_and_month(day: u8, month: u8) -> bool {
    const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (1..=12).contains(&month) && (1..=LONGEST[usize::from(month) - 1]).contains(&day)
}

/// Two digits as a number.
pub(super) fn pair(digits: &[u8], at: usize) -> u8 {
    digits[at] * 10 + digits[at + 1]
}

/// Shannon entropy of the bytes, in bits a byte.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = text.len() as f64;
    let part = |count: &u32| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers published with their standards or by the issuer, none of our own making.
    #[test]
    fn published_examples() {
        assert!(luhn(&digits(b"4111 1111 1111 1111")) && !luhn(&digits(b"4111 1111 1111 1112")));
        assert!(iban(b"GB82 WEST 1234 5698 7654 32") && iban(b"DE89370400440532013000"));
        assert!(!iban(b"DE89370400440532013001") && !iban(b"DE8937040044053201300"));
        assert!(verhoeff(&digits(b"2363")) && !verhoeff(&digits(b"2364")));
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert!(card_issuer(&digits(b"378282246310005")) && !card_issuer(&digits(b"1111111111111117")));
    }
}
