//! What one run showed: raw observations, without any judgement.

use assay_binary::{Frame, FunctionRef, ModuleId};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::EnvironmentInstruction;
use crate::host::EnvironmentClass;
use crate::limits::LimitKind;

/// Most bytes of an output that a report carries itself.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most faults that a report carries.
pub const MAX_FAULTS: usize = 32;
/// Frames kept at the inner end of a stack.
pub const INNER_FRAMES: usize = 192;
/// Frames kept at the outer end of a stack.
pub const OUTER_FRAMES: usize = 16;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Ending {
    /// The first process exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// The first process was ended by a signal.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Every thread waits for ever and none can wake another.
    Deadlocked,
    /// A limit was reached and everything was killed.
    LimitExceeded {
        /// Which one.
        limit: LimitKind,
    },
    /// The run met something that the runner cannot promise to repeat; this is never a pass.
    Unsupported {
        /// Stable `snake_case` code.
        code: String,
        /// What it was.
        detail: String,
    },
}

/// One of the two output streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The digest of all bytes.
    pub digest: Sha256,
    /// How many there were.
    pub bytes: u64,
    /// The first [`MAX_HEAD_BYTES`] of them.
    pub head: Vec<u8>,
}

impl Output {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let head = bytes[..bytes.len().min(MAX_HEAD_BYTES)].to_vec();
        Self { digest: Sha256::of(bytes), bytes: bytes.len() as u64, head }
    }
}

/// A signal that a program's own instruction raised (or abort), seen before it was delivered; or, with
/// signal 0, the first entry of a watched function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The signal's number.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// The address that faulted, where the signal has one.
    pub address: Option<u64>,
    /// The thread's place in the order of birth, the first being 0.
    pub thread: u32,
    /// The stack: the innermost [`INNER_FRAMES`] and, past these, the outermost [`OUTER_FRAMES`].
    pub frames: Vec<Frame>,
    /// How many frames there were between the two ends.
    pub frames_omitted: u64,
}

/// A file that was mapped executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadedModule {
    /// Path and build id.
    pub module: ModuleId,
    /// The digest of the file, where it is part of the capsule.
    pub digest: Option<Sha256>,
}

/// A file that was opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedFile {
    /// Its path inside the capsule, symbolic links resolved.
    pub path: String,
    /// Its digest, where it is part of the capsule.
    pub digest: Option<Sha256>,
}

/// Where a run was stopped on request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The number of the trace's last line, the first being 1.
    pub event: u64,
    /// The threads that lived, in the order of birth.
    pub threads: Vec<ThreadStack>,
}

/// One thread's stack where the run was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStack {
    /// Its place in the order of birth, the first being 0.
    pub thread: u32,
    /// Whether it was the one that ran.
    pub current: bool,
    /// Its frames, the innermost first, as in [`Fault`].
    pub frames: Vec<Frame>,
    /// How many frames there were between the two ends.
    pub frames_omitted: u64,
}

/// The raw observations of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// How it ended.
    pub ending: Ending,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// Faults in order.
    pub faults: Vec<Fault>,
    /// Virtual events.
    pub events: u64,
    /// The digest of every traced call with its arguments and result; it holds no address.
    pub trace_digest: Sha256,
    /// Functions whose entry was reached, of those asked for, sorted.
    pub functions_executed: Vec<FunctionRef>,
    /// Executed places outside every known function.
    pub unknown_code: Vec<Frame>,
    /// Whether code was executed or prepared that lies in no file (a JIT, a trampoline).
    pub generated_code: bool,
    /// Files mapped executable, sorted by path.
    pub modules: Vec<LoadedModule>,
    /// Files opened, sorted by path.
    pub files_opened: Vec<OpenedFile>,
    /// Whether an executed function, of those that were watched, holds an instruction that tells about the
    /// CPU and cannot be trapped: what was seen then holds for CPUs of this class.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub environment_bound: bool,
    /// These instructions, sorted, the first 64.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub environment_instructions: Vec<EnvironmentInstruction>,
    /// How many switches of a searched schedule the run did not come by, or could not have: it was then
    /// another schedule, and what it does not show the searched one may.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub switches_missed: u32,
    /// One line for each traced call, as many as were asked for.
    pub trace: Vec<String>,
    /// Where the run was stopped, if that was asked for and it came so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
    /// CPU time of all processes in microseconds (not reproducible).
    pub cpu_micros: u64,
    /// Real time in microseconds (not reproducible).
    pub wall_micros: u64,
    /// Where it ran.
    pub environment_class: EnvironmentClass,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
