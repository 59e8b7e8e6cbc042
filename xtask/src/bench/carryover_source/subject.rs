//! A program with its tree and its recorded run, and what becomes of one mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use assay_delta::source::{SourceRule, SourceRun, SourceTree, TreeEntry, idle_lines, prove_source};
use assay_evidence::Sha256;
use assay_verify::{source_run, source_tree};
use assay_witness::{
    Capsule, Ending, Host, Limits, Located, MapSource, RecordRequest, ReplayRequest, RunReport, record,
    replay, runtime_coverage,
};

use super::idle::IdleLines;
use super::mutate::Files;
use super::trace::mapped;
use crate::corpus::entry::Entry;
use crate::corpus::obtain::Obtained;
use crate::shell;

const ROLE: &str = "package";
/// Processor time of one run: mutants may loop for ever.
const CPU_MICROS: u64 = 4_000_000;
const LINES: usize = 200_000;

/// A program and its run on the original tree.
pub struct Subject {
    pub name: String,
    /// The original tree.
    pub files: Files,
    /// Files of it that the run opens.
    pub likely: Vec<String>,
    /// Interiors of functions that the run does not execute.
    pub idle: IdleLines,
    pub uncovered: Option<String>,
    tree: SourceTree,
    capsule: Capsule,
    located: MapSource,
    run: Option<SourceRun>,
    root: String,
    shown: Shown,
    scratch: PathBuf,
}

/// What a run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    ending: Ending,
    outputs: [Sha256; 2],
    lines: Vec<String>,
}

impl Shown {
    fn of(report: &RunReport, root: &str) -> Self {
        let (lines, _) = mapped(&report.trace, root);
        Self { ending: report.ending.clone(), outputs: [report.stdout.digest, report.stderr.digest], lines }
    }

    /// The first thing that differs.
    fn difference(&self, other: &Self) -> Option<String> {
        if self.ending != other.ending {
            return Some(format!("{:?} became {:?}", self.ending, other.ending));
        }
        if self.outputs != other.outputs {
            return Some("the outputs differ".to_owned());
        }
        let pairs = self.lines.iter().zip(&other.lines);
        let found = pairs.enumerate().find(|(_, (a, b))| a != b);
        found.map(|(at, (a, b))| format!("line {at}: {a} | {b}")).or_else(|| {
            let (a, b) = (self.lines.len(), other.lines.len());
            (a != b).then(|| format!("{a} lines became {b}"))
        })
    }
}

/// What became of one mutant.
pub struct Outcome {
    /// Carried, or every reason why not.
    pub refused: Option<BTreeSet<String>>,
    pub same: bool,
    pub difference: String,
    /// Whether the program asks for nothing that a harmless edit changes.
    pub observes_nothing: bool,
}

impl Subject {
    /// A program of the bench itself.
    pub fn own(name: &str, home: &Path, host: &Host) -> Result<Self> {
        let from = shell::root().join("xtask/carryover/source").join(name);
        let folder = home.join(name);
        let is_python = from.join("main.py").exists();
        // Node finds a package by the name of its folder.
        let place = folder.join(if is_python { "tree".to_owned() } else { format!("modules/{name}") });
        write(&place, &read(&from.join("tree"))?)?;
        let script = if is_python { "main.py" } else { "main.js" };
        std::fs::copy(from.join(script), folder.join(script))?;
        let (program, variable, value) = match is_python {
            true => ("/usr/bin/python3", "PYTHONPATH", place.clone()),
            false => ("/usr/bin/node", "NODE_PATH", folder.join("modules")),
        };
        ensure!(Path::new(program).exists(), "{program} is not installed");
        let command = vec![program.to_owned(), folder.join(script).display().to_string()];
        let environment =
            vec![format!("{variable}={}", value.display()), "PYTHONDONTWRITEBYTECODE=1".to_owned()];
        Self::prepare(name, &place, command, &environment, &folder, host)
    }

    /// An incident's package.
    pub fn package(entry: &Entry, obtained: &Obtained, home: &Path, host: &Host) -> Result<Self> {
        let folder = home.join(&entry.id);
        std::fs::create_dir_all(&folder)?;
        let (command, environment) = (obtained.command.clone(), &obtained.environment);
        Self::prepare(&entry.id, &obtained.vulnerable, command, environment, &folder, host)
    }

