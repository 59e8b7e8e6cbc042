//! Redaction: precision and recall over a labelled set, pseudonyms, policies.

mod items;
mod pseudonyms;
mod random;
mod values;

use std::collections::BTreeMap;

use assay_witness::redact::{Policy, Scanner};

use items::{Half, Item, items};

/// Rounds of the generator; each gives 25 positive and 20 negative items.
const ROUNDS: usize = 50;

#[derive(Default)]
struct Score {
    right: usize,
    missed: usize,
    wrong: usize,
    by_kind: BTreeMap<String, (usize, usize, usize)>,
    examples: Vec<String>,
}

fn score(scanner: &Scanner, items: &[Item]) -> Score {
    let mut score = Score::default();
    for item in items {
        let findings = scanner.scan(item.text.as_bytes());
        let mut found = false;
        for finding in &findings {
            let label = item
                .label
                .as_ref()
                .filter(|(_, range)| finding.range.start < range.end && range.start < finding.range.end);
            let whole = label.is_some_and(|(kind, range)| {
                finding.kind.name() == *kind
                    && finding.range.start <= range.start
                    && range.end <= finding.range.end
            });
            if whole {
                found = true;
            } else {
                score.wrong += 1;
                score.by_kind.entry(finding.kind.name().to_owned()).or_default().2 += 1;
                score
                    .examples
                    .push(format!("wrong {} at {:?} in {:?}", finding.kind, finding.range, item.text));
            }
        }
        if let Some((kind, range)) = &item.label {
            let row = score.by_kind.entry((*kind).to_owned()).or_default();
            if found {
                score.right += 1;
                row.0 += 1;
            } else {
                score.missed += 1;
                row.1 += 1;
                score.examples.push(format!(
                    "missed {kind} {:?} in {:?}",
                    &item.text[range.clone()],
                    item.text
                ));
            }
        }
    }
    score
}

fn measure(half: Half, name: &str) {
    let items = items(half, ROUNDS);
    assert!(items.len() >= 2000, "{} items", items.len());
    let score = score(&Scanner::new(Policy::default()), &items);
    let precision = score.right as f64 / (score.right + score.wrong) as f64;
    let recall = score.right as f64 / (score.right + score.missed) as f64;
    let positives = items.iter().filter(|item| item.label.is_some()).count();
    println!(
        "{name}: {} items ({positives} positive), precision {precision:.4}, recall {recall:.4}",
        items.len()
    );
    for (kind, (right, missed, wrong)) in &score.by_kind {
        println!("  {kind}: {right} right, {missed} missed, {wrong} wrong");
    }
    score.examples.iter().take(60).for_each(|example| println!("  {example}"));
    assert!(precision >= 0.95 && recall >= 0.98, "{name}: precision {precision:.4}, recall {recall:.4}");
}

#[test]
fn the_labelled_set() {
    measure(Half::Tuning, "tuning");
}

#[test]
fn the_held_out_set() {
    measure(Half::HeldOut, "held out");
}

#[test]
fn a_scan_keeps_up_with_a_log() {
    let text: String = items(Half::Tuning, 20).into_iter().map(|item| item.text + "\n").collect();
    let log =
        "2024-03-01T10:22:33Z INFO worker[311]: request 4711 took 12.3 ms, 200 OK, 18 rows from cache\n"
            .repeat(60_000);
    let scanner = Scanner::new(Policy::default());
    for (name, text) in [("dense", text.repeat(8)), ("log", log)] {
        let started = std::time::Instant::now();
        let findings = scanner.scan(text.as_bytes()).len();
        let rate = text.len() as f64 / 1e6 / started.elapsed().as_secs_f64();
        println!("{name}: {} bytes, {findings} findings, {rate:.0} MB/s", text.len());
        // Unoptimised test builds of a loaded machine; `cargo bench` figures are in the documentation.
        assert!(rate > 1.0, "{name}: {rate:.1} MB/s");
    }
}

/// Found by fuzzing: a sign before more digits than any telephone number has.
#[test]
fn more_digits_than_a_number_has_are_none() {
    let scanner = Scanner::new(Policy::default());
    for digits in [15, 16, 31, 4_000] {
        let text = format!("+{} and +35{}.", "5".repeat(digits), "5".repeat(digits));
        let findings = scanner.scan(text.as_bytes());
        assert!(digits == 15 || findings.is_empty(), "{findings:?}");
    }
}
