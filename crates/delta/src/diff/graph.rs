//! The changed functions among those who call them and whom they call: what a picture shows.

use std::collections::{BTreeMap, BTreeSet};

use assay_binary::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Comparison;
use crate::index::Index;
use crate::lift::Target;

/// Most changed functions in one picture.
const MAX_CHANGED: usize = 24;
/// Most neighbours on either side.
const MAX_NEIGHBOURS: usize = 20;

/// Why a function is in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GraphRole {
    /// Its body differs.
    Changed,
    /// It is only in B.
    Added,
    /// It refers to one of those.
    Caller,
    /// One of those refers to it.
    Callee,
}

/// A function of B in the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphNode {
    /// Its name.
    pub name: String,
    /// Where it is in A, if it is there.
    pub address_a: Option<Address>,
    /// Where it is in B.
    pub address_b: Address,
    /// Why it is here.
    pub role: GraphRole,
}

/// A reference between two functions of the picture, by their places in `nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct GraphEdge {
    /// Who refers.
    pub from: u32,
    /// To whom.
    pub to: u32,
}

/// The call graph around a change, in B.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeGraph {
    /// Changed and added functions first, then callers, then callees.
    pub nodes: Vec<GraphNode>,
    /// What refers to what: calls, jumps and addresses that are taken.
    pub edges: Vec<GraphEdge>,
    /// Changed and added functions that are left out.
    pub changed_left_out: u64,
    /// Callers that are left out.
    pub callers_left_out: u64,
    /// Callees that are left out.
    pub callees_left_out: u64,
}

/// The changed and added functions of B that are most connected with each other, and those neighbours
/// that touch most of them.
pub fn change_graph(a: &Index, b: &Index) -> ChangeGraph {
    let comparison = Comparison::of(a, b);
    let pairing = comparison.changes().pairing();
    let changed: BTreeSet<u32> = pairing.changed.iter().map(|&(_, y)| y as u32).collect();
    let all: BTreeSet<u32> = changed.iter().copied().chain(pairing.added.iter().map(|&y| y as u32)).collect();
    let edges = edges(b);
    let mut weights: BTreeMap<u32, usize> = all.iter().map(|&y| (y, 0)).collect();
    for (from, to) in edges.iter().filter(|(from, to)| all.contains(from) && all.contains(to) && from != to) {
        [from, to].into_iter().for_each(|end| *weights.entry(*end).or_default() += 1);
    }
    let (centre, left_out) = most(MAX_CHANGED, weights.into_iter());
    let chosen: BTreeSet<u32> = centre.iter().copied().collect();
    let (mut callers, mut callees): (BTreeMap<u32, usize>, BTreeMap<u32, usize>) = Default::default();
    for &(from, to) in &edges {
        if chosen.contains(&to) && !all.contains(&from) {
            *callers.entry(from).or_default() += 1;
        }
        if chosen.contains(&from) && !all.contains(&to) {
            *callees.entry(to).or_default() += 1;
        }
    }
    callees.retain(|number, _| !callers.contains_key(number));
    let (callers, callers_left_out) = most(MAX_NEIGHBOURS, callers.into_iter());
    let (callees, callees_left_out) = most(MAX_NEIGHBOURS, callees.into_iter());
    let role = |y: u32| if changed.contains(&y) { GraphRole::Changed } else { GraphRole::Added };
    let listed: Vec<(u32, GraphRole)> = (centre.into_iter().map(|y| (y, role(y))))
        .chain(callers.into_iter().map(|y| (y, GraphRole::Caller)))
        .chain(callees.into_iter().map(|y| (y, GraphRole::Callee)))
        .collect();
    let places: BTreeMap<u32, u32> = (0..).zip(&listed).map(|(place, &(y, _))| (y, place)).collect();
    let edge = |&(from, to): &(u32, u32)| {
        let between = chosen.contains(&from) || chosen.contains(&to);
        let (from, to) = (*places.get(&from)?, *places.get(&to)?);
        (between && from != to).then_some(GraphEdge { from, to })
    };
    let edges = edges.iter().filter_map(edge).collect();
    let to_a = &comparison.functions.to_a;
    let node = |&(y, role): &(u32, GraphRole)| {
        let x = to_a[y as usize].filter(|_| role != GraphRole::Added);
        GraphNode {
            name: b.function(y as usize).name().to_owned(),
            address_a: x.map(|x| a.function(x as usize).address()),
            address_b: b.function(y as usize).address(),
            role,
        }
    };
    ChangeGraph {
        nodes: listed.iter().map(node).collect(),
        edges,
        changed_left_out: left_out,
        callers_left_out,
        callees_left_out,
    }
}

/// Every reference between two functions, once, in order.
fn edges(index: &Index) -> Vec<(u32, u32)> {
    let of = |(from, function): (u32, crate::index::IndexedFunction<'_>)| {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for target in function.references() {
            if let Target::Function(to) = *target {
                found.push((from, to));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    };
    (0..).zip(index.functions()).flat_map(of).collect()
}

/// The `limit` heaviest, and how many more there are.
fn most(limit: usize, all: impl Iterator<Item = (u32, usize)>) -> (Vec<u32>, u64) {
    let mut all: Vec<(u32, usize)> = all.collect();
    all.sort_by_key(|&(number, weight)| (std::cmp::Reverse(weight), number));
    let left_out = all.len().saturating_sub(limit) as u64;
    all.truncate(limit);
    (all.into_iter().map(|(number, _)| number).collect(), left_out)
}
