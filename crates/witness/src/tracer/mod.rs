//! The tracer: one thread of the witness runs at a time, and every call goes through here.

mod clock;
mod coverage;
mod debug;
mod dirs;
mod exits;
pub(crate) mod explore;
mod fault;
mod files;
mod futex;
mod identity;
mod inherit;
mod jobs;
mod memory;
mod modules;
mod named_pipe;
mod poll;
mod preempt;
mod process;
mod procfs;
pub(crate) mod random;
mod reduced;
mod schedule;
mod signals;
mod sockets;
mod special;
mod stat;
mod stopped;
mod stops;
mod sysv;
mod table;
mod task;
mod time;
mod timers;
mod trace;
mod unwind;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use assay_binary::{Frame, FunctionRef};

use crate::debug::Debugger;
use crate::error::WitnessError;
use crate::limits::{LimitKind, Limits};
use crate::replay::CoveragePlan;
use crate::report::{Ending, Fault, Stopped};
use crate::schedule::{Conditions, Switch};
use crate::sys::child::{self, Launch, Started};
use crate::sys::task::CounterRefused;
use crate::sys::{memory as bytes, ptrace};
use debug::Stepping;
use random::Random;
use table::Table;
use task::{Call, Flow, Process, State, Task};
use trace::Trace;
use watchdog::{Verdict, Watchdog, Watched};

/// Everything that a run is told.
pub(crate) struct Setup<'a> {
    pub limits: Limits,
    pub seed: u64,
    pub coverage: &'a [CoveragePlan],
    pub keep_trace: usize,
    /// Where turns are taken from threads that compute while others wait.
    pub schedule: &'a [Switch],
    /// What a search chose.
    pub conditions: &'a Conditions,
    /// Where a search lets a thread lose its turn.
    pub explore: Option<&'a explore::Plan>,
    /// CPU time in microseconds after which a recorder looks for such a place.
    pub patience: Option<u64>,
    /// The line of the trace after which the run is stopped and every stack looked at.
    pub stop_at: Option<u64>,
    /// Who looks at the run where it stops.
    pub debugger: Option<Box<dyn Debugger + Send>>,
    /// The host's tree is visible, and every file touched is to be told.
    pub recording: bool,
    /// Every path that is looked up is to be told, whether it led somewhere or not.
    pub lookups: bool,
    /// Without namespaces, which paths are inside; every other one is answered as absent.
    pub visible: Option<&'a Visible<'a>>,
    /// What `/proc/self/cmdline` says.
    pub command_line: Vec<u8>,
    /// The file of a module by its path inside.
    pub module: &'a ModuleFile<'a>,
}

/// What a run showed, before digests of files are added.
pub(crate) struct Observed {
    pub ending: Ending,
    pub faults: Vec<Fault>,
    pub events: u64,
    pub trace: Trace,
    pub functions: BTreeSet<FunctionRef>,
    pub unknown_code: Vec<Frame>,
    pub generated_code: bool,
    pub modules: BTreeSet<String>,
    pub opened: BTreeSet<String>,
    /// Which switches of the schedule were met, as places in it.
    pub switches_met: Vec<usize>,
    /// Where a thread was that computed while others waited.
    pub stuck: Option<Switch>,
    /// What exploring a schedule found out.
    pub explored: explore::Explored,
    /// Every path that led somewhere, as it was asked for, absolute.
    pub touched: BTreeSet<String>,
    /// Every path that was looked up, as it was asked for, absolute; where that was asked for.
    pub looked_up: BTreeSet<String>,
    /// Every opening, in order; where lookups were asked for.
    pub openings: Vec<Opening>,
    /// How many processes and how many threads of execution there were in all.
    pub processes: usize,
    pub threads: usize,
    pub stopped: Option<Stopped>,
    pub cpu_micros: u64,
}

/// Lines of the trace before it, path, and the device and inode of the file, of one opening.
type RawOpening = (u64, String, Option<(u64, u64)>);

/// One opening of a file.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// How many lines the trace had before it.
    pub line: u64,
    /// The file's path inside, symbolic links resolved.
    pub path: String,
    /// The file's number in the trace, where it has one.
    pub number: Option<u64>,
}

