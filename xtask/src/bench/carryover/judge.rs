//! A program with its recorded run, and what becomes of one mutant: proven or not, the same run or not.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use assay_binary::{Address, CodeMap, Image, UnitKind};
use assay_delta::{Executed, Index, Target, prove};
use assay_evidence::Sha256;
use assay_witness::{
    CoveragePlan, Ending, Host, Layout, Limits, Located, Perturbation, RecordRequest, Recording,
    ReplayRequest, RunReport, record, replay,
};

use super::programs::Program;
use super::recipe::{Recipe, Workshop};

/// Processor time of one run: mutants may loop for ever.
pub(super) const CPU_MICROS: u64 = 400_000;
const ROLE: &str = "subject";
/// Lines of a trace that are compared where the digest cannot be.
pub(super) const LINES: usize = 100_000;

/// What a run showed: the event trace, the end and both outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    trace: Sha256,
    ending: Ending,
    outputs: [Sha256; 2],
}

impl Observed {
    /// `library` is the subject's path where the loader opens it.
    pub(super) fn of(report: &RunReport, library: Option<&str>) -> Self {
        let outputs = [report.stdout.digest, report.stderr.digest];
        let trace = library.map_or(report.trace_digest, |library| mapped(&report.trace, library));
        Self { trace, ending: report.ending.clone(), outputs }
    }
}

/// The digest of a trace in which the loader's own look at a library is mapped as addresses are: the
/// bytes of the headers it reads and the file's size are another file's, and what they mean is what
/// the proof compares. Only its first opening counts as the loader's.
fn mapped(trace: &[String], library: &str) -> Sha256 {
    let mut digest = Sha256::stream();
    let (mut file, mut opened) = (None, false);
    for line in trace {
        let call = line.split_once(' ').map_or("", |(_, call)| call);
        if !opened && call.starts_with("openat(") && call.contains(library) {
            file = line.rsplit_once(" = ").map(|(_, number)| number.to_owned());
            opened = true;
        }
        let of_file =
            |name: &str| file.as_ref().is_some_and(|file| call.starts_with(&format!("{name}({file},")));
        let own = of_file("read") || of_file("pread64") || of_file("newfstatat");
        let kept = if own { line.split_once(" = ").map_or("", |(kept, _)| kept) } else { line };
        digest.update(kept.as_bytes());
        digest.update(b"\n");
        if file.as_ref().is_some_and(|file| call.starts_with(&format!("close({file})"))) {
            file = None;
        }
    }
    digest.finish()
}

/// A program, its original build and its recorded run.
pub struct Prepared {
    pub program: Program,
    pub recipe: Recipe,
    pub original: Vec<u8>,
    recording: Recording,
    observed: Observed,
    pub executed: Vec<Address>,
    /// Ranges of addresses of executed functions, and of others.
    pub ranges: [Vec<(u64, u64)>; 2],
    /// Why the pipeline never carries this witness.
    pub never: Option<&'static str>,
    touchable: BTreeMap<String, Sha256>,
}

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Carried, or every reason why not.
    pub refused: Option<BTreeSet<String>>,
    /// The first refusal in words.
    pub detail: String,
    /// Whether a replay showed the same.
    pub same: bool,
    /// Whether an executed function or data that one refers to is another.
    pub touched: bool,
}

/// Builds and records; its files are kept in `home`.
pub fn prepare(program: &Program, home: &Path, workshop: &Workshop, host: &Host) -> Result<Prepared> {
    let folder = home.join(program.name);
    std::fs::create_dir_all(&folder)?;
    let recipe = Recipe::of(program)?;
    let built = workshop.build(&recipe)?.with_context(|| format!("{} does not build", program.name))?;
    let subject = folder.join(if program.loader.is_some() { "libmatcher.so" } else { "program" });
    std::fs::copy(&built, &subject)?;
    let command = match program.loader {
        None => subject.clone(),
        Some(loader) => {
            let built = workshop.build(&Recipe::of_loader(program, loader, &subject)?)?;
            let main = folder.join("main");
            std::fs::copy(built.context("the loader does not build")?, &main)?;
            main
        }
    };
    let original = std::fs::read(&subject)?;
    let mut words = vec![command.display().to_string()];
    words.extend(program.args.iter().map(|word| (*word).to_owned()));
    let request = RecordRequest {
        command: words,
        subjects: vec![(ROLE.to_owned(), subject)],
        stdin: program.input()?,
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        working_directory: "/".to_owned(),
        limits: Limits { cpu_micros: CPU_MICROS, ..Limits::default() },
        ..RecordRequest::default()
    };
    let recording = on_disk(record(&request, host)?, &home.join("files"))?;
    observe(program, recipe, original, recording, host)
}

