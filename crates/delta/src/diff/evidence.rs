//! What two matched functions that differ show of whether their meaning differs.
//!
//! The same source compiled twice differs in registers, order and inlining; a changed source differs in
//! what is compared, stored, called, named and counted. Which of the two a difference is depends on
//! how much else differs between the two files, so every figure is also put beside the middle of all
//! functions of the delta that differ.

use std::collections::BTreeSet;

use super::Comparison;
use super::counts::Counts;
use super::figures::missing;
use super::names::stable_name;
use super::setting::Setting;
use crate::index::{Index, IndexedFunction};
use crate::lift::{FeatureKind, NumberMap, Target};

/// The names of the figures, in order.
pub const FIGURE_NAMES: [&str; FIGURES] = [
    // Of the pair.
    "instructions_differ",
    "sketch",
    "size_ratio",
    "only_references_differ",
    "texts",
    "imports",
    "bounds",
    "instructions",
    "objects_changed",
    // Of all pairs of the delta that differ.
    "instructions_differ_10",
    "instructions_differ_25",
    "instructions_differ_50",
    "instructions_differ_75",
    "small_edits",
    "large_edits",
    "sketch_25",
    "size_ratio_25",
    "size_ratio_50",
    "size_ratio_75",
    "same_size",
    "other_callees",
    "pairs",
    // Of the two files (`setting.rs`).
    "mass",
    "dialect",
    "idioms",
];

/// How many figures there are of one pair.
pub const FIGURES: usize = 25;
const OF_PAIR: usize = 9;
/// Edits of less and of more than these shares of the instructions.
const SMALL_EDIT: f64 = 0.15;
const LARGE_EDIT: f64 = 0.5;

/// The figures of one matched pair of functions that differ at T1.
#[derive(Clone, Debug, PartialEq)]
pub struct PairEvidence {
    /// The name that both builds share.
    pub name: String,
    /// Instructions of B's function.
    pub instructions: usize,
    /// [`FIGURE_NAMES`]; distances from 0 (the same) to 1, ratios and counts as natural logarithms.
    pub figures: [f64; FIGURES],
}

/// The figures of every pair that differs, in the order of the changed functions of a delta.
pub fn evidence(a: &Index, b: &Index) -> Vec<PairEvidence> {
    let comparison = Comparison::of(a, b);
    let changes = comparison.changes();
    of_pairs(&comparison, &changes.changed_pairs(), changes.same_instructions())
}

/// The same for the pairs that are given; functions of `same` instructions besides did not differ.
pub(super) fn of_pairs(
    comparison: &Comparison<'_>,
    pairs: &[(usize, usize)],
    same: usize,
) -> Vec<PairEvidence> {
    let (a, b) = (comparison.a, comparison.b);
    let weights = Weights::of(a, b, pairs);
    let alone: Vec<[f64; OF_PAIR]> =
        pairs.iter().map(|&(x, y)| alone(comparison, a.function(x), b.function(y), &weights)).collect();
    let calls = |&(x, y): &(usize, usize)| calls_others(comparison, a.function(x), b.function(y));
    let other_callees = pairs.iter().filter(|pair| calls(pair)).count();
    let changed = pairs.iter().map(|&(_, y)| b.function(y).instructions()).sum();
    let shared = of_all(&alone, other_callees, Setting::of(comparison, changed, same));
    let of_pair = |(&(x, y), own): (&(usize, usize), &[f64; OF_PAIR])| {
        let (f, g) = (a.function(x), b.function(y));
        let name = if g.is_named() { g.name() } else { f.name() };
        let mut figures = [0.0; FIGURES];
        figures[..OF_PAIR].copy_from_slice(own);
        figures[OF_PAIR..].copy_from_slice(&shared);
        PairEvidence { name: stable_name(name).to_owned(), instructions: g.instructions(), figures }
    };
    pairs.iter().zip(&alone).map(of_pair).collect()
}

