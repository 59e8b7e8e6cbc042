//! Which function of B is which function of A.
//!
//! In turn, each step only over what is still unmatched: by name; by what a function reaches (T3) or
//! what it is (T1), where that occurs once on either side; by the call graph, from matched callers to
//! the callees in the same place; by the order in the file, between matched neighbours; and by the
//! sketch (T2), where two functions are each other's best. Names, T3 and T1 say what is the same; the
//! later steps only say what to compare with what.

use std::collections::{BTreeMap, HashSet};

use super::names::stable_name;
use super::queues::pair_equal;
use super::similarity::Similarity;
use crate::index::Index;
use crate::lift::{NumberMap, Target};

/// Functions of A and B that are one.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    pub to_b: Vec<Option<u32>>,
    pub to_a: Vec<Option<u32>>,
}

impl Matching {
    fn add(&mut self, a: u32, b: u32) -> bool {
        let free = self.to_b[a as usize].is_none() && self.to_a[b as usize].is_none();
        if free {
            self.to_b[a as usize] = Some(b);
            self.to_a[b as usize] = Some(a);
        }
        free
    }

    /// The pairs by number in A.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.to_b.iter().enumerate().filter_map(|(a, b)| Some((a, b.as_ref().copied()? as usize)))
    }
}

/// Rounds of spreading from what is matched; each round matches something or is the last.
const MAX_ROUNDS: usize = 24;
/// Sketches less alike than this are no pair.
const MIN_SIMILARITY: f64 = 0.45;
/// The same for functions that matched code already puts into the same place.
const MIN_SIMILARITY_IN_PLACE: f64 = 0.2;

/// Matches the functions of two indexes.
pub(crate) fn functions(a: &Index, b: &Index) -> Matching {
    let mut matching =
        Matching { to_b: vec![None; a.functions().len()], to_a: vec![None; b.functions().len()] };
    by_name(a, b, &mut matching);
    unique(a, b, &mut matching, |f| *f.closure().as_bytes());
    unique(a, b, &mut matching, |f| *f.meaning().as_bytes());
    let similarity = Similarity::of(a, b, &matching);
    spread(a, b, &similarity, &mut matching);
    by_sketch(a, b, &similarity, &mut matching);
    spread(a, b, &similarity, &mut matching);
    matching
}

fn spread(a: &Index, b: &Index, similarity: &Similarity, matching: &mut Matching) {
    for _ in 0..MAX_ROUNDS {
        let found = by_calls(a, b, similarity, matching) + by_order(a, b, similarity, matching);
        if found == 0 {
            return;
        }
        unique(a, b, matching, |f| *f.meaning().as_bytes());
    }
}

/// Functions of one name are paired by equal T1 first and by their order after that.
fn by_name(a: &Index, b: &Index, matching: &mut Matching) {
    let mut groups: BTreeMap<&str, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    for (number, function) in (0..).zip(a.functions()).filter(|(_, f)| f.is_named()) {
        groups.entry(stable_name(function.name())).or_default().0.push(number);
    }
    for (number, function) in (0..).zip(b.functions()).filter(|(_, f)| f.is_named()) {
        groups.entry(stable_name(function.name())).or_default().1.push(number);
    }
    for (in_a, in_b) in groups.into_values() {
        let meaning_a = |number: u32| *a.function(number as usize).meaning().as_bytes();
        let meaning_b = |number: u32| *b.function(number as usize).meaning().as_bytes();
        for (number, other) in pair_equal(&in_a, &in_b, meaning_a, meaning_b) {
            matching.add(number, other);
        }
        let rest_a: Vec<u32> = in_a.into_iter().filter(|&n| matching.to_b[n as usize].is_none()).collect();
        let rest_b: Vec<u32> = in_b.into_iter().filter(|&n| matching.to_a[n as usize].is_none()).collect();
        for (number, other) in rest_a.into_iter().zip(rest_b) {
            matching.add(number, other);
        }
    }
}

type Function<'i> = crate::index::IndexedFunction<'i>;

