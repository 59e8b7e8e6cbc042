//! `cargo xtask bench NAME`: figures beside their budgets and their peers', from one run.

mod bound;
pub mod calibration;
pub mod carryover;
pub mod carryover_source;
pub mod delta;
pub mod presence;
mod row;
pub mod verify;
pub mod witness;

use serde_json::Value;

use self::row::Row;
use crate::shell::{list, text};

fn median(times: &[f64]) -> Option<f64> {
    quantile(times, 0.5)
}

/// The value that this share of all lies below; none of none.
fn quantile(times: &[f64], share: f64) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied()
}

/// One table of rows `what, ours, peer, ratio, budget, within, unit`, or the document itself.
fn print(title: &str, document: &Value, as_json: bool) {
    if as_json {
        println!("{}", serde_json::to_string_pretty(document).unwrap_or_default());
        return;
    }
    let cell = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    println!("{title}");
    println!("{:<44} {:>11} {:>11} {:>8} {:>9} within", "what", "ours", "peer", "ratio", "budget");
    for row in list(document, "rows") {
        let within = row["within"].as_bool().map_or("-", |within| if within { "yes" } else { "no" });
        println!(
            "{:<44} {:>11} {:>11} {:>8} {:>9} {within:<6}  ({})",
            text(row, "what"),
            cell(&row["ours"]),
            cell(&row["peer"]),
            cell(&row["ratio"]),
            cell(&row["budget"]),
            text(row, "unit")
        );
    }
    for skipped in list(document, "skipped") {
        println!("skipped: {}", skipped.as_str().unwrap_or_default());
    }
}
