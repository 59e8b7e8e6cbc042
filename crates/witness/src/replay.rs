//! Replaying a capsule, with its own subjects or with others in their places.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use assay_binary::Address;
use assay_evidence::Sha256;

use crate::capsule::Capsule;
use crate::debug::Debugger;
use crate::error::WitnessError;
use crate::host::{Host, Tried};
use crate::limits::Limits;
use crate::perturb::{Beside, Perturbation};
use crate::report::{Ending, LoadedModule, OpenedFile, Output, RunReport};
use crate::root::{RootPlan, WRITABLE, c_string};
use crate::schedule::{Conditions, Switch};
use crate::source::FileSource;
use crate::substitutes::{Files, Substitutes};
use crate::sys::child::{self, Launch, NOBODY, Tree};
use crate::sys::landlock::{Access, Network, Rules};
use crate::sys::{filter, task};
use crate::tracer::explore::{Explored, Plan};
use crate::tracer::{self, ModuleFile, Observed, Opening, Setup, Visible};

/// Most breakpoints in one plan, every byte of a trap range counted.
pub const MAX_COVERAGE_ENTRIES: u64 = 4_000_000;
/// Stack of the program's first thread; also decides where mappings begin.
const STACK_BYTES: u64 = 8 << 20;
/// What the root's file system may hold beyond the capsule and the disk limit.
const ROOT_SLACK: u64 = 16 << 20;
/// Seconds of CPU time after which the kernel itself ends one process, beyond the watchdog's limit.
const CPU_SLACK_SECONDS: u64 = 5;
/// Stack of the thread that traces.
const TRACER_STACK: usize = 2 << 20;

/// How a capsule is to be replayed.
#[derive(Clone, Debug, Default)]
pub struct ReplayRequest {
    /// Other builds for the places of subjects, by role: a file, or for a tree an archive or a directory.
    pub substitutions: BTreeMap<String, PathBuf>,
    /// Where modules, stack and heap lie.
    pub layout: Layout,
    /// Which functions' execution to watch.
    pub coverage: Vec<CoveragePlan>,
    /// How many lines of the trace to keep.
    pub keep_trace: Option<usize>,
    /// The line of the trace, the first being 1, after which the run is stopped and every thread's stack
    /// is reported; its ending is then `stopped_on_request`.
    pub stop_at: Option<u64>,
    /// What is made different around the run.
    pub perturbation: Perturbation,
}

/// Where modules, stack and heap lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// At the same addresses each time.
    #[default]
    Fixed,
    /// Somewhere else. The addresses are the kernel's choice; the number only tells runs apart.
    Elsewhere(u64),
}

/// What to watch in one executable.
#[derive(Clone, Debug, Default)]
pub struct CoveragePlan {
    /// Its path in the capsule.
    pub path: String,
    /// Entries of functions.
    pub entries: Vec<Address>,
    /// Executable bytes outside every known function, as addresses of the file.
    pub traps: Vec<Range<u64>>,
    /// Entries whose first execution also leaves a [`Fault`](crate::Fault) with signal 0 and the stack:
    /// how a panic that ends with an exit code is captured.
    pub watch: Vec<Address>,
}

/// Replays a capsule once and reports what was seen.
///
/// The bytes of large files are taken as `source` gives them: only small ones are digested again.
///
/// # Errors
/// The capsule breaks a rule, bytes are missing, or the sandbox could not be built. Whatever the program
/// does is in the report instead.
pub fn replay(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
) -> Result<RunReport, WitnessError> {
    replay_under(capsule, source, request, host, None)
}

/// Replays a capsule with a debugger that looks wherever the run stops: at [`ReplayRequest::stop_at`], at
/// faults, at its breakpoints and at the end.
///
/// # Errors
/// As [`replay`].
pub fn debug(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
    debugger: Box<dyn Debugger + Send>,
) -> Result<RunReport, WitnessError> {
    if let Some(lacking) = host.lacking() {
        return Err(WitnessError::Refused(lacking.clone()));
    }
    replay_under(capsule, source, request, host, Some(debugger))
}

fn replay_under(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
    debugger: Option<Box<dyn Debugger + Send>>,
) -> Result<RunReport, WitnessError> {
    Ok(replay_beyond(capsule, source, request, host, debugger, false)?.0)
}

