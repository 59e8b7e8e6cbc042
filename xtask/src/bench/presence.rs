//! `cargo xtask bench presence`: are patch signatures answered rightly in builds of other compilers, levels
//! and architectures?
//!
//! Two releases of C libraries are built by several compilers at several levels (`calibration`). Each
//! function that differs between them under most settings is a patch whose sides are known: its signature
//! is made of one compiler's builds and asked for in all the others, before and after. The thresholds were
//! chosen on the projects that `calibration::projects` calls fitted; the others judge.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use assay_delta::{Index, PatchStatus, diff, presence, sign};
use serde_json::json;

use super::Row;
use super::calibration::compilers::{self, Both};
use super::calibration::projects;
use crate::shell::{self, step};
use crate::words::{self, Words};

/// Functions of one project that signatures are made of.
const MOST_FUNCTIONS: usize = 40;
/// Of 100 answers that are given, at most so many may be wrong.
const MOST_WRONG: f64 = 1.0;
/// So many answers, none of them wrong, show with 95 % confidence that at most 1 % are.
const LEAST_ANSWERS: u32 = 300;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    json: bool,
    only: Vec<String>,
}

impl Options {
    /// `[--json] [--only PROJECT,PROJECT]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--only" => options.only = words.list()?,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

/// Both releases under one setting, and the functions that differ between them.
struct Built {
    toolchain: &'static str,
    level: &'static str,
    indexes: [Index; 2],
    changed: Vec<String>,
}

/// Answers for functions of one kind of target.
#[derive(Clone, Copy, Default)]
struct Count {
    asked: u32,
    right: u32,
    wrong: u32,
}

pub fn run(options: &Options) -> Result<()> {
    let home = shell::target().join("corpus/calibration");
    std::fs::create_dir_all(&home)?;
    let (toolchains, mut skipped) = compilers::all(&home)?;
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    words::known(&options.only, projects::ALL.iter().map(|project| project.name))?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    for project in projects::ALL.iter().filter(|project| wanted(project.name)) {
        step(&format!("{} {} and {}", project.name, project.versions[0], project.versions[1]));
        match built(project, &toolchains, &home, &mut skipped) {
            Ok(built) => judge(project, &built, &mut counts)?,
            Err(error) => skipped.push(format!("{}: {error:#}", project.name)),
        }
    }
    ensure!(!counts.is_empty(), "no project could be built");
    let rows: Vec<_> = counts.iter().map(|(what, count)| row(what, *count)).collect();
    let document = json!({ "bench": "presence", "rows": rows, "skipped": skipped });
    super::print("of 100 answers that are given, how many are wrong", &document, options.json);
    Ok(())
}

fn row(what: &str, count: Count) -> Row {
    let given = count.right + count.wrong;
    let wrong = (given > 0).then(|| 100.0 * f64::from(count.wrong) / f64::from(given));
    let share = 100.0 * f64::from(given) / f64::from(count.asked.max(1));
    let unit = format!("% of {given}; {share:.0} % of {} are answered", count.asked);
    let row = Row::new(what, wrong, unit);
    // Of few answers even no wrong one does not show so small a share.
    let enough = given >= LEAST_ANSWERS;
    let within = wrong.filter(|_| enough).map(|wrong| wrong <= MOST_WRONG);
    let row = row.judged(Some(MOST_WRONG), within);
    row.with("asked", count.asked).with("right", count.right).with("wrong", count.wrong)
}

fn built(
    project: &projects::Project,
    toolchains: &[compilers::Toolchain],
    home: &std::path::Path,
    skipped: &mut Vec<String>,
) -> Result<Vec<Built>> {
    let settings =
        toolchains.iter().flat_map(|toolchain| toolchain.levels.iter().map(move |level| (toolchain, *level)));
    let both = compilers::both(project, settings, home, skipped)?;
    let with_changes = both.into_iter().map(|Both { toolchain, level, indexes }| {
        let changed = diff(&indexes[0], &indexes[1]).functions.changed;
        let changed = changed.into_iter().map(|function| function.name).collect();
        Built { toolchain: toolchain.name, level, indexes, changed }
    });
    Ok(with_changes.collect())
}

fn judge(project: &projects::Project, all: &[Built], counts: &mut BTreeMap<String, Count>) -> Result<()> {
    let mut differs: BTreeMap<&str, usize> = BTreeMap::new();
    for name in all.iter().flat_map(|built| &built.changed) {
        *differs.entry(name).or_default() += 1;
    }
    let mut patches: Vec<&str> =
        differs.iter().filter(|(_, settings)| **settings * 2 > all.len()).map(|(name, _)| *name).collect();
    // Any order will do that names have no part in.
    patches.sort_by_key(|name| assay_evidence::Sha256::of(name.as_bytes()));
    patches.truncate(MOST_FUNCTIONS);
    for base in all.iter().filter(|built| built.level == "-O2") {
        for name in patches.iter().filter(|name| base.changed.iter().any(|changed| changed == **name)) {
            let [before, after] = &base.indexes;
            // A patch that cannot be signed is a question without an answer.
            let signature = sign("judged", before, after, &[(*name).to_owned()]).ok();
            for target in all.iter().filter(|built| built.changed.iter().any(|changed| changed == *name)) {
                if (target.toolchain, target.level) == (base.toolchain, base.level) {
                    continue;
                }
                for (index, truth) in
                    target.indexes.iter().zip([PatchStatus::Vulnerable, PatchStatus::Patched])
                {
                    let answer = match &signature {
                        Some(signature) => presence(signature, index)?.status,
                        None => PatchStatus::Inconclusive,
                    };
                    for group in groups(project, base, target) {
                        counts.entry(group).or_default().add(truth, answer);
                    }
                }
            }
        }
    }
    Ok(())
}

fn groups(project: &projects::Project, base: &Built, target: &Built) -> [String; 3] {
    let who = if project.fitted { "libraries used for tuning" } else { "held-out libraries" };
    let architecture = |built: &Built| built.toolchain.split(' ').next_back().map(str::to_owned);
    let kind = if base.toolchain == target.toolchain {
        "another level"
    } else if architecture(base) == architecture(target) {
        "another compiler"
    } else {
        "another architecture"
    };
    [format!("{who}: all"), format!("{who}: {kind}"), format!("{who}: {}", project.name)]
}

impl Count {
    fn add(&mut self, truth: PatchStatus, answer: PatchStatus) {
        let is_given = matches!(answer, PatchStatus::Patched | PatchStatus::Vulnerable);
        self.asked += 1;
        self.right += u32::from(answer == truth);
        self.wrong += u32::from(is_given && answer != truth);
    }
}
