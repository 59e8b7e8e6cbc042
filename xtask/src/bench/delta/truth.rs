//! What each tool says of builds whose difference is known, because their sources are.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Row;
use crate::bench::carryover::programs::ALL;
use crate::bench::carryover::recipe::{Recipe, Workshop};
use crate::shell::{self, list, step};

/// Where the files stand in a tool's arguments.
const A: &str = "{a}";
const B: &str = "{b}";
/// The program of our own that is rebuilt.
const PROGRAM: &str = "json";
/// How often a tool's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One pair, and what is true of it.
struct Truth {
    what: &'static str,
    changed: &'static [&'static str],
    a: PathBuf,
    b: PathBuf,
}

/// What a tool did with a pair.
struct Said {
    seconds: f64,
    peak_bytes: u64,
    output: String,
}

/// A row for every tool and pair; what is not installed is skipped by name.
pub fn rows(assay: &Path, skipped: &mut Vec<String>) -> Result<Vec<Row>> {
    step("what each tool says of builds whose difference is known");
    let home = shell::target().join("bench-delta-truth");
    std::fs::create_dir_all(&home)?;
    let truths = truths(&home)?;
    let mut rows = Vec::new();
    for truth in &truths {
        let ours = run(
            "assay",
            Command::new(assay).args(["delta", "diff", "--json"]).arg(&truth.a).arg(&truth.b),
            &home,
        )?;
        let answer = serde_json::from_str(&ours.output).context("assay gave no JSON")?;
        let (names, others) = (changed(&answer), others(&answer));
        let right = names == truth.changed && others == 0;
        let word = format!("changed: {}; {others} others", shown(&names));
        rows.push(row("assay", truth, &ours, &word, right));
        for (tool, args) in [
            ("diffoscope", &["--text", "-", A, B][..]),
            ("abidiff", &["--no-show-locs", A, B][..]),
            ("radiff2", &["-A", "-C", A, B][..]),
            ("objdiff-cli", &["diff", "-1", A, "-2", B, "-o", "-"][..]),
        ] {
            let args = args.iter().map(|word| match *word {
                A => truth.a.as_os_str(),
                B => truth.b.as_os_str(),
                other => other.as_ref(),
            });
            let said = run(tool, Command::new(tool).args(args), &home);
            match said {
                Ok(said) => {
                    let (word, right) = judged(&said, truth);
                    rows.push(row(tool, truth, &said, &word, right));
                }
                Err(_) if skipped.iter().any(|skipped| skipped.starts_with(tool)) => {}
                Err(error) => skipped.push(format!("{tool}: {error:#}")),
            }
        }
    }
    std::fs::remove_dir_all(&home)?;
    Ok(rows)
}

fn truths(home: &Path) -> Result<Vec<Truth>> {
    let program = ALL.iter().find(|program| program.name == PROGRAM).context("no such program")?;
    let workshop = Workshop::new(home, "truth")?;
    let build = |name: &str, recipe: &Recipe| -> Result<PathBuf> {
        let built = workshop.build(recipe)?.with_context(|| format!("{name} does not build"))?;
        let file = home.join(name);
        std::fs::copy(built, &file)?;
        Ok(file)
    };
    let first = Recipe::of(program)?;
    let mut edited = first.clone();
    for (_, text) in &mut edited.sources {
        *text = text.replace("return total * 1.5 - 2;", "return total * 1.5 - 3;");
    }
    let mut turned = first.clone();
    turned.sources.reverse();
    let mut moved = first.clone();
    moved.place = "elsewhere/and/deeper".to_owned();
    let a = build("a", &first)?;
    Ok(vec![
        Truth {
            what: "one constant of one function",
            changed: &["json_total"],
            a: a.clone(),
            b: build("b1", &edited)?,
        },
        Truth { what: "the link order alone", changed: &[], a: a.clone(), b: build("b2", &turned)? },
        Truth { what: "the build path alone", changed: &[], a, b: build("b3", &moved)? },
    ])
}

/// Whether a tool's exit is an answer: 0 and 1 are the same and different. abidiff sets bits, the lowest
/// two of which are errors (its manual, "Return values").
pub fn has_answered(tool: &str, status: ExitStatus) -> bool {
    match (tool, status.code()) {
        (_, None) => false,
        ("abidiff", Some(code)) => code & 3 == 0,
        (_, Some(code)) => code <= 1,
    }
}

/// Runs a tool to its end; its standard output goes to a file, so that no pipe fills.
fn run(tool: &str, command: &mut Command, home: &Path) -> Result<Said> {
    let out = home.join("said");
    let file = std::fs::File::create(&out)?;
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    let ended_with = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or_default() * 1024);
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(has_answered(tool, ended_with), "it failed ({ended_with})");
    let output = String::from_utf8_lossy(&std::fs::read(&out)?).into_owned();
    Ok(Said { seconds, peak_bytes: peak, output })
}

fn changed(answer: &Value) -> Vec<String> {
    let names = list(&answer["functions"], "changed").iter();
    let mut names: Vec<String> = names.filter_map(|entry| Some(entry["name"].as_str()?.to_owned())).collect();
    names.sort();
    names
}

/// How much else is listed as a difference. Functions that only lie elsewhere are none, nor are those that
/// only reach a changed one.
fn others(answer: &Value) -> usize {
    let functions = ["added", "removed", "renamed"].map(|kind| list(&answer["functions"], kind).len());
    let data = ["changed", "added", "removed"].map(|kind| list(&answer["data"], kind).len());
    functions.into_iter().chain(data).sum()
}

/// What another tool's text comes to: whether it says that anything differs, and whether it names what
/// does. A tool is right where it names the changed function, or says nothing where none is.
fn judged(said: &Said, truth: &Truth) -> (String, bool) {
    let lines = said.output.lines().count();
    if said.output.trim().is_empty() {
        return ("no difference".to_owned(), truth.changed.is_empty());
    }
    let names = truth.changed.iter().filter(|name| said.output.contains(**name)).count();
    let word = format!("{lines} lines that name {names} of {} changed functions", truth.changed.len());
    (word, !truth.changed.is_empty() && names == truth.changed.len())
}

fn shown(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn row(tool: &str, truth: &Truth, said: &Said, word: &str, right: bool) -> Row {
    let unit = format!("ms, {:.0} MB; says {word}; within: right", said.peak_bytes as f64 / 1e6);
    let row = Row::new(format!("{tool}: {}", truth.what), said.seconds * 1e3, unit);
    row.judged(None, Some(right)).with("peak_bytes", said.peak_bytes)
}
