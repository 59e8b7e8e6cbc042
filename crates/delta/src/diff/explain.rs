//! A changed function side by side, and what differs in words.

use std::collections::{BTreeMap, HashMap};

use assay_binary::{Address, Module};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Delta;
use super::matching::{self, Matching};
use crate::error::DeltaError;
use crate::index::Index;
use crate::lift::{Line, Listing};

/// One row of a side-by-side listing; a side without an instruction is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The instruction in A.
    pub a: Option<String>,
    /// Where it stands in A.
    pub address_a: Option<Address>,
    /// The instruction in B.
    pub b: Option<String>,
    /// Where it stands in B.
    pub address_b: Option<Address>,
    /// Whether both sides are the same instruction.
    pub same: bool,
}

/// What differs between two functions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// In words, the weightiest first.
    pub words: Vec<String>,
    /// Side by side.
    pub rows: Vec<Row>,
}

/// Compares the listings of the function at `address_a` in A and at `address_b` in B.
///
/// # Errors
/// [`DeltaError`] where a reader refuses one of the files.
pub fn explain(
    a: &[u8],
    b: &[u8],
    address_a: Address,
    address_b: Address,
) -> Result<Explanation, DeltaError> {
    let (module_a, module_b) = (Module::parse(a)?, Module::parse(b)?);
    let indexes =
        [(&module_a, a), (&module_b, b)].map(|(module, bytes)| Index::of(module, Sha256::of(bytes)));
    let names = shared_names(&indexes[0], &indexes[1], &matching::functions(&indexes[0], &indexes[1]));
    let (listing_a, listing_b) = (Listing::of(&module_a, HashMap::new()), Listing::of(&module_b, names));
    let (x, y) = (listing_a.lines(address_a), listing_b.lines(address_b));
    Ok(Explanation { words: words(&x, &y), rows: rows(&x, &y) })
}

/// The nameless functions of B by address, under the names that their counterparts in A have or are
/// given.
pub(super) fn shared_names(a: &Index, b: &Index, matching: &Matching) -> HashMap<u64, String> {
    let pairs = matching.pairs().map(|(x, y)| (a.function(x), b.function(y)));
    let nameless = pairs.filter(|(_, g)| !g.is_named());
    nameless.map(|(f, g)| (g.address().0, f.name().to_owned())).collect()
}

/// Most changed functions that are put into words unasked.
const MAX_EXPLAINED: usize = 2_000;

/// Adds words to every changed function.
pub(super) fn details(a: &Module<'_>, b: &Module<'_>, names: HashMap<u64, String>, delta: &mut Delta) {
    if delta.functions.changed.is_empty() {
        return;
    }
    let (listing_a, listing_b) = (Listing::of(a, HashMap::new()), Listing::of(b, names));
    for entry in delta.functions.changed.iter_mut().take(MAX_EXPLAINED) {
        if let (Some(x), Some(y)) = (entry.address_a, entry.address_b) {
            entry.details = words(&listing_a.lines(x), &listing_b.lines(y));
        }
    }
}

/// Most words for one function.
const MAX_WORDS: usize = 12;

/// What only one side has: calls, texts, numbers, branches.
fn words(x: &[Line], y: &[Line]) -> Vec<String> {
    let mut words = Vec::new();
    let calls = |lines: &[Line]| counts(lines.iter().filter_map(|line| line.call.clone()));
    let literals = |lines: &[Line]| counts(lines.iter().filter_map(|line| line.literal.clone()));
    let numbers = |lines: &[Line]| {
        let told = |number: &i64| !(-1..=1).contains(number);
        counts(lines.iter().flat_map(|line| line.numbers.iter().copied().filter(told)))
    };
    let (gone, new) = only(&calls(x), &calls(y));
    words.extend(new.iter().map(|name| format!("calls `{name}`")));
    words.extend(gone.iter().map(|name| format!("no longer calls `{name}`")));
    let (gone, new) = only(&literals(x), &literals(y));
    match (gone.as_slice(), new.as_slice()) {
        ([before], [after]) => words.push(format!("the text {before:?} is now {after:?}")),
        _ => {
            words.extend(new.iter().map(|text| format!("new text {text:?}")));
            words.extend(gone.iter().map(|text| format!("the text {text:?} is gone")));
        }
    }
    let (gone, new) = only(&numbers(x), &numbers(y));
    match (gone.as_slice(), new.as_slice()) {
        ([before], [after]) => words.push(format!("the number {before} is now {after}")),
        _ if gone.len() + new.len() <= 6 => {
            words.extend(new.iter().map(|number| format!("new number {number}")));
            words.extend(gone.iter().map(|number| format!("the number {number} is gone")));
        }
        _ => words.push(format!("{} numbers gone, {} new", gone.len(), new.len())),
    }
    let branches = |lines: &[Line]| lines.iter().filter(|line| line.branch).count();
    match (branches(x), branches(y)) {
        (before, after) if after > before => {
            words.push(format!("{} more conditional branches", after - before))
        }
        (before, after) if after < before => {
            words.push(format!("{} fewer conditional branches", before - after))
        }
        _ => {}
    }
    let fields = |lines: &[Line]| counts(lines.iter().flat_map(|line| line.fields.iter().copied()));
    let (gone, new) = only(&fields(x), &fields(y));
    match (gone.as_slice(), new.as_slice()) {
        ([], []) => {}
        ([before], [after]) => words.push(format!("the field at {before:#x} is now at {after:#x}")),
        _ => words.push(format!("{} field offsets gone, {} new", gone.len(), new.len())),
    }
    let data = |lines: &[Line]| counts(lines.iter().filter_map(|line| line.data));
    if data(x) != data(y) {
        words.push("reads other constant data".to_owned());
    }
    words.truncate(MAX_WORDS);
    words
}

