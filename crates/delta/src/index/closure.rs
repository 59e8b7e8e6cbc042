//! Tier T3: a hash of each node and everything it reaches, cycles condensed (Tarjan, "Depth-first search
//! and linear graph algorithms", 1972, without recursion).

use assay_evidence::Sha256;

use crate::lift::{Lifted, Target};

/// The closures of all functions, then of all objects.
pub(super) fn closures(lifted: &Lifted) -> Vec<Sha256> {
    let functions = lifted.functions.len();
    let references: Vec<&[Target]> = (lifted.functions.iter().map(|f| f.references.as_slice()))
        .chain(lifted.objects.iter().map(|o| o.references.as_slice()))
        .collect();
    let own: Vec<&[u8]> = (lifted.functions.iter().map(|f| f.exact.as_slice()))
        .chain(lifted.objects.iter().map(|o| o.exact.as_slice()))
        .collect();
    let node = |target: &Target| match *target {
        Target::Function(number) => Some(number as usize),
        Target::Object(number) => Some(functions + number as usize),
        Target::Variable(_) => None,
    };
    let edges: Vec<Vec<usize>> = references
        .iter()
        .map(|targets| targets.iter().filter_map(node).filter(|&to| to < own.len()).collect())
        .collect();
    let mut closures = vec![Sha256::from_bytes([0; 32]); own.len()];
    for component in components(&edges) {
        let [node] = component[..] else {
            cycle(&component, &edges, &own, &mut closures);
            continue;
        };
        let mut hash = Sha256::stream();
        hash.update(own[node]);
        for &to in &edges[node] {
            hash.update(if to == node { b"itself" } else { closures[to].as_bytes() });
        }
        closures[node] = hash.finish();
    }
    closures
}

fn cycle(component: &[usize], edges: &[Vec<usize>], own: &[&[u8]], closures: &mut [Sha256]) {
    let members: std::collections::HashSet<usize> = component.iter().copied().collect();
    let mut parts: Vec<&[u8]> = component.iter().map(|&node| own[node]).collect();
    let outside = component.iter().flat_map(|&node| &edges[node]).filter(|to| !members.contains(to));
    parts.extend(outside.map(|&to| closures[to].as_bytes().as_slice()));
    parts.sort_unstable();
    let mut whole = Sha256::stream();
    parts.iter().for_each(|part| whole.update(part));
    let whole = whole.finish();
    for &node in component {
        let mut hash = Sha256::stream();
        hash.update(whole.as_bytes());
        hash.update(own[node]);
        closures[node] = hash.finish();
    }
}

/// Strongly connected components, each after all that it reaches.
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let count = edges.len();
    let (mut order, mut low) = (vec![UNSEEN; count], vec![0; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut found) = (Vec::new(), Vec::new());
    let mut next = 0;
    for root in 0..count {
        if order[root] != UNSEEN {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some(&mut (node, ref mut edge)) = path.last_mut() {
            if *edge == 0 && order[node] == UNSEEN {
                (order[node], low[node]) = (next, next);
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&to) = edges[node].get(*edge) {
                *edge += 1;
                if order[to] == UNSEEN {
                    path.push((to, 0));
                } else if on_stack[to] {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let from = stack.iter().rposition(|&other| other == node).unwrap_or(0);
                let component = stack.split_off(from);
                component.iter().for_each(|&member| on_stack[member] = false);
                found.push(component);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_one_component_and_come_after_what_they_reach() {
        // 0 -> 1 -> 2 -> 1, 2 -> 3, 4 alone
        let edges = vec![vec![1], vec![2], vec![1, 3], vec![], vec![]];
        let mut found = components(&edges);
        found.iter_mut().for_each(|component| component.sort_unstable());
        assert_eq!(found, vec![vec![3], vec![1, 2], vec![0], vec![4]]);
    }
}