/// Finds the file on this host that is a module's inside.
pub(crate) type ModuleFile<'a> = dyn Fn(&str) -> Option<std::path::PathBuf> + Sync + 'a;

/// Whether an absolute path is inside.
pub(crate) type Visible<'a> = dyn Fn(&str) -> bool + Sync + 'a;

/// The identity of a module by its file.
pub(crate) use unwind::module_id;

/// One run.
pub(crate) struct Machine<'a> {
    pub(crate) setup: Setup<'a>,
    table: Table,
    started: Started,
    /// In the order of their birth; ended ones stay.
    pub(crate) tasks: Vec<Task>,
    by_tid: HashMap<i32, usize>,
    pub(crate) processes: BTreeMap<i32, Process>,
    /// First stops of children whose birth was not told yet.
    early: HashSet<i32>,
    main: i32,
    current: Option<usize>,
    yielded: bool,
    /// While the current thread ran last, another thread waited for its turn, or for time that it was not
    /// given yet.
    others_wait: bool,
    following: preempt::Following,
    stuck: Option<Switch>,
    exploring: explore::Exploring,
    /// The threads that have lost their place in the order, the last of them behind all others.
    lowered: Vec<u32>,
    pub(crate) sysv: sysv::Sysv,
    /// Whether some descriptor raises a signal when it becomes ready.
    pub(crate) has_signal_descriptors: bool,
    /// Events in a row of the thread that runs. Stops that are none do not count: how many there are
    /// depends on what is watched, and on the host.
    run_length: u32,
    /// What the host lacked when a descriptor was to be copied.
    shortage: Option<i32>,
    /// How many reads of the clock the running thread may have answered without a stop.
    clock_allowed: u64,
    /// Virtual nanoseconds since the start.
    pub(crate) now: u64,
    /// How much of it passed while everybody waited.
    pub(crate) idle: u64,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    events: u64,
    /// Calls and ends of processes, without requests for record locks that were in vain.
    done: u64,
    watched: Arc<Watched>,
    /// Whether the run has opened a list of its own mappings: only then is every read looked at.
    pub(crate) has_own_maps: bool,
    /// Whether the run has made a named pipe: only then is every open looked at.
    pub(crate) has_named_pipes: bool,
    pub(crate) meetings: Vec<named_pipe::Meeting>,
    pub(crate) timers: Vec<timers::Timer>,
    pub(crate) next_timer: i32,
    /// The port and the abstract name that the next socket without one gets.
    pub(crate) next_port: u16,
    pub(crate) next_name: u32,
    /// Whether a socket of the loopback network was made: the kernel may deliver a little later.
    pub(crate) has_network: bool,
    pub(crate) random_files: HashSet<(u64, u64)>,
    pub(crate) output_files: HashSet<(u64, u64)>,
    pub(crate) inodes: HashMap<(u64, u64), u64>,
    pub(crate) root_device: Option<u64>,
    /// The root inside, where it is a capsule's own and nobody may write to it.
    pub(crate) root: Option<OwnedFd>,
    pub(crate) memory_device: Option<u64>,
    /// Real time at the start: a file that was changed later was changed by the run.
    pub(crate) real_start: i64,
    outputs: [OwnedFd; 2],
    ending: Option<Ending>,
    faults: Vec<Fault>,
    functions: BTreeSet<FunctionRef>,
    unknown_code: Vec<Frame>,
    generated_code: bool,
    modules: BTreeSet<String>,
    opened: BTreeSet<String>,
    touched: BTreeSet<String>,
    looked_up: BTreeSet<String>,
    openings: Vec<RawOpening>,
    stopped: Option<Stopped>,
    /// The thread of which a debugger wants one instruction.
    stepping: Option<Stepping>,
    unwinding: unwind::Modules,
    /// The coverage plans, in their order.
    lookups: Vec<coverage::Lookup>,
}

