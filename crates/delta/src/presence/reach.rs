//! What a function does itself or has done by what it calls: whether a callee is inlined is the compiler's
//! choice, so what moves between the two says nothing of a patch.

use crate::index::{Index, IndexedFunction};
use crate::lift::Target;

/// Calls are followed so far.
const MAX_DEPTH: u32 = 3;
/// And so many functions are looked at.
const MAX_FUNCTIONS: usize = 64;

/// The features and numbers of a function and of what it calls, sorted, each once.
pub(super) struct Reach {
    pub features: Vec<u32>,
    pub numbers: Vec<u32>,
}

impl Reach {
    pub fn of(index: &Index, function: IndexedFunction<'_>) -> Self {
        let (mut features, mut numbers) = (Vec::new(), Vec::new());
        for (function, _) in called(index, function) {
            features.extend_from_slice(function.features());
            numbers.extend_from_slice(function.numbers());
        }
        for keys in [&mut features, &mut numbers] {
            keys.sort_unstable();
            keys.dedup();
        }
        Self { features, numbers }
    }
}

/// A function and what it calls, nearest first, with the number of calls between.
fn called<'i>(index: &'i Index, function: IndexedFunction<'i>) -> Vec<(IndexedFunction<'i>, u32)> {
    let mut found = vec![(function, 0)];
    let mut next = 0;
    while let Some(&(function, depth)) = found.get(next).filter(|(_, depth)| *depth < MAX_DEPTH) {
        next += 1;
        for target in function.references() {
            let Target::Function(number) = *target else { continue };
            let callee = index.function(number as usize);
            let is_new = found.iter().all(|(seen, _)| seen.address() != callee.address());
            if is_new && found.len() < MAX_FUNCTIONS {
                found.push((callee, depth + 1));
            }
        }
    }
    found
}
