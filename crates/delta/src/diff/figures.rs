//! `delta_information` and `delta_entropy`.

use std::collections::HashMap;

use crate::index::Index;

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
pub(super) fn figures(a: &Index, b: &Index, changed: &[(usize, usize)]) -> (f64, f64) {
    if changed.is_empty() {
        return (0.0, 0.0);
    }
    let mut counts: HashMap<u32, u64> = HashMap::new();
    b.numbers.iter().for_each(|&number| *counts.entry(number).or_default() += 1);
    let total = counts.values().sum::<u64>().max(1) as f64;
    let mut bits = 0.0;
    let (mut new, mut uncertain) = (0u64, 0u64);
    for &(x, y) in changed {
        let (f, g) = (a.function(x), b.function(y));
        uncertain += g.instructions() as u64;
        for number in missing(g.numbers(), f.numbers()) {
            bits += (total / counts.get(&number).copied().unwrap_or(1) as f64).log2();
            new += 1;
        }
    }
    (if new == 0 { 0.0 } else { bits / new as f64 }, uncertain as f64 / total)
}