/// Everything that a recording names, as files of its own: the host's may change while mutants run.
pub(super) fn on_disk(mut recording: Recording, folder: &Path) -> Result<Recording> {
    std::fs::create_dir_all(folder)?;
    for (digest, located) in &mut recording.located {
        let file = folder.join(digest.hex());
        match located {
            Located::Bytes(bytes) => std::fs::write(&file, bytes)?,
            Located::Path(path) if !file.exists() => std::fs::copy(path, &file).map(drop)?,
            Located::Path(_) => {}
        }
        *located = Located::Path(file);
    }
    Ok(recording)
}

/// What a recorded run shows wherever things lie, and what executed.
pub(super) struct Shown {
    pub observed: Observed,
    pub executed: Vec<Address>,
    /// Why the pipeline never carries it.
    pub never: Option<&'static str>,
}

impl Shown {
    /// None where the program neither ends by itself nor by a signal. A `library` is opened by its program,
    /// which says nothing of itself; its loads are named by its path.
    pub fn of(recording: &Recording, original: &[u8], library: bool, host: &Host) -> Result<Option<Self>> {
        let path = recording.capsule.subjects[0].path.clone();
        let image = Image::parse(original)?;
        let map = CodeMap::build(&image);
        let run = |layout, perturbation| {
            let coverage = vec![plan(&path, &map)];
            let keep_trace = Some(LINES);
            let how =
                ReplayRequest { layout, perturbation, coverage, keep_trace, ..ReplayRequest::default() };
            replay(&recording.capsule, recording, &how, host)
        };
        let report = run(Layout::Fixed, Perturbation::default())?;
        if !matches!(report.ending, Ending::Exited { .. } | Ending::Signalled { .. }) {
            return Ok(None);
        }
        let mut moved = Vec::new();
        for turn in 1..=3 {
            moved.push(run(Layout::Elsewhere(turn), Perturbation::of_turn(turn))?);
        }
        moved.push(run(Layout::Fixed, Perturbation { malloc_fill: Some(0x5a), ..Perturbation::default() })?);
        let observed = |report: &RunReport| Observed::of(report, library.then_some(path.as_str()));
        let differs = |other: &RunReport| {
            observed(other) != observed(&report) || other.functions_executed != report.functions_executed
        };
        let own = report.functions_executed.iter().filter(|function| function.module.path == path);
        let executed: Vec<Address> = own.map(|function| function.offset).collect();
        let opened = !library && report.files_opened.iter().any(|file| file.path == path);
        // As `verify::carry` has it.
        let never = if moved.iter().any(differs) {
            Some("layout_sensitive")
        } else if !report.unknown_code.is_empty() {
            Some("unknown_code")
        } else if report.generated_code {
            Some("generated_code")
        } else if opened {
            Some("own_file_read")
        } else if executed.is_empty() {
            Some("nothing_observed")
        } else {
            None
        };
        Ok(Some(Self { observed: observed(&report), executed, never }))
    }
}

fn observe(
    program: &Program,
    recipe: Recipe,
    original: Vec<u8>,
    recording: Recording,
    host: &Host,
) -> Result<Prepared> {
    let library = program.loader.is_some();
    let shown = Shown::of(&recording, &original, library, host)?;
    let Shown { observed, executed, never } =
        shown.with_context(|| format!("{} does not end by itself", program.name))?;
    let image = Image::parse(&original)?;
    let map = CodeMap::build(&image);
    let ran: BTreeSet<usize> = executed.iter().filter_map(|address| map.unit_at(address.0)).collect();
    let mut ranges = [Vec::new(), Vec::new()];
    for (index, unit) in map.units().iter().enumerate().filter(|(_, unit)| unit.kind == UnitKind::Function) {
        let which = usize::from(!ran.contains(&index));
        ranges[which].extend(unit.ranges.iter().map(|range| (range.start.0, range.end.0)));
    }
    let touchable = touchable(&original, Some(&executed)).unwrap_or_default();
    Ok(Prepared {
        program: *program,
        recipe,
        original,
        recording,
        observed,
        executed,
        ranges,
        never,
        touchable,
    })
}