/// The figures that all pairs of a delta share.
fn of_all(alone: &[[f64; OF_PAIR]], other_callees: usize, setting: Setting) -> [f64; FIGURES - OF_PAIR] {
    let sorted = |figure: usize| -> Vec<f64> {
        let mut values: Vec<f64> = alone.iter().map(|figures| figures[figure]).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (differ, sketch, size) = (sorted(0), sorted(1), sorted(2));
    let part = |count: usize| count as f64 / alone.len().max(1) as f64;
    let below = |values: &[f64], limit: f64| part(values.partition_point(|value| *value < limit));
    [
        quantile(&differ, 10),
        quantile(&differ, 25),
        quantile(&differ, 50),
        quantile(&differ, 75),
        below(&differ, SMALL_EDIT),
        1.0 - below(&differ, LARGE_EDIT),
        quantile(&sketch, 25),
        quantile(&size, 25),
        quantile(&size, 50),
        quantile(&size, 75),
        below(&size, f64::MIN_POSITIVE),
        part(other_callees),
        (alone.len().max(1) as f64).ln(),
        setting.mass,
        setting.dialect,
        setting.idioms,
    ]
}

/// What stands at so many hundredths of sorted values.
fn quantile(sorted: &[f64], hundredths: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * hundredths / 100).copied().unwrap_or_default()
}

fn alone(
    comparison: &Comparison<'_>,
    f: IndexedFunction<'_>,
    g: IndexedFunction<'_>,
    weights: &Weights,
) -> [f64; OF_PAIR] {
    let keep = |features: &[u32], kind: FeatureKind| -> Vec<u32> {
        features.iter().copied().filter(|&feature| kind == FeatureKind::of(feature)).collect()
    };
    let of_kind = |kind: FeatureKind| weights.distance(&keep(f.features(), kind), &keep(g.features(), kind));
    let (size_f, size_g) = (f.instructions().max(1) as f64, g.instructions().max(1) as f64);
    let gone = missing(f.numbers(), g.numbers()).len() as f64;
    let new = missing(g.numbers(), f.numbers()).len() as f64;
    [
        (gone + new) / (size_f + size_g),
        weights.distance(f.features(), g.features()),
        (size_g / size_f).ln().abs(),
        f64::from(u8::from(f.meaning() == g.meaning())),
        of_kind(FeatureKind::Text),
        of_kind(FeatureKind::Import),
        of_kind(FeatureKind::Bound),
        size_g.ln(),
        (objects_changed(comparison, f, g) as f64).ln_1p(),
    ]
}

/// How many references lead to named objects that are otherwise, or not there, in the other file.
fn objects_changed(comparison: &Comparison<'_>, f: IndexedFunction<'_>, g: IndexedFunction<'_>) -> usize {
    let objects = &comparison.objects;
    let differs = |x: u32| {
        objects.to_b[x as usize].is_none_or(|y| {
            let (x, y) = (comparison.a.object(x as usize), comparison.b.object(y as usize));
            x.meaning() != y.meaning() || x.size() != y.size()
        })
    };
    let in_a = f.references().iter().filter(|target| matches!(target, Target::Object(x) if differs(*x)));
    let is_new = |y: u32| objects.to_a[y as usize].is_none();
    let in_b = g.references().iter().filter(|target| matches!(target, Target::Object(y) if is_new(*y)));
    in_a.count() + in_b.count()
}

/// Whether the sets of the functions that the two refer to do not correspond.
fn calls_others(comparison: &Comparison<'_>, f: IndexedFunction<'_>, g: IndexedFunction<'_>) -> bool {
    let callees = |function: IndexedFunction<'_>| {
        let callee = |target: &Target| match *target {
            Target::Function(number) => Some(number),
            _ => None,
        };
        function.references().iter().filter_map(callee).collect::<BTreeSet<u32>>()
    };
    let of_f: Option<BTreeSet<u32>> =
        callees(f).into_iter().map(|x| comparison.functions.to_b[x as usize]).collect();
    of_f != Some(callees(g))
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
