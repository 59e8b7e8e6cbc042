//! `cargo xtask bench carryover-source`: mutants of interpreted programs, each proven or refused, and each
//! replayed. A run that is carried over and shows something else when it is replayed may not be.

mod idle;
mod mutate;
mod releases;
mod subject;
mod tally;
mod trace;

use std::collections::HashSet;

use anyhow::{Result, ensure};
use assay_evidence::Sha256;
use assay_witness::Host;

use self::subject::Subject;
use self::tally::Tally;
use super::carryover::Random;
use crate::shell::{self, step};
use crate::words::{self, Words};

/// The small programs that come with the bench.
const OWN: [&str; 4] = ["orders", "looker", "ledger", "mirror"];

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
const SEED: u64 = 1;
const FAST_MUTANTS: usize = 24;
const FAST_SEED: u64 = 7;
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
        let mut options =
            Self { mutants: MUTANTS, only: Vec::new(), seed: SEED, json: false, releases: false };
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--releases" => options.releases = true,
                "-n" => options.mutants = words.number()?,
                "--seed" => options.seed = words.number()?,
                "--only" => options.only.extend(words.list()?),
                _ => return words.unknown(),
            }
        }
        let plain = (options.mutants, options.seed) == (MUTANTS, SEED);
        ensure!(plain || !options.releases, "--releases takes neither -n nor --seed");
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// About twenty mutants of the small programs, for the tests.
pub fn fast() -> Result<()> {
    let host = Host::probe().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    let options = Options {
        mutants: FAST_MUTANTS,
        only: OWN.map(str::to_owned).to_vec(),
        seed: FAST_SEED,
        json: false,
        releases: false,
    };
    mutants(&options, &host)?.shows_something()
}

/// Runs it; an error if any carry-over was false.
pub fn run(options: &Options) -> Result<()> {
    let host = Host::probe().map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    if options.releases {
        return releases::run(options, &host);
    }
    words::known(&options.only, OWN.into_iter().chain(PACKAGES))?;
    mutants(options, &host).map(drop)
}

/// Judges mutants, no two the same; an error if any carry-over was false.
fn mutants(options: &Options, host: &Host) -> Result<Tally> {
    let home = shell::target().join("bench-carryover-source");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    let subjects = subjects(options, &home, host)?;
    ensure!(!subjects.is_empty(), "no program to mutate");
    step(&format!("{} mutants of {} programs", options.mutants, subjects.len()));
    let (mut tally, mut seen) = (Tally::default(), HashSet::new());
    for number in 0..options.mutants {
        let subject = &subjects[number % subjects.len()];
        let mut random = Random::of(options.seed, number as u64);
        let made = (0..TRIES).find_map(|_| {
            let mutant = mutate::make(&subject.files, &subject.likely, &subject.idle, &mut random)?;
            seen.insert((number % subjects.len(), digest(&mutant.files))).then_some(mutant)
        });
        let Some(mutant) = made else { continue };
        let outcome = subject.judge(&mutant.files, host)?;
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
        tally.add(subject, mutant.kind, &outcome);
    }
    let document = tally.document(options, &subjects);
    let title = format!("{} mutants, seed {}; each replayed in the runner", tally.all.mutants, options.seed);
    super::print(&title, &document, options.json);
    if !options.json {
        tally.print();
    }
    let falsely = tally.all.falsely;
    ensure!(falsely == 0, "{falsely} carry-overs were false");
    Ok(tally)
}

/// A tree's files as one number.
fn digest(files: &mutate::Files) -> Sha256 {
    let mut stream = Sha256::stream();
    for (path, bytes) in files {
        stream.update(Sha256::of(path.as_bytes()).as_bytes());
        stream.update(Sha256::of(bytes).as_bytes());
    }
    stream.finish()
}

fn subjects(options: &Options, home: &std::path::Path, host: &Host) -> Result<Vec<Subject>> {
    let mut all = Vec::new();
    for name in OWN {
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
