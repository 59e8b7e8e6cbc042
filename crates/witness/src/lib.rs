//! Micro-witnesses: record a run once, replay it exactly, and report raw observations.
//!
//! # Design constraints
//! - Nothing of the outside gets in: no network, no real time, no real randomness, no file but the
//!   capsule's own.
//! - Whatever the runner cannot model ends the run as [`Ending::Unsupported`] with a reason; it is never
//!   guessed and never passed through.
//! - One thread of the witness runs at a time, under ptrace and a seccomp filter that traces every call;
//!   time counts events and jumps when everybody waits.
//! - A witness never runs unprotected: [`Host::probe`] refuses with a remedy instead.
//! - `unsafe` lives in `sys` alone. This crate knows no SQL, HTTP, or terminal, and judges nothing.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod capsule;
pub mod debug;
pub mod draft;
mod environment;
mod error;
mod host;
mod limits;
pub mod minimize;
pub mod oci;
mod perturb;
mod provenance;
mod record;
pub mod redact;
mod reduced;
mod replay;
mod report;
mod root;
mod runtime;
mod schedule;
mod source;
mod substitutes;
mod sys;
mod tracer;
pub mod tree;

pub use capsule::{
    Blob, CAPSULE_SCHEMA, Capsule, CapsuleError, CapsuleFile, FileKind, MAX_FILE_BYTES, MAX_FILES,
    MAX_TOTAL_BYTES, RESERVED, SubjectSlot,
};
pub use environment::{EnvironmentInstruction, MAX_ENVIRONMENT_INSTRUCTIONS};
pub use error::WitnessError;
pub use host::{EnvironmentClass, Host, Kernel, Profile, Refusal, RefusalCode, Tried};
pub use limits::{LimitKind, Limits, MAX_LIMITS};
pub use oci::{manifest, witness_id};
pub use perturb::Perturbation;
pub use provenance::{
    ENVELOPE_MEDIA_TYPE, MAX_IDENTIFIED_BYTES, MAX_PROVENANCE, Provenance, ProvenanceError, SubjectToolchain,
    Unidentified, check_provenance, point_at,
};
pub use record::{Attempt, Coverage, Found, Knob, RecordRequest, Recording, Search, record, search};
pub use replay::{
    CoveragePlan, Layout, MAX_COVERAGE_ENTRIES, ReplayRequest, debug as replay_debugged, replay,
};
pub use report::{
    Ending, Fault, INNER_FRAMES, LoadedModule, MAX_FAULTS, MAX_HEAD_BYTES, OUTER_FRAMES, OpenedFile, Output,
    RunReport, Stopped, ThreadStack,
};
pub use runtime::{
    CoveredFile, CoveredFunction, Place as SourcePlace, Runtime, RuntimeCoverage, RuntimeUse, Uncovered,
    WatchedFile, runtime_coverage, runtime_of,
};
pub use schedule::{
    Conditions, InstructionBytes, MAX_CLOCK_START, MAX_ORDER, MAX_STACK_SHIFT, MAX_SWITCHES, Place, Switch,
};
pub use source::{FileSource, Located, MapSource};

/// The version of everything that decides what a replay shows; part of every verdict's cache key.
pub const RUNNER_VERSION: &str = "5";
