//! `cargo xtask bench carryover --releases`: how often runs carry over real consecutive releases.
//!
//! Compiled projects are built from the sources of each release, and every input is recorded on the
//! earlier one of each pair, carried or refused, and replayed on the later one. Debian's builds of
//! libraries and programs are asked too: what refuses a file by itself needs no run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use assay_binary::{Address, Image};
use assay_delta::{Executed, Prover};
use assay_witness::{Host, Limits, RecordRequest, Recording, ReplayRequest, record, replay};
use serde_json::{Value, json};

use super::judge::{CPU_MICROS, LINES, Observed, Shown, on_disk};
use crate::bench::Row;
use crate::corpus::releases::{PROJECTS, Project};
use crate::shell::{self, step};

/// Pairs that are asked for.
const PAIRS: usize = 30;
const RELEASES: usize = 10;
const ROLE: &str = "subject";
/// What a program consists of, besides names, tables and debug information.
const PROGRAM_SECTIONS: [&str; 3] = [".text", ".rodata", ".data"];

/// What became of the runs of one pair.
#[derive(Debug, Default)]
struct Pair {
    id: String,
    runs: usize,
    carried: usize,
    /// Carried, and a replay showed another run.
    wrong: usize,
    /// Not carried, though a replay showed the same run.
    same_but_refused: usize,
    /// Whether code and data are the same bytes: the release changed something else.
    unchanged: bool,
    reasons: BTreeMap<String, usize>,
}

pub fn run(as_json: bool) -> Result<()> {
    let home = shell::target().join("bench-carryover-binary-releases");
    std::fs::create_dir_all(&home)?;
    let host = Host::probe()?;
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for project in &PROJECTS {
        if project.is_native()? {
            step(project.name);
            pairs.extend(of_project(project, &home, &host, &mut skipped)?);
        }
    }
    step("Debian's builds");
    let (debian, missing) = crate::deltas::pairs(&[])?;
    skipped.extend(missing);
    let refused = debian.iter().map(of_files).collect::<Result<Vec<_>>>()?;
    std::fs::remove_dir_all(&home)?;
    print(&pairs, &refused, &skipped, as_json);
    let wrong: usize = pairs.iter().map(|pair| pair.wrong).sum();
    ensure!(wrong == 0, "{wrong} runs were carried over falsely");
    Ok(())
}

fn of_project(project: &Project, home: &Path, host: &Host, skipped: &mut Vec<String>) -> Result<Vec<Pair>> {
    let entry = project.entries()?.into_iter().next().context("no incident")?;
    let mut built: Vec<(String, PathBuf)> = Vec::new();
    for version in project.versions(RELEASES)? {
        match project.artifact(&entry, &version) {
            Ok(file) => built.push((version, file)),
            Err(error) => skipped.push(format!("{} {version}: {error:#}", project.name)),
        }
    }
    let inputs: &[&str] = if project.inputs.is_empty() { &[""] } else { project.inputs };
    let mut pairs = Vec::new();
    for two in built.windows(2) {
        let [(from, a), (to, b)] = two else { continue };
        let mut pair = Pair { id: format!("{} {from} -> {to}", project.name), ..Pair::default() };
        judge(&mut pair, (a, b), inputs, home, host)?;
        eprintln!("  {}: {} of {} carried {:?}", pair.id, pair.carried, pair.runs, pair.reasons);
        match pair.runs {
            0 => skipped.push(format!("{}: no run of it ended in an observation", pair.id)),
            _ => pairs.push(pair),
        }
    }
    Ok(pairs)
}

fn judge(pair: &mut Pair, files: (&Path, &Path), inputs: &[&str], home: &Path, host: &Host) -> Result<()> {
    let (a, b) = (std::fs::read(files.0)?, std::fs::read(files.1)?);
    pair.unchanged = PROGRAM_SECTIONS.iter().all(|name| section(&a, name) == section(&b, name));
    let prover = Prover::read(&a, &b);
    for input in inputs {
        let Some(run) = Run::of(files.0, &a, input, home, host)? else { continue };
        let refused: BTreeSet<String> = match (run.never, &prover) {
            (Some(reason), _) => [reason.to_owned()].into(),
            (None, Err(refusals)) => refusals.iter().map(|refusal| refusal.reason.to_string()).collect(),
            (None, Ok(prover)) => match prover.prove(Executed::Units(&run.executed)) {
                Ok(_) => BTreeSet::new(),
                Err(refusals) => refusals.iter().map(|refusal| refusal.reason.to_string()).collect(),
            },
        };
        let same = run.is_shown_by(files.1, host)?;
        pair.runs += 1;
        pair.carried += usize::from(refused.is_empty());
        pair.wrong += usize::from(refused.is_empty() && !same);
        pair.same_but_refused += usize::from(!refused.is_empty() && same);
        for reason in refused {
            *pair.reasons.entry(reason).or_default() += 1;
        }
    }
    Ok(())
}

