//! `cargo xtask bench delta-calibration`: is `delta_entropy` made of probabilities that hold?

mod compilers;
mod projects;
mod samples;

use anyhow::{Context as _, Result};
use serde_json::json;

use self::samples::Sample;
use crate::shell::{self, step};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    json: bool,
    dump: Option<String>,
}

impl Options {
    /// `[--json] [--dump FILE]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--json" => options.json = true,
                "--dump" => options.dump = Some((*words.next().context("--dump needs a file")?).to_owned()),
                other => anyhow::bail!("`{other}` is not known"),
            }
        }
        Ok(options)
    }
}

pub fn run(options: &Options) -> Result<()> {
    let home = shell::root().join("target/corpus/calibration");
    std::fs::create_dir_all(&home)?;
    let (toolchains, _missing) = compilers::all(&home)?;
    let mut samples: Vec<Sample> = Vec::new();
    let mut number = 0;
    for project in &projects::ALL {
        step(&format!("{} {} and {}", project.name, project.versions[0], project.versions[1]));
        match samples::of(project, &toolchains, &home, &mut number) {
            Ok(found) => samples.extend(found),
            Err(error) => eprintln!("left out: {error:#}"),
        }
        eprintln!("{} samples", samples.len());
    }
    if let Some(file) = &options.dump {
        let rows: Vec<_> = samples.iter().map(|s| json!({ "project": s.project, "toolchain": s.toolchain,
            "scenario": s.scenario, "fitted": s.fitted, "delta": s.delta, "figures": s.figures, "changed": s.changed })).collect();
        std::fs::write(file, serde_json::to_vec(&rows)?)?;
    }
    Ok(())
}
