//! `cargo xtask bench delta`: indexing and comparing real files beside diffoscope and abidiff.

mod proofs;
mod truth;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{median, quantile};
use crate::deltas::{self, Pair};
use crate::shell::{step, text};

/// What the issue allows.
const COLD_BUDGET: f64 = 500.0;
const FROM_INDEX_P95: f64 = 100.0;
const COMPARE_BUDGET: f64 = 10.0;
const THROUGHPUT_BUDGET: f64 = 20.0;
const MEMORY_BUDGET: f64 = 3.0;
/// The catalogue: functions that it is asked to hold, and how long one question may take at most.
const CATALOGUE_FUNCTIONS: f64 = 5e6;
const LOOKUP_P99: f64 = 1.0;
/// Building and merging it from nothing, in seconds, and the memory that takes, as a multiple of its files.
const CATALOGUE_SECONDS: f64 = 60.0;
const CATALOGUE_MEMORY: f64 = 6.0;
/// Pairs that are asked for.
const PAIRS: usize = 30;
/// How often the pair that is timed is measured.
const ROUNDS: usize = 5;
/// The pair that every tool is timed on.
const TIMED: &str = "libssl3 3.0.20";

/// The proofs from two files and what each tool says of known builds, without the index.
pub fn proofs(as_json: bool) -> Result<()> {
    let (pairs, mut skipped) = deltas::pairs(&[])?;
    let mut rows = proofs::rows(&pairs, &mut skipped)?;
    rows.extend(truth::rows(&crate::dist::build()?, &mut skipped)?);
    let document = json!({ "bench": "delta", "rows": rows, "skipped": skipped });
    super::print("one run", &document, as_json);
    Ok(())
}

pub fn run(as_json: bool) -> Result<()> {
    let (pairs, mut skipped) = deltas::pairs(&[])?;
    let measured = deltas::measure(&pairs)?;
    let good: Vec<&Value> = measured.iter().filter(|row| row["error"].is_null()).collect();
    for row in measured.iter().filter(|row| row["error"].is_string()) {
        skipped.push(format!("{}: {}", text(row, "id"), text(row, "error")));
    }
    let figures = |of: &dyn Fn(&Value) -> f64| good.iter().map(|row| of(row)).collect::<Vec<f64>>();
    let of = |row: &Value, key: &str| row[key].as_f64().unwrap_or_default();
    let from_index = figures(&|row| of(row, "loaded") + of(row, "compared"));
    let compared = figures(&|row| of(row, "compared"));
    let mut rows = vec![
        row("pairs compared", Some(good.len() as f64), None, "pairs", PAIRS as f64, Side::AtLeast),
        row(
            "both indexes loaded and compared, p50",
            median(&from_index),
            None,
            "ms",
            FROM_INDEX_P95,
            Side::AtMost,
        ),
        row(
            "both indexes loaded and compared, p95",
            quantile(&from_index, 0.95),
            None,
            "ms",
            FROM_INDEX_P95,
            Side::AtMost,
        ),
        row("compared, p50", median(&compared), None, "ms", COMPARE_BUDGET, Side::AtMost),
        row("compared, p95", quantile(&compared, 0.95), None, "ms", COMPARE_BUDGET, Side::AtMost),
    ];
    let program = deltas::build()?;
    match pairs.iter().find(|pair| pair.id.starts_with(TIMED) && pair.id.ends_with("libcrypto.so")) {
        Some(pair) => rows.extend(timed(&program, pair, &mut skipped)?),
        None => skipped.push(format!("{TIMED}: the package client no longer has it")),
    }
    for file in large_files() {
        rows.extend(large(&program, &file)?);
    }
    rows.extend(catalogue(&program.with_file_name("catalogue"))?);
    rows.extend(proofs::rows(&pairs, &mut skipped)?);
    rows.extend(truth::rows(&crate::dist::build()?, &mut skipped)?);
    let document = json!({ "bench": "delta", "rows": rows, "pairs": measured, "skipped": skipped });
    super::print("one run; peers in the same run on the same files", &document, as_json);
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    AtMost,
    AtLeast,
}

fn row(what: &str, ours: Option<f64>, peer: Option<f64>, unit: &str, budget: f64, side: Side) -> Value {
    let within = ours.map(|ours| match side {
        Side::AtMost => ours <= budget,
        Side::AtLeast => ours >= budget,
    });
    json!({
        "what": what, "ours": ours, "peer": peer, "unit": unit,
        "ratio": ours.zip(peer).map(|(ours, peer)| ours / peer), "budget": budget, "within": within,
    })
}

