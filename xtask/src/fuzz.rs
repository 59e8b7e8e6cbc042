//! `cargo xtask fuzz`: every parser under coverage-guided fuzzing, from real seeds.
//!
//! libFuzzer over SanitizerCoverage, which the stable compiler can plant; the package lies in `fuzz/`, a
//! workspace of its own. The time is processor time, so that a loaded machine fuzzes no less.

mod seeds;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::shell::{self, step};
use crate::words::{self, Words};

/// Processor time over all targets, in seconds.
const SECONDS: u64 = 3_600;
/// Longest input that libFuzzer makes, in bytes.
const LONGEST: usize = 128 << 10;
/// Longest time for one input, in seconds; coverage makes everything several times slower.
const SLOWEST: u32 = 20;
/// Most memory of a run, in MiB: what libFuzzer keeps is some of it.
const MEMORY: u32 = 2_048;
/// SanitizerCoverage as libFuzzer reads it: counters of edges, and operands of comparisons.
const COVERAGE: &str = "--cfg fuzzing -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares \
    -C codegen-units=1";

/// Where the targets are named.
const TARGETS: &str = "fuzz/src/targets.rs";

/// What is fuzzed, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    only: Vec<String>,
    seconds: u64,
    json: bool,
}

impl Options {
    /// Reads the words behind `fuzz`.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { only: Vec::new(), seconds: SECONDS, json: false };
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--only" => options.only.extend(words.list()?),
                "--seconds" => options.seconds = words.number()?,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

/// What one target's run showed.
struct Fuzzed {
    target: String,
    seconds: f64,
    said: Said,
    findings: Vec<PathBuf>,
}

/// What libFuzzer said last of its progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    runs: u64,
    edges: u64,
}

/// Fuzzes each target for its share of the time; an error if one of them has a finding.
pub fn run(options: &Options) -> Result<()> {
    let known = targets()?;
    words::known(&options.only, known.iter().map(String::as_str))?;
    let chosen: Vec<&String> =
        known.iter().filter(|name| options.only.is_empty() || options.only.contains(name)).collect();
    step("building the targets with coverage");
    let program = build()?;
    seed(&program, &known)?;
    let share = (options.seconds as f64 / chosen.len() as f64).max(1.0);
    let mut rows = Vec::new();
    for target in chosen {
        let row = fuzz(&program, target, share)?;
        eprintln!(
            "  {:<12} {:>7.0} s of processor time, {:>10} runs, {:>6} edges, {} findings",
            row.target,
            row.seconds,
            row.said.runs,
            row.said.edges,
            row.findings.len()
        );
        rows.push(row);
    }
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let findings: Vec<String> =
        rows.iter().flat_map(|row| &row.findings).map(|file| file.display().to_string()).collect();
    eprintln!("  {total:.0} s of processor time in all, {} findings", findings.len());
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document(&rows, total))?);
    }
    ensure!(findings.is_empty(), "{} findings:\n  {}", findings.len(), findings.join("\n  "));
    ensure!(rows.iter().all(|row| row.said.runs > 0), "a target never ran, so nothing is shown");
    Ok(())
}

fn document(rows: &[Fuzzed], total: f64) -> Value {
    let row = |row: &Fuzzed| {
        json!({
            "target": row.target, "cpu_seconds": row.seconds, "runs": row.said.runs,
            "edges": row.said.edges, "findings": row.findings,
        })
    };
    json!({ "fuzz": rows.iter().map(row).collect::<Vec<_>>(), "cpu_seconds": total })
}

/// The names in the table of targets.
fn targets() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(shell::root().join(TARGETS))?;
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
    let names: Vec<String> = lines.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "{TARGETS} names no target");
    Ok(names)
}

fn home() -> PathBuf {
    shell::target().join("fuzz")
}

fn build() -> Result<PathBuf> {
    let mut command = shell::cargo();
    command.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    // A triple of its own keeps the flags from build scripts and macros.
    command.args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"]).arg(home());
    shell::run(command.env("RUSTFLAGS", COVERAGE))?;
    Ok(home().join("x86_64-unknown-linux-gnu").join("release").join("assay-fuzz"))
}

