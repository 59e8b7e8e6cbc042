//! `cargo xtask bench carryover`: are runs that were carried over what replays show?
//!
//! Real programs and observers of order and layout are built and recorded, then mutated in their
//! sources, their builds and their bytes. Each mutant is judged by the proof and by a replay in the
//! runner; a run that was carried over and is another is a false carry-over, of which there may be
//! none. As in the pipeline, layout-sensitive witnesses and those that read their own file are never
//! carried; undefined behaviour is in none of the programs.

mod builds;
mod bytes;
mod edits;
mod judge;
pub mod programs;
pub mod random;
pub mod recipe;
mod releases;
mod tally;
mod tokens;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use assay_binary::Image;
use assay_witness::Host;

use self::builds::{Harmless, LINK_ORDER};
use self::bytes::Target;
use self::judge::{Outcome, Prepared};
use self::programs::Program;
pub use self::random::Random;
use self::recipe::{Recipe, Workshop};
use self::tally::Tally;
use crate::shell;
use crate::words::{self, Words};

/// How many mutants a whole run judges.
const MUTANTS: usize = 3000;
const SEED: u64 = 4;
const WORKERS: usize = 2;
/// How often a mutant may come out as one that was there before.
const MAX_DRAWS: usize = 12;
/// The programs of the fast run.
const FAST: [&str; 6] = ["json", "matcher", "registry", "sorted", "indirect", "settings"];
const FAST_MUTANTS: usize = 60;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    json: bool,
    mutants: usize,
    only: Vec<String>,
    seed: u64,
    /// Real consecutive releases instead of mutants.
    releases: bool,
}

impl Options {
    /// `[--json] [-n MUTANTS] [--only PROGRAM,PROGRAM] [--seed S] [--releases]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options =
            Self { json: false, mutants: MUTANTS, only: Vec::new(), seed: SEED, releases: false };
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--releases" => options.releases = true,
                "-n" => options.mutants = words.number()?,
                "--only" => options.only = words.list()?,
                "--seed" => options.seed = words.number()?,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

/// One mutant: what was done, and its bytes.
struct Mutant {
    kind: &'static str,
    detail: String,
    harmless: Option<Harmless>,
    bytes: Vec<u8>,
}

/// A few mutants in a test run; an error where one was carried falsely.
pub fn fast() -> Result<()> {
    shell::step("carry-over: a few mutants");
    let only = FAST.map(str::to_owned).to_vec();
    mutants(&Options { json: false, mutants: FAST_MUTANTS, only, seed: SEED, releases: false })?
        .shows_something()
}

pub fn run(options: &Options) -> Result<()> {
    if options.releases {
        let given = (options.mutants, options.seed, options.only.is_empty());
        ensure!(given == (MUTANTS, SEED, true), "--releases takes neither -n nor --only nor --seed");
        return releases::run(options.json);
    }
    mutants(options).map(drop)
}

/// Judges mutants; an error where one was carried falsely.
fn mutants(options: &Options) -> Result<Tally> {
    let home = shell::target().join("bench-carryover");
    if home.exists() {
        std::fs::remove_dir_all(&home).context("the folder of the last bench cannot be removed")?;
    }
    std::fs::create_dir_all(&home)?;
    let host = Host::probe()?;
    let mut all: Vec<Program> = programs::ALL.to_vec();
    words::known(&options.only, all.iter().map(|program| program.name))?;
    all.retain(|program| options.only.is_empty() || options.only.iter().any(|name| name == program.name));
    shell::step("building and recording the programs");
    let prepared = prepare(&all, &home, &host)?;
    shell::step(&format!("{} mutants of {} programs, seed {}", options.mutants, all.len(), options.seed));
    let tally = judge_all(options, &prepared, &home, &host)?;
    let document = tally.document(options.mutants, options.seed, &prepared);
    let title = format!("{} mutants, seed {}; each replayed in the runner", options.mutants, options.seed);
    super::print(&title, &document, options.json);
    if !options.json {
        tally.print(&prepared);
    }
    for folder in ["objects", "worker-0", "worker-1", "worker-first"] {
        let _ = std::fs::remove_dir_all(home.join(folder));
    }
    ensure!(tally.false_ones.is_empty(), "{} runs were carried over falsely", tally.false_ones.len());
    Ok(tally)
}

fn prepare(all: &[Program], home: &Path, host: &Host) -> Result<Vec<Prepared>> {
    let workshop = Workshop::new(home, "first")?;
    all.iter().map(|program| judge::prepare(program, home, &workshop, host)).collect()
}

fn judge_all(options: &Options, prepared: &[Prepared], home: &Path, host: &Host) -> Result<Tally> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let tally = Mutex::new(Tally::default());
    let seen = Mutex::new(HashSet::new());
    let work = |worker: usize| -> Result<()> {
        let shop = Shop { workshop: Workshop::new(home, &worker.to_string())?, host, seen: &seen, home };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.mutants || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            shop.one(options.seed, number, prepared, &tally)?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let (work, failed) = (&work, &failed);
                scope.spawn(move || work(worker).inspect_err(|_| failed.store(true, Ordering::Relaxed)))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker died"))?)
    })?;
    Ok(tally.into_inner().unwrap_or_default())
}

