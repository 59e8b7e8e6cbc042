//! Prints how long a match takes among made-up traces: `match_speed [TRACES]`; the budget is 200 us.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Instant;

use assay_stacks::{Index, Item, Trace, TraceFrame};

const FRAMES: u64 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let mut state = 88_172_645_463_325_252_u64;
    let items: Vec<Item> = (0..count).map(|at| item(at / 3, &mut state)).collect();
    let start = Instant::now();
    let index = Index::build(&items)?;
    println!("built in {:?}, {} MiB", start.elapsed(), index.to_bytes().len() >> 20);
    let mut times = Vec::new();
    let mut found = 0;
    for item in items.iter().step_by(count / 1000 + 1) {
        let mut query = item.trace.clone();
        query.frames.remove(3);
        query.frames.remove(7);
        // With source lines beside known traces without: both ways of scoring run.
        query.frames.iter_mut().for_each(|frame| frame.line = Some(1));
        let start = Instant::now();
        let result = index.match_trace(&query, 5);
        times.push(start.elapsed().as_nanos() / 1000);
        found += usize::from(result.matches.first().is_some_and(|best| best.incident == item.incident));
    }
    times.sort_unstable();
    let quantile = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "{found} of {} found, p50 {} us (budget 200), p99 {} us",
        times.len(),
        quantile(50),
        quantile(99)
    );
    Ok(())
}

/// A trace whose inner frames are rare and whose outer ones are common.
fn item(incident: usize, state: &mut u64) -> Item {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state % 1_000_000) as f64 / 1e6
    };
    let frames = (0..FRAMES)
        .map(|depth| {
            let vocabulary = if depth < 8 { 60_000.0 } else { 3_000.0 };
            let id = (vocabulary * next().powi(3)) as u64 + depth / 8 * 100_000;
            let (library, leaf) = (format!("lib{}", id % 40), format!("function{id}"));
            TraceFrame {
                keys: vec![
                    format!("{library}::m{}::{leaf}", id % 900),
                    format!("{library}::..::{leaf}"),
                    leaf,
                ],
                repeated: false,
                standard: false,
                location: false,
                file: None,
                line: None,
            }
        })
        .collect();
    Item { incident: format!("incident-{incident}"), trace: Trace { frames, overflow: false }, time: None }
}
