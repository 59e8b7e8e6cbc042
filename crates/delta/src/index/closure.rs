//! Tier T3: a hash of each node and everything it reaches, cycles condensed (Tarjan, "Depth-first search
//! and linear graph algorithms", 1972, without recursion).

use assay_evidence::Sha256;

use crate::lift::Target;
use crate::record::{Records, UNKNOWN};

/// What every node refers to; functions are numbered first, objects after them.
struct Graph<'r> {
    records: &'r Records,
    nodes: usize,
}

impl Graph<'_> {
    fn own(&self, node: usize) -> &[u8] {
        match node.checked_sub(self.records.functions.len()) {
            Some(object) => &self.records.objects[object].exact,
            None => self.records.functions[node].exact.as_bytes(),
        }
    }

    fn references(&self, node: usize) -> &[Target] {
        let run = match node.checked_sub(self.records.functions.len()) {
            Some(object) => self.records.objects[object].references,
            None => self.records.functions[node].references,
        };
        run.of(&self.records.references)
    }

    fn node(&self, target: Target) -> Option<usize> {
        let node = match target {
            Target::Function(number) => number as usize,
            Target::Object(number) => self.records.functions.len() + number as usize,
            Target::Variable(_) => return None,
        };
        (node < self.nodes).then_some(node)
    }

    fn edges(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.references(node).iter().filter_map(|&target| self.node(target))
    }
}

/// Computes the closures of all functions and objects.
pub(super) fn close(records: &mut Records) {
    let nodes = records.functions.len() + records.objects.len();
    let graph = Graph { records, nodes };
    let mut closures = vec![UNKNOWN; nodes];
    let edge = |node: usize, at: usize| graph.references(node).get(at).map(|&target| graph.node(target));
    components(nodes, edge, |component| match *component {
        [node] => {
            let mut hash = Sha256::stream();
            hash.update(graph.own(node));
            for to in graph.edges(node) {
                hash.update(if to == node { b"itself" } else { closures[to].as_bytes() });
            }
            closures[node] = hash.finish();
        }
        _ => cycle(component, &graph, &mut closures),
    });
    let functions = records.functions.iter_mut().map(|function| &mut function.closure);
    let all = functions.chain(records.objects.iter_mut().map(|object| &mut object.closure));
    all.zip(closures).for_each(|(place, closure)| *place = closure);
}

fn cycle(component: &[usize], graph: &Graph<'_>, closures: &mut [Sha256]) {
    let members: std::collections::HashSet<usize> = component.iter().copied().collect();
    let mut parts: Vec<&[u8]> = component.iter().map(|&node| graph.own(node)).collect();
    let outside = component.iter().flat_map(|&node| graph.edges(node)).filter(|to| !members.contains(to));
    parts.extend(outside.map(|to| closures[to].as_bytes().as_slice()));
    parts.sort_unstable();
    let mut whole = Sha256::stream();
    parts.iter().for_each(|part| whole.update(part));
    let whole = whole.finish();
    for &node in component {
        let mut hash = Sha256::stream();
        hash.update(whole.as_bytes());
        hash.update(graph.own(node));
        closures[node] = hash.finish();
    }
}

/// Strongly connected components, each after all that it reaches. `edge` says where the edge of that
/// number of a node leads: past the last one nowhere, and inside nowhere where it is to be passed over.
fn components(
    count: usize,
    edge: impl Fn(usize, usize) -> Option<Option<usize>>,
    mut found: impl FnMut(&[usize]),
) {
    const UNSEEN: u32 = u32::MAX;
    let (mut order, mut low) = (vec![UNSEEN; count], vec![0u32; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut path): (Vec<usize>, Vec<(usize, usize)>) = Default::default();
    let mut next = 0;
    for root in 0..count {
        if order[root] != UNSEEN {
            continue;
        }
        path.push((root, 0));
        while let Some(&mut (node, ref mut at)) = path.last_mut() {
            if *at == 0 && order[node] == UNSEEN {
                (order[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(to) = edge(node, *at) {
                *at += 1;
                match to {
                    Some(to) if order[to] == UNSEEN => path.push((to, 0)),
                    Some(to) if on_stack[to] => low[node] = low[node].min(order[to]),
                    _ => {}
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let from = stack.iter().rposition(|&other| other == node).unwrap_or(0);
                stack[from..].iter().for_each(|&member| on_stack[member] = false);
                found(&stack[from..]);
                stack.truncate(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_one_component_and_come_after_what_they_reach() {
        // 0 -> 1 -> 2 -> 1, 2 -> 3, 4 alone
        let edges: [&[Option<usize>]; 5] = [&[Some(1)], &[Some(2)], &[Some(1), None, Some(3)], &[], &[]];
        let mut found = Vec::new();
        components(5, |node, at| edges[node].get(at).copied(), |component| found.push(component.to_vec()));
        found.iter_mut().for_each(|component| component.sort_unstable());
        assert_eq!(found, vec![vec![3], vec![1, 2], vec![0], vec![4]]);
    }
}