/// Both sides cold, beside what other tools take for the same pair.
fn timed(program: &Path, pair: &Pair, skipped: &mut Vec<String>) -> Result<Vec<Value>> {
    let mut cold = Vec::new();
    for _ in 0..ROUNDS {
        let output = Command::new(program).arg(&pair.a).arg(&pair.b).output()?;
        let row: Value = serde_json::from_slice(&output.stdout).context("the measurement failed")?;
        cold.extend(
            row["cold"].as_f64().zip(row["compared"].as_f64()).map(|(cold, compared)| cold + compared),
        );
    }
    let ours = median(&cold);
    let mut rows = Vec::new();
    for (tool, args) in [("abidiff", &["--no-show-locs"][..]), ("diffoscope", &["--text", "/dev/null"][..])] {
        step(&format!("{tool} on the same pair"));
        let start = Instant::now();
        let status = Command::new(tool)
            .args(args)
            .arg(&pair.a)
            .arg(&pair.b)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match status {
            Ok(_) => {
                let peer = start.elapsed().as_secs_f64() * 1e3;
                let what = format!("libcrypto 3.0.20 -> 3.0.22, both cold ({tool})");
                rows.push(row(&what, ours, Some(peer), "ms", COLD_BUDGET, Side::AtMost));
            }
            Err(error) => skipped.push(format!("{tool}: {error}")),
        }
    }
    if rows.is_empty() {
        rows.push(row("libcrypto 3.0.20 -> 3.0.22, both cold", ours, None, "ms", COLD_BUDGET, Side::AtMost));
    }
    rows.extend(large(program, &pair.b)?);
    Ok(rows)
}

/// Which artifacts contain a function, over synthetic ones.
fn catalogue(program: &Path) -> Result<Vec<Value>> {
    step("the catalogue of functions");
    let folder = crate::shell::target().join("delta-catalogue");
    std::fs::create_dir_all(&folder)?;
    let output = Command::new(program).arg(&folder).output()?;
    std::fs::remove_dir_all(&folder)?;
    let measured: Value = serde_json::from_slice(&output.stdout).context("the catalogue failed")?;
    let figure = |key: &str| measured[key].as_f64().unwrap_or_default();
    anyhow::ensure!(figure("found") == figure("lookups"), "the catalogue lost a function: {measured}");
    let what = |text: &str| format!("catalogue of {} artifacts: {text}", measured["artifacts"]);
    let seconds = figure("build_seconds") + figure("merge_seconds");
    let memory = figure("peak_bytes") / figure("bytes").max(1.0);
    Ok(vec![
        row(
            &what("functions"),
            Some(figure("occurrences")),
            None,
            "occurrences",
            CATALOGUE_FUNCTIONS,
            Side::AtLeast,
        ),
        row(&what("lookup, p50"), Some(figure("p50")), None, "ms", LOOKUP_P99, Side::AtMost),
        row(&what("lookup, p99"), Some(figure("p99")), None, "ms", LOOKUP_P99, Side::AtMost),
        row(&what("built and merged"), Some(seconds), None, "s", CATALOGUE_SECONDS, Side::AtMost),
        row(&what("peak memory"), Some(memory), None, "times its files", CATALOGUE_MEMORY, Side::AtMost),
    ])
}

/// Large programs that a developer's machine has.
fn large_files() -> Vec<std::path::PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot =
        sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let driver = std::fs::read_dir(Path::new(&sysroot).join("lib")).into_iter().flatten().flatten();
    let driver = driver.map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librustc_driver"))
    });
    let node = ["/usr/bin/node", "/usr/local/bin/node"]
        .iter()
        .map(std::path::PathBuf::from)
        .find(|path| path.is_file());
    driver.into_iter().chain(node).collect()
}

fn large(program: &Path, file: &Path) -> Result<Vec<Value>> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    step(&format!("indexing {name}"));
    let output = Command::new(program).arg("--one").arg(file).output()?;
    let Ok(measured) = serde_json::from_slice::<Value>(&output.stdout) else {
        let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(vec![json!({ "what": format!("{name}: {problem}"), "within": false, "unit": "refused" })]);
    };
    let figure = |key: &str| measured[key].as_f64().unwrap_or_default();
    let megabytes = figure("text_bytes") / 1e6;
    let throughput = megabytes / (figure("processor_milliseconds") / 1e3).max(0.001);
    let memory = figure("peak_bytes") / figure("file_bytes").max(1.0);
    Ok(vec![
        row(
            &format!("{name}: {megabytes:.1} MB of code"),
            Some(throughput),
            None,
            "MB a second of processor time",
            THROUGHPUT_BUDGET,
            Side::AtLeast,
        ),
        row(
            &format!("{name}: peak memory"),
            Some(memory),
            None,
            "times the file",
            MEMORY_BUDGET,
            Side::AtMost,
        ),
    ])
}
