//! The normalised trace: the in-application part of the stack of the incident.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{Language, base_name, noise};
use crate::report::{Format, Report, StackFrame, Trust};

/// The version of the normaliser; fingerprints of different versions are not comparable.
pub const NORMALIZER_VERSION: u32 = 2;
/// The longest cycle of functions that is recognised as recursion.
pub const MAX_CYCLE: usize = 8;
/// The most frames of a normalised trace; what lies further out is dropped.
pub const MAX_TRACE_FRAMES: usize = 128;
/// How often a cycle must repeat before a memory fault is taken for an exhausted stack.
const OVERFLOW_REPEATS: usize = 12;
/// How often it must repeat before the frames further in are taken for whatever met the guard page.
const LEAF_REPEATS: usize = 32;
/// How often it must repeat where the stack as given ends inside of it.
const CUT_REPEATS: usize = 6;
/// The same, whatever stopped the program.
const OVERFLOW_REPEATS_ALONE: usize = 500;
/// How long a stack of few functions must be before it is taken for recursion without a fixed cycle.
const IRREGULAR_FRAMES: usize = 48;

/// One frame of a normalised trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraceFrame {
    /// The identities, most specific first; never empty.
    pub keys: Vec<String>,
    /// Whether it stands for a run of recursive calls.
    pub repeated: bool,
    /// Whether it belongs to the language's own library.
    pub standard: bool,
    /// Whether it is a bare source location.
    pub location: bool,
    /// The base name of the source file, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl TraceFrame {
    /// The most specific identity.
    pub fn key(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }
}

/// The in-application part of a stack, innermost first, without runtime frames, recursion collapsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The frames.
    pub frames: Vec<TraceFrame>,
    /// Whether the stack was exhausted by recursion.
    pub overflow: bool,
}

/// The normalised trace of a report's crashed thread.
pub fn normalize(report: &Report) -> Trace {
    let frames = report.crashed().map_or(&[][..], |thread| &thread.frames);
    from_stack(frames, language(report.format), cause(report.reason.as_deref().unwrap_or_default()))
}

/// What a report's reason says about the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The stack was exhausted.
    Overflow,
    /// A memory fault, which an exhausted stack is too.
    Fault,
    /// Anything else.
    Other,
}

fn cause(reason: &str) -> Cause {
    let reason = reason.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&[
        "stack overflow",
        "overflowed its stack",
        "stack-overflow",
        "stackoverflow",
        "maximum recursion",
        "stack_overflow",
        "maximum call stack",
    ]) {
        Cause::Overflow
    } else if says(&["segv", "segmentation", "sigbus", "bus error", "access_violation", "bad_access"]) {
        Cause::Fault
    } else {
        Cause::Other
    }
}

/// The language whose rules the frames of a format follow.
pub(crate) fn language(format: Format) -> Language {
    match format {
        Format::Java => Language::Java,
        Format::Python => Language::Python,
        Format::Node => Language::JavaScript,
        Format::Go => Language::Go,
        Format::Kernel => Language::Kernel,
        _ => Language::Native,
    }
}

pub(crate) fn from_stack(stack: &[StackFrame], language: Language, cause: Cause) -> Trace {
    let kept = in_application(stack, language);
    let (frames, repeats) = collapse(kept);
    // A debugger told to stop after so many frames ends inside of the recursion.
    let cut =
        cause == Cause::Fault && repeats >= CUT_REPEATS && frames.last().is_some_and(|frame| frame.repeated);
    let handled =
        stack.iter().any(|frame| frame.keys.first().is_some_and(|key| key.contains("stack_overflow")));
    let overflow = cause == Cause::Overflow
        || handled
        || cut
        || repeats >= OVERFLOW_REPEATS && cause == Cause::Fault
        || repeats >= OVERFLOW_REPEATS_ALONE;
    let mut frames = frames;
    let deep = cause == Cause::Overflow || handled || cut || repeats >= LEAF_REPEATS;
    if overflow
        && deep
        && let Some(first) = frames.iter().position(|frame| frame.repeated)
    {
        // The leaf that happened to touch the guard page says nothing.
        frames.drain(..first);
    }
    frames.truncate(MAX_TRACE_FRAMES);
    Trace { frames, overflow }
}

/// Without scanned leftovers, signal and panic machinery and everything further in, and runtime frames.
fn in_application(frames: &[StackFrame], language: Language) -> Vec<TraceFrame> {
    let named: Vec<&StackFrame> = frames.iter().filter(|frame| !frame.keys.is_empty()).collect();
    let certain: Vec<&StackFrame> =
        named.iter().copied().filter(|frame| frame.trust != Trust::Scanned).collect();
    let certain = if certain.is_empty() { named } else { certain };
    let entry = certain
        .iter()
        .rposition(|frame| language == Language::Native && noise::is_panic_entry(&frame.keys[0]))
        .map_or(0, |at| at + 1);
    let signal =
        certain.iter().position(|frame| frame.keys[0] == "signal handler called").map_or(0, |at| at + 1);
    let certain =
        if entry.max(signal) < certain.len() { &certain[entry.max(signal)..] } else { &certain[..] };
    let rust = certain.iter().any(|frame| noise::is_rust_start(&frame.keys[0]));
    let kept: Vec<TraceFrame> = certain
        .iter()
        .filter(|frame| !(rust && frame.keys[0] == "main" && !in_rust_source(frame)))
        .filter_map(|frame| match noise::role(frame, language) {
            noise::Role::Runtime => None,
            role => Some(trace_frame(frame, role == noise::Role::Standard)),
        })
        .collect();
    if kept.is_empty() { certain.iter().map(|frame| trace_frame(frame, false)).collect() } else { kept }
}

