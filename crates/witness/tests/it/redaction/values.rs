//! Values of every kind, made from the descriptions of their formats: check digits are computed by
//! construction here, and only verified by the detectors.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::random::{ALPHANUMERIC, BASE64, BASE64_URL, DIGITS, HEX, LOWER, Random, UPPER};

const FIRST: &[&str] = &[
    "anna", "bert", "carla", "dmitri", "eva", "farid", "greta", "hugo", "ines", "jonas", "kofi", "lena",
    "mei", "noor",
];
const LAST: &[&str] = &[
    "schmidt", "okafor", "garcia", "nakamura", "novak", "rossi", "larsen", "dubois", "kowalski", "silva",
    "murphy",
];
const DOMAINS: &[&str] = &[
    "acme-industries.com",
    "mail.uni-koeln.de",
    "gmail.com",
    "posteo.net",
    "corp.bigbank.co.uk",
    "orange.fr",
    "startup.io",
    "ministerie.nl",
];

fn luhn_digit(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte - b'0');
            if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    (10 - sum % 10) % 10
}

pub fn card(random: &mut Random) -> String {
    let (prefix, length) = *random.pick(&[
        ("4", 16),
        ("51", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("65", 16),
        ("36", 14),
        ("3528", 16),
        ("4", 13),
        ("62", 16),
    ]);
    let body = format!("{prefix}{}", random.digits(length - 1 - prefix.len()));
    let number = format!("{body}{}", luhn_digit(&body));
    let grouped = |sizes: &[usize], by: &str| {
        let mut at = 0;
        let parts: Vec<&str> = sizes
            .iter()
            .map(|size| {
                at += size;
                &number[at - size..at]
            })
            .collect();
        parts.join(by)
    };
    match (length, random.below(3)) {
        (16, 0) => grouped(&[4, 4, 4, 4], " "),
        (16, 1) => grouped(&[4, 4, 4, 4], "-"),
        (15, 0) => grouped(&[4, 6, 5], " "),
        _ => number,
    }
}

pub fn iban(random: &mut Random) -> String {
    // Country, length of the rest, and how many letters it begins with.
    let (country, rest, letters) = *random.pick(&[
        ("DE", 18, 0),
        ("GB", 18, 4),
        ("FR", 23, 0),
        ("NL", 14, 4),
        ("ES", 20, 0),
        ("CH", 17, 0),
        ("PL", 24, 0),
        ("BE", 12, 0),
        ("AT", 16, 0),
        ("NO", 11, 0),
        ("IE", 18, 4),
        ("SE", 20, 0),
    ]);
    let bban = random.string(UPPER, letters) + &random.digits(rest - letters);
    let text = format!("{bban}{country}00");
    let number: String = text.chars().map(|c| c.to_digit(36).unwrap().to_string()).collect();
    let rest = number.bytes().fold(0u64, |rest, byte| (rest * 10 + u64::from(byte - b'0')) % 97);
    let whole = format!("{country}{:02}{bban}", 98 - rest);
    if random.below(2) == 0 {
        return whole;
    }
    whole.as_bytes().chunks(4).map(|part| std::str::from_utf8(part).unwrap()).collect::<Vec<_>>().join(" ")
}

pub fn github(random: &mut Random) -> String {
    let body = random.string(ALPHANUMERIC, 30);
    // CRC-32 bit by bit over the polynomial of ISO 3309, most significant bit last.
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        for bit in 0..8 {
            let out = (crc ^ (u32::from(byte) >> bit)) & 1;
            crc >>= 1;
            if out == 1 {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    let mut rest = !crc;
    let mut check = String::new();
    for _ in 0..6 {
        check.insert(0, char::from(ALPHANUMERIC.as_bytes()[(rest % 62) as usize]));
        rest /= 62;
    }
    if random.below(4) == 0 {
        return format!("github_pat_{}_{}", random.string(ALPHANUMERIC, 22), random.string(ALPHANUMERIC, 59));
    }
    format!("{}_{body}{check}", random.word(&["ghp", "gho", "ghu", "ghs", "ghr"]))
}

pub fn jwt(random: &mut Random) -> String {
    let header = URL_SAFE_NO_PAD
        .encode(format!(r#"{{"alg":"{}","typ":"JWT"}}"#, random.word(&["HS256", "RS256", "ES256"])));
    let claims = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"sub":"{}","iat":{}}}"#,
        random.digits(10),
        random.between(1_500_000_000, 1_700_000_000)
    ));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(random.bytes(32)))
}