/// A replay with what only an observer of the whole run asks for.
fn replay_beyond(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
    debugger: Option<Box<dyn Debugger + Send>>,
    observing: bool,
) -> Result<(RunReport, Beyond), WitnessError> {
    capsule.validate()?;
    check(capsule, request)?;
    if !host.has_namespaces() {
        return Ok((crate::reduced::replay(capsule, source, request, host)?, Beyond::default()));
    }
    let substitutes = match Substitutes::of(capsule, request) {
        Ok(substitutes) => substitutes,
        Err(unfit) => return Ok((not_run(unfit.ending(), host), Beyond::default())),
    };
    let mut plan = RootPlan::with_runner_files()?;
    plan.add_capsule(capsule, source, &substitutes)?;
    let writable = WRITABLE.iter().map(|path| c_string(*path)).collect::<Result<_, _>>()?;
    let stdin = match capsule.stdin {
        None => Vec::new(),
        Some(blob) => read_blob(source, &blob.digest)?,
    };
    let files = Files { capsule, source, substitutes: &substitutes };
    let schedule = files.schedule();
    let run = Run {
        tree: Tree::Closed,
        size: plan.bytes + capsule.limits.disk_bytes + ROOT_SLACK,
        plan,
        writable,
        hidden: Vec::new(),
        command: &capsule.command,
        environment: &capsule.environment,
        working_directory: &capsule.working_directory,
        stdin: &stdin,
        limits: capsule.limits,
        seed: capsule.seed,
        schedule: &schedule,
        conditions: &capsule.conditions,
        explore: None,
        patience: None,
        request,
        landlock: landlock(host)?,
        recording: false,
        lookups: observing,
        visible: None,
        debugger,
        host,
    };
    let (mut report, beyond) = run.go(&|path| files.file(path), &|path| files.digest(path))?;
    if !capsule.conditions.order.is_empty() {
        // Without an order nothing was searched: turns are only taken where a thread waits by computing.
        report.switches_missed = (capsule.schedule.len() - beyond.switches_met.len()) as u32;
    }
    Ok((report, beyond))
}

pub(crate) fn check(capsule: &Capsule, request: &ReplayRequest) -> Result<(), WitnessError> {
    for role in request.substitutions.keys() {
        if !capsule.subjects.iter().any(|slot| slot.role == *role) {
            return Err(WitnessError::Request { what: format!("the capsule has no subject `{role}`") });
        }
    }
    for plan in &request.coverage {
        let bytes: u64 = plan.traps.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        if bytes.saturating_add(plan.entries.len() as u64) > MAX_COVERAGE_ENTRIES {
            return Err(WitnessError::Request { what: "the coverage plan is too large".to_owned() });
        }
    }
    Ok(())
}

pub(crate) fn read_blob(source: &dyn FileSource, digest: &Sha256) -> Result<Vec<u8>, WitnessError> {
    let missing = |source| WitnessError::Bytes { digest: *digest, source };
    let bytes = std::fs::read(source.path(digest).map_err(missing)?).map_err(missing)?;
    let found = Sha256::of(&bytes);
    if found == *digest { Ok(bytes) } else { Err(WitnessError::WrongBytes { expected: *digest, found }) }
}

/// The rules laid over every root: read anywhere, write only where it is meant.
pub(crate) fn landlock(host: &Host) -> Result<Option<Rules>, WitnessError> {
    if host.landlock_version() == 0 {
        return Ok(None);
    }
    let mut places = vec![(c_string("/")?, Access::Read), (c_string("/tmp")?, Access::Write)];
    for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"] {
        places.push((c_string(path)?, Access::Device));
    }
    places.push((c_string("/dev/shm")?, Access::Write));
    places.push((c_string("/dev/pts")?, Access::Terminals));
    Ok(Some(Rules { abi: host.landlock_version(), places, network: Network::Own }))
}

