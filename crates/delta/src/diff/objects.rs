//! Which named object of B is which of A: by name, equal contents first, then in order.

use std::collections::BTreeMap;

use super::names::stable_name;
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
            objects.pair(&in_a, &in_b, |x, y| a.object(x).meaning() == b.object(y).meaning());
            objects.pair(&in_a, &in_b, |x, y| a.object(x).size() == b.object(y).size());
            objects.pair(&in_a, &in_b, |_, _| true);
        }
        objects
    }

    fn pair(&mut self, in_a: &[u32], in_b: &[u32], alike: impl Fn(usize, usize) -> bool) {
        for &x in in_a {
            if self.to_b[x as usize].is_some() {
                continue;
            }
            let free =
                in_b.iter().find(|&&y| self.to_a[y as usize].is_none() && alike(x as usize, y as usize));
            if let Some(&y) = free {
                self.to_b[x as usize] = Some(y);
                self.to_a[y as usize] = Some(x);
            }
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