/// What is watched: every entry of every unit, and every executable byte in none.
pub(super) fn plan(path: &str, map: &CodeMap) -> CoveragePlan {
    let entries =
        map.units().iter().flat_map(|unit| unit.entries.iter().map(|entry| entry.address)).collect();
    let traps = map.gaps().iter().map(|gap| gap.start.0..gap.end.0).collect();
    CoveragePlan { path: path.to_owned(), entries, traps, watch: Vec::new() }
}

/// The hashes of functions, and of the named objects they refer to, by name; only of `executed`. The
/// index's hashes are another thing than the proof, so that the one can count for the other.
fn touchable(bytes: &[u8], executed: Option<&[Address]>) -> Option<BTreeMap<String, Sha256>> {
    let index = Index::build(bytes).ok()?;
    let functions: Vec<_> = index.functions().collect();
    let objects: Vec<_> = index.objects().collect();
    let name = |target: &Target| match *target {
        Target::Function(number) => functions.get(number as usize).map_or("", |function| function.name()),
        Target::Object(number) => objects.get(number as usize).map_or("", |object| object.name()),
        _ => "",
    };
    let mut touched = BTreeMap::new();
    let ran = |address: Address| executed.is_none_or(|executed| executed.contains(&address));
    for function in functions.iter().filter(|function| ran(function.address())) {
        let names: Vec<&str> = function.references().iter().map(name).collect();
        let whole = [function.exact().as_bytes().as_slice(), names.join("\n").as_bytes()].concat();
        touched.insert(format!("function {}", function.name()), Sha256::of(&whole));
        for target in function.references() {
            if let Target::Object(number) = target
                && let Some(object) = objects.get(*number as usize)
            {
                touched.insert(format!("object {}", object.name()), Sha256::of(object.exact()));
            }
        }
    }
    Some(touched)
}

impl Prepared {
    /// Proves and replays one mutant; `place` is where its file is put.
    pub fn judge(&self, bytes: &[u8], place: &Path, host: &Host) -> Result<Outcome> {
        let mut detail = String::new();
        let refused = match self.never {
            Some(reason) => Some(BTreeSet::from([reason.to_owned()])),
            None => prove(&self.original, bytes, Executed::Units(&self.executed)).err().map(|refusals| {
                detail = refusals.first().map(ToString::to_string).unwrap_or_default();
                refusals.iter().map(|refusal| refusal.reason.to_string()).collect()
            }),
        };
        let same = self.replayed(bytes, place, host)? == self.observed;
        let touched = !same || self.touches(bytes);
        Ok(Outcome { refused, detail, same, touched })
    }

    /// The first line in which the mutant's trace, already in its place, is another; for whoever looks.
    pub fn difference(&self, place: &Path, host: &Host) -> Result<String> {
        let lines = |substitutions| -> Result<Vec<String>> {
            let how = ReplayRequest { substitutions, keep_trace: Some(LINES), ..ReplayRequest::default() };
            Ok(replay(&self.recording.capsule, &self.recording, &how, host)?.trace)
        };
        let (a, b) = (lines(BTreeMap::new())?, lines([(ROLE.to_owned(), PathBuf::from(place))].into())?);
        let at = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
        Ok(format!("line {at}\n  {:?}\n  {:?}\n", a.get(at), b.get(at)))
    }

    fn replayed(&self, bytes: &[u8], place: &Path, host: &Host) -> Result<Observed> {
        std::fs::write(place, bytes)?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))?;
        let substitutions = [(ROLE.to_owned(), PathBuf::from(place))].into();
        let library = self.program.loader.map(|_| self.recording.capsule.subjects[0].path.as_str());
        let keep_trace = library.map(|_| LINES);
        let how = ReplayRequest { substitutions, keep_trace, ..ReplayRequest::default() };
        Ok(Observed::of(&replay(&self.recording.capsule, &self.recording, &how, host)?, library))
    }

    fn touches(&self, bytes: &[u8]) -> bool {
        let Some(other) = touchable(bytes, None) else { return true };
        self.touchable.iter().any(|(name, hash)| other.get(name) != Some(hash))
    }
}
