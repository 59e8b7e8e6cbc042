//! Recording: one run with the host's tree in sight, then closing over what it touched.

mod closure;
mod search;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use assay_evidence::Sha256;

use crate::capsule::{Blob, CAPSULE_SCHEMA, Capsule, FileKind, SubjectSlot};
use crate::error::WitnessError;
use crate::host::{Host, Refusal};
use crate::limits::Limits;
use crate::provenance::{MAX_IDENTIFIED_BYTES, SubjectToolchain, Unidentified, point_at};
use crate::replay::{Beyond, ReplayRequest, Run, landlock};
use crate::report::RunReport;
use crate::root::{RootPlan, WRITABLE, c_string};
use crate::schedule::{Conditions, MAX_SWITCHES, Switch};
use crate::source::{FileSource, Located};
use crate::sys::child::Tree;
use crate::tracer::explore::Plan;

pub use search::{Attempt, Coverage, Found, Knob, Search, search};

/// What to record.
#[derive(Clone, Debug, Default)]
pub struct RecordRequest {
    /// The command; its first word is a path, relative ones to the working directory.
    pub command: Vec<String>,
    /// The artifacts under test: role and path on this host. A subject's place in the capsule is that
    /// same absolute path, symbolic links resolved. A directory is a tree.
    pub subjects: Vec<(String, PathBuf)>,
    /// Files and whole directories of this host that the capsule holds besides what the run touches:
    /// what another build may ask for.
    pub include: Vec<PathBuf>,
    /// The bytes on standard input.
    pub stdin: Vec<u8>,
    /// The whole environment, already filtered by the caller.
    pub environment: BTreeMap<String, String>,
    /// Absolute path on this host, and in the capsule.
    pub working_directory: String,
    /// What the run may use, now and at each replay.
    pub limits: Limits,
    /// The seed of everything random.
    pub seed: u64,
    /// The bytes of DSSE envelopes about the subjects.
    pub provenance: Vec<Vec<u8>>,
}

/// A capsule, where its bytes are, and what the recorded run showed.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The capsule.
    pub capsule: Capsule,
    /// The bytes of each digest that it names.
    pub located: BTreeMap<Sha256, Located>,
    /// The recorded run; its trace may differ from a replay's, which sees the capsule's files only.
    pub report: RunReport,
}

