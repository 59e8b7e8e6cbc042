//! How alike two traces are, and how probable that makes it that they are one incident.
//!
//! The alignment is FaST's: equal frames are paired in order, each pair counts the weights of both
//! frames damped by how far they were displaced, each unpaired frame counts against. A frame's weight
//! falls with its depth and with the number of traces that hold it. Ours differs in three ways: frames
//! may agree on a coarser key for less, frames of the language's library weigh less, and further
//! features (coverage, top frame, source line, recency) enter one logistic model.

/// The number of features.
pub(crate) const FEATURES: usize = 11;

/// The words for each feature, for explanations and for whoever reads a fitted model.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "always",
    "alignment",
    "query covered",
    "candidate covered",
    "top frame",
    "common start",
    "recency",
    "identical",
    "same line",
    "different line",
    "popularity",
];

/// The parameters of the alignment and of the calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// How fast weight falls with depth: `(1 + position) ^ -alpha`.
    pub alpha: f64,
    /// How fast weight falls with commonness: `rarity ^ beta`, rarity being the normalised IDF.
    pub beta: f64,
    /// How much displacement costs: `exp(-gamma * distance)`.
    pub gamma: f64,
    /// What a pair counts that agrees on the first and last component only, and on the last only.
    pub coarse: [f64; 2],
    /// The weight of a frame of the language's own library against one of the application.
    pub standard: f64,
    /// The logistic model over the features.
    pub coefficients: [f64; FEATURES],
}

impl Default for Model {
    /// Coefficients for incidents without a training set: near those fitted to clean labels (Java
    /// exceptions, crashes seen by two tools), so that two equal traces are probable without a time.
    fn default() -> Self {
        Self {
            alpha: 0.6,
            beta: 1.0,
            gamma: 0.1,
            coarse: [0.9, 0.6],
            standard: 0.25,
            coefficients: [-4.8, 2.0, 1.6, 1.6, 1.2, 0.6, 1.0, 0.8, 0.8, -0.8, 0.4],
        }
    }
}

impl Model {
    /// The probability of a score: the logistic function, so that more similar is never less probable.
    pub fn probability(&self, score: f64) -> f64 {
        1.0 / (1.0 + (-score).exp())
    }

    pub(crate) fn score(&self, features: &[f64; FEATURES]) -> f64 {
        self.coefficients.iter().zip(features).map(|(coefficient, feature)| coefficient * feature).sum()
    }
}

/// One frame as numbers: its keys' tokens, most specific first, and what bears on its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    pub(crate) tokens: [u32; 3],
    /// The line in its source file, or 0.
    pub(crate) line: u32,
    pub(crate) weight: f64,
    /// How many frames of the application lie further in: a frame of the language's library, which
    /// inlining may hide, displaces nothing.
    pub(crate) depth: u32,
    /// Whether it belongs to the language's own library (and the application has frames).
    pub(crate) standard: bool,
    /// Whether it stands for a run of recursive calls.
    pub(crate) repeated: bool,
}

/// The token of a key that is not there, or that no trace in the index holds.
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// A pairing of two traces.
#[derive(Debug, Default)]
pub(crate) struct Alignment {
    /// Positions in the query and the candidate, and the level of agreement (0 is the best).
    pub(crate) pairs: Vec<(usize, usize, usize)>,
    pub(crate) features: [f64; FEATURES],
}