/// A section's bytes; none where the file has no such section.
fn section(file: &[u8], name: &str) -> Option<Vec<u8>> {
    let image = Image::parse(file).ok()?;
    let section = image.section(name)?;
    image.bytes(section.address.0, usize::try_from(section.size).ok()?).map(<[u8]>::to_vec)
}

/// A recorded run of the earlier file.
struct Run {
    recording: Recording,
    observed: Observed,
    executed: Vec<Address>,
    /// Why the pipeline never carries it.
    never: Option<&'static str>,
}

impl Run {
    /// None where the program neither ends by itself nor by a signal.
    fn of(file: &Path, bytes: &[u8], input: &str, home: &Path, host: &Host) -> Result<Option<Self>> {
        let subject = home.join("program");
        std::fs::copy(file, &subject)?;
        let request = RecordRequest {
            command: vec![subject.display().to_string()],
            subjects: vec![(ROLE.to_owned(), subject)],
            stdin: input.as_bytes().to_vec(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            working_directory: "/".to_owned(),
            limits: Limits { cpu_micros: 10 * CPU_MICROS, ..Limits::default() },
            ..RecordRequest::default()
        };
        let recording = on_disk(record(&request, host)?, &home.join("files"))?;
        let shown = Shown::of(&recording, bytes, false, host)?;
        Ok(shown.map(|Shown { observed, executed, never }| Self { recording, observed, executed, never }))
    }

    fn is_shown_by(&self, file: &Path, host: &Host) -> Result<bool> {
        let substitutions = [(ROLE.to_owned(), file.to_owned())].into();
        let how = ReplayRequest { substitutions, keep_trace: Some(LINES), ..ReplayRequest::default() };
        Ok(Observed::of(&replay(&self.recording.capsule, &self.recording, &how, host)?, None)
            == self.observed)
    }
}

/// What refuses a pair of files whatever was executed; empty where only a run could tell.
fn of_files(pair: &crate::deltas::Pair) -> Result<BTreeSet<String>> {
    let (a, b) = (std::fs::read(&pair.a)?, std::fs::read(&pair.b)?);
    let proven = Prover::read(&a, &b).and_then(|prover| prover.prove(Executed::Units(&[])).map(drop));
    Ok(proven.err().into_iter().flatten().map(|refusal| refusal.reason.to_string()).collect())
}

fn whole(pair: &Pair) -> bool {
    pair.runs > 0 && pair.carried == pair.runs
}

fn print(pairs: &[Pair], debian: &[BTreeSet<String>], skipped: &[String], as_json: bool) {
    let sum = |of: fn(&Pair) -> usize| pairs.iter().map(of).sum::<usize>();
    let (runs, carried) = (sum(|pair| pair.runs), sum(|pair| pair.carried));
    let count = |of: fn(&Pair) -> bool| pairs.iter().filter(|pair| of(pair)).count();
    let some = count(|pair| pair.carried > 0);
    let same = carried + sum(|pair| pair.same_but_refused);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, count) in pairs.iter().flat_map(|pair| &pair.reasons) {
        *reasons.entry(reason).or_default() += count;
    }
    let mut of_debian: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in debian.iter().flatten() {
        *of_debian.entry(reason).or_default() += 1;
    }
    let row = |what: &str, ours: usize, unit: &str| Row::new(what, ours as f64, unit);
    let of_files = debian.iter().filter(|reasons| reasons.is_empty()).count();
    let rows = [
        row("consecutive releases, built here", pairs.len(), "pairs").at_least(PAIRS as f64),
        row("  all runs carried", count(whole), "pairs"),
        row("  some runs carried", some, "pairs"),
        row("  code and data are the same bytes", count(|pair| pair.unchanged), "pairs"),
        row("  of the others, all runs carried", count(|pair| !pair.unchanged && whole(pair)), "pairs"),
        row("runs", runs, "runs"),
        row("  carried", carried, "runs"),
        row("  the same when replayed", same, "runs"),
        row("  carried falsely", sum(|pair| pair.wrong), "runs").at_most(0.0),
        row("Debian's consecutive builds", debian.len(), "pairs").at_least(PAIRS as f64),
        row("  not refused by the files themselves", of_files, "pairs"),
    ];
    let each: Vec<Value> = pairs
        .iter()
        .map(|pair| {
            json!({ "id": pair.id, "runs": pair.runs, "carried": pair.carried, "wrong": pair.wrong,
                    "same_but_refused": pair.same_but_refused, "unchanged": pair.unchanged, "reasons": pair.reasons })
        })
        .collect();
    let document = json!({ "bench": "carryover-releases", "rows": rows, "pairs": each, "reasons": reasons,
                           "debian_reasons": of_debian, "skipped": skipped });
    crate::bench::print("real consecutive releases; each run replayed in the runner", &document, as_json);
    if !as_json {
        let list = |reasons: &BTreeMap<&str, usize>| {
            reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
        };
        println!("refused: {}", list(&reasons));
        println!("Debian's pairs, by the files alone: {}", list(&of_debian));
    }
}
