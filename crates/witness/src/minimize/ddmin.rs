//! Delta debugging: the least part of a list that still shows something.
//!
//! Source: A. Zeller, R. Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE TSE 28(2),
//! 2002, algorithm `ddmin`.

/// What trying a part showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It still shows it.
    Holds,
    /// It does not.
    Lost,
    /// Nothing more may be tried.
    Stop,
}

/// A part of `items`, in their order, that `holds` and of which, where trying did not stop early, no
/// single element can be left out. `items` itself is taken to hold.
///
/// # Errors
/// Whatever `holds` fails with.
pub fn ddmin<T: Clone, E>(
    mut items: Vec<T>,
    holds: &mut dyn FnMut(&[T]) -> Result<Tried, E>,
) -> Result<Vec<T>, E> {
    let mut parts = 2;
    if items.is_empty() {
        return Ok(items);
    }
    match holds(&[])? {
        Tried::Holds => return Ok(Vec::new()),
        Tried::Stop => return Ok(items),
        Tried::Lost => {}
    }
    while items.len() >= 2 {
        match step(&items, parts, holds)? {
            Step::Smaller(smaller, next) => {
                items = smaller;
                parts = next.clamp(2, items.len().max(2));
            }
            Step::Same if parts >= items.len() => return Ok(items),
            Step::Same => parts = (parts * 2).min(items.len()),
            Step::Stop => return Ok(items),
        }
    }
    Ok(items)
}

enum Step<T> {
    Smaller(Vec<T>, usize),
    Same,
    Stop,
}

/// One round: each part alone, then the list without each part.
fn step<T: Clone, E>(
    items: &[T],
    parts: usize,
    holds: &mut dyn FnMut(&[T]) -> Result<Tried, E>,
) -> Result<Step<T>, E> {
    let bounds = |part: usize| part * items.len() / parts..(part + 1) * items.len() / parts;
    // With single elements, a part alone has been tried as the complement of the others before.
    if parts < items.len() || parts == 2 {
        for part in 0..parts {
            let alone = items[bounds(part)].to_vec();
            match holds(&alone)? {
                Tried::Holds => return Ok(Step::Smaller(alone, 2)),
                Tried::Stop => return Ok(Step::Stop),
                Tried::Lost => {}
            }
        }
    }
    if parts > 2 {
        for part in 0..parts {
            let range = bounds(part);
            let without = [&items[..range.start], &items[range.end..]].concat();
            match holds(&without)? {
                Tried::Holds => return Ok(Step::Smaller(without, parts - 1)),
                Tried::Stop => return Ok(Step::Stop),
                Tried::Lost => {}
            }
        }
    }
    Ok(Step::Same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(count: usize, wanted: &[usize]) -> (Vec<usize>, usize) {
        let mut tries = 0;
        let mut holds = |part: &[usize]| {
            tries += 1;
            let all = wanted.iter().all(|item| part.contains(item));
            Ok::<_, ()>(if all { Tried::Holds } else { Tried::Lost })
        };
        (ddmin((0..count).collect(), &mut holds).unwrap(), tries)
    }

    #[test]
    fn exactly_what_is_needed_stays() {
        assert_eq!(least(1000, &[3]).0, [3]);
        assert_eq!(least(1000, &[0, 500, 999]).0, [0, 500, 999]);
        assert_eq!(least(5, &[0, 1, 2, 3, 4]).0, [0, 1, 2, 3, 4]);
        assert_eq!(least(7, &[]).0, Vec::<usize>::new());
        // One of a thousand is found by halving: the paper's best case is 2 log2(n).
        assert!(least(1024, &[700]).1 <= 2 * 10 + 1, "{}", least(1024, &[700]).1);
    }

    #[test]
    fn stopping_leaves_something_that_holds() {
        let mut left = 5;
        let mut holds = |part: &[u32]| {
            left -= 1;
            Ok::<_, ()>(if left == 0 {
                Tried::Stop
            } else if part.contains(&9) {
                Tried::Holds
            } else {
                Tried::Lost
            })
        };
        assert!(ddmin((0..100).collect(), &mut holds).unwrap().contains(&9));
    }
}