/// One run with everything decided; record and replay meet here.
pub(crate) struct Run<'a> {
    pub tree: Tree,
    pub plan: RootPlan,
    pub size: u64,
    pub writable: Vec<CString>,
    pub hidden: Vec<CString>,
    pub command: &'a [String],
    pub environment: &'a BTreeMap<String, String>,
    pub working_directory: &'a str,
    pub stdin: &'a [u8],
    pub limits: Limits,
    pub seed: u64,
    pub schedule: &'a [Switch],
    pub conditions: &'a Conditions,
    pub explore: Option<&'a Plan>,
    pub patience: Option<u64>,
    pub request: &'a ReplayRequest,
    pub landlock: Option<Rules>,
    pub recording: bool,
    pub lookups: bool,
    pub visible: Option<&'a Visible<'a>>,
    pub debugger: Option<Box<dyn Debugger + Send>>,
    pub host: &'a Host,
}

/// What a run showed beyond its report; only recorders and observers ask.
#[derive(Default)]
pub(crate) struct Beyond {
    /// The paths that led somewhere.
    pub touched: Vec<String>,
    /// Which switches of the schedule were met, as places in it.
    pub switches_met: Vec<usize>,
    /// Where a thread was that computed while others waited.
    pub stuck: Option<Switch>,
    /// What exploring a schedule found out.
    pub explored: Explored,
    /// Every path that was looked up.
    pub looked_up: Vec<String>,
    /// Every opening, in order; where lookups were asked for.
    pub openings: Vec<Opening>,
    /// How many processes there were, and threads in all of them.
    pub processes: usize,
    pub threads: usize,
    /// Everything on standard error, where the request asked for it.
    pub stderr: Vec<u8>,
}

/// Replays with every lookup noted and the whole of standard error kept.
pub(crate) fn observe(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
) -> Result<(RunReport, Beyond), WitnessError> {
    replay_beyond(capsule, source, request, host, None, true)
}

/// Digest of a file by its path inside.
type DigestOf<'a> = dyn Fn(&str) -> Option<Sha256> + 'a;

impl Run<'_> {
    /// Runs on a thread of its own: ptrace belongs to a thread, and so does the CPU it is pinned to.
    ///
    /// Gives the report and the paths that led somewhere.
    pub(crate) fn go(
        mut self,
        module: &ModuleFile<'_>,
        digest: &DigestOf<'_>,
    ) -> Result<(RunReport, Beyond), WitnessError> {
        let started = Instant::now();
        let output = || task::nameless_file(&[]).map_err(WitnessError::sandbox("making an output"));
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(WitnessError::sandbox("keeping an output"));
        let outputs = [output()?, output()?];
        let stdin = task::nameless_file(self.stdin).map_err(WitnessError::sandbox("making the input"))?;
        let (host, request, observing) = (self.host, self.request, self.lookups);
        let setup = Setup {
            limits: self.limits,
            seed: self.seed,
            schedule: self.schedule,
            conditions: self.conditions,
            explore: self.explore,
            patience: self.patience,
            coverage: &request.coverage,
            keep_trace: request.keep_trace.unwrap_or(0),
            stop_at: request.stop_at,
            debugger: self.debugger.take(),
            recording: self.recording,
            lookups: self.lookups,
            visible: self.visible,
            command_line: self.command.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect(),
            module,
        };
        let watched = [copy(&outputs[0])?, copy(&outputs[1])?];
        let launch = self.launch([stdin, copy(&outputs[0])?, copy(&outputs[1])?])?;
        let _beside = Beside::start(&request.perturbation);
        let cpu = request.perturbation.cpu;
        let observed = on_own_thread(cpu, move || tracer::run(&launch, setup, watched))?;
        let (report, mut beyond) =
            report(observed, &outputs, started, host, &request.coverage, module, digest)?;
        if observing {
            beyond.stderr = read_whole(&outputs[1])?;
        }
        Ok((report, beyond))
    }

    fn launch(mut self, stdio: [OwnedFd; 3]) -> Result<Launch, WitnessError> {
        let program = self.command.first().ok_or(WitnessError::Request { what: "no command".to_owned() })?;
        let strings =
            |texts: &[String]| texts.iter().map(|text| c_string(text.as_str())).collect::<Result<_, _>>();
        let tree = self.tree;
        let mut environment = self.environment.clone();
        let chosen = self.conditions.variables();
        environment.extend(chosen.into_iter().map(|(name, value)| (name.to_owned(), value)));
        environment
            .extend(self.request.perturbation.variable().map(|(name, value)| (name.to_owned(), value)));
        let variable = |(name, value): (&String, &String)| c_string(format!("{name}={value}"));
        Ok(Launch {
            tree: self.tree,
            entries: self.plan.in_order(self.request.perturbation.file_order),
            binds: self.plan.binds,
            writable: self.writable,
            hidden: self.hidden,
            tmpfs_bytes: c_string(self.size.to_string())?,
            program: c_string(program.as_str())?,
            arguments: strings(self.command)?,
            environment: environment.iter().map(variable).collect::<Result<_, _>>()?,
            working_directory: c_string(self.working_directory)?,
            stdio,
            limits: resource_limits(&self.limits),
            fixed_layout: self.request.layout == Layout::Fixed,
            filter: filter::program(tree != Tree::Bare),
            landlock: self.landlock,
            outside_user: (!self.recording).then(|| self.request.perturbation.user.unwrap_or(NOBODY)),
            host_name: c_string(self.request.perturbation.host_name.as_deref().unwrap_or("witness"))?,
        })
    }
}

