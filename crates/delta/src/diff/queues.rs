//! Entries of one name on both sides, paired by what they hold.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Pairs each of `in_a`, in order, with the first of `in_b` that has the same key and no partner yet, in
/// time that grows with their number: a file may give one name to everything.
pub(super) fn pair_equal<K: Eq + Hash>(
    in_a: &[u32],
    in_b: &[u32],
    key_a: impl Fn(u32) -> K,
    key_b: impl Fn(u32) -> K,
) -> Vec<(u32, u32)> {
    let mut free: HashMap<K, VecDeque<u32>> = HashMap::new();
    for &number in in_b {
        free.entry(key_b(number)).or_default().push_back(number);
    }
    let partner = |&number: &u32| Some((number, free.get_mut(&key_a(number))?.pop_front()?));
    in_a.iter().filter_map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as it is said: look through all of B for each of A.
    fn one_by_one(a: &[u8], b: &[u8]) -> Vec<(u32, u32)> {
        let (mut taken, mut pairs) = (vec![false; b.len()], Vec::new());
        for (x, key) in a.iter().enumerate() {
            if let Some(y) = (0..b.len()).find(|&y| !taken[y] && b[y] == *key) {
                taken[y] = true;
                pairs.push((x as u32, y as u32));
            }
        }
        pairs
    }

    #[test]
    fn the_first_free_one_in_order() {
        let mut state = 1u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..500 {
            let (length_a, length_b) = (next(20), next(20));
            let a: Vec<u8> = (0..length_a).map(|_| next(5) as u8).collect();
            let b: Vec<u8> = (0..length_b).map(|_| next(5) as u8).collect();
            let (in_a, in_b): (Vec<u32>, Vec<u32>) = ((0..length_a).collect(), (0..length_b).collect());
            let pairs = pair_equal(&in_a, &in_b, |x| a[x as usize], |y| b[y as usize]);
            assert_eq!(pairs, one_by_one(&a, &b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn two_hundred_thousand_of_one_name() {
        const COUNT: u32 = 200_000;
        let all: Vec<u32> = (0..COUNT).collect();
        let same = pair_equal(&all, &all, |_| 0, |_| 0);
        assert!(same.len() == all.len() && same.iter().all(|(x, y)| x == y));
        let reversed = pair_equal(&all, &all, |x| x, |y| COUNT - 1 - y);
        assert!(reversed.len() == all.len() && reversed.iter().all(|(x, y)| x + y == COUNT - 1));
        assert_eq!(pair_equal(&all, &all, |x| x, |y| y + COUNT), []);
    }
}
