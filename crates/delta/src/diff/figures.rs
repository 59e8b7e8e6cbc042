//! `delta_information` and `delta_entropy`.

use std::collections::HashMap;

use super::Comparison;
use super::counts::Counts;
use super::evidence;
use super::probability::{EntropyBasis, entropy, entropy_basis, probability};

/// The instructions of `of` that `other` does not have, as multisets.
pub(super) fn missing(of: &[u32], other: &[u32]) -> Vec<u32> {
    let mut left: HashMap<u32, usize> = HashMap::new();
    other.iter().for_each(|&number| *left.entry(number).or_default() += 1);
    let is_missing = |number: &u32| match left.get_mut(number) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    of.iter().copied().filter(is_missing).collect()
}

/// See [`Delta::delta_information`](super::Delta) and [`Delta::delta_entropy`](super::Delta).
pub(super) fn figures(comparison: &Comparison<'_>, changed: &[(usize, usize)], same: usize) -> (f64, f64) {
    let (a, b) = (comparison.a, comparison.b);
    if changed.is_empty() {
        return (0.0, 0.0);
    }
    let new: Vec<Vec<u32>> =
        changed.iter().map(|&(x, y)| missing(b.function(y).numbers(), a.function(x).numbers())).collect();
    let mut counts = Counts::default();
    new.iter().for_each(|numbers| counts.want(numbers));
    counts.count(&b.records.numbers);
    let counts = counts.into_table();
    let total = b.records.numbers.len().max(1) as f64;
    let uncertain = match entropy_basis(a, b) {
        EntropyBasis::Fitted => evidence::of_pairs(comparison, changed, same)
            .iter()
            .map(|pair| entropy(probability(&pair.figures)) * pair.instructions as f64)
            .sum(),
        // Nothing is known of such pairs, and the figures of the pairs need not be found.
        EntropyBasis::Bound => {
            changed.iter().map(|&(_, y)| b.function(y).instructions()).sum::<usize>() as f64
        }
    };
    let bits = |number: &u32| (total / f64::from(counts.get(number).copied().unwrap_or(1).max(1))).log2();
    let (sum, count) = (new.iter().flatten().map(bits).sum::<f64>(), new.iter().map(Vec::len).sum::<usize>());
    (if count == 0 { 0.0 } else { sum / count as f64 }, uncertain / total)
}