/// Runs what was prepared, on the calling thread, to its end; nothing is left of it afterwards.
pub(crate) fn run(
    launch: &Launch,
    setup: Setup<'_>,
    outputs: [OwnedFd; 2],
) -> Result<Observed, WitnessError> {
    let watched = Arc::new(Watched::default());
    let started = child::start(launch).map_err(WitnessError::sandbox("starting the first process"))?;
    let (limits, patience) = (setup.limits, setup.patience);
    // A debugger reads clocks of its own.
    let refuses = setup.debugger.is_none();
    let finds = setup.module;
    let module = |path: &str| if refuses { CounterRefused::lifted(|| finds(path)) } else { finds(path) };
    let setup = Setup { module: &module, ..setup };
    let mut machine = Machine::new(setup, started, Arc::clone(&watched), outputs)?;
    let refused = refuses.then(CounterRefused::start);
    let outcome = machine.launch().and_then(|()| {
        let _watchdog = Watchdog::start(Arc::clone(&watched), limits, patience)
            .map_err(WitnessError::sandbox("starting the watchdog"))?;
        machine.drive()
    });
    let cpu_micros = watched.cpu();
    machine.kill_everything();
    drop(refused);
    outcome?;
    Ok(machine.observed(cpu_micros))
}

impl<'a> Machine<'a> {
    fn new(
        setup: Setup<'a>,
        started: Started,
        watched: Arc<Watched>,
        outputs: [OwnedFd; 2],
    ) -> Result<Self, WitnessError> {
        let stat = |fd| crate::sys::task::stat(fd).map_err(WitnessError::sandbox("looking at an output"));
        let (out, err) = (stat(&outputs[0])?, stat(&outputs[1])?);
        let output_files = [(out.st_dev, out.st_ino), (err.st_dev, err.st_ino)].into();
        Ok(Self {
            table: Table::new(),
            started,
            tasks: Vec::new(),
            by_tid: HashMap::new(),
            processes: BTreeMap::new(),
            early: HashSet::new(),
            main: 0,
            current: None,
            yielded: false,
            others_wait: false,
            following: preempt::Following::default(),
            stuck: None,
            exploring: explore::Exploring::default(),
            lowered: Vec::new(),
            sysv: sysv::Sysv::default(),
            has_signal_descriptors: false,
            run_length: 0,
            shortage: None,
            clock_allowed: 0,
            now: 0,
            idle: 0,
            random: Random::new(setup.seed),
            trace: Trace::new(setup.keep_trace),
            events: 0,
            done: 0,
            watched,
            has_own_maps: false,
            has_named_pipes: false,
            meetings: Vec::new(),
            timers: Vec::new(),
            next_timer: 0,
            next_port: sockets::FIRST_PORT,
            next_name: 1,
            has_network: false,
            random_files: HashSet::new(),
            output_files,
            inodes: HashMap::new(),
            root_device: None,
            root: None,
            memory_device: Some(out.st_dev),
            real_start: real_seconds(),
            outputs,
            ending: None,
            faults: Vec::new(),
            functions: BTreeSet::new(),
            unknown_code: Vec::new(),
            generated_code: false,
            modules: BTreeSet::new(),
            opened: BTreeSet::new(),
            touched: BTreeSet::new(),
            looked_up: BTreeSet::new(),
            openings: Vec::new(),
            stopped: None,
            stepping: None,
            unwinding: unwind::Modules::default(),
            lookups: setup.coverage.iter().map(coverage::Lookup::of).collect(),
            setup,
        })
    }

    fn observed(self, cpu_micros: u64) -> Observed {
        let lost =
            || Ending::Unsupported { code: "lost".to_owned(), detail: "the run ended unseen".to_owned() };
        Observed {
            ending: self.ending.unwrap_or_else(lost),
            faults: self.faults,
            events: self.events,
            trace: self.trace,
            functions: self.functions,
            unknown_code: self.unknown_code,
            generated_code: self.generated_code,
            modules: self.modules,
            opened: self.opened,
            switches_met: self.following.met,
            stuck: self.stuck,
            explored: self.exploring.finish(),
            touched: self.touched,
            looked_up: self.looked_up,
            openings: self
                .openings
                .into_iter()
                .map(|(line, path, file)| {
                    let number = file.and_then(|file| self.inodes.get(&file).copied());
                    Opening { line, path, number }
                })
                .collect(),
            processes: self.processes.len(),
            threads: self.tasks.len(),
            stopped: self.stopped,
            cpu_micros,
        }
    }