impl FileSource for Recording {
    fn path(&self, digest: &Sha256) -> io::Result<PathBuf> {
        match self.located.get(digest) {
            Some(Located::Path(path)) => Ok(path.clone()),
            Some(Located::Bytes(_)) => Err(io::Error::other("these bytes are in memory only")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The digest of an open file, from its start.
pub(crate) fn digest_of(file: &File) -> io::Result<Sha256> {
    use std::os::unix::fs::FileExt;
    let mut digest = Sha256::stream();
    let mut chunk = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        let got = file.read_at(&mut chunk, at)?;
        if got == 0 {
            return Ok(digest.finish());
        }
        digest.update(&chunk[..got]);
        at += got as u64;
    }
}

/// Runs the command once with the host's files in sight, read-only, and closes over those it touched.
///
/// The program has the caller's own user id, without any capability, so that it sees what the caller
/// sees; `/dev`, `/proc`, `/sys` and `/run` are the runner's, the network is absent, host sockets and
/// pipes are refused, and what it writes below `/tmp` goes nowhere.
///
/// # Errors
/// A request that makes no sense, files that cannot be read, or a sandbox that could not be built.
pub fn record(request: &RecordRequest, host: &Host) -> Result<Recording, WitnessError> {
    let command = checked_command(request, host)?;
    let how = How { seed: request.seed, ..How::default() };
    let ran = run_with_schedule(request, &command, host, &how)?;
    close(request, command, how, ran)
}

/// The command with its program's absolute path, once everything else of the request makes sense.
fn checked_command(request: &RecordRequest, host: &Host) -> Result<Vec<String>, WitnessError> {
    if let Some(lacking) = host.lacking() {
        let what = format!("recording needs namespaces: {}", lacking.what);
        return Err(WitnessError::Refused(Refusal { what, ..lacking.clone() }));
    }
    if let Some(name) = request.limits.first_out_of_range() {
        return Err(crate::capsule::CapsuleError::Limit { name }.into());
    }
    let program = request.command.first().ok_or_else(|| bad("there is no command"))?;
    if !request.working_directory.starts_with('/') {
        return Err(bad("the working directory is not an absolute path"));
    }
    let program = closure::normalised(&Path::new(&request.working_directory).join(program));
    let mut command = request.command.clone();
    command[0] = program;
    Ok(command)
}

/// What one of several runs of a request has of its own.
#[derive(Clone, Debug, Default)]
struct How {
    seed: u64,
    conditions: Conditions,
    schedule: Vec<Switch>,
}

/// A run with its schedule, grown as far as the run needed it.
struct Ran {
    report: RunReport,
    beyond: Beyond,
    schedule: Vec<Switch>,
}

/// The capsule that holds what a run touched.
fn close(
    request: &RecordRequest,
    command: Vec<String>,
    how: How,
    ran: Ran,
) -> Result<Recording, WitnessError> {
    let mut touched = ran.beyond.touched;
    // A switch that the run never came by made no difference to it.
    let met = |(at, switch): (usize, Switch)| ran.beyond.switches_met.contains(&at).then_some(switch);
    let schedule = ran.schedule.into_iter().enumerate().filter_map(met).collect();
    touched.push(command[0].clone());
    let (subjects, archives) = subjects(request)?;
    touched.extend(subjects.iter().map(|slot| slot.path.clone()));
    for path in &request.include {
        touched.extend(included(path)?);
    }
    let closed = closure::close(&touched, &request.working_directory)?;
    let mut located = closed.located;
    located.extend(archives);
    let stdin = (!request.stdin.is_empty()).then(|| {
        let digest = Sha256::of(&request.stdin);
        located.insert(digest, Located::Bytes(request.stdin.clone()));
        Blob { digest, size: request.stdin.len() as u64 }
    });
    let mut capsule = Capsule {
        schema_version: CAPSULE_SCHEMA,
        command,
        environment: request.environment.clone(),
        working_directory: closure::normalised(Path::new(&request.working_directory)),
        stdin,
        files: closed.files,
        subjects,
        seed: how.seed,
        limits: request.limits,
        schedule,
        conditions: how.conditions,
        provenance: Vec::new(),
    };
    for envelope in &request.provenance {
        let pointer = point_at(envelope, &capsule)?;
        located.insert(pointer.digest, Located::Bytes(envelope.clone()));
        capsule.provenance.push(pointer);
    }
    capsule.provenance.sort_by_key(|pointer| pointer.digest);
    capsule.provenance.dedup();
    capsule.validate()?;
    let report = with_digests(ran.report, &capsule);
    Ok(Recording { capsule, located, report })
}

fn bad(what: &str) -> WitnessError {
    WitnessError::Request { what: what.to_owned() }
}

/// The slots, and the archives of those that are trees.
fn subjects(request: &RecordRequest) -> Result<(Vec<SubjectSlot>, BTreeMap<Sha256, Located>), WitnessError> {
    let mut archives = BTreeMap::new();
    let mut slots = Vec::new();
    for (role, path) in &request.subjects {
        let unreadable = |source| WitnessError::File { path: path.display().to_string(), source };
        let real = path.canonicalize().map_err(unreadable)?;
        let tree = real.is_dir().then(|| archive(&real)).transpose()?;
        let tree = tree.map(|bytes| {
            let blob = Blob { digest: Sha256::of(&bytes), size: bytes.len() as u64 };
            archives.insert(blob.digest, Located::Bytes(bytes));
            blob
        });
        let toolchain = Some(toolchain(&real).map_err(unreadable)?);
        let path = real.to_str().ok_or_else(|| bad("a subject's path is not UTF-8"))?.to_owned();
        slots.push(SubjectSlot { role: role.clone(), path, tree, toolchain });
    }
    slots.sort_by(|a, b| a.role.cmp(&b.role));
    Ok((slots, archives))
}

/// What compiled the subject at a path.
fn toolchain(path: &Path) -> io::Result<SubjectToolchain> {
    let unknown = |reason| Ok(SubjectToolchain::Unidentified { reason });
    let meta = path.metadata()?;
    if meta.is_dir() {
        return unknown(Unidentified::Tree);
    }
    if meta.len() > MAX_IDENTIFIED_BYTES {
        return unknown(Unidentified::TooLarge);
    }
    Ok(SubjectToolchain::of(&std::fs::read(path)?))
}

fn archive(directory: &Path) -> Result<Vec<u8>, WitnessError> {
    let mut bytes = Vec::new();
    let unfit = |error| bad(&format!("{} is no tree: {error}", directory.display()));
    crate::tree::pack(directory, &mut bytes).map_err(unfit)?;
    Ok(bytes)
}

/// A path and everything below it.
fn included(path: &Path) -> Result<Vec<String>, WitnessError> {
    let unreadable = |source| WitnessError::File { path: path.display().to_string(), source };
    let real = path.canonicalize().map_err(unreadable)?;
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| bad("a path is not UTF-8"));
    let mut all = vec![text(path)?, text(&real)?];
    if real.is_dir() {
        let unfit = |error| bad(&format!("{} cannot be included: {error}", path.display()));
        for entry in crate::tree::walk(&real).map_err(unfit)? {
            all.push(text(&real.join(entry.path))?);
        }
    }
    Ok(all)
}

/// Runs again with one switch more as long as a thread computes while others wait for its turn.
fn run_with_schedule(
    request: &RecordRequest,
    command: &[String],
    host: &Host,
    how: &How,
) -> Result<Ran, WitnessError> {
    let mut how = how.clone();
    loop {
        let (report, beyond) = run(request, command, host, &how, None)?;
        match beyond.stuck {
            Some(switch) => how.schedule.push(switch),
            None => return Ok(Ran { report, beyond, schedule: how.schedule }),
        }
    }
}

/// How long a thread may compute, in microseconds of CPU time: longer where taking its turn did not help,
/// since then it does real work.
fn patience(schedule: &[Switch]) -> u64 {
    const FIRST: u64 = 300_000;
    const MAX_DOUBLINGS: usize = 16;
    let Some(last) = schedule.last() else { return FIRST };
    let same = |switch: &&Switch| switch.thread == last.thread && switch.event == last.event;
    FIRST << schedule.iter().rev().take_while(same).count().saturating_sub(1).min(MAX_DOUBLINGS)
}

fn run(
    request: &RecordRequest,
    command: &[String],
    host: &Host,
    how: &How,
    explore: Option<&Plan>,
) -> Result<(RunReport, Beyond), WitnessError> {
    let schedule = &how.schedule;
    let mut plan = RootPlan::with_runner_files()?;
    for directory in ["upper", "work", "empty", "dev", "proc", "sys"] {
        plan.directory(directory, 0o755)?;
    }
    let hidden = ["run"].map(c_string).into_iter().collect::<Result<_, _>>()?;
    let run = Run {
        tree: Tree::Host,
        size: plan.bytes + request.limits.disk_bytes + (16 << 20),
        plan,
        writable: WRITABLE.iter().map(|path| c_string(*path)).collect::<Result<_, _>>()?,
        hidden,
        command,
        environment: &request.environment,
        working_directory: &request.working_directory,
        stdin: &request.stdin,
        limits: request.limits,
        seed: how.seed,
        schedule,
        conditions: &how.conditions,
        explore,
        patience: (schedule.len() < MAX_SWITCHES).then(|| patience(schedule)),
        request: &ReplayRequest::default(),
        landlock: landlock(host)?,
        recording: true,
        lookups: false,
        visible: None,
        debugger: None,
        host,
    };
    run.go(&|path| Some(PathBuf::from(path)), &|_| None)
}

fn with_digests(mut report: RunReport, capsule: &Capsule) -> RunReport {
    let digest = |path: &str| match capsule.file(path)?.kind {
        FileKind::Regular { digest, .. } => Some(digest),
        _ => None,
    };
    for module in &mut report.modules {
        module.digest = digest(&module.module.path);
    }
    for file in &mut report.files_opened {
        file.digest = digest(&file.path);
    }
    report
}
