//! What two matched functions that differ show of whether their meaning differs.
//!
//! The same source compiled twice differs in registers, order and inlining; a changed source differs in
//! what is compared, stored, called, named and counted. Which of the two a difference is depends on
//! how much else differs between the two files, so every figure is also put beside the middle of all
//! functions of the delta that differ.

use super::Comparison;
use super::counts::Counts;
use super::figures::missing;
use super::names::stable_name;
use crate::index::{Index, IndexedFunction};
use crate::lift::{FeatureKind, NumberMap};

/// How many figures there are of one pair.
pub const FIGURES: usize = 16;

/// The names of the figures, in order.
pub const FIGURE_NAMES: [&str; FIGURES] = [
    "other_toolchain",
    "share_that_differs",
    "sketch_distance",
    "sketch_distance_beyond_middle",
    "texts_distance",
    "imports_distance",
    "numbers_distance",
    "comparisons_distance",
    "bounds_distance",
    "effects_distance",
    "instructions_differ",
    "instructions_differ_beyond_middle",
    "size_ratio",
    "size_ratio_beyond_middle",
    "references_differ",
    "instructions",
];

/// The figures of one matched pair of functions that differ at T1.
#[derive(Clone, Debug, PartialEq)]
pub struct PairEvidence {
    /// The name that both builds share.
    pub name: String,
    /// Instructions of B's function.
    pub instructions: usize,
    /// [`FIGURE_NAMES`]; distances from 0 (the same) to 1, ratios as natural logarithms.
    pub figures: [f64; FIGURES],
}

/// The figures of every pair that differs, in the order of the changed functions of a delta.
pub fn evidence(a: &Index, b: &Index) -> Vec<PairEvidence> {
    let comparison = Comparison::of(a, b);
    let changes = comparison.changes();
    of_pairs(a, b, &changes.changed_pairs(), changes.same_count())
}

/// The same for the pairs that are given; `same` pairs besides did not differ.
pub(super) fn of_pairs(a: &Index, b: &Index, pairs: &[(usize, usize)], same: usize) -> Vec<PairEvidence> {
    let weights = Weights::of(a, b, pairs);
    let share = pairs.len() as f64 / (pairs.len() + same).max(1) as f64;
    let other = f64::from(u8::from(!same_toolchain(a, b)));
    let mut all: Vec<PairEvidence> = pairs
        .iter()
        .map(|&(x, y)| {
            let (f, g) = (a.function(x), b.function(y));
            let name = if g.is_named() { g.name() } else { f.name() };
            let figures = alone(f, g, &weights, other, share);
            PairEvidence { name: stable_name(name).to_owned(), instructions: g.instructions(), figures }
        })
        .collect();
    for (figure, beyond) in [(2, 3), (10, 11), (12, 13)] {
        let middle = median(all.iter().map(|pair| pair.figures[figure]).collect());
        all.iter_mut().for_each(|pair| pair.figures[beyond] = pair.figures[figure] - middle);
    }
    all
}

fn same_toolchain(a: &Index, b: &Index) -> bool {
    let of =
        |index: &Index| index.about.toolchains.iter().map(|t| (t.name.clone(), t.version.clone())).collect();
    let (of_a, of_b): (Vec<_>, Vec<_>) = (of(a), of(b));
    a.about.architecture == b.about.architecture && of_a == of_b
}

fn alone(
    f: IndexedFunction<'_>,
    g: IndexedFunction<'_>,
    weights: &Weights,
    other: f64,
    share: f64,
) -> [f64; FIGURES] {
    use FeatureKind as K;
    let of_kinds = |kinds: &[K]| {
        let keep = |features: &[u32]| -> Vec<u32> {
            features.iter().copied().filter(|&feature| kinds.contains(&K::of(feature))).collect()
        };
        weights.distance(&keep(f.features()), &keep(g.features()))
    };
    let (size_f, size_g) = (f.instructions().max(1) as f64, g.instructions().max(1) as f64);
    let gone = missing(f.numbers(), g.numbers()).len() as f64;
    let new = missing(g.numbers(), f.numbers()).len() as f64;
    let (references_f, references_g) = (f.references().len() as f64, g.references().len() as f64);
    let mut figures = [0.0; FIGURES];
    figures[0] = other;
    figures[1] = share;
    figures[2] = weights.distance(f.features(), g.features());
    figures[4] = of_kinds(&[K::Text]);
    figures[5] = of_kinds(&[K::Import]);
    figures[6] = of_kinds(&[K::Number]);
    figures[7] = of_kinds(&[K::Comparison]);
    figures[8] = of_kinds(&[K::Bound]);
    figures[9] = of_kinds(&[K::Store, K::Result, K::Argument]);
    figures[10] = (gone + new) / (size_f + size_g);
    figures[12] = (size_g / size_f).ln().abs();
    figures[14] = (references_f - references_g).abs() / references_f.max(references_g).max(1.0);
    figures[15] = size_g.ln();
    figures
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// How rare each feature is among both files.
struct Weights {
    counts: NumberMap<u32, u32>,
    total: f64,
}

impl Weights {
    fn of(a: &Index, b: &Index, pairs: &[(usize, usize)]) -> Self {
        let mut counts = Counts::default();
        for &(x, y) in pairs {
            counts.want(a.function(x).features());
            counts.want(b.function(y).features());
        }
        counts.count(&a.records.features);
        counts.count(&b.records.features);
        let total = (a.functions().len() + b.functions().len()).max(2) as f64;
        Self { counts: counts.into_table(), total }
    }

    fn weight(&self, feature: u32) -> f64 {
        let count = self.counts.get(&feature).copied().unwrap_or(1).max(1);
        (self.total / f64::from(count)).ln().max(0.05)
    }

    /// Weighted Jaccard distance of two sorted sets; two empty sets are the same.
    fn distance(&self, x: &[u32], y: &[u32]) -> f64 {
        let common: f64 =
            x.iter().filter(|key| y.binary_search(key).is_ok()).map(|&key| self.weight(key)).sum();
        let sum = |set: &[u32]| set.iter().map(|&key| self.weight(key)).sum::<f64>();
        let all = sum(x) + sum(y) - common;
        if all > 0.0 { 1.0 - common / all } else { 0.0 }
    }
}