fn resource_limits(limits: &Limits) -> Vec<(u32, u64)> {
    vec![
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_STACK, STACK_BYTES),
        (libc::RLIMIT_DATA, limits.memory_bytes),
        (libc::RLIMIT_FSIZE, limits.file_bytes.max(limits.output_bytes)),
        (libc::RLIMIT_NOFILE, limits.open_files.into()),
        (libc::RLIMIT_CPU, limits.cpu_micros / 1_000_000 + CPU_SLACK_SECONDS),
    ]
}

fn on_own_thread<T: Send>(
    cpu: Option<usize>,
    work: impl FnOnce() -> Result<T, WitnessError> + Send,
) -> Result<T, WitnessError> {
    let lost = || WitnessError::Sandbox { step: "tracing", source: std::io::ErrorKind::Other.into() };
    // The thread begins on its CPU, where this one waits for it: nothing has to be woken elsewhere.
    let own = task::OwnCpu::pin(cpu);
    std::thread::scope(|scope| {
        let started = std::thread::Builder::new()
            .name("witness".to_owned())
            .stack_size(TRACER_STACK)
            .spawn_scoped(scope, || {
                child::block_signals();
                work()
            })
            .map_err(WitnessError::sandbox("starting the tracing thread"));
        if let Some(own) = &own {
            own.unpin_caller();
        }
        started?.join().unwrap_or_else(|_| Err(lost()))
    })
}

/// The report of a run that was not begun.
pub(crate) fn not_run(ending: Ending, host: &Host) -> RunReport {
    RunReport {
        ending,
        stdout: Output::of(&[]),
        stderr: Output::of(&[]),
        faults: Vec::new(),
        events: 0,
        trace_digest: Sha256::of(&[]),
        functions_executed: Vec::new(),
        unknown_code: Vec::new(),
        generated_code: false,
        modules: Vec::new(),
        files_opened: Vec::new(),
        environment_bound: false,
        environment_instructions: Vec::new(),
        switches_missed: 0,
        trace: Vec::new(),
        stopped: None,
        cpu_micros: 0,
        wall_micros: 0,
        environment_class: host.environment_class().clone(),
    }
}

fn report(
    observed: Observed,
    outputs: &[OwnedFd; 2],
    started: Instant,
    host: &Host,
    coverage: &[CoveragePlan],
    file: &ModuleFile<'_>,
    digest: &DigestOf<'_>,
) -> Result<(RunReport, Beyond), WitnessError> {
    let (trace_digest, trace) = observed.trace.finish();
    let module =
        |path: &String| LoadedModule { module: tracer::module_id(path, file(path)), digest: digest(path) };
    let opened = |path: &String| OpenedFile { path: path.clone(), digest: digest(path) };
    let functions_executed: Vec<_> = observed.functions.into_iter().collect();
    let environment_instructions = crate::environment::instructions(&functions_executed, coverage, file);
    let report = RunReport {
        ending: observed.ending,
        stdout: read_output(&outputs[0])?,
        stderr: read_output(&outputs[1])?,
        faults: observed.faults,
        events: observed.events,
        trace_digest,
        functions_executed,
        unknown_code: observed.unknown_code,
        generated_code: observed.generated_code,
        modules: observed.modules.iter().map(module).collect(),
        files_opened: observed.opened.iter().map(opened).collect(),
        environment_bound: !environment_instructions.is_empty(),
        environment_instructions,
        switches_missed: 0,
        trace,
        stopped: observed.stopped,
        cpu_micros: observed.cpu_micros,
        wall_micros: started.elapsed().as_micros() as u64,
        environment_class: host.environment_class().clone(),
    };
    let beyond = Beyond {
        touched: observed.touched.into_iter().collect(),
        switches_met: observed.switches_met,
        stuck: observed.stuck,
        explored: observed.explored,
        looked_up: observed.looked_up.into_iter().collect(),
        openings: observed.openings,
        processes: observed.processes,
        threads: observed.threads,
        stderr: Vec::new(),
    };
    Ok((report, beyond))
}

