//! Replacing values by pseudonyms, everywhere alike.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use assay_evidence::Sha256;

use super::capsule::MAX_PSEUDONYMS;
use super::kind::Kind;
use super::pseudonym::PseudonymKey;
use super::scan::Scanner;
use super::text::{ends, starts};

/// Shorter values are replaced only where a detector sees them, and not wherever their bytes stand.
const MIN_ELSEWHERE: usize = 4;

/// Knows every value of a capsule and its pseudonym.
pub(super) struct Rewriter<'a> {
    scanner: &'a Scanner,
    key: &'a PseudonymKey,
    values: BTreeMap<Vec<u8>, (Kind, Vec<u8>)>,
    elsewhere: Option<(AhoCorasick, Vec<Vec<u8>>)>,
    replaced: BTreeMap<String, u64>,
}

impl<'a> Rewriter<'a> {
    pub fn new(scanner: &'a Scanner, key: &'a PseudonymKey) -> Self {
        Self { scanner, key, values: BTreeMap::new(), elsewhere: None, replaced: BTreeMap::new() }
    }

    /// Notes the values of one text. The first kind that a value is found as names its pseudonym.
    pub fn learn(&mut self, text: &[u8]) {
        for finding in self.scanner.scan(text) {
            let value = &text[finding.range];
            if !self.values.contains_key(value) && self.values.len() < MAX_PSEUDONYMS {
                let pseudonym = self.key.pseudonym(&finding.kind, value);
                self.values.insert(value.to_vec(), (finding.kind, pseudonym));
            }
        }
    }

    /// Ends learning: from here on every value is replaced also where no detector would see it.
    pub fn learned(mut self) -> Self {
        let long: Vec<Vec<u8>> =
            self.values.keys().filter(|value| value.len() >= MIN_ELSEWHERE).cloned().collect();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&long).ok();
        self.elsewhere = automaton.map(|automaton| (automaton, long));
        self
    }

    /// The text with every value replaced; its length stays.
    pub fn rewrite(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = text.to_vec();
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        for finding in self.scanner.scan(text) {
            taken.insert(finding.range.start, finding.range.end);
            self.replace(text, finding.range, &mut out);
        }
        for range in self.others(text) {
            let before = taken.range(..range.end).next_back();
            if before.is_none_or(|(_, end)| *end <= range.start) {
                self.replace(text, range, &mut out);
            }
        }
        out
    }

    /// A text of the manifest: what is not UTF-8 afterwards stays as it was.
    pub fn text(&mut self, text: &str) -> String {
        String::from_utf8(self.rewrite(text.as_bytes())).unwrap_or_else(|_| text.to_owned())
    }

    fn others(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Some((automaton, _)) = &self.elsewhere else { return Vec::new() };
        let found = automaton.find_iter(text).map(|found| found.range());
        found.filter(|range| starts(text, range.start) && ends(text, range.end)).collect()
    }

    fn replace(&mut self, text: &[u8], range: Range<usize>, out: &mut [u8]) {
        if let Some((kind, pseudonym)) = self.values.get(&text[range.clone()]) {
            *self.replaced.entry(kind.name().to_owned()).or_default() += 1;
            out[range].copy_from_slice(pseudonym);
        }
    }

    /// How many values of each kind were replaced, and the digests of the pseudonyms.
    pub fn finish(self) -> (BTreeMap<String, u64>, Vec<Sha256>) {
        let digests: BTreeSet<Sha256> =
            self.values.values().map(|(_, pseudonym)| Sha256::of(pseudonym)).collect();
        (self.replaced, digests.into_iter().collect())
    }
}
