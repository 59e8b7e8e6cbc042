//! The corpus in figures.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::entry::{Entry, Trait};
use super::session::Row;

/// One line for people.
pub fn line(row: &Row) -> String {
    let outcome = match (&row.skipped, &row.reason) {
        (Some(why), _) => format!("SKIPPED {why}"),
        (None, Some(why)) => format!("FAILED {}", why.chars().take(240).collect::<String>()),
        (None, None) => "ok".to_owned(),
    };
    format!(
        "  {:<20} {:<9} {:>3} replays, {} observation{}; {} / {}; {:.1} s: {outcome}",
        row.id,
        row.ecosystem,
        row.replays,
        row.distinct_observations,
        if row.distinct_observations == 1 { "" } else { "s" },
        if row.vulnerable.is_empty() { "-" } else { &row.vulnerable },
        if row.fixed.is_empty() { "-" } else { &row.fixed },
        std::time::Duration::from_millis(row.milliseconds).as_secs_f64(),
    )
}

/// Ratios over all rows; a skip is no success.
pub fn summary(entries: &[&Entry], rows: &[Row]) -> Value {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(&row.ecosystem).or_default().push(row);
    }
    let all: Vec<&Row> = rows.iter().collect();
    let ecosystems: Value = groups.iter().map(|(name, rows)| ((*name).to_owned(), share(rows))).collect();
    let count = |wanted: &[Trait]| {
        entries.iter().filter(|entry| wanted.iter().any(|wanted| entry.has(*wanted))).count()
    };
    let verdicts = 2 * rows.iter().filter(|row| row.skipped.is_none()).count();
    let inconclusive: usize = rows.iter().map(Row::inconclusive).sum();
    json!({
        "incidents": rows.len(),
        "bundles_verified": rows.iter().filter(|row| row.bundle.as_deref() == Some("verified")).count(),
        "skipped": rows.iter().filter(|row| row.skipped.is_some()).count(),
        "success_ratio": ratio(succeeded(&all), rows.len()),
        "ecosystems": ecosystems,
        "inconclusive": ratio(inconclusive, verdicts),
        "deterministic_score_variance": variance(rows),
        "traits": {
            "threads_or_processes": count(&[Trait::Threads, Trait::Processes]),
            "exhaustion": count(&[Trait::Exhaustion]),
            "whole_program": count(&[Trait::WholeProgram]),
        },
    })
}

fn share(rows: &[&Row]) -> Value {
    json!({
        "incidents": rows.len(),
        "succeeded": succeeded(rows),
        "success_ratio": ratio(succeeded(rows), rows.len()),
    })
}

fn succeeded(rows: &[&Row]) -> usize {
    rows.iter().filter(|row| row.succeeded()).count()
}

/// The share of incidents whose replays gave more than one observation: an upper bound of 0 says that none did.
fn variance(rows: &[Row]) -> f64 {
    let replayed = rows.iter().filter(|row| row.replays > 0).count();
    let varied = rows.iter().filter(|row| row.replays > 0 && row.distinct_observations != 1).count();
    ratio(varied, replayed)
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

/// The summary for people.
pub fn text(summary: &Value) -> String {
    let mut text = String::new();
    let empty = serde_json::Map::new();
    for (name, share) in summary["ecosystems"].as_object().unwrap_or(&empty) {
        let _ = writeln!(text, "  {name:<10} {} of {}", share["succeeded"], share["incidents"]);
    }
    let _ = writeln!(
        text,
        "  success_ratio {:.3} over {} incidents ({} skipped); inconclusive {:.3}; deterministic_score_variance {}",
        summary["success_ratio"].as_f64().unwrap_or_default(),
        summary["incidents"],
        summary["skipped"],
        summary["inconclusive"].as_f64().unwrap_or_default(),
        summary["deterministic_score_variance"],
    );
    text
}
