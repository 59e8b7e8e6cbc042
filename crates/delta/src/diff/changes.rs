//! The lists of a delta.

use std::collections::{HashMap, HashSet, VecDeque};

use super::correspond::Correspondence;
use super::matching::Matching;
use super::names::stable_name;
use super::objects::Objects;
use super::{DataChanges, FunctionChanges, FunctionEntry, Pairing};
use crate::index::{Index, IndexedFunction, IndexedObject};
use crate::lift::Target;

/// What became of every function and object.
pub(super) struct Changes<'d> {
    a: &'d Index,
    b: &'d Index,
    same: Vec<(usize, usize)>,
    changed: Vec<(usize, usize, String)>,
    removed: Vec<usize>,
    added: Vec<usize>,
    objects_changed: Vec<(usize, usize, String)>,
    objects_removed: Vec<usize>,
    objects_added: Vec<usize>,
    /// Functions and objects that are the same only because build noise was set aside.
    pub noisy: usize,
}

impl<'d> Changes<'d> {
    pub fn of(
        a: &'d Index,
        b: &'d Index,
        functions: &Matching,
        objects: &Objects,
        correspondence: &Correspondence<'_>,
    ) -> Self {
        let mut changes = Self {
            a,
            b,
            same: Vec::new(),
            changed: Vec::new(),
            removed: unmatched(&functions.to_b),
            added: unmatched(&functions.to_a),
            objects_changed: Vec::new(),
            objects_removed: unmatched(&objects.to_b),
            objects_added: unmatched(&objects.to_a),
            noisy: 0,
        };
        for (x, y) in functions.pairs() {
            let (f, g) = (a.function(x), b.function(y));
            if f.meaning() != g.meaning() {
                changes.changed.push((x, y, difference(f, g)));
            } else if let Some(words) = correspondence.difference(f.references(), g.references()) {
                changes.changed.push((x, y, words));
            } else {
                changes.noisy += usize::from(f.exact() != g.exact());
                changes.same.push((x, y));
            }
        }
        for (x, y) in objects.to_b.iter().enumerate().filter_map(|(x, y)| Some((x, (*y)? as usize))) {
            let (before, after) = (a.object(x), b.object(y));
            match object_difference(before, after, correspondence) {
                Some(words) => changes.objects_changed.push((x, y, words)),
                None => changes.noisy += usize::from(before.exact() != after.exact()),
            }
        }
        changes
    }

    /// The changed functions by number in A and B.
    pub fn changed_pairs(&self) -> Vec<(usize, usize)> {
        self.changed.iter().map(|&(x, y, _)| (x, y)).collect()
    }

    /// How many instructions the functions of B have that are the same.
    pub fn same_instructions(&self) -> usize {
        self.same.iter().map(|&(_, y)| self.b.function(y).instructions()).sum()
    }

    pub fn pairing(self) -> Pairing {
        Pairing { changed: self.changed_pairs(), added: self.added, removed: self.removed }
    }

    pub fn functions(&self) -> FunctionChanges {
        let (a, b) = (self.a, self.b);
        let changed = self.changed.iter().map(|(x, y, why)| entry(a.function(*x), b.function(*y), why));
        FunctionChanges {
            unchanged: self.same.len() as u64,
            changed: changed.collect(),
            affected: self.affected(),
            added: self.added.iter().map(|&y| only(b.function(y), false)).collect(),
            removed: self.removed.iter().map(|&x| only(a.function(x), true)).collect(),
            moved: out_of_order(&self.same)
                .into_iter()
                .map(|(x, y)| entry(a.function(x), b.function(y), "unchanged, in another order"))
                .collect(),
            renamed: self.renamed(),
        }
    }

    pub fn data(&self) -> DataChanges {
        let (a, b) = (self.a, self.b);
        let object = |name: &str, x: Option<IndexedObject<'_>>, y: Option<IndexedObject<'_>>, why: &str| {
            FunctionEntry {
                name: name.to_owned(),
                address_a: x.map(|object| object.address()),
                address_b: y.map(|object| object.address()),
                why: why.to_owned(),
                details: Vec::new(),
            }
        };
        let changed = self.objects_changed.iter().map(|(x, y, why)| {
            let (x, y) = (a.object(*x), b.object(*y));
            object(y.name(), Some(x), Some(y), why)
        });
        let added = self.objects_added.iter().map(|&y| b.object(y));
        let removed = self.objects_removed.iter().map(|&x| a.object(x));
        DataChanges {
            changed: changed.collect(),
            added: added.map(|y| object(y.name(), None, Some(y), "no object of that name is in A")).collect(),
            removed: removed
                .map(|x| object(x.name(), Some(x), None, "no object of that name is in B"))
                .collect(),
        }
    }

    /// The same or changed functions that have a name in both files, and another one.
    fn renamed(&self) -> Vec<FunctionEntry> {
        let changed = self.changed.iter().map(|&(x, y, _)| (x, y));
        let pairs = self.same.iter().copied().chain(changed);
        let functions = pairs.map(|(x, y)| (self.a.function(x), self.b.function(y)));
        let other = |(f, g): &(IndexedFunction<'_>, IndexedFunction<'_>)| {
            f.is_named() && g.is_named() && stable_name(f.name()) != stable_name(g.name())
        };
        functions.filter(other).map(|(f, g)| entry(f, g, &format!("`{}` in A", f.name()))).collect()
    }

