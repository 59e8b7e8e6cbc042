//! How alike two functions are, by what they have in common and how rare that is.

use std::collections::{HashMap, HashSet};

use crate::index::{Index, IndexedFunction};

/// Frequencies over two indexes, and where A's features occur.
pub(crate) struct Similarity {
    features: HashMap<u32, u32>,
    numbers: HashMap<u32, u32>,
    occurrences: HashMap<u32, Vec<u32>>,
    total: f64,
}

/// A feature that so many functions of A have finds no candidates.
const MAX_OCCURRENCES: usize = 48;
/// Most candidates for one function.
const MAX_CANDIDATES: usize = 24;

impl Similarity {
    pub fn of(a: &Index, b: &Index) -> Self {
        let (mut features, mut numbers) = (HashMap::new(), HashMap::new());
        let mut occurrences: HashMap<u32, Vec<u32>> = HashMap::new();
        for (x, function) in (0..).zip(a.functions()) {
            function.features().iter().for_each(|&feature| occurrences.entry(feature).or_default().push(x));
        }
        for function in a.functions().chain(b.functions()) {
            for &feature in function.features() {
                *features.entry(feature).or_default() += 1;
            }
            for number in distinct(function.numbers()) {
                *numbers.entry(number).or_default() += 1;
            }
        }
        let total = (a.functions.len() + b.functions.len()).max(2) as f64;
        Self { features, numbers, occurrences, total }
    }

    fn weight(&self, counts: &HashMap<u32, u32>, key: u32) -> f64 {
        (self.total / f64::from(counts.get(&key).copied().unwrap_or(1))).ln().max(0.05)
    }

    /// Weighted Jaccard similarity, 0 to 1: of the instructions or of the sketches, whichever is higher.
    pub fn between(&self, f: IndexedFunction<'_>, g: IndexedFunction<'_>) -> f64 {
        let sketch = self.jaccard(&self.features, f.features(), g.features());
        let (x, y) = (distinct(f.numbers()), distinct(g.numbers()));
        sketch.max(self.jaccard(&self.numbers, &x, &y))
    }

    /// Both sorted, each value once.
    fn jaccard(&self, counts: &HashMap<u32, u32>, x: &[u32], y: &[u32]) -> f64 {
        let (mut i, mut j, mut common, mut all) = (0, 0, 0.0, 0.0);
        while i < x.len() || j < y.len() {
            let (left, right) = (x.get(i), y.get(j));
            let key = match (left, right) {
                (Some(&left), Some(&right)) => left.min(right),
                (Some(&key), None) | (None, Some(&key)) => key,
                (None, None) => break,
            };
            let weight = self.weight(counts, key);
            all += weight;
            if left == right {
                common += weight;
            }
            i += usize::from(left == Some(&key));
            j += usize::from(right == Some(&key));
        }
        if all > 0.0 { common / all } else { 0.0 }
    }

    /// The functions of A among `free` that share the rarest features with `g`, best first.
    pub fn candidates(&self, g: IndexedFunction<'_>, free: &HashSet<u32>) -> Vec<u32> {
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for &feature in g.features() {
            let Some(found) = self.occurrences.get(&feature).filter(|found| found.len() <= MAX_OCCURRENCES) else {
                continue;
            };
            let weight = self.weight(&self.features, feature);
            found.iter().filter(|x| free.contains(x)).for_each(|&x| *scores.entry(x).or_default() += weight);
        }
        let mut scores: Vec<(u32, f64)> = scores.into_iter().collect();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores.truncate(MAX_CANDIDATES);
        scores.into_iter().map(|(x, _)| x).collect()
    }
}

fn distinct(numbers: &[u32]) -> Vec<u32> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
