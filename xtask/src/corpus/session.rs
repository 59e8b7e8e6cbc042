//! One incident over the `assay` program: record, check, replay both sides, bundle.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::entry::{Entry, Side};
use super::obtain::{Obtained, home};
use crate::shell::{Assay, text};

/// The bundle was imported into an empty store and reproduced there.
const VERIFIED: &str = "verified";
/// This `assay` has no such command.
const NOT_AVAILABLE: &str = "not available in this build of assay";
/// The exit code of a command that does not exist.
const USAGE: i32 = 2;

/// Whether an incident is also carried to an empty store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bundling {
    Verified,
    Left,
}

/// One line of the table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub id: String,
    pub ecosystem: String,
    pub replays: u64,
    pub distinct_observations: u64,
    pub layout_sensitive: bool,
    /// The verdict on the vulnerable side.
    pub vulnerable: String,
    /// The verdict on the fixed side.
    pub fixed: String,
    /// What the environment lacks.
    pub skipped: Option<String>,
    /// Why it is no success.
    pub reason: Option<String>,
    /// The bundle's way to an empty store: `verified`, or why not.
    pub bundle: Option<String>,
    pub milliseconds: u64,
}

impl Row {
    fn of(entry: &Entry) -> Self {
        Self { id: entry.id.clone(), ecosystem: entry.ecosystem.clone(), ..Self::default() }
    }

    pub fn skipped(entry: &Entry, why: &anyhow::Error) -> Self {
        Self { skipped: Some(format!("{why:#}")), ..Self::of(entry) }
    }

    /// The vulnerable side reproduces, the fixed side does not, and the witness was admitted.
    pub fn succeeded(&self) -> bool {
        self.vulnerable == "reproduced" && self.fixed == "not_reproduced" && self.reason.is_none()
    }

    /// How many of its verdicts are inconclusive.
    pub fn inconclusive(&self) -> usize {
        [&self.vulnerable, &self.fixed].into_iter().filter(|verdict| *verdict == "inconclusive").count()
    }
}

/// Records, checks and replays one incident; a failure becomes the row's reason.
pub fn run(assay: &Assay, entry: &Entry, obtained: &Obtained, replays: u32, bundling: Bundling) -> Row {
    let started = Instant::now();
    let mut row = Row::of(entry);
    let done = steps(assay, entry, obtained, replays, &mut row);
    let done = done.and_then(|()| match bundling {
        Bundling::Verified => bundled(assay, entry, &mut row),
        Bundling::Left => Ok(()),
    });
    if let Err(error) = done {
        row.reason.get_or_insert(format!("{error:#}"));
    }
    row.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    row
}

fn steps(assay: &Assay, entry: &Entry, obtained: &Obtained, replays: u32, row: &mut Row) -> Result<()> {
    let witness = record(assay, entry, obtained)?;
    let checked = assay.call(&["witness", "check", &witness, "-n", &replays.to_string()])?;
    let number = |key: &str| checked.json[key].as_u64().unwrap_or_default();
    row.replays = number("replays");
    row.distinct_observations = number("distinct_observations");
    row.layout_sensitive = checked.json["layout_sensitive"].as_bool() == Some(true);
    if checked.json["admitted"].as_bool() != Some(true) {
        row.reason = Some(format!("not admitted: {}{}", checked.json, checked.stderr.trim()));
    }
    for side in Side::BOTH {
        let answer = replay(assay, entry, &witness, obtained.subject(side))?;
        let verdict = text(&answer, "verdict").to_owned();
        let wanted = match side {
            Side::Vulnerable => "reproduced",
            Side::Fixed => "not_reproduced",
        };
        if verdict != wanted {
            let reason = format!("{} is {verdict}: {}", side.name(), text(&answer, "reason"));
            row.reason.get_or_insert(reason);
        }
        match side {
            Side::Vulnerable => row.vulnerable = verdict,
            Side::Fixed => row.fixed = verdict,
        }
    }
    Ok(())
}

fn bundled(assay: &Assay, entry: &Entry, row: &mut Row) -> Result<()> {
    let carried = bundle(assay, entry)?;
    if carried != VERIFIED && carried != NOT_AVAILABLE {
        row.reason.get_or_insert(format!("bundle: {carried}"));
    }
    row.bundle = Some(carried);
    Ok(())
}

/// Takes the incident to an empty store and replays it there.
fn bundle(assay: &Assay, entry: &Entry) -> Result<String> {
    let folder = home().join(&entry.id);
    let (file, data) = (folder.join("incident.bundle"), folder.join("imported"));
    let shown = file.to_string_lossy();
    let output = assay.command(&["incident", "bundle", &entry.id, "-o", &shown]).output()?;
    if output.status.code() == Some(USAGE) {
        return Ok(NOT_AVAILABLE.to_owned());
    }
    if !output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let empty = Assay::of(assay.program().to_owned(), data.clone());
    empty.expect(0, &["key", "new"])?;
    empty.expect(0, &["incident", "import", &shown])?;
    let answer = empty.call(&["witness", "replay", &entry.id])?;
    std::fs::remove_dir_all(&data)?;
    std::fs::remove_file(&file)?;
    let verdict = text(&answer.json, "verdict");
    Ok(if verdict == "reproduced" { VERIFIED.to_owned() } else { format!("imported, then {verdict}") })
}

/// Defines the incident and records it; the witness's id.
pub fn record(assay: &Assay, entry: &Entry, obtained: &Obtained) -> Result<String> {
    assay.expect(0, &["incident", "define", &entry.definition().to_string_lossy()])?;
    let mut args = vec!["witness".to_owned(), "record".into(), "--json".into()];
    args.extend(["--incident".into(), entry.id.clone()]);
    args.extend(["--subject".into(), named(entry, &obtained.vulnerable)]);
    for variable in &obtained.environment {
        args.extend(["--env".into(), variable.clone()]);
    }
    if let Some(stdin) = &obtained.stdin {
        args.extend(["--stdin".into(), stdin.to_string_lossy().into_owned()]);
    }
    args.push("--".into());
    args.extend(obtained.command.iter().cloned());
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = assay.command(&words).output().context("assay did not start")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("not recorded: {}", said.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let recorded: Value = serde_json::from_slice(&output.stdout)?;
    Ok(text(&recorded, "witness").to_owned())
}

/// Replays a witness on another subject; the whole answer.
pub fn replay(assay: &Assay, entry: &Entry, witness: &str, subject: &Path) -> Result<Value> {
    let subject = named(entry, subject);
    let answer = assay.call(&["witness", "replay", witness, "--subject", &subject])?;
    Ok(answer.json)
}

fn named(entry: &Entry, subject: &Path) -> String {
    format!("{}={}", entry.role, subject.display())
}
