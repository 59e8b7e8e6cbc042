//! The scanner: every detector over one text, and what of their hits stands.

use std::ops::Range;

use regex::bytes::Regex;

use super::keys::Keys;
use super::kind::Kind;
use super::names::{self, Names};
use super::numbers;
use super::policy::Policy;
use super::tokens::Tokens;

/// Most bytes of a masked form.
const MAX_MASK: usize = 48;

/// Something found, by what it is and where its value lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The bytes of the value in the text that was scanned.
    pub range: Range<usize>,
}

impl Finding {
    /// The value's shape, never the value: letters and digits are stars.
    pub fn masked(&self, text: &[u8]) -> String {
        let value = &text[self.range.clone()];
        let shape = value.iter().take(MAX_MASK).map(|byte| match byte {
            byte if byte.is_ascii_punctuation() || *byte == b' ' => char::from(*byte),
            _ => '*',
        });
        let more = if value.len() > MAX_MASK { "…" } else { "" };
        format!("{}{more} ({} bytes)", shape.collect::<String>(), value.len())
    }
}

/// What the detectors say, before overlaps are settled.
#[derive(Default)]
pub(super) struct Hits(Vec<Finding>);

impl Hits {
    pub fn add(&mut self, kind: Kind, range: Range<usize>) {
        if !range.is_empty() {
            self.0.push(Finding { kind, range });
        }
    }

    pub fn has(&self, kind: &Kind, range: &Range<usize>) -> bool {
        self.0.iter().any(|hit| hit.kind == *kind && hit.range == *range)
    }

    /// Sorted, without overlaps: secrets before personal data, then the longer one.
    fn settle(mut self) -> Vec<Finding> {
        let weight = |kind: &Kind| match kind {
            Kind::Custom(_) => 0,
            Kind::Password | Kind::SecretValue | Kind::Authorization => 2,
            kind if kind.is_secret() => 1,
            Kind::HostName => 4,
            _ => 3,
        };
        self.0.sort_by_key(|hit| (weight(&hit.kind), std::cmp::Reverse(hit.range.len()), hit.range.start));
        let mut kept: std::collections::BTreeMap<usize, Finding> = std::collections::BTreeMap::new();
        for hit in self.0 {
            let before = kept.range(..hit.range.end).next_back();
            if before.is_none_or(|(_, other)| other.range.end <= hit.range.start) {
                kept.insert(hit.range.start, hit);
            }
        }
        kept.into_values().collect()
    }
}

/// Finds what a policy speaks of in bytes. Made once, used for many texts.
#[derive(Debug)]
pub struct Scanner {
    tokens: Tokens,
    keys: Keys,
    names: Names,
    own: Vec<(Kind, Regex, usize)>,
    policy: Policy,
}

impl Scanner {
    /// A scanner for `policy`.
    pub fn new(policy: Policy) -> Self {
        Self { tokens: Tokens::new(), keys: Keys::new(), names: Names::new(), own: policy.compiled(), policy }
    }

    /// The policy that it was made for.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Everything found in `text`, by place, without overlaps. Takes time linear in the text.
    pub fn scan(&self, text: &[u8]) -> Vec<Finding> {
        let mut hits = Hits::default();
        for (kind, pattern, group) in &self.own {
            let found = pattern.captures_iter(text).filter_map(|captures| captures.get(*group));
            found.for_each(|value| hits.add(kind.clone(), value.range()));
        }
        self.tokens.scan(text, &mut hits);
        self.keys.scan(text, &mut hits);
        self.names.scan(text, &mut hits);
        numbers::scan(text, &mut hits);
        names::words(text, &mut hits);
        hits.0.retain(|hit| self.policy.wants(&hit.kind, &text[hit.range.clone()]));
        hits.settle()
    }
}
