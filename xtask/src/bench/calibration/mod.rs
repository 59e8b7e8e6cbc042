//! `cargo xtask bench delta-calibration`: is `delta_entropy` made of probabilities that hold?
//!
//! Consecutive releases of C libraries are built by several compilers at several levels, and compared,
//! compiler by compiler, across releases, settings and both. For every pair of functions whose code
//! differs the probability that its meaning changed is held against what rebuilt sources say
//! (`samples.rs`), in the mix of deltas that users are taken to meet (`mix.rs`). The weights were fitted on
//! some of the projects and on x86-64; what is printed is of the other projects, and of the fitted ones
//! only by weights that were fitted without the project they are asked of.
#![expect(clippy::print_stdout, reason = "a command for people")]

pub(super) mod compilers;
mod fit;
mod mix;
pub(super) mod projects;
mod samples;
mod score;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use self::samples::Sample;
use self::score::{Outcome, Score};
use super::Row;
use crate::shell::{self, step};
use crate::words::{self, Words};

/// Budget of the calibration error.
const MOST_ERROR: f64 = 0.03;
/// Fewer pairs than this say nothing of a compiler.
const LEAST_PAIRS: usize = 300;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    json: bool,
    fit: bool,
    only: Vec<String>,
    /// Puts what was fitted into use.
    write: bool,
    dump: Option<PathBuf>,
}

impl Options {
    /// `[--json] [--fit [--write]] [--only PROJECT,PROJECT] [--dump FILE]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--fit" => options.fit = true,
                "--write" => options.write = true,
                "--only" => options.only = words.list()?,
                "--dump" => options.dump = Some(words.path()?),
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(
        !options.write || options.fit && options.only.is_empty(),
        "--write needs --fit, over every project"
    );
    let home = shell::target().join("corpus/calibration");
    std::fs::create_dir_all(&home)?;
    let (samples, mut skipped) = gather(options, &home)?;
    ensure!(!samples.is_empty(), "no project could be built");
    if let Some(file) = &options.dump {
        std::fs::write(file, serde_json::to_vec(&samples.iter().map(row).collect::<Vec<_>>())?)?;
    }
    let fitted: Vec<&Sample> = samples.iter().filter(|sample| sample.fitted).collect();
    let held_out: Vec<&Sample> = samples.iter().filter(|sample| !sample.project_fitted).collect();
    let model = (options.fit && !fitted.is_empty()).then(|| fit::fit(&fitted));
    if let Some(model) = model.as_ref().filter(|_| options.write) {
        let file = shell::root().join("crates/delta/src/diff/weights.rs");
        std::fs::write(&file, fit::source(model))?;
        eprintln!("{} pairs fitted, {} written", fitted.len(), file.display());
    }
    let probability = |sample: &&Sample| match &model {
        Some(model) => model.probability(&sample.figures),
        None => assay_delta::probability(&sample.figures),
    };
    let mut scores = if model.is_some() || assay_delta::has_weights() {
        let said: Vec<f64> = held_out.iter().map(probability).collect();
        groups(&held_out, &said)
    } else {
        skipped
            .push("the projects that are not fitted on: no weights are in use; --fit makes some".to_owned());
        BTreeMap::new()
    };
    if fitted.iter().any(|sample| sample.project != fitted[0].project) {
        scores.extend(score::score(outcomes(&fitted, &fit::cross_validated(&fitted))).map(|score| {
            ("cross-validation: fitted projects, each by weights of the others".to_owned(), score)
        }));
    }
    print(options, &scores, &skipped);
    Ok(())
}

/// Every prediction with what was so, in the mix.
fn outcomes(samples: &[&Sample], said: &[f64]) -> Vec<Outcome> {
    let weights = mix::weights(samples);
    let with = samples.iter().zip(said).zip(weights);
    with.map(|((sample, p), weight)| (*p, sample.changed, weight)).collect()
}

/// All that was held out, each toolchain, and for looking closer each kind of delta and each project. The
/// mix is made within each group.
fn groups(samples: &[&Sample], said: &[f64]) -> BTreeMap<String, Score> {
    let mut members: BTreeMap<String, (Vec<&Sample>, Vec<f64>)> = BTreeMap::new();
    for (sample, p) in samples.iter().zip(said) {
        let names = [
            "all held out".to_owned(),
            sample.toolchain.to_owned(),
            format!("scenario: {}", sample.scenario),
            format!("project: {}", sample.project),
        ];
        for name in names {
            let (of, probabilities) = members.entry(name).or_default();
            of.push(sample);
            probabilities.push(*p);
        }
    }
    let scored = members.into_iter().filter(|(_, (of, _))| of.len() >= LEAST_PAIRS);
    scored.filter_map(|(name, (of, p))| Some((name, score::score(outcomes(&of, &p))?))).collect()
}

fn gather(options: &Options, home: &Path) -> Result<(Vec<Sample>, Vec<String>)> {
    let (toolchains, mut skipped) = compilers::all(home)?;
    let mut samples = Vec::new();
    words::known(&options.only, projects::ALL.iter().map(|project| project.name))?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    for project in projects::ALL.iter().filter(|project| wanted(project.name)) {
        step(&format!("{} {} and {}", project.name, project.versions[0], project.versions[1]));
        match samples::of(project, &toolchains, home, &mut skipped) {
            Ok(found) => samples.extend(found),
            Err(error) => skipped.push(format!("{}: {error:#}", project.name)),
        }
    }
    Ok((samples, skipped))
}

fn row(sample: &Sample) -> Value {
    json!({
        "project": sample.project, "toolchain": sample.toolchain, "scenario": sample.scenario,
        "fitted": sample.fitted, "project_fitted": sample.project_fitted,
        "figures": sample.figures, "changed": sample.changed,
    })
}

/// The peer is the forecast that knows the group's own share of changes and looks at no function.
fn print(options: &Options, scores: &BTreeMap<String, Score>, skipped: &[String]) {
    let mut rows = Vec::new();
    for (name, score) in scores {
        let pairs = format!("ECE of {} pairs in 15 bins of equal mass", score.count);
        let error = Row::new(format!("{name}: error of calibration"), score.error, pairs);
        let judged = !name.contains(':');
        rows.push(if judged { error.at_most(MOST_ERROR) } else { error });
        let changed = format!("{:.1} % changed", score.changed * 100.0);
        rows.push(Row::new(format!("{name}: Brier score"), score.brier, changed).peer(score.brier_of_share));
    }
    let groups: BTreeMap<_, _> = scores.iter().map(|(name, score)| (name, score.json())).collect();
    let document =
        json!({ "bench": "delta-calibration", "rows": rows, "groups": groups, "skipped": skipped });
    super::print(
        "probabilities behind delta_entropy, on projects that were not fitted on",
        &document,
        options.json,
    );
    if !options.json {
        for (name, score) in scores.iter().filter(|(name, _)| !name.contains(':')) {
            println!("\n{name}\n{}", score.diagram());
        }
    }
}