fn counts<T: Ord>(values: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}

/// What the first has more often, and what the second has.
fn only<T: Ord + Clone>(x: &BTreeMap<T, usize>, y: &BTreeMap<T, usize>) -> (Vec<T>, Vec<T>) {
    let more = |x: &BTreeMap<T, usize>, y: &BTreeMap<T, usize>| {
        let has = |(value, count): (&T, &usize)| (count > y.get(value).unwrap_or(&0)).then(|| value.clone());
        x.iter().filter_map(has).collect()
    };
    (more(x, y), more(y, x))
}

/// The listings aligned by the longest common subsequence of equal instructions.
fn rows(x: &[Line], y: &[Line]) -> Vec<Row> {
    let (shapes_x, shapes_y): (Vec<u64>, Vec<u64>) =
        (x.iter().map(|line| line.shape).collect(), y.iter().map(|line| line.shape).collect());
    let side =
        |line: Option<&Line>| (line.map(|line| line.text.clone()), line.map(|line| Address(line.address)));
    let row = |left: Option<&Line>, right: Option<&Line>| {
        let ((a, address_a), (b, address_b)) = (side(left), side(right));
        let same = matches!((left, right), (Some(l), Some(r)) if l.shape == r.shape);
        Row { a, address_a, b, address_b, same }
    };
    let (mut rows, mut i, mut j) = (Vec::new(), 0, 0);
    for (to_i, to_j) in common(&shapes_x, &shapes_y).into_iter().chain([(x.len(), y.len())]) {
        while i < to_i || j < to_j {
            let (left, right) = (x.get(i).filter(|_| i < to_i), y.get(j).filter(|_| j < to_j));
            rows.push(row(left, right));
            i = (i + 1).min(to_i);
            j = (j + 1).min(to_j);
        }
        if to_i < x.len() {
            rows.push(row(x.get(to_i), y.get(to_j)));
            (i, j) = (to_i + 1, to_j + 1);
        }
    }
    rows
}

/// The longest common subsequence; past a bound only equal starts and ends.
fn common(x: &[u64], y: &[u64]) -> Vec<(usize, usize)> {
    const MAX_CELLS: usize = 16_000_000;
    let start = x.iter().zip(y).take_while(|(a, b)| a == b).count();
    let end = x[start..].iter().rev().zip(y[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (inner_x, inner_y) = (&x[start..x.len() - end], &y[start..y.len() - end]);
    let mut pairs: Vec<(usize, usize)> = (0..start).map(|at| (at, at)).collect();
    if inner_x.len() * inner_y.len() <= MAX_CELLS {
        pairs.extend(subsequence(inner_x, inner_y).into_iter().map(|(i, j)| (i + start, j + start)));
    }
    pairs.extend((0..end).rev().map(|back| (x.len() - 1 - back, y.len() - 1 - back)));
    pairs
}

fn subsequence(x: &[u64], y: &[u64]) -> Vec<(usize, usize)> {
    let width = y.len() + 1;
    let mut table = vec![0u16; (x.len() + 1) * width];
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            table[i * width + j] = match x[i] == y[j] {
                true => table[(i + 1) * width + j + 1].saturating_add(1),
                false => table[(i + 1) * width + j].max(table[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < x.len() && j < y.len() {
        if x[i] == y[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if table[(i + 1) * width + j] >= table[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_instructions_are_aligned() {
        assert_eq!(common(&[1, 2, 3, 4], &[1, 3, 9, 4]), [(0, 0), (2, 1), (3, 3)]);
        assert_eq!(common(&[], &[1]), []);
        assert_eq!(common(&[5, 5], &[5]), [(0, 0)]);
    }
}