/// The label, the body and the end of a private key in text.
pub fn private_key(random: &mut Random) -> (String, String, String) {
    let label = random.word(&[
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ]);
    let lines = random.between(3, 12);
    let body: String = (0..lines).map(|_| random.string(BASE64, 64) + "\n").collect();
    (format!("-----BEGIN {label}-----"), format!("\n{body}"), format!("-----END {label}-----"))
}

pub fn email(random: &mut Random) -> String {
    let (first, last) = (random.word(FIRST), random.word(LAST));
    let local = match random.below(4) {
        0 => format!("{first}.{last}"),
        1 => format!("{}{last}", &first[..1]),
        2 => format!("{first}+news{}", random.digits(2)),
        _ => format!("{first}_{}", random.digits(3)),
    };
    format!("{local}@{}", random.word(DOMAINS))
}

pub fn phone(random: &mut Random) -> String {
    let (area, exchange) = (random.between(201, 989), random.between(200, 999));
    let line = random.digits(4);
    match random.below(9) {
        0 => format!("+49{}{}", random.between(151, 179), random.digits(8)),
        1 => format!("+44 20 {} {}", random.between(7000, 8999), random.digits(4)),
        2 => format!("+1-{area}-{exchange}-{line}"),
        3 => format!("({area}) {exchange}-{line}"),
        4 => format!("{area}-{exchange}-{line}"),
        5 => format!(
            "0{} {} {} {} {}",
            random.between(1, 9),
            random.digits(2),
            random.digits(2),
            random.digits(2),
            random.digits(2)
        ),
        6 => format!(
            "+33 {} {} {} {} {}",
            random.between(1, 9),
            random.digits(2),
            random.digits(2),
            random.digits(2),
            random.digits(2)
        ),
        7 => format!("07{} {}", random.digits(3), random.digits(6)),
        _ => format!("+81 3 {} {}", random.between(3000, 6999), random.digits(4)),
    }
}

pub fn ssn(random: &mut Random) -> String {
    let area = loop {
        let area = random.between(1, 899);
        if area != 666 {
            break area;
        }
    };
    format!("{area:03}-{:02}-{:04}", random.between(1, 99), random.between(1, 9999))
}

pub fn nino(random: &mut Random) -> String {
    let pair = loop {
        let pair = random.string("ABCEGHJKLMNOPRSTWXYZ", 1) + &random.string("ABCEGHJKLMNPRSTWXYZ", 1);
        if !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].contains(&pair.as_str()) {
            break pair;
        }
    };
    let suffix = random.string("ABCD", 1);
    let digits = random.digits(6);
    if random.below(2) == 0 {
        return format!("{pair}{digits}{suffix}");
    }
    format!("{pair} {} {} {} {suffix}", &digits[..2], &digits[2..4], &digits[4..])
}