/// The value of `CARRYOVER_TALK` that keeps the harmless rebuilds that did not carry.
const HARMLESS: &str = "harmless";

fn talks_of(what: &str) -> bool {
    std::env::var_os("CARRYOVER_TALK").is_some_and(|which| which == what)
}

/// One worker's place and tools.
struct Shop<'a> {
    workshop: Workshop,
    host: &'a Host,
    /// Hashes of every binary that was judged.
    seen: &'a Mutex<HashSet<u64>>,
    home: &'a Path,
}

impl Shop<'_> {
    fn one(&self, seed: u64, number: usize, all: &[Prepared], tally: &Mutex<Tally>) -> Result<()> {
        let mut random = Random::of(seed, number as u64);
        let prepared = draw(all, &mut random);
        for _ in 0..MAX_DRAWS {
            let Some(mutant) = self.make(prepared, &mut random)? else { continue };
            if !self.is_new(prepared, &mutant.bytes) {
                continue;
            }
            let place = self.workshop.folder().join("mutant");
            let outcome = prepared.judge(&mutant.bytes, &place, self.host)?;
            let falsely = outcome.refused.is_none() && !outcome.same;
            if falsely {
                let difference = prepared.difference(&place, self.host)?;
                self.keep(prepared, &mutant, &format!("false-{number}"), &difference)?;
            }
            let refused = outcome.refused.is_some() && outcome.same && mutant.harmless.is_some();
            if refused && !prepared.program.observes && talks_of(HARMLESS) {
                self.keep(prepared, &mutant, &format!("harmless-{number}"), &outcome.detail)?;
            }
            if let Ok(mut tally) = tally.lock() {
                tally.add(prepared, mutant.kind, &mutant.detail, mutant.harmless, &outcome);
                let count = tally.mutants();
                if count.is_multiple_of(250) {
                    eprintln!("{count} judged, {} false", tally.false_ones.len());
                }
            }
            self.say(prepared, &mutant, &outcome);
            return Ok(());
        }
        Ok(())
    }

    /// With `CARRYOVER_TALK` every mutant is told about; where it is `harmless`, only those that a replay
    /// shows the same and that did not carry, and their files are kept.
    fn say(&self, prepared: &Prepared, mutant: &Mutant, outcome: &Outcome) {
        let harmless = mutant.harmless.is_some() && outcome.refused.is_some();
        if std::env::var_os("CARRYOVER_TALK").is_some_and(|which| which != HARMLESS || harmless) {
            let (name, kind, what) = (prepared.program.name, mutant.kind, &mutant.detail);
            let (same, detail) = (outcome.same, &outcome.detail);
            eprintln!("{name}: {kind}: {what}: same {same}: {:?}: {detail}", outcome.refused);
        }
    }

    fn is_new(&self, prepared: &Prepared, bytes: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        (prepared.program.name, bytes).hash(&mut hasher);
        let hash = hasher.finish();
        bytes != prepared.original && self.seen.lock().is_ok_and(|mut seen| seen.insert(hash))
    }

    /// Keeps both files for whoever looks into them.
    fn keep(&self, prepared: &Prepared, mutant: &Mutant, name: &str, difference: &str) -> Result<()> {
        let folder: PathBuf = self.home.join(name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("a"), &prepared.original)?;
        std::fs::write(folder.join("b"), &mutant.bytes)?;
        let what = format!("{}: {}: {}\n{difference}", prepared.program.name, mutant.kind, mutant.detail);
        std::fs::write(folder.join("what"), what)?;
        let executed: String = prepared.executed.iter().map(|address| format!("{:x}\n", address.0)).collect();
        std::fs::write(folder.join("executed"), executed)?;
        Ok(())
    }

    fn make(&self, prepared: &Prepared, random: &mut Random) -> Result<Option<Mutant>> {
        match random.below(100) {
            0..40 => self.edited(prepared, random),
            40..49 => self.unrelated(prepared, random),
            49..63 => self.rebuilt(prepared, random),
            _ => Ok(patched(prepared, random)),
        }
    }

    fn build(
        &self,
        recipe: &Recipe,
        kind: &'static str,
        detail: String,
        harmless: Option<Harmless>,
    ) -> Result<Option<Mutant>> {
        let built = self.workshop.build(recipe)?;
        let bytes = built.map(std::fs::read).transpose()?;
        Ok(bytes.map(|bytes| Mutant { kind, detail, harmless, bytes }))
    }

    fn edited(&self, prepared: &Prepared, random: &mut Random) -> Result<Option<Mutant>> {
        let mut recipe = prepared.recipe.clone();
        recipe.kept = false;
        let source = random.below(recipe.sources.len());
        let text = &recipe.sources[source].1;
        let edits = edits::all(&prepared.program, text, random);
        // A kind first, so that rare kinds are not drowned by common ones.
        let mut kinds: Vec<&str> = edits.iter().map(|edit| edit.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let Some(kind) = random.pick(&kinds) else { return Ok(None) };
        let own: Vec<_> = edits.iter().filter(|edit| edit.kind == *kind).collect();
        let Some(edit) = random.pick(&own) else { return Ok(None) };
        let line = text[..edit.from].lines().count();
        let detail = format!(
            "{} line {line}: `{}` -> `{}`",
            recipe.sources[source].0,
            &text[edit.from..edit.to],
            edit.text
        );
        let (kind, changed) = (edit.kind, edit.apply(text));
        recipe.sources[source].1 = changed;
        self.build(&recipe, kind, detail, None)
    }

    fn unrelated(&self, prepared: &Prepared, random: &mut Random) -> Result<Option<Mutant>> {
        let mut recipe = prepared.recipe.clone();
        recipe.kept = false;
        let source = random.below(recipe.sources.len());
        let text = &recipe.sources[source].1;
        let Some(edit) = edits::unrelated(&prepared.program, text, random) else { return Ok(None) };
        let detail = format!("{}: {}", recipe.sources[source].0, edit.text.trim());
        let changed = edit.apply(text);
        recipe.sources[source].1 = changed;
        self.build(&recipe, edits::UNRELATED, detail, Some(Harmless::Unrelated))
    }

    fn rebuilt(&self, prepared: &Prepared, random: &mut Random) -> Result<Option<Mutant>> {
        let mut recipe = prepared.recipe.clone();
        let all = builds::variations(prepared.program.language, recipe.sources.len());
        let harmless: Vec<_> = all.iter().copied().filter(|variation| variation.harmless.is_some()).collect();
        let variation = match random.below(8) {
            0 if recipe.sources.len() > 1 => &LINK_ORDER,
            0..3 => random.pick(&harmless).copied().unwrap_or(&LINK_ORDER),
            _ => random.pick(&all).copied().unwrap_or(&LINK_ORDER),
        };
        variation.apply(&mut recipe, random);
        self.build(&recipe, variation.name, String::new(), variation.harmless)
    }
}

