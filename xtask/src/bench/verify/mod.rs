//! `cargo xtask bench verify`: what reuse saves, beside replaying everything in the same run.

mod counts;
mod fleet;
mod inputs;
mod releases;
mod session;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::dist;
use crate::incidents;
use crate::shell::{self, Assay, text};
use crate::words::Words;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    json: bool,
    /// A twentieth of the incidents, and three releases.
    fast: bool,
    /// Only the consecutive releases.
    releases: bool,
    /// Only the twenty artifacts.
    fleet: bool,
    /// A built `assay`, instead of building one.
    assay: Option<PathBuf>,
}

impl Options {
    /// `[--json] [--fast] [--fleet | --releases] [--assay FILE]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--fast" => options.fast = true,
                "--fleet" => options.fleet = true,
                "--releases" => options.releases = true,
                "--assay" => options.assay = Some(words.path()?),
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

pub fn run(options: &Options) -> Result<()> {
    let home = shell::target().join("bench-verify");
    std::fs::create_dir_all(&home)?;
    let program = match &options.assay {
        Some(program) => program.clone(),
        None => dist::build()?,
    };
    ensure!(!(options.fleet && options.releases), "--fleet and --releases leave each other out");
    let (mut rows, mut tallies) = (Vec::new(), Vec::new());
    let mut document = json!({ "bench": "verify" });
    if !options.releases {
        let fleet = fleet::run(program.clone(), &home, options.fast)?;
        document["fleet"] = fleet.document;
        rows.extend(fleet.rows);
        tallies.extend(fleet.tallies);
    }
    if !options.fleet {
        let releases = releases::run(&program, &home, options.fast)?;
        document["releases"] = releases.document;
        document["skipped"] = json!(releases.skipped);
        rows.extend(releases.rows);
        tallies.extend(releases.tallies);
    }
    document["rows"] = json!(rows);
    super::print("peer: replaying everything, same run", &document, options.json);
    if !options.json {
        for (title, tally) in &tallies {
            println!("{title}");
            tally.print();
        }
    }
    Ok(())
}

pub(super) fn record(
    assay: &Assay,
    incident: &incidents::Incident,
    program: &Path,
    home: &Path,
) -> Result<()> {
    let stdin = incident.stdin(home)?.to_string_lossy().into_owned();
    let program = program.to_string_lossy();
    let mut args =
        vec!["witness", "record", "--incident", &incident.id, "--stdin", &stdin, "--json", "--", &program];
    args.extend(incident.trigger.args.iter().map(String::as_str));
    let output = assay.command(&args).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let recorded: Value = serde_json::from_slice(&output.stdout)?;
    assay.expect(0, &["witness", "check", text(&recorded, "witness"), "-n", "5"]).map(drop)
}
