//! What differs between two artifacts, for people: matched by name, judged by hash.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use assay_binary::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::index::{Index, IndexedFunction, IndexedObject};
use crate::program::stable_name;

/// One function or object in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionEntry {
    /// Its name.
    pub name: String,
    /// Where it is in A, if it is there.
    pub address_a: Option<Address>,
    /// Where it is in B, if it is there.
    pub address_b: Option<Address>,
    /// Why it is in this list.
    pub why: String,
}

/// What happened to the functions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionChanges {
    /// How many are the same in both under one name; the moved and the affected are among them.
    pub unchanged: u64,
    /// Those whose own body differs in meaning.
    pub changed: Vec<FunctionEntry>,
    /// Those whose body is the same, but that reach something changed.
    pub affected: Vec<FunctionEntry>,
    /// Those only in B.
    pub added: Vec<FunctionEntry>,
    /// Those only in A.
    pub removed: Vec<FunctionEntry>,
    /// Those unchanged, but in another order among the others.
    pub moved: Vec<FunctionEntry>,
    /// Those whose body is the same under another name.
    pub renamed: Vec<FunctionEntry>,
}

/// What happened to the named data objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataChanges {
    /// Those whose initial contents differ.
    pub changed: Vec<FunctionEntry>,
    /// Those only in B.
    pub added: Vec<FunctionEntry>,
    /// Those only in A.
    pub removed: Vec<FunctionEntry>,
}

/// The difference between two artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// The functions.
    pub functions: FunctionChanges,
    /// The named data.
    pub data: DataChanges,
    /// The noise that was set aside.
    pub ignored: Vec<String>,
    /// Bits per changed instruction.
    ///
    /// An instruction of a changed function in B counts as changed where A's version of that
    /// function does not have it (as a multiset). It carries -log2 of its share among all
    /// instructions of B, operands resolved: a rare one says more than a common one. The figure is
    /// the mean; without a changed instruction it is 0.
    pub delta_information: f64,
    /// Uncertainty, in bits, that a function changed in meaning, weighted by instructions.
    ///
    /// An exact match is certain and contributes 0. Of a function whose exact hash differs this tier
    /// cannot say whether its meaning does, and it has no calibrated probability to say it with: it
    /// contributes the maximum of 1 bit. So the figure is the share of B's instructions that stand in
    /// changed functions.
    pub delta_entropy: f64,
}

/// What the hashes leave out.
const ALWAYS_IGNORED: [&str; 6] = [
    "addresses and displacements",
    "alignment and padding",
    "encodings and branch lengths",
    "link order",
    "numbers of local statics and promoted symbols",
    "layout of PLT, GOT and jump tables",
];

/// Compares two indexes.
pub fn diff(a: &Index, b: &Index) -> Delta {
    let functions = pair(&a.functions, &b.functions);
    let objects = pair(&a.objects, &b.objects);
    let data = DataChanges {
        changed: changed_objects(a, b, &objects),
        added: objects.only_b.iter().map(|&i| only_b(&b.objects[i])).collect(),
        removed: objects.only_a.iter().map(|&i| only_a(&a.objects[i])).collect(),
    };
    let (delta_information, delta_entropy) = figures(a, b, &functions);
    let mut ignored: Vec<String> = ALWAYS_IGNORED.map(str::to_owned).to_vec();
    if a.debug_id != b.debug_id {
        ignored.push("build id".to_owned());
    }
    Delta {
        functions: function_changes(a, b, &functions, &objects),
        data,
        ignored,
        delta_information,
        delta_entropy,
    }
}

/// What functions and objects have in common here.
trait Node {
    fn name(&self) -> &str;
    fn address(&self) -> Address;
    fn hash(&self) -> &[u8; 32];
    fn size(&self) -> u64;
}

impl Node for IndexedFunction {
    fn name(&self) -> &str {
        &self.name
    }
    fn address(&self) -> Address {
        self.address
    }
    fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }
    fn size(&self) -> u64 {
        self.size
    }
}

impl Node for IndexedObject {
    fn name(&self) -> &str {
        &self.name
    }
    fn address(&self) -> Address {
        self.address
    }
    fn hash(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }
    fn size(&self) -> u64 {
        self.size
    }
}

#[derive(Default)]
struct Pairs {
    same: Vec<(usize, usize)>,
    changed: Vec<(usize, usize)>,
    only_a: Vec<usize>,
    only_b: Vec<usize>,
}