/// The query's tokens and where each stands, sorted, so that pairing is linear in the candidate.
pub(crate) struct Query<'a> {
    pub(crate) slots: &'a [Slot],
    places: Vec<(u32, u8, u16)>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(slots: &'a [Slot]) -> Self {
        let mut places = Vec::with_capacity(slots.len() * 3);
        for (at, slot) in slots.iter().enumerate().take(usize::from(u16::MAX)) {
            for (level, token) in slot.tokens.iter().enumerate() {
                if *token != NO_TOKEN {
                    places.push((*token, level as u8, at as u16));
                }
            }
        }
        places.sort_unstable();
        Self { slots, places }
    }

    /// Where a token stands at a level, in order.
    fn at(&self, token: u32, level: usize) -> &[(u32, u8, u16)] {
        let start = self.places.partition_point(|place| (place.0, place.1) < (token, level as u8));
        let length = self.places[start..]
            .iter()
            .take_while(|place| (place.0, place.1) == (token, level as u8))
            .count();
        &self.places[start..start + length]
    }

    /// Pairs the frames and computes the features that do not depend on the incident.
    pub(crate) fn align(&self, candidate: &[Slot], model: &Model, out: &mut Alignment) {
        let mut query_taken = [false; crate::trace::MAX_TRACE_FRAMES];
        let mut candidate_taken = [false; crate::trace::MAX_TRACE_FRAMES];
        out.pairs.clear();
        for level in 0..3 {
            for (at, slot) in candidate.iter().enumerate().take(candidate_taken.len()) {
                if candidate_taken[at] || slot.tokens[level] == NO_TOKEN {
                    continue;
                }
                let free = self
                    .at(slot.tokens[level], level)
                    .iter()
                    .find(|place| query_taken.get(usize::from(place.2)).is_some_and(|taken| !taken));
                if let Some(place) = free {
                    query_taken[usize::from(place.2)] = true;
                    candidate_taken[at] = true;
                    out.pairs.push((usize::from(place.2), at, level));
                }
            }
        }
        self.features(candidate, model, out);
    }

    fn features(&self, candidate: &[Slot], model: &Model, out: &mut Alignment) {
        let agreement = [1.0, model.coarse[0], model.coarse[1]];
        let query_total: f64 = self.slots.iter().map(|slot| slot.weight).sum();
        let candidate_total: f64 = candidate.iter().map(|slot| slot.weight).sum();
        let (mut matched, mut query_covered, mut candidate_covered) = (0.0, 0.0, 0.0);
        let (mut gap_query, mut gap_candidate) = (query_total, candidate_total);
        let (mut top, mut same_line, mut other_line) = (0.0_f64, 0.0, 0.0);
        let (mut straight, mut own_pairs) = (0_u32, 0);
        let own = |slots: &[Slot]| slots.iter().filter(|slot| !slot.standard).count();
        let mut first = usize::MAX;
        for &(q, c, level) in &out.pairs {
            let agree = agreement[level];
            let (query, other) = (self.slots[q], candidate[c]);
            matched += agree
                * (query.weight + other.weight)
                * (-model.gamma * f64::from(query.depth.abs_diff(other.depth))).exp();
            query_covered += agree * query.weight;
            candidate_covered += agree * other.weight;
            gap_query -= query.weight;
            gap_candidate -= other.weight;
            let (inner, outer) = (query.depth.min(other.depth), query.depth.max(other.depth));
            if query.standard || other.standard {
                continue;
            }
            if inner == 0 && outer <= 2 {
                top = top.max(agree * if outer == 0 { 1.0 } else { 0.7 });
            }
            if level == 0 && inner == outer && inner < 32 {
                straight |= 1 << inner;
                own_pairs += 1;
            }
            if q + c < first && query.line != 0 && other.line != 0 {
                first = q + c;
                same_line = f64::from(u8::from(query.line == other.line));
                other_line = 1.0 - same_line;
            }
        }
        let total = (query_total + candidate_total).max(1e-9);
        let identical = own_pairs > 0 && own_pairs == own(self.slots) && own_pairs == own(candidate);
        out.features = [
            1.0,
            (matched - gap_query.max(0.0) - gap_candidate.max(0.0)) / total,
            query_covered / query_total.max(1e-9),
            candidate_covered / candidate_total.max(1e-9),
            top,
            f64::from(straight.trailing_ones().min(8)) / 8.0,
            0.0,
            f64::from(u8::from(identical)),
            same_line,
            other_line,
            0.0,
        ];
    }
}

/// How recent one report is seen from another: 1 at the same moment, a half a month away; a neutral
/// value where a time is not known.
pub(crate) fn recency(a: Option<i64>, b: Option<i64>) -> f64 {
    const MONTH_MICROS: f64 = 30.0 * 86_400.0 * 1e6;
    match (a, b) {
        (Some(a), Some(b)) => 1.0 / (1.0 + a.abs_diff(b) as f64 / MONTH_MICROS),
        _ => 0.3,
    }
}
