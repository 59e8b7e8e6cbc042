//! Crash stacks: from any tool's text to normalised traces, fingerprints, and the incident they match.
//!
//! # Design constraints
//! - Bytes in, values out: no files, no clock, no network, no SQL.
//! - Every text is hostile: size, lines, frames, threads and names are bounded, work is linear in the
//!   text, and nothing panics. Parsing returns what it could read and what was wrong with it.
//! - Normalisation matters more than similarity: tools, compilers and inlining must not show in a key.
//! - The alignment is FaST (Rodrigues, Khvorov, Aloise et al., "FaST: A linear time stack trace
//!   alignment heuristic for crash report deduplication", MSR 2022), over an inverted index.

mod eval;
mod fingerprint;
mod index;
mod model;
mod name;
mod parse;
mod report;
mod trace;

pub use eval::{
    Baseline, Candidates, EvalOptions, Evaluation, Figures, LabelError, Labelled, MAX_LABELLED, evaluate,
    fit_model, parse_labelled,
};
pub use fingerprint::{FINGERPRINT_FRAMES, Fingerprint, fingerprint};
pub use index::{INDEX_VERSION, Index, IndexError, Item, MATCH_THRESHOLD, MAX_ITEMS, Match, MatchResult};
pub use model::{FEATURE_NAMES, Model};
pub use parse::{from_frames, parse};
pub use report::{
    Format, MAX_FRAMES, MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_REPORT_FRAMES, MAX_TEXT_BYTES, MAX_THREADS,
    Report, StackError, StackFrame, Thread, Trust,
};
pub use trace::{MAX_CYCLE, MAX_TRACE_FRAMES, NORMALIZER_VERSION, Trace, TraceFrame, normalize};