/// The corpus of every target, so that what one is given another can be made from.
fn seed(program: &Path, known: &[String]) -> Result<()> {
    let corpus = |target: &str| home().join("targets").join(target).join("corpus");
    for target in known {
        std::fs::create_dir_all(corpus(target))?;
        seeds::plant(target, &corpus(target), LONGEST)?;
    }
    let log = home().join("derived.log");
    seeds::derive(program, &corpus("module"), &corpus("index-file"), &corpus("catalogue"), &log)
}

fn fuzz(program: &Path, target: &str, seconds: f64) -> Result<Fuzzed> {
    let folder = home().join("targets").join(target);
    let (corpus, findings) = (folder.join("corpus"), folder.join("findings"));
    std::fs::create_dir_all(&findings)?;
    // What earlier runs found is tried first, as part of the corpus: it is a finding again where it still is.
    for earlier in std::fs::read_dir(&findings)?.flatten() {
        std::fs::rename(earlier.path(), corpus.join(earlier.file_name()))?;
    }
    let log = folder.join("log");
    let mut child = start(program, target, &corpus, &findings, &log)?;
    let (used, early) = watch(&mut child, seconds)?;
    let said = said(&String::from_utf8_lossy(&std::fs::read(&log)?));
    let found: Vec<PathBuf> = std::fs::read_dir(&findings)?.flatten().map(|entry| entry.path()).collect();
    if let Some(status) = early.filter(|_| found.is_empty()) {
        bail!("{target} ended before its time and left no finding ({status}): see {}", log.display());
    }
    Ok(Fuzzed { target: target.to_owned(), seconds: used, said, findings: found })
}

fn start(program: &Path, target: &str, corpus: &Path, findings: &Path, log: &Path) -> Result<Child> {
    let mut command = Command::new(program);
    command.env("ASSAY_FUZZ_TARGET", target).arg(corpus);
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    command.args([
        format!("-max_len={LONGEST}"),
        format!("-timeout={SLOWEST}"),
        format!("-report_slow_units={SLOWEST}"),
        format!("-rss_limit_mb={MEMORY}"),
        "-print_final_stats=1".to_owned(),
        "-reload=0".to_owned(),
    ]);
    command.stdout(Stdio::null()).stderr(std::fs::File::create(log)?);
    command.spawn().context("the fuzzer did not start")
}

/// Lets it run until it has used its time; the processor time used, and how it ended where that was before.
fn watch(child: &mut Child, seconds: f64) -> Result<(f64, Option<ExitStatus>)> {
    let mut used = 0.0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((used, Some(status)));
        }
        used = processor_seconds(child.id()).unwrap_or(used);
        if used >= seconds {
            // libFuzzer ends in order on SIGINT and prints its figures.
            shell::run(Command::new("kill").args(["-INT", &child.id().to_string()]))?;
            child.wait()?;
            return Ok((used, None));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// User and system time of a process, from `/proc` (`proc(5)`, in hundredths of a second on Linux).
fn processor_seconds(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The last line of progress: `#131072 pulse  cov: 5312 ft: 17211 corp: ...`.
fn said(log: &str) -> Said {
    let line = log.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "));
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    line.map_or_else(Said::default, |line| {
        let runs = line[1..].split_whitespace().next();
        let edges = line.split(" cov: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        Said { runs: number(runs), edges: number(edges) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let options = Options::parse(&["--only", "json,index", "--seconds", "60"]).unwrap();
        assert_eq!((options.only.len(), options.seconds, options.json), (2, 60, false));
        for wrong in [vec!["--seconds", "x"], vec!["--only"], vec!["--loud"]] {
            assert!(Options::parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_table_of_targets_is_read() {
        let names = targets().unwrap();
        assert!(["archive", "index", "report"].iter().all(|name| names.contains(&(*name).to_owned())));
    }

    #[test]
    fn progress() {
        let log = "INFO: Seed: 1\n#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#400\tNEW    cov: 31 ft: 90\nDONE";
        assert_eq!(said(log), Said { runs: 400, edges: 31 });
        assert_eq!(said("nothing"), Said::default());
    }
}