/// All bytes of an output; the run's own limit bounds them.
fn read_whole(fd: &OwnedFd) -> Result<Vec<u8>, WitnessError> {
    let failed = || WitnessError::sandbox("reading an output");
    let file = File::from(fd.try_clone().map_err(failed())?);
    let size = file.metadata().map_err(failed())?.len();
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0).map_err(failed())?;
    Ok(bytes)
}

fn read_output(fd: &OwnedFd) -> Result<Output, WitnessError> {
    let failed = || WitnessError::sandbox("reading an output");
    let file = File::from(fd.try_clone().map_err(failed())?);
    let mut digest = Sha256::stream();
    let mut head = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let got = file.read_at(&mut chunk, at).map_err(failed())?;
        if got == 0 {
            return Ok(Output { digest: digest.finish(), bytes: at, head });
        }
        let room = crate::report::MAX_HEAD_BYTES - head.len();
        head.extend_from_slice(&chunk[..got.min(room)]);
        digest.update(&chunk[..got]);
        at += got as u64;
    }
}

/// Builds a sandbox around nothing and takes it over, as [`Host::probe`] does.
pub(crate) fn try_sandbox(tree: Tree) -> Tried {
    let refused =
        |step, error: &std::io::Error| Tried::Refused { step, errno: error.raw_os_error().unwrap_or(0) };
    let attempt = || {
        let mut plan = RootPlan::default();
        if tree == Tree::Closed {
            plan = RootPlan::with_runner_files()?;
        }
        let (limits, request) = (Limits::default(), ReplayRequest::default());
        let nothing = task::nameless_file(&[]).map_err(WitnessError::sandbox("making an output"));
        let nothing = nothing?;
        let copy = || nothing.try_clone().map_err(WitnessError::sandbox("keeping an output"));
        let launch = Launch {
            tree,
            entries: plan.entries,
            binds: plan.binds,
            writable: WRITABLE.iter().map(|path| c_string(*path)).collect::<Result<_, _>>()?,
            hidden: Vec::new(),
            tmpfs_bytes: c_string(ROOT_SLACK.to_string())?,
            // No such program: getting as far as its exec is the proof.
            program: c_string("/dev/null/absent")?,
            arguments: Vec::new(),
            environment: Vec::new(),
            working_directory: c_string("/")?,
            stdio: [copy()?, copy()?, copy()?],
            limits: resource_limits(&limits),
            fixed_layout: request.layout == Layout::Fixed,
            filter: filter::program(tree != Tree::Bare),
            landlock: None,
            outside_user: Some(NOBODY),
            host_name: c_string("witness")?,
        };
        let setup = Setup {
            limits,
            seed: 0,
            schedule: &[],
            conditions: &Conditions::default(),
            explore: None,
            patience: None,
            coverage: &[],
            keep_trace: 0,
            stop_at: None,
            debugger: None,
            recording: false,
            lookups: false,
            visible: None,
            command_line: Vec::new(),
            module: &|_| None,
        };
        let outputs = [copy()?, copy()?];
        on_own_thread(None, move || tracer::run(&launch, setup, outputs))
    };
    match attempt() {
        Ok(Observed { ending: Ending::Unsupported { code, .. }, .. }) if code == "exec_failed" => {
            Tried::Works
        }
        Ok(_) => Tried::Refused { step: "executing the program", errno: 0 },
        Err(WitnessError::Sandbox { step, source }) => refused(step, &source),
        Err(_) => Tried::Refused { step: "starting", errno: 0 },
    }
}
