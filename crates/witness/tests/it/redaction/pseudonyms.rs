//! Pseudonyms keep what a parser checks, and nothing of the value; policies have limits.

use std::collections::BTreeSet;

use assay_witness::redact::{
    Kind, MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_POLICY_BYTES, Policy, PolicyError, PseudonymKey, Scanner,
};

use super::items::{Half, items};

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' => b'a',
        b'A'..=b'Z' => b'A',
        byte => byte,
    }
}

#[test]
fn they_are_keyed_and_keep_length_class_and_validity() {
    let scanner = Scanner::new(Policy::default());
    let (key, other) = (PseudonymKey::new([7; 32]), PseudonymKey::new([8; 32]));
    let mut seen = BTreeSet::new();
    for item in items(Half::Tuning, 12).iter().filter(|item| item.label.is_some()) {
        let text = item.text.as_bytes();
        for finding in scanner.scan(text) {
            let value = &text[finding.range.clone()];
            let pseudonym = key.pseudonym(&finding.kind, value);
            assert_eq!(pseudonym, key.pseudonym(&finding.kind, value));
            assert_ne!(pseudonym, value, "{}", finding.kind);
            assert_ne!(pseudonym, other.pseudonym(&finding.kind, value), "{}", finding.kind);
            // The checksum at the end of a GitHub token is what it has to be.
            let classed = if finding.kind == Kind::GithubToken { 34 } else { value.len() };
            let classes = |text: &[u8]| text[..classed].iter().map(|byte| class(*byte)).collect::<Vec<_>>();
            assert_eq!(
                classes(value),
                classes(&pseudonym),
                "{}: {:?} {:?}",
                finding.kind,
                String::from_utf8_lossy(value),
                String::from_utf8_lossy(&pseudonym)
            );
            // A validator that accepted the value accepts the pseudonym in the same place.
            let checked = [
                Kind::PaymentCard,
                Kind::Iban,
                Kind::UkNino,
                Kind::UsSsn,
                Kind::GithubToken,
                Kind::PublicIp,
                Kind::Jwt,
                Kind::NationalId,
                Kind::Location,
            ];
            if checked.contains(&finding.kind) {
                let mut again = text.to_vec();
                again[finding.range.clone()].copy_from_slice(&pseudonym);
                let found = scanner.scan(&again);
                assert!(
                    found.iter().any(|hit| hit.kind == finding.kind),
                    "{}: {}",
                    finding.kind,
                    String::from_utf8_lossy(&again)
                );
                seen.insert(finding.kind.name().to_owned());
            }
        }
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
}

/// A token that GitHub's engineers published as an example, long expired: its checksum is not ours.
#[test]
fn a_published_github_token_is_one() {
    let token = ["ghp_zQWBuTSOoRi4A9spHcVY5", "ncnsDkxkJ0mLq17"].concat();
    let scanner = Scanner::new(Policy::default());
    assert_eq!(scanner.scan(token.as_bytes())[0].kind, Kind::GithubToken);
    assert!(scanner.scan(token.replace("q17", "q18").as_bytes()).is_empty());
}

#[test]
fn a_mask_shows_no_letter_or_digit() {
    let text = b"card 4111 1111 1111 1111 ok";
    let found = Scanner::new(Policy::default()).scan(text);
    assert_eq!(found[0].masked(text), "**** **** **** **** (19 bytes)");
}

#[test]
fn a_policy_adds_patterns_and_takes_kinds_away() {
    let policy = Policy::from_toml(
        "version = 1\ndisabled = ['email']\nallowed = ['8.8.8.8']\n[[pattern]]\nname = 'employee'\npattern = 'staff no (E[0-9]{6})'\ngroup = 1\n",
    );
    let scanner = Scanner::new(policy.unwrap());
    let text = b"staff no E123456, anna@posteo.net, 8.8.8.8, 8.8.4.4";
    let found: Vec<String> = scanner
        .scan(text)
        .iter()
        .map(|hit| format!("{} {}", hit.kind, String::from_utf8_lossy(&text[hit.range.clone()])))
        .collect();
    assert_eq!(found, ["employee E123456", "public_ip 8.8.4.4"]);
}

#[test]
fn limits_of_a_policy() {
    let patterns = |count: usize| {
        (0..count).map(|at| format!("[[pattern]]\nname = 'p{at}'\npattern = 'x{at}'\n")).collect::<String>()
    };
    let with = |rest: &str| Policy::from_toml(&format!("version = 1\n{rest}"));
    assert!(with(&patterns(MAX_PATTERNS)).is_ok());
    assert!(matches!(with(&patterns(MAX_PATTERNS + 1)), Err(PolicyError::TooMuch { what: "patterns" })));
    let long = |count: usize| with(&format!("[[pattern]]\nname = 'p'\npattern = '{}'\n", "x".repeat(count)));
    assert!(long(MAX_PATTERN_BYTES).is_ok());
    assert!(matches!(long(MAX_PATTERN_BYTES + 1), Err(PolicyError::TooMuch { .. })));
    let padded = |count: usize| with(&format!("#{}", "x".repeat(count - "version = 1\n#".len())));
    assert!(padded(MAX_POLICY_BYTES).is_ok());
    assert!(matches!(padded(MAX_POLICY_BYTES + 1), Err(PolicyError::TooMuch { .. })));
    assert!(matches!(with("disabled = ['colour']"), Err(PolicyError::UnknownKind { .. })));
    for pattern in ["(a", "a*", "(?:x{1000}){1000}", "(?=x)"] {
        let refused = with(&format!("[[pattern]]\nname = 'p'\npattern = '{pattern}'\n"));
        assert!(matches!(refused, Err(PolicyError::Pattern { .. })), "{pattern}");
    }
    assert!(
        Policy::from_toml("version = 2").is_err() && Policy::from_toml("version = 1\ncolour = 1").is_err()
    );
}