/// A bare `main` with a Rust file is the program's own, not the C one that starts it.
fn in_rust_source(frame: &StackFrame) -> bool {
    frame.file.as_deref().is_some_and(|file| file.ends_with(".rs"))
}

fn trace_frame(frame: &StackFrame, standard: bool) -> TraceFrame {
    TraceFrame {
        keys: frame.keys.clone(),
        repeated: false,
        standard,
        location: frame.trust == Trust::Location,
        file: frame.file.as_deref().map(|file| base_name(file).to_owned()),
        line: frame.line,
    }
}

/// Collapses runs and cycles; returns the frames and the largest number of repeats.
fn collapse(frames: Vec<TraceFrame>) -> (Vec<TraceFrame>, usize) {
    let mut ids: HashMap<String, usize> = HashMap::new();
    let sequence: Vec<usize> = frames
        .iter()
        .map(|frame| {
            let next = ids.len();
            *ids.entry(frame.key().to_owned()).or_insert(next)
        })
        .collect();
    let mut out: Vec<TraceFrame> = Vec::new();
    let mut most = 0;
    let mut at = 0;
    while at < frames.len() {
        let (period, repeats) = cycle_at(&sequence[at..]);
        if repeats < 2 {
            out.push(frames[at].clone());
            at += 1;
            continue;
        }
        most = most.max(repeats);
        let start = if period == 1 { 0 } else { canonical_start(&frames[at..at + period]) };
        for step in 0..period {
            let mut frame = frames[at + (start + step) % period].clone();
            frame.repeated = true;
            out.push(frame);
        }
        let cycle = at;
        at += period * repeats;
        // A last, incomplete turn of the cycle.
        let mut step = 0;
        while step < period && at < frames.len() && sequence[at] == sequence[cycle + step] {
            at += 1;
            step += 1;
        }
    }
    irregular(out, most)
}

/// The shortest cycle that repeats at the start of `sequence`, and how often it stands there.
fn cycle_at(sequence: &[usize]) -> (usize, usize) {
    for period in 1..=MAX_CYCLE.min(sequence.len() / 2) {
        let repeats = 1 + sequence[period..]
            .chunks_exact(period)
            .take_while(|turn| *turn == &sequence[..period])
            .count();
        if repeats >= 2 {
            return (period, repeats);
        }
    }
    (1, 1)
}

/// The crash may hit any phase of a cycle: it is told from its smallest function.
fn canonical_start(cycle: &[TraceFrame]) -> usize {
    (0..cycle.len()).min_by(|&a, &b| cycle[a].key().cmp(cycle[b].key())).unwrap_or(0)
}

/// Recursion without a fixed cycle (a parser's descent): its functions, each once, sorted.
fn irregular(frames: Vec<TraceFrame>, most: usize) -> (Vec<TraceFrame>, usize) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for frame in &frames {
        *counts.entry(frame.key().to_owned()).or_default() += 1;
    }
    if frames.len() <= IRREGULAR_FRAMES || counts.len() * 4 > frames.len() {
        return (frames, most);
    }
    let largest = counts.values().copied().max().unwrap_or(0);
    let mut recursive: Vec<TraceFrame> = Vec::new();
    let mut rest: Vec<TraceFrame> = Vec::new();
    for mut frame in frames {
        match counts.get_mut(frame.key()) {
            Some(count) if *count > 2 => {
                *count = 1;
                frame.repeated = true;
                recursive.push(frame);
            }
            Some(count) if *count > 0 && !recursive.iter().any(|seen| seen.key() == frame.key()) => {
                rest.push(frame);
            }
            _ => {}
        }
    }
    recursive.sort_by(|a, b| a.keys.cmp(&b.keys));
    recursive.append(&mut rest);
    (recursive, most.max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(names: &[&str]) -> Trace {
        let frames: Vec<StackFrame> = names
            .iter()
            .map(|name| {
                let mut frame = StackFrame { function: Some((*name).to_owned()), ..StackFrame::default() };
                crate::name::assign_keys(&mut frame, Language::Native);
                frame
            })
            .collect();
        from_stack(&frames, Language::Native, Cause::Fault)
    }

    fn keys(trace: &Trace) -> Vec<&str> {
        trace.frames.iter().map(TraceFrame::key).collect()
    }

    #[test]
    fn machinery_is_dropped_at_both_ends() {
        let trace = trace(&[
            "raise",
            "abort",
            "rust_begin_unwind",
            "core::panicking::panic_fmt",
            "app::work",
            "app::main",
            "std::rt::lang_start",
            "main",
            "__libc_start_main",
            "_start",
        ]);
        assert_eq!(keys(&trace), ["app::work", "app::main"]);
    }

    #[test]
    fn cycles_collapse_whatever_the_phase() {
        let mut one = Vec::new();
        let mut other = vec!["c"];
        for _ in 0..200 {
            one.extend(["a", "b", "c"]);
            other.extend(["a", "b", "c"]);
        }
        one.push("main");
        other.push("main");
        assert_eq!(trace(&one), trace(&other));
        assert_eq!(keys(&trace(&one)), ["a", "b", "c", "main"]);
        assert!(trace(&one).overflow && trace(&one).frames[0].repeated);
    }

    #[test]
    fn irregular_recursion_is_a_set() {
        let mut names = Vec::new();
        for step in 0..400_u32 {
            names.push(["value", "array", "object"][(step.wrapping_mul(2_654_435_761) >> 13) as usize % 3]);
        }
        names.push("main");
        let collapsed = trace(&names);
        assert_eq!(keys(&collapsed), ["array", "object", "value", "main"]);
    }
}