    /// Unchanged functions from which something changed, added or removed can be reached, with the
    /// first step towards it.
    fn affected(&self) -> Vec<FunctionEntry> {
        let objects = |index: &Index, number: usize| index.functions().len() + number;
        let start_a = self.removed.iter().copied();
        let start_a = start_a.chain(self.objects_removed.iter().map(|&x| objects(self.a, x)));
        let start_b = self.changed.iter().map(|&(_, y, _)| y).chain(self.added.iter().copied());
        let start_b = start_b
            .chain(self.objects_changed.iter().map(|&(_, y, _)| objects(self.b, y)))
            .chain(self.objects_added.iter().map(|&y| objects(self.b, y)));
        let (from_a, from_b) = (reaching(self.a, start_a.collect()), reaching(self.b, start_b.collect()));
        let step = |&(x, y): &(usize, usize)| {
            let step = from_b.get(&y).map(|&next| node_name(self.b, next));
            step.or_else(|| from_a.get(&x).map(|&next| node_name(self.a, next)))
        };
        let words = |name: &str| format!("reaches a change through `{name}`");
        self.same
            .iter()
            .filter_map(|pair| {
                let (f, g) = (self.a.function(pair.0), self.b.function(pair.1));
                step(pair).map(|name| entry(f, g, &words(name)))
            })
            .collect()
    }
}

fn unmatched(matched: &[Option<u32>]) -> Vec<usize> {
    (0..matched.len()).filter(|&number| matched[number].is_none()).collect()
}

fn entry(f: IndexedFunction<'_>, g: IndexedFunction<'_>, why: &str) -> FunctionEntry {
    let name = if g.is_named() || !f.is_named() { g.name() } else { f.name() };
    FunctionEntry {
        name: name.to_owned(),
        address_a: Some(f.address()),
        address_b: Some(g.address()),
        why: why.to_owned(),
        details: Vec::new(),
    }
}

fn only(function: IndexedFunction<'_>, in_a: bool) -> FunctionEntry {
    let other = if in_a { "B" } else { "A" };
    FunctionEntry {
        name: function.name().to_owned(),
        address_a: in_a.then(|| function.address()),
        address_b: (!in_a).then(|| function.address()),
        why: format!("no function of {other} is like it"),
        details: Vec::new(),
    }
}

fn difference(f: IndexedFunction<'_>, g: IndexedFunction<'_>) -> String {
    let gone = super::figures::missing(f.numbers(), g.numbers()).len();
    let new = super::figures::missing(g.numbers(), f.numbers()).len();
    match gone + new {
        0 => "the same instructions in another order".to_owned(),
        _ => format!("{gone} of {} instructions gone, {new} new", f.instructions()),
    }
}

fn object_difference(
    before: IndexedObject<'_>,
    after: IndexedObject<'_>,
    correspondence: &Correspondence<'_>,
) -> Option<String> {
    if before.size() != after.size() {
        return Some(format!("{} bytes where it was {}", after.size(), before.size()));
    }
    if before.meaning() != after.meaning() {
        return Some("its initial contents differ".to_owned());
    }
    correspondence.difference(before.references(), after.references())
}

/// The pairs that are not in the longest run of pairs in order: the fewest that must have moved.
fn out_of_order(same: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; same.len()];
    for (index, &(_, place)) in same.iter().enumerate() {
        let at = tails.partition_point(|&tail| same[tail].1 < place);
        before[index] = at.checked_sub(1).map(|previous| tails[previous]);
        match tails.get_mut(at) {
            Some(tail) => *tail = index,
            None => tails.push(index),
        }
    }
    let mut kept = HashSet::new();
    let mut at = tails.last().copied();
    while let Some(index) = at {
        kept.insert(index);
        at = before[index];
    }
    (0..same.len()).filter(|index| !kept.contains(index)).map(|index| same[index]).collect()
}

/// Functions are numbered first, objects after them.
fn node_name(index: &Index, node: usize) -> &str {
    match node.checked_sub(index.functions().len()) {
        Some(object) => index.object(object).name(),
        None => index.function(node).name(),
    }
}

/// Every node from which a start can be reached, with the next node on the way.
fn reaching(index: &Index, starts: Vec<usize>) -> HashMap<usize, usize> {
    let back = Back::of(index);
    let mut next = HashMap::new();
    let mut seen: HashSet<usize> = starts.iter().copied().collect();
    let mut queue: VecDeque<usize> = starts.into();
    while let Some(node) = queue.pop_front() {
        for &from in back.of_node(node) {
            let from = from as usize;
            if seen.insert(from) {
                next.insert(from, node);
                queue.push_back(from);
            }
        }
    }
    next
}

/// Who refers to each node, one after the other in one array.
struct Back {
    starts: Vec<u32>,
    from: Vec<u32>,
}

impl Back {
    fn of(index: &Index) -> Self {
        let count = index.functions().len();
        let nodes = count + index.objects().len();
        let to = |target: &Target| match *target {
            Target::Function(number) => Some(number as usize),
            Target::Object(number) => Some(count + number as usize),
            Target::Variable(_) => None,
        };
        let references = |node: usize| match node.checked_sub(count) {
            Some(object) => index.object(object).references(),
            None => index.function(node).references(),
        };
        let mut starts = vec![0u32; nodes + 1];
        for node in 0..nodes {
            references(node).iter().filter_map(to).for_each(|to| starts[to + 1] += 1);
        }
        (0..nodes).for_each(|node| starts[node + 1] += starts[node]);
        let mut free = starts.clone();
        let mut from = vec![0u32; starts[nodes] as usize];
        for node in 0..nodes {
            for to in references(node).iter().filter_map(to) {
                from[free[to] as usize] = node as u32;
                free[to] += 1;
            }
        }
        Self { starts, from }
    }

    fn of_node(&self, node: usize) -> &[u32] {
        &self.from[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}
