//! The same over consecutive real releases: what carries, what is known, what must be replayed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::counts::Tally;
use super::inputs::{Class, Input};
use super::session::{self, Recording};
use crate::bench::Row;
use crate::corpus::entry::{Entry, Kind};
use crate::corpus::obtain::{self, Obtained};
use crate::corpus::releases::{PROJECTS, Project};
use crate::shell::{Assay, step};

/// Consecutive releases of each project.
const RELEASES: usize = 10;
/// The same of a short run.
const FAST_RELEASES: usize = 3;
/// Replays before a witness is admitted.
const REPLAYS: &str = "4";

/// The projects that are verified, one after the other.
const NAMES: [&str; 5] = ["lodash", "Jinja2", "lua-src", "serde_yaml", "time"];

pub struct Measured {
    pub rows: Vec<Row>,
    pub document: Value,
    pub tallies: Vec<(String, Tally)>,
    pub skipped: Vec<String>,
}

pub fn run(program: &Path, home: &Path, fast: bool) -> Result<Measured> {
    let home = home.join("releases");
    std::fs::create_dir_all(&home)?;
    let count = if fast { FAST_RELEASES } else { RELEASES };
    let mut measured =
        Measured { rows: Vec::new(), document: json!({}), tallies: Vec::new(), skipped: Vec::new() };
    let mut all = Tally::default();
    for project in PROJECTS.iter().filter(|project| NAMES.contains(&project.name)) {
        match one(project, program, &home, count, &mut measured.skipped) {
            Ok(done) => {
                all.merge(&done.tally);
                let (ours, peer) = (done.reused, done.replayed);
                let what = format!("{}: {} releases after the first", project.name, done.releases);
                measured.rows.push(Row::new(what, ours, "s, whole commands; peer: all replayed").peer(peer));
                measured.document[project.name] = done.tally.document();
                measured.tallies.push((format!("{}, {} releases", project.name, done.releases), done.tally));
            }
            Err(error) => measured.skipped.push(format!("{}: {error:#}", project.name)),
        }
    }
    ensure!(!measured.rows.is_empty(), "no project could be measured: {}", measured.skipped.join("; "));
    measured.document["all"] = all.document();
    measured.tallies.push(("all projects".to_owned(), all));
    Ok(measured)
}

/// What became of one project.
struct Done {
    /// Releases that were carried to.
    releases: usize,
    tally: Tally,
    /// Seconds of verifying them one after the other.
    reused: f64,
    /// Seconds of replaying the same verdicts.
    replayed: f64,
}

fn one(
    project: &Project,
    program: &Path,
    home: &Path,
    count: usize,
    skipped: &mut Vec<String>,
) -> Result<Done> {
    let entries = project.entries()?;
    let folder = home.join(project.name);
    let data = folder.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&folder)?;
    let assay = Assay::of(program.to_owned(), data.clone());
    assay.expect(0, &["key", "new"])?;
    step(&format!("{}: recording", project.name));
    for entry in &entries {
        if let Err(error) = record(&assay, entry) {
            skipped.push(format!("{} {}: {error:#}", project.name, entry.id));
        }
    }
    further(project, &assay, entries.first().context("no incident")?, &folder, skipped)?;
    let mut releases = Vec::new();
    for version in project.versions(count)? {
        step(&format!("{} {version}", project.name));
        match artifacts(project, &entries, &version) {
            Ok(artifacts) => {
                session::release(&assay, &version, &artifacts)?;
                releases.push(version);
            }
            Err(error) => skipped.push(format!("{} {version}: {error:#}", project.name)),
        }
    }
    let done = verify(&assay, &releases, &entries)?;
    std::fs::remove_dir_all(&data)?;
    Ok(done)
}

/// Further incidents of a program that reads what to do.
fn further(
    project: &Project,
    assay: &Assay,
    entry: &Entry,
    folder: &Path,
    skipped: &mut Vec<String>,
) -> Result<()> {
    if project.inputs.is_empty() {
        return Ok(());
    }
    let subject = obtain::one(entry)?.vulnerable;
    let recording = |(number, input): (usize, &&str)| Recording {
        incident: format!("{}-{number:02}", project.name),
        role: entry.role.clone(),
        subject: subject.clone(),
        command: vec![subject.display().to_string()],
        environment: Vec::new(),
        input: Input { stdin: (*input).to_owned(), ..Input::default() },
    };
    let recordings: Vec<Recording> = project.inputs.iter().enumerate().map(recording).collect();
    let (admitted, refused) = session::record_all(assay, &recordings, &folder.join("inputs"))?;
    if admitted < recordings.len() {
        skipped.push(format!("{}: a witness was not admitted: {refused:?}", project.name));
    }
    Ok(())
}

fn record(assay: &Assay, entry: &Entry) -> Result<()> {
    let obtained: Obtained = obtain::one(entry)?;
    let witness = crate::corpus::session::record(assay, entry, &obtained)?;
    let checked = assay.call(&["witness", "check", &witness, "-n", REPLAYS])?.json;
    ensure!(checked["admitted"].as_bool() == Some(true), "not admitted: {checked}");
    Ok(())
}

/// One artifact for each role; entries of one package that an interpreter runs share one tree.
fn artifacts(project: &Project, entries: &[Entry], version: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut artifacts: Vec<(String, PathBuf)> = Vec::new();
    for entry in entries {
        if !artifacts.iter().any(|(role, _)| *role == entry.role) {
            artifacts.push((entry.role.clone(), project.artifact(entry, version)?));
        }
    }
    Ok(artifacts)
}

/// Verifies one release after the other, and then replays all of it.
fn verify(assay: &Assay, releases: &[String], entries: &[Entry]) -> Result<Done> {
    ensure!(releases.len() > 1, "{} releases could be had", releases.len());
    let class = |incident: &str| class_of(incident, entries);
    let mut done = Done { releases: releases.len() - 1, tally: Tally::default(), reused: 0.0, replayed: 0.0 };
    session::verify(assay, &releases[0], None)?;
    for pair in releases.windows(2) {
        let (answer, seconds) = session::verify(assay, &pair[1], Some(&pair[0]))?;
        done.tally.add(&answer, &class);
        done.reused += seconds;
    }
    let (verdicts, seconds) = session::replay_everything(assay)?;
    // Builds that are one file were replayed once, and the first release's too.
    done.replayed = session::as_long(&done.tally, verdicts, seconds)?;
    Ok(done)
}

fn class_of(incident: &str, entries: &[Entry]) -> Class {
    let entry = entries.iter().find(|entry| entry.id == incident);
    match entry {
        None => Class::NativeLogic,
        Some(entry) if matches!(entry.obtain.kind, Kind::Npm | Kind::Pip) => Class::Interpreted,
        Some(entry) if entry.crashes() => Class::NativeFault,
        Some(_) => Class::NativeLogic,
    }
}
