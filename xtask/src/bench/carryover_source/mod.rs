//! `cargo xtask bench carryover-source`: mutants of interpreted programs, each proven or refused, and each
//! replayed. A run that is carried over and shows something else when it is replayed may not be.

mod idle;
mod mutate;
mod releases;
mod subject;
mod trace;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use assay_witness::Host;
use serde_json::json;

use super::carryover::Random;
use crate::shell::{self, step};
use subject::{Outcome, Subject};

/// Incidents of the corpus whose packages are mutated too.
const PACKAGES: [&str; 8] = [
    "CVE-2020-14343",
    "CVE-2022-29217",
    "CVE-2024-22195",
    "CVE-2020-11888",
    "CVE-2020-7788",
    "CVE-2021-44906",
    "GHSA-8j8c-7jfh-h6hx",
    "CVE-2021-42740",
];
const MUTANTS: usize = 600;
const FAST_MUTANTS: usize = 24;
/// How often a mutant that does not fit is made again.
const TRIES: usize = 40;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    pub mutants: usize,
    pub only: Vec<String>,
    pub seed: u64,
    pub json: bool,
    /// Consecutive releases instead of mutants.
    pub releases: bool,
}

impl Options {
    /// Reads the words behind `bench carryover-source`.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { mutants: MUTANTS, only: Vec::new(), seed: 1, json: false, releases: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--json" => options.json = true,
                "--releases" => options.releases = true,
                "-n" => options.mutants = value()?.parse().context("-n takes a number of mutants")?,
                "--seed" => options.seed = value()?.parse().context("--seed takes a number")?,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                other => bail!("`{other}` is no option of the bench"),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// About twenty mutants of the small programs, for the tests.
pub fn fast() -> Result<()> {
    let only = ["orders", "looker", "ledger", "mirror"].map(str::to_owned).to_vec();
    run(&Options { mutants: FAST_MUTANTS, only, seed: 7, json: false, releases: false })
}

/// Runs it; an error if any carry-over was false.
pub fn run(options: &Options) -> Result<()> {
    let host = Host::probe().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    if options.releases {
        return releases::run(options, &host);
    }
    let home = shell::target().join("bench-carryover-source");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    let subjects = subjects(options, &home, &host)?;
    ensure!(!subjects.is_empty(), "no program to mutate");
    step(&format!("{} mutants of {} programs", options.mutants, subjects.len()));
    let mut tally = Tally::default();
    for number in 0..options.mutants {
        let subject = &subjects[number % subjects.len()];
        let mut random = Random::of(options.seed, number as u64);
        let made = (0..TRIES)
            .find_map(|_| mutate::make(&subject.files, &subject.likely, &subject.idle, &mut random));
        let Some(mutant) = made else { continue };
        let outcome = subject.judge(&mutant.files, &host)?;
        if outcome.refused.is_none() && !outcome.same {
            let folder = home.join(format!("false-{number}"));
            subject::write(&folder, &mutant.files)?;
            eprintln!(
                "  FALSE: {} {} of {}: {} ({})",
                subject.name,
                mutant.kind,
                mutant.path,
                outcome.difference,
                folder.display()
            );
        }
        tally.add(&subject.name, mutant.kind, &outcome);
    }
    tally.print(options, &subjects);
    ensure!(tally.false_carry_overs == 0, "{} carry-overs were false", tally.false_carry_overs);
    Ok(())
}

fn subjects(options: &Options, home: &std::path::Path, host: &Host) -> Result<Vec<Subject>> {
    let mut all = Vec::new();
    for name in ["orders", "looker", "ledger", "mirror"] {
        if options.wants(name) {
            all.extend(tried(name, Subject::own(name, home, host)));
        }
    }
    let wanted: Vec<String> =
        PACKAGES.iter().filter(|id| options.wants(id)).map(|id| (*id).to_owned()).collect();
    if !wanted.is_empty() {
        for entry in crate::corpus::entry::read(&wanted)? {
            let obtained = crate::corpus::obtain::one(&entry);
            all.extend(tried(&entry.id, obtained.and_then(|it| Subject::package(&entry, &it, home, host))));
        }
    }
    Ok(all)
}

/// What the machine lacks is skipped by name.
fn tried(name: &str, subject: Result<Subject>) -> Option<Subject> {
    match subject {
        Ok(subject) => {
            if let Some(code) = &subject.uncovered {
                eprintln!("  {name}: no coverage ({code})");
            }
            Some(subject)
        }
        Err(error) => {
            eprintln!("  {name} SKIPPED: {error:#}");
            None
        }
    }
}

#[derive(Default)]
struct Tally {
    mutants: u64,
    carried: u64,
    different: u64,
    false_carry_overs: u64,
    harmless: u64,
    harmless_carried: u64,
    reasons: BTreeMap<String, u64>,
    kinds: BTreeMap<&'static str, (u64, u64, u64)>,
    programs: BTreeMap<String, (u64, u64, u64)>,
}

impl Tally {
    fn add(&mut self, program: &str, kind: &'static str, outcome: &Outcome) {
        let carried = outcome.refused.is_none();
        self.mutants += 1;
        self.carried += u64::from(carried);
        self.different += u64::from(!outcome.same);
        self.false_carry_overs += u64::from(carried && !outcome.same);
        if mutate::HARMLESS.contains(&kind) && outcome.same && outcome.observes_nothing {
            self.harmless += 1;
            self.harmless_carried += u64::from(carried);
        }
        for reason in outcome.refused.iter().flatten() {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        }
        let of_program = self.programs.entry(program.to_owned()).or_default();
        for row in [self.kinds.entry(kind).or_default(), of_program] {
            row.0 += 1;
            row.1 += u64::from(carried);
            row.2 += u64::from(!outcome.same);
        }
    }

    fn print(&self, options: &Options, subjects: &[Subject]) {
        let bound = if self.different > 0 { 3.0 / self.different as f64 } else { 1.0 };
        let rows: BTreeSet<&String> = subjects.iter().map(|subject| &subject.name).collect();
        if options.json {
            let document = json!({
                "bench": "carryover-source", "programs": rows, "mutants": self.mutants, "carried": self.carried,
                "different": self.different, "false_carry_overs": self.false_carry_overs, "bound_95": bound,
                "harmless": self.harmless, "harmless_carried": self.harmless_carried, "reasons": self.reasons,
            });
            println!("{}", serde_json::to_string_pretty(&document).unwrap_or_default());
            return;
        }
        println!("{:<34} {:>8} {:>8} {:>10}", "", "mutants", "carried", "different");
        for (name, (mutants, carried, different)) in &self.kinds {
            println!("{name:<34} {mutants:>8} {carried:>8} {different:>10}");
        }
        for (name, (mutants, carried, different)) in &self.programs {
            println!("{name:<34} {mutants:>8} {carried:>8} {different:>10}");
        }
        println!(
            "{} mutants, {} carried, {} shown different by replay, {} FALSE CARRY-OVERS (95 % bound {bound:.4}); \
             harmless edits carried: {} of {}",
            self.mutants,
            self.carried,
            self.different,
            self.false_carry_overs,
            self.harmless_carried,
            self.harmless
        );
        for (reason, count) in &self.reasons {
            println!("  {reason}: {count}");
        }
    }
}