/// Pairs what has a key that occurs once among the unmatched of either side.
fn unique(a: &Index, b: &Index, matching: &mut Matching, key: impl Fn(Function<'_>) -> [u8; 32]) {
    let once = |index: &Index, matched: &[Option<u32>]| {
        let mut keys: NumberMap<[u8; 32], Option<u32>> = NumberMap::default();
        for (number, function) in (0u32..).zip(index.functions()) {
            if matched[number as usize].is_none() && function.instructions() > 0 {
                keys.entry(key(function)).and_modify(|known| *known = None).or_insert(Some(number));
            }
        }
        keys
    };
    let keys_b = once(b, &matching.to_a);
    for (key, number) in once(a, &matching.to_b) {
        if let (Some(number), Some(&Some(other))) = (number, keys_b.get(&key)) {
            matching.add(number, other);
        }
    }
}

/// From matched callers: where both refer to as many functions, those in one place correspond.
fn by_calls(a: &Index, b: &Index, similarity: &Similarity, matching: &mut Matching) -> usize {
    let mut votes: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let number = |target: &Target| match target {
        Target::Function(number) => Some(*number),
        _ => None,
    };
    let functions = |targets: &[Target]| -> Vec<u32> { targets.iter().filter_map(number).collect() };
    let open = |x: usize| {
        let mut numbers = a.function(x).references().iter().filter_map(number);
        numbers.any(|number| matching.to_b[number as usize].is_none())
    };
    for (x, y) in matching.pairs().filter(|&(x, _)| open(x)) {
        let (from_a, from_b) = (functions(a.function(x).references()), functions(b.function(y).references()));
        if from_a.len() == from_b.len() {
            let pairs = from_a
                .into_iter()
                .zip(from_b)
                .filter(|&(x, y)| matching.to_b[x as usize].is_none() && matching.to_a[y as usize].is_none());
            pairs.for_each(|pair| *votes.entry(pair).or_default() += 1);
        }
    }
    let mut votes: Vec<((u32, u32), u32)> = votes.into_iter().collect();
    votes.sort_by_key(|&(pair, count)| (std::cmp::Reverse(count), pair));
    let mut found = 0;
    for ((x, y), _) in votes {
        if plausible(a, b, similarity, x, y) {
            found += usize::from(matching.add(x, y));
        }
    }
    found
}

fn plausible(a: &Index, b: &Index, similarity: &Similarity, x: u32, y: u32) -> bool {
    let (f, g) = (a.function(x as usize), b.function(y as usize));
    if f.is_named() && g.is_named() {
        return f.meaning() == g.meaning();
    }
    f.meaning() == g.meaning()
        || f.masked() == g.masked()
        || similarity.between(f, g) >= MIN_SIMILARITY_IN_PLACE
}

/// Between two matched neighbours: equal ones in order, and what is alone there on both sides.
fn by_order(a: &Index, b: &Index, similarity: &Similarity, matching: &mut Matching) -> usize {
    let mut found = 0;
    let mut last: Option<(u32, u32)> = None;
    let anchors: Vec<(u32, u32)> = matching.pairs().map(|(x, y)| (x as u32, y as u32)).collect();
    for (x, y) in anchors {
        if let Some((from_x, from_y)) = last
            && y > from_y
            && y - from_y <= MAX_BETWEEN
            && x - from_x <= MAX_BETWEEN
        {
            found += between(a, b, similarity, matching, (from_x + 1..x, from_y + 1..y));
        }
        last = Some((x, y));
    }
    found
}

/// Most functions between two neighbours that are looked at.
const MAX_BETWEEN: u32 = 4096;

type Ranges = (std::ops::Range<u32>, std::ops::Range<u32>);

fn between(a: &Index, b: &Index, similarity: &Similarity, matching: &mut Matching, ranges: Ranges) -> usize {
    let free_a: Vec<u32> = ranges.0.filter(|&x| matching.to_b[x as usize].is_none()).collect();
    let free_b: Vec<u32> = ranges.1.filter(|&y| matching.to_a[y as usize].is_none()).collect();
    let mut found = 0;
    if free_a.len() == free_b.len() {
        for (&x, &y) in free_a.iter().zip(&free_b) {
            if plausible(a, b, similarity, x, y) {
                found += usize::from(matching.add(x, y));
            }
        }
        return found;
    }
    let mut from = 0;
    for &x in &free_a {
        let meaning = a.function(x as usize).meaning();
        let same = free_b[from..].iter().position(|&y| b.function(y as usize).meaning() == meaning);
        if let Some(at) = same {
            found += usize::from(matching.add(x, free_b[from + at]));
            from += at + 1;
        }
    }
    found
}

/// Functions that are each other's best by their sketches.
fn by_sketch(a: &Index, b: &Index, similarity: &Similarity, matching: &mut Matching) {
    let free_a: HashSet<u32> =
        (0..a.functions().len() as u32).filter(|&x| matching.to_b[x as usize].is_none()).collect();
    let free_b: Vec<u32> =
        (0..b.functions().len() as u32).filter(|&y| matching.to_a[y as usize].is_none()).collect();
    if free_a.is_empty() || free_b.is_empty() {
        return;
    }
    let mut scored: Vec<(f64, u32, u32)> = Vec::new();
    for &y in &free_b {
        let g = b.function(y as usize);
        for x in similarity.candidates(g, &free_a) {
            let f = a.function(x as usize);
            let foreign = f.is_named() && g.is_named();
            let score = similarity.between(f, g);
            let least = if foreign { RENAMED_SIMILARITY } else { MIN_SIMILARITY };
            if score >= least {
                scored.push((score, x, y));
            }
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, x, y) in scored {
        matching.add(x, y);
    }
}

/// Two functions of different names are one only if hardly anything differs.
const RENAMED_SIMILARITY: f64 = 0.85;