    /// The end of a run that met something the runner does not model.
    pub(crate) fn unsupported(code: &str, detail: &str) -> Flow {
        Flow::End(Ending::Unsupported { code: code.to_owned(), detail: detail.to_owned() })
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// The process with this id; every thread belongs to one that is known.
    pub(crate) fn process(&mut self, tgid: i32) -> &mut Process {
        self.processes.get_mut(&tgid).expect("every task's process is entered at its birth")
    }

    /// Runs one thread after the other until the run has ended.
    fn drive(&mut self) -> Result<(), WitnessError> {
        while self.ending.is_none() {
            if let Some(verdict) = self.watched.fired() {
                self.end_by(verdict);
                break;
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break,
                // The watchdog kills from outside, whatever the tracer was about to do.
                Err(_) if self.watched.fired().is_some() => continue,
                Err(error) => return Err(error),
            }
            if let Some(errno) = self.shortage {
                let source = std::io::Error::from_raw_os_error(errno);
                return Err(WitnessError::sandbox("copying a descriptor")(source));
            }
            self.stop_where_asked();
        }
        self.debugger_sees_end();
        // A limit that struck while the last thread ended is the reason for that end.
        if let (Some(verdict), Some(Ending::Signalled { signal: libc::SIGKILL })) =
            (self.watched.fired(), &self.ending)
        {
            self.ending = None;
            self.end_by(verdict);
        }
        Ok(())
    }

    /// One thread's turn; no where none is left.
    fn turn(&mut self) -> Result<bool, WitnessError> {
        let Some(at) = self.pick()? else { return Ok(false) };
        self.step(at)?;
        self.stop_after_step(at);
        Ok(true)
    }

    fn end_by(&mut self, verdict: Verdict) {
        self.end(match verdict {
            Verdict::CpuWithoutEvents if self.others_wait => Ending::Unsupported {
                code: "spin_needs_preemption".to_owned(),
                detail: "a thread computed to the limit while another, or a timer, waited for its turn"
                    .to_owned(),
            },
            Verdict::Cpu | Verdict::CpuWithoutEvents => Ending::LimitExceeded { limit: LimitKind::CpuTime },
            Verdict::Memory => Ending::LimitExceeded { limit: LimitKind::Memory },
            Verdict::Stalled => Ending::Unsupported {
                code: "blocked_in_kernel".to_owned(),
                detail: "a call waited in the kernel that was not expected to".to_owned(),
            },
        });
    }

    /// One call at its entry: counts it, models it, writes it down.
    pub(crate) fn enter(&mut self, at: usize) -> Result<(), WitnessError> {
        let tid = self.tasks[at].tid;
        let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        self.tasks[at].registers = registers;
        self.events += 1;
        self.done += 1;
        self.run_length += 1;
        self.now += time::EVENT_NANOS;
        self.watched.events.store(self.events, Ordering::Relaxed);
        (self.tasks[at].turns_in_vain, self.tasks[at].time_in_vain) = (0, 0);
        if self.events > self.setup.limits.events {
            self.end(Ending::LimitExceeded { limit: LimitKind::Events });
            return Ok(());
        }
        let nr = registers.orig_rax as i64;
        let Some(row) = self.table.get(nr) else {
            let detail = format!("system call {nr}");
            self.end(Ending::Unsupported { code: "unmodelled_syscall".to_owned(), detail });
            return Ok(());
        };
        let args = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let call = Call { task: at, tid, tgid: self.tasks[at].tgid, nr, args };
        let streak = self.tasks[at].clock_streak;
        if self.tasks[at].long_write.is_none() {
            self.tasks[at].paths.clear();
            self.tasks[at].line = self.describe(row, call);
        }
        let flow = match self.reduced_answer(call) {
            Some(flow) => flow,
            None => (row.handler)(self, call)?,
        };
        if self.tasks[at].clock_streak == streak {
            self.tasks[at].clock_streak = 0;
        }
        self.follow(at, flow)
    }

    fn follow(&mut self, at: usize, flow: Flow) -> Result<(), WitnessError> {
        match flow {
            Flow::Pass => {
                let line = std::mem::take(&mut self.tasks[at].line);
                self.trace.add(&line);
            }
            Flow::PassAs(result) => {
                let line = std::mem::take(&mut self.tasks[at].line);
                self.trace.add(&format!("{line} = {result}"));
            }
            Flow::PassThen(exit) => self.tasks[at].exit = Some(exit),
            Flow::Done(result) => self.complete(at, result),
            Flow::DoneSaying(result, more) => self.complete_saying(at, result, &more),
            Flow::Yield(result) => {
                self.complete(at, result);
                self.yielded = true;
            }
            Flow::Block(wait) => self.tasks[at].state = State::Waiting(wait),
            Flow::End(ending) => {
                let line = std::mem::take(&mut self.tasks[at].line);
                self.trace.add(&line);
                self.end(ending);
            }
        }
        Ok(())
    }

    /// Skips the call that a thread is stopped at and gives it this result.
    pub(crate) fn complete(&mut self, at: usize, result: i64) {
        self.complete_saying(at, result, "");
    }

    fn complete_saying(&mut self, at: usize, result: i64, more: &str) {
        let task = &mut self.tasks[at];
        task.registers.orig_rax = u64::MAX;
        task.registers.rax = result as u64;
        task.state = State::Ready;
        let (tid, registers) = (task.tid, task.registers);
        let line = std::mem::take(&mut task.line);
        self.trace.add(&format!("{line} = {result}{more}"));
        // A thread that was killed meanwhile has no registers; its end is reported by itself.
        let _ = ptrace::set_registers(tid, &registers);
    }

    fn describe(&mut self, row: &table::Row, call: Call) -> String {
        use std::fmt::Write as _;
        let mut line = format!("{} {}(", self.tasks[call.task].index, row.name);
        for (at, kind) in row.args.bytes().enumerate() {
            let value = call.args[at];
            if at > 0 {
                line.push(',');
            }
            let _ = match kind {
                b'i' => write!(line, "{}", value as i32),
                b'u' => write!(line, "{value}"),
                b'x' => write!(line, "{:#x}", value as u32),
                b's' => {
                    let base = if at > 0 { call.args[at - 1] as i32 } else { libc::AT_FDCWD };
                    write!(line, "{:?}", self.path_argument(call, value, base))
                }
                b'b' => write!(line, "{}", payload(call, at)),
                b'p' => write!(line, "{}", if value == 0 { "0" } else { "*" }),
                _ => Ok(()),
            };
        }
        line.push(')');
        line
    }

    fn path_argument(&mut self, call: Call, address: u64, base: i32) -> String {
        let text = bytes::read_c_string(call.tid, address).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let asked = self.setup.recording || self.setup.lookups || self.setup.visible.is_some();
        if asked && !text.is_empty() {
            let absolute = match base {
                _ if text.starts_with('/') => text.clone(),
                0.. => beside(&format!("/proc/{}/fd/{base}", call.tid), &text),
                _ => beside(&format!("/proc/{}/cwd", call.tid), &text),
            };
            if self.setup.lookups {
                self.looked_up.insert(absolute.clone());
            }
            self.tasks[call.task].paths.push(absolute);
        }
        text
    }
}

/// A relative path from the folder that a link of `/proc` leads to.
fn beside(link: &str, relative: &str) -> String {
    let folder = std::fs::read_link(link).unwrap_or_default();
    format!("{}/{relative}", folder.display())
}

fn real_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs() as i64)
}

/// The bytes that a call writes, by digest and count.
fn payload(call: Call, at: usize) -> String {
    const MAX_PAYLOAD: u64 = 16 << 20;
    let count = call.args.get(at + 1).copied().unwrap_or(0).min(MAX_PAYLOAD);
    let mut data = vec![0; count as usize];
    let got = bytes::read_some(call.tid, call.args[at], &mut data).unwrap_or(0);
    digest_text(&data[..got])
}

/// Bytes as the trace writes them.
pub(crate) fn digest_text(data: &[u8]) -> String {
    const SHORT: usize = 48;
    if data.len() <= SHORT {
        format!("{:?}", String::from_utf8_lossy(data))
    } else {
        format!("<{} {}>", data.len(), assay_evidence::Sha256::of(data).hex())
    }
}
