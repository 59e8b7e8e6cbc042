//! What templates print: words with their tone, digests, times, and the frame around every page.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_gate::{Mode, Outcome, Ruling, Verdict};
use serde::Serialize;

use super::assets;

/// How many digits of a digest are shown; the whole of it is in its title and its link.
const SHORT_DIGEST: usize = 12;

/// The frame of a page.
pub(super) struct Shell {
    pub title: String,
    /// The entry of the navigation that the page belongs to.
    pub section: &'static str,
    pub style: &'static str,
    pub icon: &'static str,
    pub version: &'static str,
    /// Tenant and name of whoever asks.
    pub caller: Option<(String, String)>,
    /// Whether there is a session to end.
    pub session: bool,
}

impl Shell {
    pub fn new(title: impl Into<String>, section: &'static str, principal: &Principal) -> Self {
        let caller = (principal.tenant().to_string(), principal.name().to_owned());
        // Whoever may manage tokens came without one.
        let session = principal.require(Permission::ManageTokens).is_err();
        Self { section, caller: Some(caller), session, ..Self::outside(title) }
    }

    /// The frame of a page that is for nobody in particular.
    pub fn outside(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section: "",
            style: assets::STYLE_URL.as_str(),
            icon: assets::ICON_URL.as_str(),
            version: env!("CARGO_PKG_VERSION"),
            caller: None,
            session: false,
        }
    }
}

/// A stable word with the tone it is shown in; the mark repeats the tone for who sees no colours.
pub(super) struct Badge {
    pub word: String,
    pub tone: &'static str,
    pub mark: &'static str,
}

impl Badge {
    fn new(word: &impl Serialize, tone: &'static str) -> Self {
        let mark = match tone {
            "good" => "✓",
            "bad" => "✕",
            "open" => "?",
            _ => "",
        };
        Self { word: word_of(word), tone, mark }
    }

    pub fn ruling(ruling: Ruling) -> Self {
        let tone = match ruling {
            Ruling::Allow => "good",
            Ruling::Deny => "bad",
            Ruling::Pending => "open",
        };
        Self::new(&ruling, tone)
    }

    pub fn verdict(verdict: Verdict) -> Self {
        let tone = match verdict {
            Verdict::NotReproduced => "good",
            Verdict::Reproduced => "bad",
            Verdict::Inconclusive => "open",
        };
        Self::new(&verdict, tone)
    }

    pub fn outcome(outcome: Outcome) -> Self {
        let tone = match outcome {
            Outcome::Pass => "good",
            Outcome::Fail => "bad",
            Outcome::Unknown => "open",
        };
        Self::new(&outcome, tone)
    }

    pub fn good(word: &str) -> Self {
        Self::new(&word, "good")
    }

    pub fn open(word: &str) -> Self {
        Self::new(&word, "open")
    }

    pub fn plain(word: &str) -> Self {
        Self::new(&word, "plain")
    }
}

/// A word of an enumeration, as the API spells it.
pub(super) fn word_of(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// How a verdict was come by, as a word; nothing where there is none.
pub(super) fn mode(mode: Option<Mode>) -> String {
    mode.map_or_else(|| "–".to_owned(), |mode| word_of(&mode))
}

/// A digest, shortened for people.
#[derive(Clone)]
pub(super) struct Digest {
    pub full: String,
    pub short: String,
}

impl Digest {
    pub fn of(digest: &Sha256) -> Self {
        Self { full: digest.to_string(), short: digest.hex()[..SHORT_DIGEST].to_owned() }
    }
}

/// A time, for machines and for people.
pub(super) struct Moment {
    pub machine: String,
    pub people: String,
}

impl Moment {
    pub fn of(time: Timestamp) -> Self {
        let machine = time.to_string();
        let people = match (machine.get(..10), machine.get(11..19)) {
            (Some(date), Some(clock)) => format!("{date} {clock}"),
            _ => machine.clone(),
        };
        Self { machine, people }
    }
}

/// Milliseconds with three digits that count.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0} ms"),
        value if value >= 10.0 => format!("{value:.1} ms"),
        value => format!("{value:.2} ms"),
    }
}

/// Bytes in the unit that reads best.
pub(super) fn bytes(size: u64) -> String {
    let mut value = size as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{size} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Most characters of a name or sentence that comes from an artifact.
const MAX_TEXT: usize = 200;

/// What an artifact says, cut where it goes on too long: one name could otherwise fill a page.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some(_) => text.chars().take(MAX_TEXT - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// The last part of a predicate type, for people.
pub(super) fn predicate_name(predicate_type: &str) -> String {
    predicate_type.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(milliseconds(0.1234), "0.12 ms");
        assert_eq!(milliseconds(1234.5), "1234 ms");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(shown(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(shown(&"é".repeat(201)), format!("{}…", "é".repeat(199)));
        assert_eq!(segment("a+b c/é"), "a%2Bb%20c%2F%C3%A9");
        assert_eq!(Moment::of(Timestamp::from_micros(1_500_000)).people, "1970-01-01 00:00:01");
    }
}
