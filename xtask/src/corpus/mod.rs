//! `cargo xtask corpus incidents`: every incident fetched, recorded, checked and replayed.

pub mod entry;
mod impostors;
mod native;
pub mod obtain;
pub mod releases;
pub mod session;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::shell::{Assay, step};
use crate::words::Words;
use entry::{Entry, Kind, Trait};
use obtain::Obtained;
use session::{Bundling, Row};

/// Replays before a witness is admitted.
const REPLAYS: u32 = 50;

/// Replays before a witness is admitted in a test run.
const FAST_REPLAYS: u32 = 1;

/// How the corpus runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Only these; all if none is named.
    pub only: Vec<String>,
    pub json: bool,
    /// Replays of each check.
    pub replays: u32,
    /// The vacuity suite instead of the corpus itself.
    pub impostors: bool,
    /// Only the incidents that the tests run.
    pub fast: bool,
    /// Only fetch and build.
    pub fetch: bool,
    /// Where the store lies; it is emptied first.
    pub data: Option<PathBuf>,
    /// A built `assay`, instead of building one.
    pub assay: Option<PathBuf>,
}

impl Options {
    /// Reads the words behind `corpus incidents`.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            only: Vec::new(),
            json: false,
            replays: REPLAYS,
            impostors: false,
            fast: false,
            fetch: false,
            data: None,
            assay: None,
        };
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--impostors" => options.impostors = true,
                "--fast" => options.fast = true,
                "--fetch" => options.fetch = true,
                "--only" => options.only.extend(words.list()?),
                "--data" => options.data = Some(words.path()?),
                "--assay" => options.assay = Some(words.path()?),
                "-n" => options.replays = words.number()?,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

/// The incidents that every test run includes; what cannot be fetched is skipped by name.
pub fn fast() -> Result<()> {
    run(&Options { fast: true, replays: FAST_REPLAYS, ..Options::parse(&[])? })
}

/// Runs what the options ask for; an error if an incident failed.
pub fn run(options: &Options) -> Result<()> {
    let mut entries = entry::read(&options.only)?;
    entries.retain(|entry| !options.fast || entry.has(Trait::Fast));
    step(&format!("fetching and building both sides of {} incidents", entries.len()));
    let obtained = obtain::all(&entries);
    for (entry, result) in &obtained {
        if let Err(error) = result {
            eprintln!("  {} SKIPPED: {error:#}", entry.id);
        }
    }
    if options.fetch {
        return Ok(());
    }
    let assay = open(options)?;
    if options.impostors { vacuity(&assay, &obtained, options) } else { corpus(&assay, &obtained, options) }
}

/// An `assay` over an empty store with a key.
fn open(options: &Options) -> Result<Assay> {
    let data = options.data.clone().unwrap_or_else(|| obtain::home().join("data"));
    if data.exists() {
        std::fs::remove_dir_all(&data).context("the data of the last run cannot be removed")?;
    }
    let assay = match &options.assay {
        Some(program) => Assay::of(program.clone(), data),
        None => Assay::build(data)?,
    };
    assay.expect(0, &["key", "new"])?;
    Ok(assay)
}

fn corpus(assay: &Assay, obtained: &[(Entry, Result<Obtained>)], options: &Options) -> Result<()> {
    step(&format!("recording, {} replays, both sides", options.replays));
    let mut rows = Vec::new();
    let mut bundled = std::collections::BTreeSet::new();
    for (entry, result) in obtained {
        let row = match result {
            Ok(obtained) => {
                // In a test run one bundle of each ecosystem shows the way to an empty store.
                let first = bundled.insert(&entry.ecosystem);
                let bundling = if first || !options.fast { Bundling::Verified } else { Bundling::Left };
                session::run(assay, entry, obtained, options.replays, bundling)
            }
            Err(error) => Row::skipped(entry, error),
        };
        eprintln!("{}", table::line(&row));
        rows.push(row);
    }
    let entries: Vec<&Entry> = obtained.iter().map(|(entry, _)| entry).collect();
    let summary = table::summary(&entries, &rows);
    eprint!("{}", table::text(&summary));
    if options.json {
        let mut document = summary;
        document["rows"] = serde_json::to_value(&rows)?;
        print_json(&document)?;
    }
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| !row.succeeded() && row.skipped.is_none())
        .map(|row| row.id.as_str())
        .collect();
    ensure!(failed.is_empty(), "{} incidents failed: {}", failed.len(), failed.join(", "));
    let ran = rows.iter().any(|row| row.skipped.is_none());
    // The tests skip by name what a machine lacks; whoever asks for the corpus wants to see it run.
    ensure!(ran || options.fast, "every incident was skipped, so nothing is shown");
    Ok(())
}

