//! What an interpreter executed, by its own coverage: a second replay with an observer laid in.
//!
//! The observer is a file beside the runtime's own (`sitecustomize` for Python) or one that it is told to
//! load first (Node). It writes one block to standard error when the program ends, and that block is taken
//! out again: what is left must be what the plain replay showed, or the coverage is refused. The observer
//! lives in the program's own process, so a program that means to can deceive it.

mod answer;
mod blocks;
mod lay;
mod watched;

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capsule::Capsule;
use crate::error::WitnessError;
use crate::host::Host;
use crate::limits::MAX_LIMITS;
use crate::replay::{ReplayRequest, observe};
use crate::report::{Output, RunReport};
use crate::source::FileSource;

/// How much more of each limit a run may use while it is observed.
const SLOWER: u64 = 20;

/// An interpreter whose coverage is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// CPython, 3.8 and later, through its own profiler.
    Python,
    /// Node.js, through V8's precise coverage.
    Node,
}

/// What a run executed of the sources it was given, and what else of it matters to a carry-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeCoverage {
    /// Whose coverage it is.
    pub runtime: Runtime,
    /// The runtime's own version.
    pub version: String,
    /// Every source with its functions, sorted by path.
    pub files: Vec<CoveredFile>,
    /// What the program asked of the runtime, sorted.
    pub uses: Vec<RuntimeUse>,
    /// Names of modules that were looked for (Python), sorted.
    pub imports: Vec<String>,
    /// Every path that was looked up, symbolic links of the capsule resolved, sorted.
    pub looked_up: Vec<String>,
    /// Every path that was opened, sorted.
    pub opened: Vec<String>,
    /// What the runner saw of every file that was opened, sorted by path; empty where it lost count.
    #[serde(default)]
    pub watched: Vec<WatchedFile>,
    /// How long the observed replay took, in microseconds.
    pub micros: u64,
}

/// What the runner saw of a file that was opened, call by call, whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedFile {
    /// Its path inside the capsule, symbolic links resolved.
    pub path: String,
    /// How often it was opened, by whatever name.
    pub opens: u64,
    /// How often its size and times were answered, by whatever name or descriptor.
    pub stats: u64,
    /// Calls behind its first opening that read or set a clock other than the monotonic one, or ask what
    /// resources are used; each once, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clocks: Vec<String>,
}

/// One source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoveredFile {
    /// Its path inside the capsule, as the runtime names it.
    pub path: String,
    /// Its digest, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Sha256>,
    /// Its functions, sorted.
    pub functions: Vec<CoveredFunction>,
}

/// One function of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoveredFunction {
    /// Where it stands.
    pub place: Place,
    /// Its name, qualified where the runtime does so; `<module>` for a Python module's own code.
    pub name: String,
    /// Whether it was executed.
    pub executed: bool,
}

/// Where a function stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Place {
    /// Its first line, the first being 1, decorators included (Python).
    Line(u32),
    /// Its UTF-16 code units (JavaScript).
    Range {
        /// The first.
        start: u32,
        /// One past the last.
        end: u32,
    },
}

/// Something that a program asked its runtime for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeUse {
    /// What: `call posix.stat`, `open /etc/x`, `attribute __code__`, `run node:fs readFileSync`.
    pub what: String,
    /// The source that asked, where that is known.
    pub path: String,
    /// The function of it that asked, where that is known.
    pub function: String,
    /// How often, where that is counted.
    pub count: u64,
}

/// Why there is no coverage. The codes are stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Uncovered {
    /// Stable `snake_case` code.
    pub code: &'static str,
    /// What a person wants to know besides.
    pub detail: String,
}

impl Uncovered {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// The runtime that a capsule's command is, by the name of its program.
pub fn runtime_of(capsule: &Capsule) -> Option<Runtime> {
    let program = capsule.command.first()?;
    let name = program.rsplit('/').next()?;
    let versioned = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    if versioned("python") {
        Some(Runtime::Python)
    } else if versioned("node") || name == "nodejs" {
        Some(Runtime::Node)
    } else {
        None
    }
}

/// Replays a capsule under an observer and says what was executed. `plain` is what the same request
/// showed without one: ending and outputs must be the same.
///
/// # Errors
/// As [`crate::replay`]. That there is no coverage is an answer, with its reason.
pub fn runtime_coverage(
    capsule: &Capsule,
    source: &dyn FileSource,
    request: &ReplayRequest,
    host: &Host,
    plain: &RunReport,
) -> Result<Result<RuntimeCoverage, Uncovered>, WitnessError> {
    let laid = match lay::observer(capsule, source, plain)? {
        Ok(laid) => laid,
        Err(uncovered) => return Ok(Err(uncovered)),
    };
    let request = ReplayRequest {
        substitutions: request.substitutions.clone(),
        perturbation: request.perturbation.clone(),
        keep_trace: Some(watched::MAX_LINES),
        ..ReplayRequest::default()
    };
    let observed_capsule = roomier(laid.capsule);
    let source = lay::Beside { under: source, own: laid.files };
    let (report, beyond) = observe(&observed_capsule, &source, &request, host)?;
    let taken = match blocks::take(&beyond.stderr, &laid.nonce) {
        Ok(taken) => taken,
        Err(uncovered) => return Ok(Err(uncovered)),
    };
    if let Some(uncovered) = differs(plain, &report, &Output::of(&taken.rest)) {
        return Ok(Err(uncovered));
    }
    if beyond.processes != 1 {
        return Ok(Err(Uncovered::new("several_processes", format!("{} processes", beyond.processes))));
    }
    if laid.runtime == Runtime::Python && beyond.threads != 1 {
        return Ok(Err(Uncovered::new("several_threads", format!("{} threads", beyond.threads))));
    }
    Ok(answer::read(laid.runtime, &taken.blocks, capsule, (&report, &beyond), plain))
}

/// An observed run takes longer and says more; what a plain run may use was checked by the plain run.
fn roomier(mut capsule: Capsule) -> Capsule {
    let (limits, most) = (&mut capsule.limits, &MAX_LIMITS);
    limits.events = limits.events.saturating_mul(SLOWER).min(most.events);
    limits.cpu_micros = limits.cpu_micros.saturating_mul(SLOWER).min(most.cpu_micros);
    limits.memory_bytes = limits.memory_bytes.saturating_mul(2).min(most.memory_bytes);
    limits.output_bytes = limits.output_bytes.saturating_add(blocks::MAX_BLOCK_BYTES).min(most.output_bytes);
    limits.file_bytes = limits.file_bytes.max(limits.output_bytes).min(most.file_bytes);
    capsule
}

fn differs(plain: &RunReport, observed: &RunReport, stderr: &Output) -> Option<Uncovered> {
    let what = if plain.ending != observed.ending {
        format!("it ended as {:?}, not as {:?}", observed.ending, plain.ending)
    } else if plain.stdout.digest != observed.stdout.digest {
        "standard output".to_owned()
    } else if plain.stderr.digest != stderr.digest {
        "standard error".to_owned()
    } else {
        return None;
    };
    Some(Uncovered::new("observed_run_differs", what))
}