/// Nodes of one name are paired by equal hash first and by their order after that.
fn pair<N: Node>(a: &[N], b: &[N]) -> Pairs {
    let mut groups: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (index, node) in a.iter().enumerate() {
        groups.entry(stable_name(node.name())).or_default().0.push(index);
    }
    for (index, node) in b.iter().enumerate() {
        groups.entry(stable_name(node.name())).or_default().1.push(index);
    }
    let mut pairs = Pairs::default();
    for (in_a, in_b) in groups.into_values() {
        let mut by_hash: HashMap<&[u8; 32], VecDeque<usize>> = HashMap::new();
        for &index in &in_b {
            by_hash.entry(b[index].hash()).or_default().push_back(index);
        }
        let mut taken = HashSet::new();
        let mut rest_a = Vec::new();
        for index in in_a {
            match by_hash.get_mut(a[index].hash()).and_then(VecDeque::pop_front) {
                Some(other) => {
                    taken.insert(other);
                    pairs.same.push((index, other));
                }
                None => rest_a.push(index),
            }
        }
        let mut rest_b = in_b.into_iter().filter(|index| !taken.contains(index));
        for index in rest_a {
            match rest_b.next() {
                Some(other) => pairs.changed.push((index, other)),
                None => pairs.only_a.push(index),
            }
        }
        pairs.only_b.extend(rest_b);
    }
    pairs.same.sort_unstable();
    pairs.changed.sort_unstable();
    pairs.only_a.sort_unstable();
    pairs.only_b.sort_unstable();
    pairs
}

fn entry<N: Node>(a: &N, b: &N, why: impl Into<String>) -> FunctionEntry {
    let (address_a, address_b) = (Some(a.address()), Some(b.address()));
    FunctionEntry { name: b.name().to_owned(), address_a, address_b, why: why.into() }
}

fn only_a<N: Node>(node: &N) -> FunctionEntry {
    let why = "no function or object of that name is in B".to_owned();
    FunctionEntry { name: node.name().to_owned(), address_a: Some(node.address()), address_b: None, why }
}

fn only_b<N: Node>(node: &N) -> FunctionEntry {
    let why = "no function or object of that name is in A".to_owned();
    FunctionEntry { name: node.name().to_owned(), address_a: None, address_b: Some(node.address()), why }
}

fn changed_objects(a: &Index, b: &Index, pairs: &Pairs) -> Vec<FunctionEntry> {
    let why = |x: &IndexedObject, y: &IndexedObject| match x.size() == y.size() {
        true => "its initial contents differ".to_owned(),
        false => format!("{} bytes where it was {}", y.size(), x.size()),
    };
    pairs
        .changed
        .iter()
        .map(|&(i, j)| (&a.objects[i], &b.objects[j]))
        .map(|(x, y)| entry(x, y, why(x, y)))
        .collect()
}

fn function_changes(a: &Index, b: &Index, functions: &Pairs, objects: &Pairs) -> FunctionChanges {
    let (renamed, only_in_a, only_in_b) = renamed(a, b, functions);
    let at = |&(i, j): &(usize, usize)| (&a.functions[i], &b.functions[j]);
    let why = |x: &IndexedFunction, y: &IndexedFunction| {
        let (gone, new) = (missing(x, y).len(), missing(y, x).len());
        match gone + new {
            0 => "the same instructions in another order".to_owned(),
            _ => format!("{gone} of {} instructions gone, {new} new", x.instructions.len()),
        }
    };
    let affected = affected(a, b, functions, objects);
    FunctionChanges {
        unchanged: functions.same.len() as u64,
        changed: functions.changed.iter().map(at).map(|(x, y)| entry(x, y, why(x, y))).collect(),
        affected,
        added: only_in_b.into_iter().map(|i| only_b(&b.functions[i])).collect(),
        removed: only_in_a.into_iter().map(|i| only_a(&a.functions[i])).collect(),
        moved: out_of_order(&functions.same)
            .iter()
            .map(at)
            .map(|(x, y)| entry(x, y, "unchanged, in another order"))
            .collect(),
        renamed,
    }
}

