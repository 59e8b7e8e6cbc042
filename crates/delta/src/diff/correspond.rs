//! Whether what two functions refer to is the same thing in both files.

use std::collections::{BTreeMap, HashMap};

use super::matching::Matching;
use super::objects::Objects;
use crate::index::Index;
use crate::lift::Target;

/// The mapping of all targets of A onto those of B.
pub(crate) struct Correspondence<'d> {
    a: &'d Index,
    b: &'d Index,
    functions: &'d Matching,
    objects: &'d Objects,
    variables: HashMap<u64, u64>,
}

impl<'d> Correspondence<'d> {
    /// Variables have no names here: the pair that most unchanged functions use in one place is one.
    pub fn of(a: &'d Index, b: &'d Index, functions: &'d Matching, objects: &'d Objects) -> Self {
        let mut votes: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        for (x, y) in functions.pairs() {
            let (f, g) = (a.function(x), b.function(y));
            if f.meaning() != g.meaning() || f.references().len() != g.references().len() {
                continue;
            }
            for pair in f.references().iter().zip(g.references()) {
                if let (Target::Variable(x), Target::Variable(y)) = pair {
                    *votes.entry((*x, *y)).or_default() += 1;
                }
            }
        }
        let mut votes: Vec<((u64, u64), u32)> = votes.into_iter().collect();
        votes.sort_by_key(|&(pair, count)| (std::cmp::Reverse(count), pair));
        let (mut variables, mut back) = (HashMap::new(), HashMap::new());
        for ((x, y), _) in votes {
            if !variables.contains_key(&x) && !back.contains_key(&y) {
                variables.insert(x, y);
                back.insert(y, x);
            }
        }
        Self { a, b, functions, objects, variables }
    }

    /// The first pair of references that does not correspond, in words.
    pub fn difference(&self, x: &[Target], y: &[Target]) -> Option<String> {
        if x.len() != y.len() {
            return Some("it refers to another number of things".to_owned());
        }
        let pair = x.iter().zip(y).find(|(x, y)| !self.corresponds(**x, **y))?;
        Some(format!("refers to {} where it referred to {}", self.name_b(*pair.1), self.name_a(*pair.0)))
    }

    fn corresponds(&self, x: Target, y: Target) -> bool {
        match (x, y) {
            (Target::Function(x), Target::Function(y)) => {
                self.functions.to_b[x as usize] == Some(y)
                    || self.a.records.functions[x as usize].closure
                        == self.b.records.functions[y as usize].closure
            }
            (Target::Object(x), Target::Object(y)) => {
                self.objects.to_b[x as usize] == Some(y)
                    || self.a.records.objects[x as usize].closure
                        == self.b.records.objects[y as usize].closure
            }
            (Target::Variable(x), Target::Variable(y)) => self.variables.get(&x) == Some(&y),
            _ => false,
        }
    }

    fn name_a(&self, target: Target) -> String {
        name(self.a, target)
    }

    fn name_b(&self, target: Target) -> String {
        name(self.b, target)
    }
}

fn name(index: &Index, target: Target) -> String {
    match target {
        Target::Function(number) => format!("`{}`", index.function(number as usize).name()),
        Target::Object(number) => format!("`{}`", index.object(number as usize).name()),
        Target::Variable(address) => format!("the variable at {address:#x}"),
    }
}