/// The real programs, two in three times; Rust takes long to build and comes one time in five.
fn draw<'p>(all: &'p [Prepared], random: &mut Random) -> &'p Prepared {
    loop {
        let drawn = &all[random.below(all.len())];
        let one_in = match (drawn.recipe.is_rust(), drawn.program.observes) {
            (true, _) => 5,
            (false, true) => 2,
            (false, false) => 1,
        };
        if random.below(one_in) == 0 {
            return drawn;
        }
    }
}

fn patched(prepared: &Prepared, random: &mut Random) -> Option<Mutant> {
    const KINDS: [&str; 11] = [
        bytes::CODE,
        bytes::CODE,
        bytes::CODE,
        bytes::DATA,
        bytes::DATA,
        bytes::SLOTS,
        bytes::INITIALISERS,
        bytes::TABLES,
        bytes::CALLS,
        bytes::DEAD_CODE,
        bytes::PADDING,
    ];
    let image = Image::parse(&prepared.original).ok()?;
    let [executed, idle] = &prepared.ranges;
    let target = Target { image: &image, bytes: &prepared.original, executed, idle };
    let patch = target.patch(KINDS[random.below(KINDS.len())], random)?;
    let detail = patch.changes.iter().map(|(at, new)| format!("{at:#x}: {new:02x?} ")).collect();
    Some(Mutant { kind: patch.kind, detail, harmless: None, bytes: patch.apply(&prepared.original) })
}
