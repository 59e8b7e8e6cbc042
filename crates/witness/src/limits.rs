//! What a run may use; every bound that a capsule carries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest value each limit may take in a capsule that somebody else wrote.
pub const MAX_LIMITS: Limits = Limits {
    events: 1_000_000_000,
    cpu_micros: 3_600_000_000,
    memory_bytes: 64 << 30,
    output_bytes: 1 << 30,
    processes: 4096,
    file_bytes: 4 << 30,
    disk_bytes: 8 << 30,
    open_files: 65_536,
};

/// Bounds on one run. Events are virtual (one for each traced system call), so a bound on them falls at
/// the same instruction each time; CPU time is real and is the only bound on pure computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Virtual events of all threads together.
    pub events: u64,
    /// CPU time of all processes together, in microseconds; the run is killed there.
    pub cpu_micros: u64,
    /// Private writable memory of one process, in bytes (twice as much resident for all of them).
    pub memory_bytes: u64,
    /// Bytes written to stdout and stderr together.
    pub output_bytes: u64,
    /// Processes and threads alive at one time.
    pub processes: u32,
    /// Size of one file that the run writes, in bytes.
    pub file_bytes: u64,
    /// Bytes of all files that the run writes.
    pub disk_bytes: u64,
    /// Open files of one process.
    pub open_files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 5_000_000,
            cpu_micros: 60_000_000,
            memory_bytes: 4 << 30,
            output_bytes: 64 << 20,
            processes: 256,
            file_bytes: 256 << 20,
            disk_bytes: 512 << 20,
            open_files: 1024,
        }
    }
}

/// Which limit ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// [`Limits::events`].
    Events,
    /// [`Limits::cpu_micros`].
    CpuTime,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::output_bytes`].
    Output,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::file_bytes`].
    FileSize,
    /// [`Limits::disk_bytes`].
    Disk,
    /// [`Limits::open_files`].
    OpenFiles,
}

impl Limits {
    /// The name of the first limit that is zero or above [`MAX_LIMITS`].
    pub fn first_out_of_range(&self) -> Option<&'static str> {
        let max = &MAX_LIMITS;
        [
            ("events", self.events, max.events),
            ("cpuMicros", self.cpu_micros, max.cpu_micros),
            ("memoryBytes", self.memory_bytes, max.memory_bytes),
            ("outputBytes", self.output_bytes, max.output_bytes),
            ("processes", self.processes.into(), max.processes.into()),
            ("fileBytes", self.file_bytes, max.file_bytes),
            ("diskBytes", self.disk_bytes, max.disk_bytes),
            ("openFiles", self.open_files.into(), max.open_files.into()),
        ]
        .into_iter()
        .find(|(_, value, most)| *value == 0 || value > most)
        .map(|(name, _, _)| name)
    }
}
