//! Real pairs of consecutive builds: obtained by the ordinary package client, compared, tabulated.

mod fetch;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::shell::{self, list, step, text};
use crate::words::Words;

pub use fetch::{Pair, pairs};

/// What a corpus run prints.
pub fn run(words: &[&str]) -> Result<()> {
    let (mut only, mut as_json) = (Vec::new(), false);
    let mut words = Words::new(words);
    while let Some(option) = words.option() {
        match option {
            "--json" => as_json = true,
            "--only" => only = words.list()?,
            _ => return words.unknown(),
        }
    }
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    let (pairs, skipped) = pairs(&only)?;
    let rows = measure(&pairs)?;
    let failed = rows.iter().filter(|row| row["error"].is_string()).count();
    let share = if rows.is_empty() { 0.0 } else { (rows.len() - failed) as f64 / rows.len() as f64 };
    let document = json!({ "corpus": "deltas", "rows": rows, "skipped": skipped, "success_ratio": share });
    print(&document, as_json);
    match (rows.len(), failed) {
        (0, _) => bail!("no pair could be obtained"),
        (_, 0) => Ok(()),
        (_, failed) => bail!("{failed} pairs could not be compared"),
    }
}

/// Every pair through the optimised measurement, one process each so that one refusal is one row.
pub fn measure(pairs: &[Pair]) -> Result<Vec<Value>> {
    step("building the measurement, optimised");
    let program = build()?;
    let mut rows = Vec::new();
    for pair in pairs {
        let output = std::process::Command::new(&program).arg(&pair.a).arg(&pair.b).output()?;
        let mut row = match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(row) => row,
            Err(_) => json!({ "error": String::from_utf8_lossy(&output.stderr).trim() }),
        };
        row["id"] = json!(pair.id);
        rows.push(row);
    }
    Ok(rows)
}

/// Builds the measurement; its path.
pub fn build() -> Result<std::path::PathBuf> {
    let mut command = shell::cargo();
    command.args(["build", "--release", "--locked", "--quiet", "-p", "assay-delta"]);
    command.args(["--example", "measure", "--example", "catalogue"]);
    if !command.stdin(Stdio::null()).status().context("cargo")?.success() {
        bail!("the measurement does not build");
    }
    let program = shell::target().join("release/examples/measure");
    if !Path::new(&program).is_file() {
        bail!("{} is not there", program.display());
    }
    Ok(program)
}

fn print(document: &Value, as_json: bool) {
    if as_json {
        println!("{}", serde_json::to_string_pretty(document).unwrap_or_default());
        return;
    }
    println!(
        "{:<64} {:>9} {:>8} {:>7} {:>6} {:>7} {:>9} {:>9} {:>9}",
        "pair", "functions", "changed", "added", "gone", "moved", "cold ms", "load ms", "diff ms"
    );
    for row in list(document, "rows") {
        if let Some(error) = row["error"].as_str() {
            println!("{:<64} {error}", text(row, "id"));
            continue;
        }
        let figure = |key: &str| row[key].as_f64().unwrap_or_default();
        println!(
            "{:<64} {:>9} {:>8} {:>7} {:>6} {:>7} {:>9.1} {:>9.2} {:>9.2}",
            text(row, "id"),
            row["functions_b"],
            row["changed"],
            row["added"],
            row["removed"],
            row["moved"],
            figure("cold"),
            figure("loaded"),
            figure("compared"),
        );
    }
    for skipped in list(document, "skipped") {
        println!("skipped: {}", skipped.as_str().unwrap_or_default());
    }
}
