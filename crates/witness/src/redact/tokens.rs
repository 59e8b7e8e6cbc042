//! Credentials that say themselves what they are: a fixed prefix, then a format.
//!
//! Sources: the issuers' own descriptions of their formats (AWS IAM unique identifiers, GitHub's and
//! GitLab's token prefixes, Slack's and Stripe's key pages, PyPI's macaroons, crates.io's token format),
//! RFC 7468 and RFC 4880 for keys in text, RFC 7519 for JSON web tokens.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::check;
use super::kind::Kind;
use super::scan::Hits;
use super::text::{before, ends, is_base64, is_word, run, starts};

/// The longest block of a private key.
const MAX_KEY_BLOCK: usize = 64 * 1024;
/// The longest token.
const MAX_TOKEN: usize = 4096;

type Read = fn(&[u8], usize, usize) -> Option<Range<usize>>;

/// A prefix, what it announces, and the reader that is given the text, the prefix's start and its end.
const FORMATS: &[(&str, Kind, Read)] = &[
    ("-----BEGIN ", Kind::PrivateKey, pem),
    ("PuTTY-User-Key-File-", Kind::PrivateKey, putty),
    ("AGE-SECRET-KEY-1", Kind::PrivateKey, |text, start, end| exact(text, start, end, 58, is_upper_or_digit)),
    ("AKIA", Kind::AwsKey, aws),
    ("ASIA", Kind::AwsKey, aws),
    ("AIza", Kind::GcpKey, |text, start, end| exact(text, start, end, 35, is_url_word)),
    ("GOCSPX-", Kind::GcpKey, |text, start, end| exact(text, start, end, 28, is_url_word)),
    ("ya29.", Kind::GcpKey, |text, start, end| longer(text, start, end, 30, is_url_word_or_dot)),
    ("AccountKey=", Kind::AzureKey, |text, _, end| value(text, end, 40)),
    ("SharedAccessKey=", Kind::AzureKey, |text, _, end| value(text, end, 40)),
    ("&sig=", Kind::AzureKey, shared_access),
    ("?sig=", Kind::AzureKey, shared_access),
    ("8Q~", Kind::AzureKey, azure_client),
    ("ghp_", Kind::GithubToken, github),
    ("gho_", Kind::GithubToken, github),
    ("ghu_", Kind::GithubToken, github),
    ("ghs_", Kind::GithubToken, github),
    ("ghr_", Kind::GithubToken, github),
    ("github_pat_", Kind::GithubToken, |text, start, end| exact(text, start, end, 82, is_word)),
    ("glpat-", Kind::GitlabToken, gitlab),
    ("gldt-", Kind::GitlabToken, gitlab),
    ("glrt-", Kind::GitlabToken, gitlab),
    ("glptt-", Kind::GitlabToken, gitlab),
    ("xoxb-", Kind::SlackToken, slack),
    ("xoxp-", Kind::SlackToken, slack),
    ("xoxa-", Kind::SlackToken, slack),
    ("xoxr-", Kind::SlackToken, slack),
    ("xoxs-", Kind::SlackToken, slack),
    ("xapp-", Kind::SlackToken, slack),
    ("hooks.slack.com/services/", Kind::SlackToken, slack_hook),
    ("sk_live_", Kind::StripeKey, stripe),
    ("sk_test_", Kind::StripeKey, stripe),
    ("rk_live_", Kind::StripeKey, stripe),
    ("rk_test_", Kind::StripeKey, stripe),
    ("whsec_", Kind::StripeKey, |text, start, end| longer(text, start, end, 24, is_base64)),
    ("npm_", Kind::NpmToken, |text, start, end| exact(text, start, end, 36, is_alphanumeric)),
    ("pypi-AgEIcHlwaS5vcmc", Kind::PypiToken, pypi),
    ("pypi-AgENdGVzdC5weXBpLm9yZw", Kind::PypiToken, pypi),
    ("cio", Kind::CratesToken, crates_io),
    ("eyJ", Kind::Jwt, jwt),
    ("://", Kind::UrlPassword, url_password),
];

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_url_word(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_url_word_or_dot(byte: u8) -> bool {
    is_url_word(byte) || byte == b'.'
}

/// The prefixes as one automaton.
#[derive(Debug)]
pub(super) struct Tokens(AhoCorasick);

impl Tokens {
    pub fn new() -> Self {
        let prefixes = FORMATS.iter().map(|(prefix, _, _)| prefix);
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(prefixes);
        Self(built.expect("a few dozen short literals make an automaton"))
    }

    pub fn scan(&self, text: &[u8], hits: &mut Hits) {
        for found in self.0.find_iter(text) {
            let (_, kind, read) = &FORMATS[found.pattern().as_usize()];
            if let Some(range) = read(text, found.start(), found.end()) {
                hits.add(kind.clone(), range);
            }
        }
    }
}

/// Exactly `count` bytes of a kind after the prefix, the whole being a word of its own.
fn exact(text: &[u8], start: usize, end: usize, count: usize, keep: fn(u8) -> bool) -> Option<Range<usize>> {
    let stop = run(text, end, count + 1, keep);
    (starts(text, start) && stop - end == count && ends(text, stop)).then_some(start..stop)
}

/// At least `count` bytes of a kind after the prefix.
fn longer(text: &[u8], start: usize, end: usize, count: usize, keep: fn(u8) -> bool) -> Option<Range<usize>> {
    let stop = run(text, end, MAX_TOKEN, keep);
    (starts(text, start) && stop - end >= count).then_some(start..stop)
}

/// A base64 value of at least `count` bytes after its key.
fn value(text: &[u8], end: usize, count: usize) -> Option<Range<usize>> {
    let stop = run(text, end, MAX_TOKEN, is_base64);
    (stop - end >= count).then_some(end..stop)
}

/// The body of a private key between its marks; a certificate or public key is none.
fn pem(text: &[u8], _: usize, end: usize) -> Option<Range<usize>> {
    let label_end =
        run(text, end, 64, |byte| byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit());
    let label = &text[end..label_end];
    if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK"))
        || !text[label_end..].starts_with(b"-----")
    {
        return None;
    }
    let body = label_end + 5;
    let block = &text[body..text.len().min(body + MAX_KEY_BLOCK)];
    let stop = memchr::memmem::find(block, b"-----END").unwrap_or_else(|| {
        // Cut off: whatever still looks like the key's base64.
        run(block, 0, MAX_KEY_BLOCK, |byte| is_base64(byte) || b"\r\n\\ ".contains(&byte))
    });
    (stop >= 16).then_some(body..body + stop)
}

fn putty(text: &[u8], _: usize, end: usize) -> Option<Range<usize>> {
    let block = &text[end..text.len().min(end + MAX_KEY_BLOCK)];
    let private = memchr::memmem::find(block, b"Private-Lines:")?;
    let line = memchr::memchr(b'\n', &block[private..])?;
    let body = end + private + line + 1;
    let stop = run(text, body, MAX_KEY_BLOCK, |byte| is_base64(byte) || b"\r\n".contains(&byte));
    (stop > body).then_some(body..stop)
}

/// Sixteen bytes of base32 after the four letters, as AWS makes them; its documentation's example is none.
fn aws(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    let range = exact(text, start, end, 16, is_upper_or_digit)?;
    (text[end..range.end].iter().all(|byte| base32(*byte)) && !text[range.clone()].ends_with(b"EXAMPLE"))
        .then_some(range)
}

/// The signature of a shared access URL: the base64 of an HMAC-SHA-256, percent-encoded.
fn shared_access(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let stop = run(text, end, 128, |byte| is_base64(byte) || byte == b'%');
    let url = &text[start.saturating_sub(512)..start.saturating_add(512).min(text.len())];
    let is_azure = memchr::memmem::find(url, b"se=").is_some() || memchr::memmem::find(url, b"sv=").is_some();
    (is_azure && stop - end >= 43).then_some(end..stop)
}

/// A client secret: three letters or digits, a digit, `Q~`, and thirty-one to thirty-four more.
fn azure_client(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let begin = start.checked_sub(3)?;
    let keep = |byte: u8| is_word(byte) || b"~.-".contains(&byte);
    let stop = run(text, end, 40, keep);
    let word = text[begin..start].iter().all(|byte| keep(*byte)) && starts(text, begin);
    (word && (31..=34).contains(&(stop - end))).then_some(begin..stop)
}

/// Thirty random bytes of base62 and their checksum.
fn github(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let range = exact(text, start, end, 36, is_alphanumeric)?;
    let (random, checksum) = text[end..range.end].split_at(30);
    (check::github_checksum(random) == checksum).then_some(range)
}

fn gitlab(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    longer(text, start, end, 20, is_url_word_or_dot).map(|range| trim_dots(text, range))
}

/// A full stop at the end belongs to the sentence.
fn trim_dots(text: &[u8], range: Range<usize>) -> Range<usize> {
    let end = text[range.clone()]
        .iter()
        .rposition(|byte| *byte != b'.')
        .map_or(range.start, |at| range.start + at + 1);
    range.start..end
}

/// Parts joined by hyphens, the last at least twenty bytes long.
fn slack(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let range = longer(text, start, end, 20, |byte| byte.is_ascii_alphanumeric() || byte == b'-')?;
    let last = text[range.clone()].rsplit(|byte| *byte == b'-').next()?;
    let has_digit = text[end..range.end].iter().any(u8::is_ascii_digit);
    (last.len() >= 20 && has_digit).then_some(range)
}

/// Team, channel and secret after the webhook's host.
fn slack_hook(text: &[u8], _: usize, end: usize) -> Option<Range<usize>> {
    let stop = run(text, end, 128, |byte| byte.is_ascii_alphanumeric() || byte == b'/');
    let mut parts = text[end..stop].split(|byte| *byte == b'/');
    let (team, channel, secret) = (parts.next()?, parts.next()?, parts.next()?);
    (team.starts_with(b"T") && channel.starts_with(b"B") && secret.len() >= 20).then_some(end..stop)
}

fn stripe(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let range = longer(text, start, end, 16, is_alphanumeric)?;
    (ends(text, range.end) && text[end..range.end].iter().any(u8::is_ascii_digit)).then_some(range)
}

fn pypi(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    longer(text, start, end, 50, is_url_word)
}

/// Thirty-two letters and digits after `cio`; both cases and a digit tell it from a word.
fn crates_io(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let range = exact(text, start, end, 32, is_alphanumeric)?;
    let random = &text[end..range.end];
    let all = [u8::is_ascii_digit, u8::is_ascii_uppercase, u8::is_ascii_lowercase];
    all.iter().all(|kind| random.iter().any(kind)).then_some(range)
}

/// Three parts of which the first decodes to an object with `alg`.
fn jwt(text: &[u8], start: usize, _: usize) -> Option<Range<usize>> {
    if before(text, start).is_some_and(|byte| is_url_word(byte) || byte == b'.') {
        return None;
    }
    let stop = run(text, start, MAX_TOKEN, is_url_word_or_dot);
    let mut parts = text[start..stop].splitn(3, |byte| *byte == b'.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let signature_end = run(signature, 0, MAX_TOKEN, is_url_word);
    let decoded = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
    let whole = header.get("alg").is_some() && claims.len() >= 4 && signature_end > 0;
    let end = stop - (signature.len() - signature_end);
    whole.then_some(start..end)
}

/// `scheme://user:password@host`: the password.
fn url_password(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if !before(text, start).is_some_and(is_word) {
        return None;
    }
    let stop = run(text, end, 512, |byte| {
        !byte.is_ascii_whitespace() && !b"/?#\"'<>`\\".contains(&byte) && byte != 0
    });
    let authority = &text[end..stop];
    let at = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', &authority[..at])?;
    let password = end + colon + 1..end + at;
    (!super::keys::is_placeholder(&text[password.clone()])).then_some(password)
}
