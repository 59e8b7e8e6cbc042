//! `cargo xtask bench delta`: indexing and comparing real files beside diffoscope and abidiff.

mod proofs;
mod truth;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Row, median, quantile};
use crate::deltas::{self, Pair};
use crate::shell::{step, text};
use crate::words::Words;

/// Budgets.
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

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    json: bool,
    /// Only the proofs from two files and what each tool says of known builds.
    proofs: bool,
}

impl Options {
    /// `[--json] [--proofs]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--proofs" => options.proofs = true,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

pub fn run(options: &Options) -> Result<()> {
    let (pairs, mut skipped) = deltas::pairs(&[])?;
    let (mut rows, measured) = match options.proofs {
        true => (Vec::new(), Vec::new()),
        false => index(&pairs, &mut skipped)?,
    };
    rows.extend(proofs::rows(&pairs, &mut skipped)?);
    rows.extend(truth::rows(&crate::dist::build()?, &mut skipped)?);
    let document = json!({ "bench": "delta", "rows": rows, "pairs": measured, "skipped": skipped });
    super::print("one run; peers in the same run on the same files", &document, options.json);
    Ok(())
}

/// What rests on the index, and what each pair took.
fn index(pairs: &[Pair], skipped: &mut Vec<String>) -> Result<(Vec<Row>, Vec<Value>)> {
    let measured = deltas::measure(pairs)?;
    let good: Vec<&Value> = measured.iter().filter(|row| row["error"].is_null()).collect();
    for row in measured.iter().filter(|row| row["error"].is_string()) {
        skipped.push(format!("{}: {}", text(row, "id"), text(row, "error")));
    }
    let times =
        |of: &dyn Fn(&Value) -> Option<f64>| good.iter().filter_map(|row| of(row)).collect::<Vec<f64>>();
    let from_index = times(&|row| Some(row["loaded"].as_f64()? + row["compared"].as_f64()?));
    let compared = times(&|row| row["compared"].as_f64());
    let loaded = "both indexes loaded and compared";
    let mut rows = vec![
        Row::new("pairs compared", good.len() as f64, "pairs").at_least(PAIRS as f64),
        Row::new(format!("{loaded}, p50"), median(&from_index), "ms"),
        Row::new(format!("{loaded}, p95"), quantile(&from_index, 0.95), "ms").at_most(FROM_INDEX_P95),
        Row::new("compared, p50", median(&compared), "ms").at_most(COMPARE_BUDGET),
        Row::new("compared, p95", quantile(&compared, 0.95), "ms").at_most(COMPARE_BUDGET),
    ];
    let program = deltas::build()?;
    match pairs.iter().find(|pair| pair.id.starts_with(TIMED) && pair.id.ends_with("libcrypto.so")) {
        Some(pair) => rows.extend(timed(&program, pair, skipped)?),
        None => skipped.push(format!("{TIMED}: the package client no longer has it")),
    }
    for file in large_files() {
        rows.extend(large(&program, &file)?);
    }
    rows.extend(catalogue(&program.with_file_name("catalogue"))?);
    Ok((rows, measured))
}

/// Both sides cold, beside what other tools take for the same pair.
fn timed(program: &Path, pair: &Pair, skipped: &mut Vec<String>) -> Result<Vec<Row>> {
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
        match status.map(|status| truth::has_answered(tool, status)) {
            Ok(true) => {
                let peer = start.elapsed().as_secs_f64() * 1e3;
                let what = format!("libcrypto 3.0.20 -> 3.0.22, both cold ({tool})");
                rows.push(Row::new(what, ours, "ms").peer(peer).at_most(COLD_BUDGET));
            }
            Ok(false) => skipped.push(format!("{tool}: it failed")),
            Err(error) => skipped.push(format!("{tool}: {error}")),
        }
    }
    if rows.is_empty() {
        rows.push(Row::new("libcrypto 3.0.20 -> 3.0.22, both cold", ours, "ms").at_most(COLD_BUDGET));
    }
    rows.extend(large(program, &pair.b)?);
    Ok(rows)
}

/// Which artifacts contain a function, over synthetic ones.
fn catalogue(program: &Path) -> Result<Vec<Row>> {
    step("the catalogue of functions");
    let folder = crate::shell::target().join("delta-catalogue");
    std::fs::create_dir_all(&folder)?;
    let output = Command::new(program).arg(&folder).output()?;
    std::fs::remove_dir_all(&folder)?;
    let measured: Value = serde_json::from_slice(&output.stdout).context("the catalogue failed")?;
    let figure = |key: &str| measured[key].as_f64();
    let found = figure("found").zip(figure("lookups"));
    ensure!(
        found.is_some_and(|(found, asked)| asked > 0.0 && found == asked),
        "the catalogue lost a function: {measured}"
    );
    let what = |text: &str| format!("catalogue of {} artifacts: {text}", measured["artifacts"]);
    let seconds = figure("build_seconds").zip(figure("merge_seconds")).map(|(build, merge)| build + merge);
    Ok(vec![
        Row::new(what("functions"), figure("occurrences"), "occurrences").at_least(CATALOGUE_FUNCTIONS),
        Row::new(what("lookup, p50"), figure("p50"), "ms"),
        Row::new(what("lookup, p99"), figure("p99"), "ms").at_most(LOOKUP_P99),
        Row::new(what("built and merged"), seconds, "s").at_most(CATALOGUE_SECONDS),
        Row::new(what("peak memory"), share(figure("peak_bytes"), figure("bytes")), "times its files")
            .at_most(CATALOGUE_MEMORY),
    ])
}

/// One figure over another; none where either is not there or is 0, which is what was not measured.
fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let there = |figure: Option<f64>| figure.filter(|figure| *figure > 0.0);
    Some(there(part)? / there(whole)?)
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

fn large(program: &Path, file: &Path) -> Result<Vec<Row>> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    step(&format!("indexing {name}"));
    let output = Command::new(program).arg("--one").arg(file).output()?;
    let Ok(measured) = serde_json::from_slice::<Value>(&output.stdout) else {
        let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(vec![Row::new(format!("{name}: {problem}"), None, "refused").judged(None, Some(false))]);
    };
    let figure = |key: &str| measured[key].as_f64();
    // Bytes in a millisecond are thousandths of megabytes in a second.
    let speed = share(figure("text_bytes"), figure("processor_milliseconds")).map(|speed| speed / 1e3);
    let megabytes = figure("text_bytes").unwrap_or(f64::NAN) / 1e6;
    let memory = share(figure("peak_bytes"), figure("file_bytes"));
    let (what, unit) = (format!("{name}: {megabytes:.1} MB of code"), "MB a second of processor time");
    Ok(vec![
        Row::new(what, speed, unit).at_least(THROUGHPUT_BUDGET),
        Row::new(format!("{name}: peak memory"), memory, "times the file").at_most(MEMORY_BUDGET),
    ])
}
