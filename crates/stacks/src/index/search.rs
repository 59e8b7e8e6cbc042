//! Candidates from the rarest keys, then an exact alignment of the best of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Index;
use super::build::{NO_TIME, levels, places};
use super::format::{
    self, FLAG_LOCATION, FLAG_REPEATED, FLAG_STANDARD, FRAME_BYTES, TRACE_BYTES, i64_at, u32_at,
};
use crate::model::{Alignment, FEATURES, NO_TOKEN, Query, Slot, recency};
use crate::trace::{MAX_TRACE_FRAMES, Trace};

/// How many postings of one query are read, the rarest keys' first; a list is read as a whole.
const MAX_POSTINGS: usize = 6144;
/// The longest list that is read where nothing rarer was found.
const MAX_LIST: usize = 16_384;
/// How many candidates are aligned.
const MAX_ALIGNED: usize = 160;

/// How many are aligned however little they share.
const MIN_ALIGNED: usize = 24;
/// The share of the best candidate's common weight below which others are left out.
const MIN_SHARE: f64 = 0.3;

/// A map over the numbers of an index: they are ours, so no hash against chosen keys is needed.
type Numbers<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Fibonacci hashing.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

/// One incident found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The number of its best trace.
    pub(crate) trace: u32,
    pub(crate) incident: u32,
    pub(crate) score: f64,
    pub(crate) probability: f64,
    pub(crate) features: [f64; FEATURES],
    /// The place that agreed, where one of the two is only a location.
    pub(crate) place: Option<u32>,
    /// Whether the score is that of containment.
    pub(crate) contained: bool,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// The incidents that a trace may belong to, the most probable first; only traces that `admit`
    /// lets pass count.
    pub(crate) fn search(
        &self,
        trace: &Trace,
        time: Option<i64>,
        limit: usize,
        admit: impl Fn(u32) -> bool,
    ) -> Vec<Found> {
        let slots = self.slots_of(trace);
        let query_places: Vec<u32> = places(trace).iter().filter_map(|place| self.token(place)).collect();
        let bare = trace.frames.iter().all(|frame| frame.location);
        let query = Query::new(&slots);
        let mut alignment = Alignment::default();
        let mut best: Numbers<u32, Found> = Numbers::default();
        let mut known: Vec<Slot> = Vec::new();
        let candidates = self.candidates(&slots, &query_places, &admit);
        let counts = self.popularity(&candidates);
        for candidate in candidates {
            let located = self.slots(candidate, &mut known);
            let found = if bare || located {
                self.by_place(candidate, &query_places)
            } else {
                query.align(&known, &self.model, &mut alignment);
                alignment.features[6] = recency(time, self.time(candidate));
                let count = counts.get(&self.incident(candidate)).copied().unwrap_or(1);
                alignment.features[10] = (f64::from(count).ln() / 4.0).min(1.0);
                let alike = self.model.score(&alignment.features);
                let held =
                    self.contained(trace, &slots, &known, &alignment.pairs).filter(|held| *held > alike);
                let score = held.unwrap_or(alike);
                Some(Found {
                    trace: candidate,
                    incident: self.incident(candidate),
                    score,
                    probability: self.model.probability(score),
                    features: alignment.features,
                    place: None,
                    contained: held.is_some(),
                })
            };
            let Some(found) = found else { continue };
            let entry = best.entry(found.incident).or_insert_with(|| found.clone());
            if found.score > entry.score {
                *entry = found;
            }
        }
        let mut found: Vec<Found> = best.into_values().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.incident.cmp(&b.incident)));
        found.truncate(limit);
        found
    }

    /// How many candidates each incident has.
    fn popularity(&self, candidates: &[u32]) -> Numbers<u32, u32> {
        let mut counts = Numbers::default();
        for candidate in candidates {
            *counts.entry(self.incident(*candidate)).or_default() += 1;
        }
        counts
    }

    /// The traces that share the rarest keys with the query.
    fn candidates(&self, slots: &[Slot], places: &[u32], admit: &impl Fn(u32) -> bool) -> Vec<u32> {
        let mut terms: Vec<(usize, u32, f64)> = Vec::new();
        let mut seen: Vec<u32> = Vec::new();
        for slot in slots {
            for (level, token) in slot.tokens.iter().enumerate().filter(|(_, token)| **token != NO_TOKEN) {
                let share = [1.0, 0.3, 0.3][level];
                seen.push(*token);
                terms.push((self.frequency(*token), *token, slot.weight * share));
            }
        }
        seen.sort_unstable();
        for token in places.iter().filter(|token| seen.binary_search(token).is_err()) {
            terms.push((self.frequency(*token), *token, 0.1 * self.rarity(*token)));
        }
        terms.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        terms.dedup_by_key(|term| term.1);
        let mut scores: Numbers<u32, f64> = Numbers::default();
        let mut read = 0;
        for (frequency, token, weight) in terms {
            if read + frequency > MAX_POSTINGS && !scores.is_empty() {
                break;
            }
            read += frequency;
            for trace in self.postings(token).take(MAX_LIST) {
                *scores.entry(trace).or_default() += weight;
            }
        }
        let mut ranked: Vec<(u32, f64)> = scores.into_iter().filter(|(trace, _)| admit(*trace)).collect();
        let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if ranked.len() > MAX_ALIGNED {
            ranked.select_nth_unstable_by(MAX_ALIGNED, order);
            ranked.truncate(MAX_ALIGNED);
        }
        ranked.sort_by(order);
        // What shares little beside what shares much cannot come first after alignment.
        let least = ranked.first().map_or(0.0, |best| best.1 * MIN_SHARE);
        let keep = ranked.partition_point(|candidate| candidate.1 >= least);
        ranked.truncate(keep.max(MIN_ALIGNED));
        ranked.into_iter().map(|(trace, _)| trace).collect()
    }

    /// A match by the place alone: as probable as the place is rare among incidents.
    fn by_place(&self, candidate: u32, query_places: &[u32]) -> Option<Found> {
        let places = self.places(candidate);
        let shared = places
            .filter(|place| query_places.contains(place))
            .map(|place| (self.place_probability(place), place));
        let (probability, place) = shared.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
        Some(Found {
            trace: candidate,
            incident: self.incident(candidate),
            score: (probability / (1.0 - probability)).ln(),
            probability,
            features: [0.0; FEATURES],
            place: Some(place),
            contained: false,
        })
    }

    fn place_probability(&self, place: u32) -> f64 {
        let mut incidents: Vec<u32> =
            self.postings(place).take(4096).map(|trace| self.incident(trace)).collect();
        incidents.sort_unstable();
        incidents.dedup();
        let text = self.token_text(place);
        let certainty = if text.starts_with("at ") {
            0.95
        } else if text == "stack overflow" {
            0.85
        } else if text.contains("::") {
            0.7
        } else {
            0.6
        };
        certainty / incidents.len().max(1) as f64
    }

    /// The query's frames as numbers.
    pub(super) fn slots_of(&self, trace: &Trace) -> Vec<Slot> {
        let frames = trace.frames.iter().take(MAX_TRACE_FRAMES);
        let mut slots: Vec<Slot> = frames
            .map(|frame| Slot {
                tokens: levels(frame).map(|key| key.and_then(|key| self.token(key)).unwrap_or(NO_TOKEN)),
                line: frame.line.unwrap_or(0),
                standard: frame.standard,
                repeated: frame.repeated,
                ..Slot::default()
            })
            .collect();
        self.weigh(&mut slots);
        slots
    }

    /// Reads the frames of a known trace; true where it is only a location.
    fn slots(&self, trace: u32, out: &mut Vec<Slot>) -> bool {
        let bytes = self.bytes.as_ref();
        let range = self.trace_range(trace, 12);
        out.clear();
        let mut located = !range.is_empty();
        for frame in range.take(MAX_TRACE_FRAMES) {
            let base = self.layout.frames + frame * FRAME_BYTES;
            let field = |at: usize| u32_at(bytes, base + at * 4);
            located &= field(4) & FLAG_LOCATION != 0;
            let standard = field(4) & FLAG_STANDARD != 0;
            out.push(Slot {
                tokens: [field(0), field(1), field(2)],
                line: field(3),
                standard,
                repeated: field(4) & FLAG_REPEATED != 0,
                ..Slot::default()
            });
        }
        self.weigh(out);
        located
    }

    /// Sets depth and weight; where the application has no frame, the library's count as its own.
    fn weigh(&self, slots: &mut [Slot]) {
        let own = slots.iter().any(|slot| !slot.standard);
        let mut depth = 0;
        for slot in slots {
            slot.standard &= own;
            slot.depth = depth;
            depth += u32::from(!slot.standard);
            let share = if slot.standard { self.model.standard } else { 1.0 };
            let local = self.depths.get(slot.depth as usize).copied().unwrap_or(0.0);
            let rarity = self.rarity(slot.tokens[0]);
            let rarity = if self.model.beta == 1.0 { rarity } else { rarity.powf(self.model.beta) };
            slot.weight = local * share * (0.05 + rarity);
        }
    }

    /// How rare a key is; 1 for one that no trace holds.
    pub(super) fn rarity(&self, token: u32) -> f64 {
        if token >= self.layout.tokens {
            return 1.0;
        }
        let rarity = f32::from_bits(u32_at(self.bytes.as_ref(), self.layout.rarities + token as usize * 4));
        if rarity.is_finite() { f64::from(rarity).clamp(0.0, 1.0) } else { 0.0 }
    }

    pub(super) fn token(&self, key: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.layout.tokens);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.token_text(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    pub(super) fn token_text(&self, token: u32) -> &str {
        if token >= self.layout.tokens {
            return "";
        }
        format::text(self.bytes.as_ref(), self.layout.token_ends, self.layout.token_text, token)
    }

    pub(super) fn incident_name(&self, incident: u32) -> &str {
        if incident >= self.layout.incidents {
            return "";
        }
        format::text(self.bytes.as_ref(), self.layout.incident_ends, self.layout.incident_text, incident)
    }

    fn frequency(&self, token: u32) -> usize {
        format::range(self.bytes.as_ref(), self.layout.posting_ends, token).len()
    }

    fn postings(&self, token: u32) -> impl Iterator<Item = u32> {
        let bytes = self.bytes.as_ref();
        let range = format::range(bytes, self.layout.posting_ends, token);
        let start = self.layout.postings.saturating_add(range.start.saturating_mul(4));
        let end =
            self.layout.postings.saturating_add(range.end.saturating_mul(4)).min(self.layout.trace_table);
        let traces = self.layout.traces;
        (start..end).step_by(4).map(move |at| u32_at(bytes, at)).filter(move |trace| *trace < traces)
    }

    fn trace_field(&self, trace: u32, offset: usize) -> usize {
        self.layout.trace_table + trace as usize * TRACE_BYTES + offset
    }

    /// The range of a trace's frames (`offset` 12) or places (`offset` 16).
    fn trace_range(&self, trace: u32, offset: usize) -> std::ops::Range<usize> {
        let bytes = self.bytes.as_ref();
        let start = if trace == 0 { 0 } else { u32_at(bytes, self.trace_field(trace - 1, offset)) };
        start as usize..u32_at(bytes, self.trace_field(trace, offset)) as usize
    }

    fn places(&self, trace: u32) -> impl Iterator<Item = u32> {
        let range = self.trace_range(trace, 16);
        range.take(256).map(|place| u32_at(self.bytes.as_ref(), self.layout.places + place * 4))
    }

    fn incident(&self, trace: u32) -> u32 {
        u32_at(self.bytes.as_ref(), self.trace_field(trace, 0))
    }

    fn time(&self, trace: u32) -> Option<i64> {
        Some(i64_at(self.bytes.as_ref(), self.trace_field(trace, 4))).filter(|time| *time != NO_TIME)
    }

    /// The keys of a known trace's frames, most specific ones.
    pub(super) fn frame_names(&self, trace: u32) -> Vec<&str> {
        let frames = self.trace_range(trace, 12).take(MAX_TRACE_FRAMES);
        frames
            .map(|frame| {
                self.token_text(u32_at(self.bytes.as_ref(), self.layout.frames + frame * FRAME_BYTES))
            })
            .collect()
    }

    /// The alignment of a query with one known trace, to be explained.
    pub(super) fn pairs(&self, slots: &[Slot], candidate: u32) -> Vec<(usize, usize, usize)> {
        let mut known = Vec::new();
        self.slots(candidate, &mut known);
        let mut alignment = Alignment::default();
        Query::new(slots).align(&known, &self.model, &mut alignment);
        alignment.pairs.sort_unstable();
        alignment.pairs
    }
}