/// Bodies that are in only one file under their name, and the same in both under two names.
fn renamed(a: &Index, b: &Index, pairs: &Pairs) -> (Vec<FunctionEntry>, Vec<usize>, Vec<usize>) {
    let mut by_hash: HashMap<&[u8; 32], Vec<usize>> = HashMap::new();
    for &index in &pairs.only_b {
        by_hash.entry(b.functions[index].hash()).or_default().push(index);
    }
    let mut renamed = Vec::new();
    let mut taken = HashSet::new();
    let mut gone = Vec::new();
    for &index in &pairs.only_a {
        match by_hash.get(a.functions[index].hash()).map(Vec::as_slice) {
            Some(&[other]) if taken.insert(other) => {
                let why = format!("the body of `{}` in A", a.functions[index].name);
                renamed.push(entry(&a.functions[index], &b.functions[other], why));
            }
            _ => gone.push(index),
        }
    }
    let new = pairs.only_b.iter().copied().filter(|index| !taken.contains(index)).collect();
    (renamed, gone, new)
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

/// Unchanged functions from which something changed, added or removed can be reached, with the
/// first step towards it.
fn affected(a: &Index, b: &Index, functions: &Pairs, objects: &Pairs) -> Vec<FunctionEntry> {
    let objects_at = |index: &Index, object: usize| (index.functions.len() + object) as u32;
    let start_a = functions.only_a.iter().map(|&i| i as u32);
    let start_a = start_a.chain(objects.only_a.iter().map(|&i| objects_at(a, i)));
    let start_b =
        functions.changed.iter().map(|&(_, j)| j as u32).chain(functions.only_b.iter().map(|&j| j as u32));
    let start_b = start_b
        .chain(objects.changed.iter().map(|&(_, j)| objects_at(b, j)))
        .chain(objects.only_b.iter().map(|&j| objects_at(b, j)));
    let (from_a, from_b) = (reaching(a, start_a.collect()), reaching(b, start_b.collect()));
    let mut affected = Vec::new();
    for &(i, j) in &functions.same {
        let step = from_b.get(&(j as u32)).map(|&next| node_name(b, next));
        let step = step.or_else(|| from_a.get(&(i as u32)).map(|&next| node_name(a, next)));
        if let Some(name) = step {
            affected.push(entry(
                &a.functions[i],
                &b.functions[j],
                format!("reaches a change through `{name}`"),
            ));
        }
    }
    affected
}

fn node_name(index: &Index, node: u32) -> &str {
    let node = node as usize;
    match index.functions.get(node) {
        Some(function) => &function.name,
        None => &index.objects[node - index.functions.len()].name,
    }
}

/// Every node from which a start can be reached, with the next node on the way.
fn reaching(index: &Index, starts: Vec<u32>) -> HashMap<u32, u32> {
    let mut back: HashMap<u32, Vec<u32>> = HashMap::new();
    for &(from, to) in &index.edges {
        back.entry(to).or_default().push(from);
    }
    let mut next = HashMap::new();
    let mut seen: HashSet<u32> = starts.iter().copied().collect();
    let mut queue: VecDeque<u32> = starts.into();
    while let Some(node) = queue.pop_front() {
        for &from in back.get(&node).map(Vec::as_slice).unwrap_or_default() {
            if seen.insert(from) {
                next.insert(from, node);
                queue.push_back(from);
            }
        }
    }
    next
}

/// The instructions of `of` that `other` does not have, as multisets.
fn missing(of: &IndexedFunction, other: &IndexedFunction) -> Vec<u32> {
    let mut left: HashMap<u32, usize> = HashMap::new();
    other.instructions.iter().for_each(|&number| *left.entry(number).or_default() += 1);
    let is_missing = |number: &u32| match left.get_mut(number) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    of.instructions.iter().copied().filter(is_missing).collect()
}

/// See [`Delta::delta_information`] and [`Delta::delta_entropy`].
fn figures(a: &Index, b: &Index, functions: &Pairs) -> (f64, f64) {
    if functions.changed.is_empty() {
        return (0.0, 0.0);
    }
    let mut counts: HashMap<u32, u64> = HashMap::new();
    b.functions
        .iter()
        .flat_map(|f| &f.instructions)
        .for_each(|&number| *counts.entry(number).or_default() += 1);
    let total = counts.values().sum::<u64>().max(1) as f64;
    let mut bits = 0.0;
    let (mut new, mut uncertain) = (0u64, 0u64);
    for &(i, j) in &functions.changed {
        uncertain += b.functions[j].instructions.len() as u64;
        for number in missing(&b.functions[j], &a.functions[i]) {
            bits += (total / counts.get(&number).copied().unwrap_or(1) as f64).log2();
            new += 1;
        }
    }
    (if new == 0 { 0.0 } else { bits / new as f64 }, uncertain as f64 / total)
}
