//! What two files show as a whole of how alike they were built.
//!
//! Compilers and flags leave a manner of writing: which instructions are common, and how many of the
//! functions are equal to the last. Another release built alike keeps it, whatever its sources changed.

use std::collections::BTreeMap;

use super::Comparison;
use crate::index::Index;
use crate::lift::NumberMap;

/// Instructions that are looked at in each file, evenly spread.
const SAMPLED: usize = 1 << 16;
/// One that both files together have less often than this is not common.
const COMMON: u32 = 16;
/// The most common ones, which are much the same in all programs.
const IDIOMS: usize = 64;

/// The figures of one delta, the same for all its pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setting {
    /// The share of B's matched instructions that are in functions that differ.
    pub mass: f64,
    /// How otherwise the two files' common instructions are distributed (square root of the
    /// Jensen-Shannon divergence, 0 to 1).
    pub dialect: f64,
    /// The same of the most common ones alone.
    pub idioms: f64,
}

impl Setting {
    /// `changed` and `same`: how many instructions the matched functions of B have.
    pub fn of(comparison: &Comparison<'_>, changed: usize, same: usize) -> Self {
        let common = common(comparison.a, comparison.b);
        Self {
            mass: changed as f64 / (changed + same).max(1) as f64,
            dialect: divergence(&common),
            idioms: divergence(&common[..common.len().min(IDIOMS)]),
        }
    }
}

/// How often the two files have each common instruction, the most common first.
fn common(a: &Index, b: &Index) -> Vec<[u32; 2]> {
    let mut counts: NumberMap<u32, [u32; 2]> = NumberMap::default();
    for (side, index) in [a, b].into_iter().enumerate() {
        let numbers = &index.records.numbers;
        for &number in numbers.iter().step_by((numbers.len() / SAMPLED).max(1)) {
            counts.entry(number).or_default()[side] += 1;
        }
    }
    counts.retain(|_, [x, y]| *x + *y >= COMMON);
    // By number first, so that sums are made in one order whatever the table's.
    let counts: BTreeMap<u32, [u32; 2]> = counts.into_iter().collect();
    let mut common: Vec<[u32; 2]> = counts.into_values().collect();
    common.sort_by_key(|[x, y]| std::cmp::Reverse(x + y));
    common
}

fn divergence(counts: &[[u32; 2]]) -> f64 {
    let total = |side: usize| counts.iter().map(|count| f64::from(count[side])).sum::<f64>().max(1.0);
    let (total_a, total_b) = (total(0), total(1));
    let part = |p: f64, q: f64| if p > 0.0 { 0.5 * p * (2.0 * p / (p + q)).log2() } else { 0.0 };
    let shares = counts.iter().map(|&[x, y]| (f64::from(x) / total_a, f64::from(y) / total_b));
    shares.map(|(p, q)| part(p, q) + part(q, p)).sum::<f64>().max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_distributed_alike_does_not_diverge() {
        assert!(divergence(&[[10, 20], [30, 60]]) < 1e-6);
    }

    #[test]
    fn what_shares_nothing_diverges_wholly() {
        assert!((divergence(&[[10, 0], [0, 60]]) - 1.0).abs() < 1e-9);
    }
}