fn vacuity(assay: &Assay, obtained: &[(Entry, Result<Obtained>)], options: &Options) -> Result<()> {
    step("impostors: none may pass for a fixed build");
    let (mut all, mut without) = (Vec::new(), Vec::new());
    for (entry, result) in obtained {
        let Ok(obtained_entry) = result else { continue };
        match impostors::run(assay, entry, obtained_entry, &others(obtained, entry)) {
            Ok(passed) => all.extend(passed),
            Err(error) => {
                eprintln!("  {} has no witness: {error:#}", entry.id);
                without.push(entry.id.as_str());
            }
        }
    }
    let false_passes: Vec<_> = all.iter().filter(|run| run.verdict == "not_reproduced").collect();
    for run in &false_passes {
        eprintln!("  FALSE PASS: {} by {} ({})", run.id, run.impostor, run.reason);
    }
    let refused = all.iter().filter(|run| run.verdict.starts_with("refused")).count();
    eprintln!(
        "  {} impostors ({refused} of them refused before they ran), {} false passes",
        all.len(),
        false_passes.len()
    );
    if options.json {
        print_json(&json!({ "impostors": all.len(), "false_passes": false_passes.len(), "runs": all }))?;
    }
    ensure!(false_passes.is_empty(), "{} impostors passed", false_passes.len());
    ensure!(without.is_empty(), "{} incidents have no witness: {}", without.len(), without.join(", "));
    ensure!(!all.is_empty(), "no impostor was tried, so nothing is shown");
    Ok(())
}

/// The fixed sides of other incidents of the same make.
fn others(obtained: &[(Entry, Result<Obtained>)], entry: &Entry) -> Vec<PathBuf> {
    let compiled = |kind| !matches!(kind, Kind::Npm | Kind::Pip);
    let same = |kind| kind == entry.obtain.kind || compiled(kind) && compiled(entry.obtain.kind);
    let alike = obtained.iter().filter(|(other, _)| {
        other.package != entry.package && other.role != entry.role && same(other.obtain.kind)
    });
    alike.filter_map(|(_, result)| result.as_ref().ok().map(|obtained| obtained.fixed.clone())).collect()
}

fn print_json(document: &Value) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(document)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn options() {
        let options = Options::parse(&["--only", "CVE-1,CVE-2", "-n", "7", "--json"]).unwrap();
        assert_eq!((options.only.len(), options.replays, options.json), (2, 7, true));
        for wrong in [vec!["--only"], vec!["-n", "x"], vec!["--colour"]] {
            assert!(Options::parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_folder_is_an_incident_named_by_its_id() {
        let entries = entry::read(&[]).unwrap();
        let folders = std::fs::read_dir(crate::shell::root().join("incidents")).unwrap().flatten();
        let folders: BTreeSet<String> = folders
            .filter(|folder| folder.path().is_dir())
            .map(|folder| folder.file_name().to_string_lossy().into_owned())
            .collect();
        let ids: BTreeSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(folders, ids);
        for entry in &entries {
            assert_ne!(entry.vulnerable, entry.fixed, "{}", entry.id);
            assert_eq!(entry.trigger.program.is_some(), entry.trigger.script.is_some(), "{}", entry.id);
        }
    }
}
