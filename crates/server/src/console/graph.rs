//! The picture of a change: callers on the left, what changed in the middle, callees on the right.
//!
//! Layers are fixed by the roles; within one, functions are ordered by the mean place of what they are
//! connected with (the barycentre rule of Sugiyama, Tagawa and Toda, 1981). Everything is laid out here:
//! the page needs no script, and the colours are the style sheet's.

use assay_delta::{ChangeGraph, GraphRole};

use super::view::shown;

/// The width of a box and the space between layers, in pixels of the picture.
const BOX: usize = 250;
const GAP: usize = 120;
/// The height of a box and the distance from one to the next.
const HEIGHT: usize = 26;
const STEP: usize = 36;
/// The space above the boxes, for the titles of the layers.
const TOP: usize = 34;
/// Characters of a name that fit.
const MAX_NAME: usize = 32;
/// Rounds of ordering.
const ROUNDS: usize = 6;

/// A picture, ready for the template.
pub(super) struct Picture {
    pub width: usize,
    pub height: usize,
    pub boxes: Vec<BoxView>,
    pub lines: Vec<LineView>,
    pub titles: Vec<(usize, &'static str)>,
    /// What is not drawn, in words.
    pub left_out: Vec<String>,
    /// The whole in words, for who does not see it.
    pub summary: String,
}

pub(super) struct BoxView {
    pub x: usize,
    pub y: usize,
    pub text_x: usize,
    pub text_y: usize,
    pub width: usize,
    pub height: usize,
    pub role: &'static str,
    pub name: String,
    pub title: String,
    pub link: Option<String>,
}

pub(super) struct LineView {
    /// An SVG path.
    pub path: String,
    /// Whether both ends changed.
    pub inner: bool,
}

fn layer(role: GraphRole) -> usize {
    match role {
        GraphRole::Caller => 0,
        GraphRole::Changed | GraphRole::Added => 1,
        GraphRole::Callee => 2,
    }
}

/// Lays out a graph; nothing where nothing changed.
pub(super) fn picture(graph: &ChangeGraph, query: &str) -> Option<Picture> {
    if graph.nodes.is_empty() {
        return None;
    }
    let layers = ordered(graph);
    let tallest = layers.iter().map(Vec::len).max().unwrap_or(0);
    let used: Vec<usize> = (0..3).filter(|&number| !layers[number].is_empty()).collect();
    let column =
        |number: usize| used.iter().position(|&other| other == number).unwrap_or(0) * (BOX + GAP) + 1;
    let mut places = vec![(0, 0); graph.nodes.len()];
    for (number, nodes) in layers.iter().enumerate() {
        let indent = (tallest - nodes.len()) * STEP / 2;
        for (row, &node) in nodes.iter().enumerate() {
            places[node] = (column(number), TOP + indent + row * STEP);
        }
    }
    let titles = ["callers", "changed and added", "callees"];
    Some(Picture {
        width: used.len() * (BOX + GAP) - GAP + 2 + GAP / 2,
        height: TOP + tallest * STEP,
        boxes: (0..graph.nodes.len()).map(|node| box_view(graph, node, places[node], query)).collect(),
        lines: lines(graph, &places),
        titles: used.iter().map(|&number| (column(number), titles[number])).collect(),
        left_out: left_out(graph),
        summary: format!(
            "{} changed or added functions, {} callers and {} callees, joined by {} references",
            layers[1].len(),
            layers[0].len(),
            layers[2].len(),
            graph.edges.len()
        ),
    })
}

fn left_out(graph: &ChangeGraph) -> Vec<String> {
    let counts = [
        (graph.changed_left_out, "changed or added functions"),
        (graph.callers_left_out, "callers"),
        (graph.callees_left_out, "callees"),
    ];
    counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

/// The nodes of each layer from top to bottom.
fn ordered(graph: &ChangeGraph) -> [Vec<usize>; 3] {
    let mut layers: [Vec<usize>; 3] = Default::default();
    for (number, node) in graph.nodes.iter().enumerate() {
        layers[layer(node.role)].push(number);
    }
    let mut joined = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        let (from, to) = (edge.from as usize, edge.to as usize);
        joined[from].push(to);
        joined[to].push(from);
    }
    for _ in 0..ROUNDS {
        for number in [0, 2, 1] {
            let mut height = vec![0.0; graph.nodes.len()];
            for nodes in &layers {
                for (row, &node) in nodes.iter().enumerate() {
                    height[node] = (row as f64 + 0.5) / nodes.len() as f64;
                }
            }
            let mean = |node: usize| match joined[node].len() {
                0 => height[node],
                count => joined[node].iter().map(|&other| height[other]).sum::<f64>() / count as f64,
            };
            layers[number].sort_by(|&x, &y| mean(x).total_cmp(&mean(y)).then(x.cmp(&y)));
        }
    }
    layers
}

fn box_view(graph: &ChangeGraph, node: usize, (x, y): (usize, usize), query: &str) -> BoxView {
    let node = &graph.nodes[node];
    let role = match node.role {
        GraphRole::Changed => "changed",
        GraphRole::Added => "added",
        GraphRole::Caller | GraphRole::Callee => "near",
    };
    let link = node.address_a.filter(|_| node.role == GraphRole::Changed);
    let name = match node.name.chars().count() > MAX_NAME {
        true => node.name.chars().take(MAX_NAME - 1).chain(['…']).collect(),
        false => node.name.clone(),
    };
    BoxView {
        x,
        y,
        text_x: x + 9,
        text_y: y + 17,
        width: BOX,
        height: HEIGHT,
        role,
        name,
        title: format!("{} at {}, {role}", shown(&node.name), node.address_b),
        link: link.map(|a| format!("/deltas/function?{query}&address_a={a}&address_b={}", node.address_b)),
    }
}

/// A curve for each reference: from layer to layer, or around the right side within the middle one.
fn lines(graph: &ChangeGraph, places: &[(usize, usize)]) -> Vec<LineView> {
    let inner = |number: u32| layer(graph.nodes[number as usize].role) == 1;
    let mut drawn = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for edge in &graph.edges {
        let ((from_x, from_y), (to_x, to_y)) = (places[edge.from as usize], places[edge.to as usize]);
        let (from_y, to_y) = (from_y + HEIGHT / 2, to_y + HEIGHT / 2);
        let path = if from_x == to_x {
            let (x, bend) = (from_x + BOX, GAP / 3 + from_y.abs_diff(to_y).min(GAP));
            let out = x + bend.min(GAP / 2);
            format!("M{x} {from_y} C{out} {from_y} {out} {to_y} {x} {to_y}")
        } else {
            let (left, right) = if from_x < to_x { (from_x + BOX, to_x) } else { (from_x, to_x + BOX) };
            let middle = left.midpoint(right);
            format!("M{left} {from_y} C{middle} {from_y} {middle} {to_y} {right} {to_y}")
        };
        if drawn.insert(path.clone()) {
            lines.push(LineView { path, inner: inner(edge.from) && inner(edge.to) });
        }
    }
    lines
}
