//! Which named object of B is which of A: by name, equal contents first, then in order.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::names::stable_name;
use super::queues::pair_equal;
use crate::index::Index;

/// Objects of A and B that are one.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub to_b: Vec<Option<u32>>,
    pub to_a: Vec<Option<u32>>,
}

impl Objects {
    pub fn of(a: &Index, b: &Index) -> Self {
        let mut objects = Self { to_b: vec![None; a.objects().len()], to_a: vec![None; b.objects().len()] };
        let mut groups: BTreeMap<&str, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
        for (number, object) in (0..).zip(a.objects()) {
            groups.entry(without_number(stable_name(object.name()))).or_default().0.push(number);
        }
        for (number, object) in (0..).zip(b.objects()) {
            groups.entry(without_number(stable_name(object.name()))).or_default().1.push(number);
        }
        for (in_a, in_b) in groups.into_values() {
            let (object_a, object_b) = (|x: u32| a.object(x as usize), |y: u32| b.object(y as usize));
            objects.pair(&in_a, &in_b, |x| *object_a(x).meaning(), |y| *object_b(y).meaning());
            objects.pair(&in_a, &in_b, |x| object_a(x).size(), |y| object_b(y).size());
            objects.pair(&in_a, &in_b, |_| (), |_| ());
        }
        objects
    }

    fn pair<K: Eq + Hash>(
        &mut self,
        in_a: &[u32],
        in_b: &[u32],
        key_a: impl Fn(u32) -> K,
        key_b: impl Fn(u32) -> K,
    ) {
        let free = |numbers: &[u32], partners: &[Option<u32>]| -> Vec<u32> {
            numbers.iter().copied().filter(|&number| partners[number as usize].is_none()).collect()
        };
        let (free_a, free_b) = (free(in_a, &self.to_b), free(in_b, &self.to_a));
        for (x, y) in pair_equal(&free_a, &free_b, key_a, key_b) {
            self.to_b[x as usize] = Some(y);
            self.to_a[y as usize] = Some(x);
        }
    }
}

/// The name without the number that GCC gives to a function's static (`table.0`).
pub(crate) fn without_number(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, digits)) if !stem.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => stem,
        _ => name,
    }
}