    fn prepare(
        name: &str,
        place: &Path,
        command: Vec<String>,
        environment: &[String],
        folder: &Path,
        host: &Host,
    ) -> Result<Self> {
        let pair =
            |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = RecordRequest {
            command,
            subjects: vec![(ROLE.to_owned(), place.to_owned())],
            environment: environment.iter().filter_map(pair).collect(),
            working_directory: "/".to_owned(),
            limits: Limits { cpu_micros: CPU_MICROS, ..Limits::default() },
            ..RecordRequest::default()
        };
        let recording = record(&request, host)?;
        let mut located = BTreeMap::new();
        for (digest, at) in &recording.located {
            let file = match at {
                Located::Path(path) => path.clone(),
                Located::Bytes(bytes) => {
                    let file = folder.join(digest.hex());
                    std::fs::write(&file, bytes)?;
                    file
                }
            };
            located.insert(*digest, file);
        }
        let (capsule, located) = (recording.capsule, MapSource(located));
        let files = read(place)?;
        let original = folder.join("original");
        write(&original, &files)?;
        let plain = replay(&capsule, &located, &substituted(&original), host)?;
        let again = replay(&capsule, &located, &substituted(&original), host)?;
        ensure!(plain.trace_digest == again.trace_digest, "{name} is not exact");
        let slot = capsule.subjects.first().context("no subject")?.clone();
        let coverage = runtime_coverage(&capsule, &located, &substituted(&original), host, &plain)?;
        let (run, uncovered) = match coverage {
            Ok(coverage) => (Some(source_run(&capsule, &located, &slot, coverage)), None),
            Err(uncovered) => (None, Some(uncovered.code.to_owned())),
        };
        let prefix = format!("{}/", slot.path);
        let opened = plain.files_opened.iter().filter_map(|file| file.path.strip_prefix(&prefix));
        let likely = opened.filter(|path| files.contains_key(*path)).map(str::to_owned).collect();
        let shown = Shown::of(&plain, &slot.path);
        let mut idle = IdleLines::new();
        for (inside, covered) in run.iter().flat_map(|run| &run.functions) {
            let path = inside.strip_prefix(&prefix).and_then(|path| Some((path, files.get(path)?)));
            let (Some((path, bytes)), Some(run)) = (path, &run) else { continue };
            let lines = idle_lines(bytes, run.language, covered);
            if !lines.is_empty() {
                idle.insert(path.to_owned(), lines);
            }
        }
        Ok(Self {
            name: name.to_owned(),
            tree: source_tree(&original, &slot).context("the tree cannot be read")?,
            files,
            likely,
            idle,
            uncovered,
            capsule,
            located,
            run,
            root: slot.path,
            shown,
            scratch: folder.join("mutant"),
        })
    }

    /// Proves or refuses a mutant, and replays it in any case.
    pub fn judge(&self, files: &Files, host: &Host) -> Result<Outcome> {
        if self.scratch.exists() {
            std::fs::remove_dir_all(&self.scratch)?;
        }
        write(&self.scratch, files)?;
        self.judge_folder(&self.scratch, host)
    }

    /// The same for a tree in a folder.
    pub fn judge_folder(&self, folder: &Path, host: &Host) -> Result<Outcome> {
        let slot = &self.capsule.subjects[0];
        let tree = source_tree(folder, slot).context("the mutant cannot be read")?;
        let digest = Sha256::of;
        let (refused, observes_nothing) = match &self.run {
            None => (Some(self.uncovered.clone().into_iter().collect()), false),
            Some(run) => {
                let proven = prove_source(
                    (digest(b"a"), &self.tree),
                    (digest(b"b"), &tree),
                    run,
                    SourceRule::Functions,
                );
                let codes = |list: Vec<assay_delta::source::SourceRefusal>| {
                    if std::env::var_os("ASSAY_BENCH_REFUSALS").is_some() {
                        for refusal in &list {
                            eprintln!("    {}: {refusal}", self.name);
                        }
                    }
                    list.into_iter().map(|refusal| refusal.reason.to_string()).collect::<BTreeSet<_>>()
                };
                (proven.map(drop).map_err(codes).err(), self.observes_nothing(run))
            }
        };
        let report = replay(&self.capsule, &self.located, &substituted(folder), host)?;
        let difference = self.shown.difference(&Shown::of(&report, &self.root));
        Ok(Outcome {
            refused,
            same: difference.is_none(),
            difference: difference.unwrap_or_default(),
            observes_nothing,
        })
    }

    /// Whether a comment more in some body that did not run would carry: it is in the grammar, and the run looks
    /// at nothing.
    fn observes_nothing(&self, run: &SourceRun) -> bool {
        let mut tree = self.tree.clone();
        let body = self.idle.iter().next().and_then(|(path, lines)| Some((path, lines.first()?)));
        let Some((path, lines)) = body else { return false };
        if let Some(TreeEntry::File { bytes, .. }) = tree.get_mut(path) {
            let comment: &[u8] = if path.ends_with(".py") { b"    # more\n" } else { b"// more\n" };
            bytes.splice(lines.start..lines.start, comment.iter().copied());
        }
        prove_source((Sha256::of(b"a"), &self.tree), (Sha256::of(b"b"), &tree), run, SourceRule::Functions)
            .is_ok()
    }
}

fn substituted(folder: &Path) -> ReplayRequest {
    ReplayRequest {
        substitutions: [(ROLE.to_owned(), folder.to_owned())].into(),
        keep_trace: Some(LINES),
        ..ReplayRequest::default()
    }
}

/// Every file below a folder.
pub fn read(folder: &Path) -> Result<Files> {
    let mut all = Files::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).with_context(|| at.display().to_string())? {
            let path = entry?.path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                all.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(all)
}

/// Writes files into a folder.
pub fn write(folder: &Path, files: &Files) -> Result<()> {
    for (path, bytes) in files {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
        std::fs::write(&file, bytes)?;
    }
    Ok(())
}