/// A national number, with the word that has to stand before it where the number alone says little.
pub fn national(random: &mut Random) -> (&'static str, String) {
    let sum = |body: &str, weights: &[u64]| -> u64 {
        body.bytes().zip(weights).map(|(byte, weight)| u64::from(byte - b'0') * weight).sum()
    };
    let (day, month, year) = (random.between(1, 28), random.between(1, 12), random.between(0, 99));
    match random.below(9) {
        0 => {
            let number = random.digits(8);
            let letter = b"TRWAGMYFPDXBNJZSQVHLCKE"[(number.parse::<u64>().unwrap() % 23) as usize];
            ("", format!("{number}{}", char::from(letter)))
        }
        1 => {
            let body = format!(
                "{}{year:02}{month:02}{:02}{:03}{:03}",
                random.between(1, 2),
                random.between(1, 95),
                random.between(1, 990),
                random.between(1, 999)
            );
            ("", format!("{body}{:02}", 97 - body.parse::<u64>().unwrap() % 97))
        }
        2 => {
            let body = random.digits(9);
            let first = sum(&body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
            let body = format!("{body}{first}");
            let second = sum(&body, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
            ("", format!("{}.{}.{}-{first}{second}", &body[..3], &body[3..6], &body[6..9]))
        }
        3 => {
            let body = format!("{year:02}{month:02}{day:02}{:03}", random.between(1, 999));
            ("", format!("{}-{}{}", &body[..6], &body[6..], luhn_digit(&body)))
        }
        4 => {
            let serial = random.between(2, 899);
            let number = format!("{day:02}{month:02}{year:02}{serial:03}").parse::<u64>().unwrap();
            let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY"[(number % 31) as usize];
            ("", format!("{day:02}{month:02}{year:02}-{serial:03}{}", char::from(check)))
        }
        5 => loop {
            let body = random.digits(8);
            let check = sum(&body, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            if check < 10 && body != "00000000" {
                break ("BSN ", format!("{body}{check}"));
            }
        },
        6 => {
            let body = format!("{year:02}{month:02}{day:02}{}", random.digits(4));
            let check = (10 - sum(&body, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10;
            ("PESEL: ", format!("{body}{check}"))
        }
        7 => loop {
            let body = random.digits(9);
            let check = 11 - sum(&body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            if check != 10 {
                break (
                    "NHS number ",
                    format!("{} {} {}{}", &body[..3], &body[3..6], &body[6..], check % 11),
                );
            }
        },
        _ => {
            let body = random.string(UPPER, 6)
                + &random.digits(2)
                + &random.string("ABCDEHLMPRST", 1)
                + &format!("{day:02}")
                + &random.string(UPPER, 1)
                + &random.digits(3);
            // Odd places by the table of the decree, even ones by their own value.
            const ODD: [u64; 26] = [
                1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
            ];
            let value = |byte: u8| u64::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
            let total: u64 = body
                .bytes()
                .enumerate()
                .map(|(at, byte)| if at % 2 == 0 { ODD[value(byte) as usize] } else { value(byte) })
                .sum();
            ("", format!("{body}{}", char::from(b'A' + (total % 26) as u8)))
        }
    }
}

pub fn public_ip(random: &mut Random) -> String {
    if random.below(3) == 0 {
        let block = random.word(&["2a00:1450", "2606:4700", "2003:e6"]);
        return format!(
            "{block}:{:x}:{:x}::{:x}",
            random.between(1, 0xffff),
            random.between(1, 0xffff),
            random.between(1, 0xffff)
        );
    }
    let first = *random.pick(&[5u64, 23, 34, 46, 52, 81, 93, 104, 142, 151, 185, 193, 212, 217]);
    format!("{first}.{}.{}.{}", random.between(1, 254), random.between(1, 254), random.between(1, 254))
}

pub fn mac(random: &mut Random) -> String {
    let vendor = random.word(&["00:1b:44", "3c:22:fb", "a4:83:e7", "dc:a6:32", "52:54:00"]);
    let pair = |random: &mut Random| random.string(HEX, 2);
    let text = format!("{vendor}:{}:{}:{}", pair(random), pair(random), pair(random));
    match random.below(3) {
        0 => text.to_uppercase().replace(':', "-"),
        1 => text.to_uppercase(),
        _ => text,
    }
}

pub fn user(random: &mut Random) -> String {
    let (first, last) = (random.word(FIRST), random.word(LAST));
    match random.below(3) {
        0 => first.to_owned(),
        1 => format!("{}{last}", &first[..1]),
        _ => format!("{first}.{last}"),
    }
}

pub fn host(random: &mut Random) -> String {
    let name = random.word(&["web", "db", "build", "laptop", "fra1-node", "mx"]);
    format!(
        "{name}-{:02}.{}",
        random.between(1, 99),
        random.word(&["prod.internal", "office.lan", "hq.corp", "cluster.local", "dc1.intranet"])
    )
}

pub fn location(random: &mut Random) -> String {
    let places = random.between(4, 7) as usize;
    let part = |most: u64, random: &mut Random| {
        format!("{}{}.{}", random.word(&["", "-"]), random.below(most), random.digits(places))
    };
    let (latitude, longitude) = (part(90, random), part(180, random));
    format!("{latitude}{}{longitude}", random.word(&[",", ", "]))
}

pub fn password(random: &mut Random) -> String {
    match random.below(4) {
        0 => format!(
            "{}{}!{}",
            random.word(&["Winter", "Hunter", "Dragon", "Correct"]),
            random.between(10, 9999),
            random.string(LOWER, 2)
        ),
        1 => random.string(ALPHANUMERIC, 12),
        2 => {
            random
                .string("abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789!@#%^*_+-=", 16)
                .replace(['#', '%', '=', '*'], "k")
                + "7"
        }
        _ => format!("{}-{}-{}", random.word(FIRST), random.word(LAST), random.digits(4)),
    }
}

pub fn secret(random: &mut Random) -> String {
    let count = random.between(24, 48) as usize;
    let text = match random.below(3) {
        0 => random.string(HEX, 32),
        1 => STANDARD.encode(random.bytes(count)),
        _ => random.string(ALPHANUMERIC, count),
    };
    text + "4f7a"
}

/// Tokens by a fixed prefix: the kind's name and the value.
pub fn token(random: &mut Random, which: usize) -> (&'static str, String) {
    let base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    match which % 9 {
        0 => ("aws_key", format!("{}{}", random.word(&["AKIA", "ASIA"]), random.string(base32, 16))),
        1 => match random.below(2) {
            0 => ("gcp_key", format!("AIza{}", random.string(BASE64_URL, 34) + "x")),
            _ => ("gcp_key", format!("GOCSPX-{}", random.string(BASE64_URL, 27) + "x")),
        },
        2 => (
            "gitlab_token",
            format!("{}{}", random.word(&["glpat-", "gldt-", "glrt-"]), random.string(ALPHANUMERIC, 20)),
        ),
        3 => (
            "slack_token",
            format!(
                "{}-{}-{}-{}",
                random.word(&["xoxb", "xoxp"]),
                random.digits(12),
                random.digits(12),
                random.string(ALPHANUMERIC, 24)
            ),
        ),
        4 => (
            "stripe_key",
            format!(
                "{}_{}1{}",
                random.word(&["sk_live", "sk_test", "rk_live"]),
                random.string(ALPHANUMERIC, 12),
                random.string(ALPHANUMERIC, 12)
            ),
        ),
        5 => ("npm_token", format!("npm_{}", random.string(ALPHANUMERIC, 36))),
        6 => ("pypi_token", format!("pypi-AgEIcHlwaS5vcmc{}", random.string(BASE64_URL, 130) + "A")),
        7 => ("crates_token", format!("cio{}aZ7", random.string(ALPHANUMERIC, 29))),
        _ => ("github_token", github(random)),
    }
}

/// Digits that are no number of anybody's: a card's or an IBAN's with another check digit.
pub fn broken(random: &mut Random) -> String {
    match random.below(4) {
        0 => {
            let number: String = card(random).chars().filter(char::is_ascii_digit).collect();
            let last = number.as_bytes()[number.len() - 1] - b'0';
            format!("{}{}", &number[..number.len() - 1], (last + 1 + random.below(9) as u8) % 10)
        }
        1 => {
            let good: String = iban(random).replace(' ', "");
            let at = good.len() - 1;
            let last = good.as_bytes()[at];
            format!("{}{}", &good[..at], char::from(b'0' + (last - b'0' + 1) % 10))
        }
        2 => {
            let good = github(random);
            if good.starts_with("github_pat_") {
                return format!("ghp_{}", random.string(DIGITS, 36));
            }
            let last = good.as_bytes()[39];
            format!("{}{}", &good[..39], if last == b'0' { 'A' } else { '0' })
        }
        _ => format!(
            "{}-{}-{}",
            random.word(&["000", "666", "900", "987"]),
            random.digits(2),
            random.digits(4)
        ),
    }
}
