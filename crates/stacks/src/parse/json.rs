//! JSON reports: Assay's own, casr's, rust-minidump's.

use assay_binary::Frame;
use assay_evidence::json::parse_strict;
use serde_json::Value;

use super::builder::Stacks;
use super::scan::{address, location};
use super::{bound, from_frames, java, name_frames, numbered, python};
use crate::name::location_keys;
use crate::report::{
    Format, MAX_FRAMES, MAX_NAME_BYTES, MAX_THREADS, Report, StackError, StackFrame, Trust, cut,
};

pub(super) fn parse(bytes: &[u8]) -> Result<Report, StackError> {
    let value = parse_strict(bytes)
        .or_else(|error| loose(bytes).ok_or(error))
        .map_err(|error| StackError::Json { detail: error.to_string() })?;
    if value.is_array() {
        return captured(value);
    }
    if value.get("Stacktrace").is_some() {
        return casr(&value);
    }
    if value.get("crash_info").is_some() || value.get("crashing_thread").is_some() {
        return minidump(&value);
    }
    if value.get("format").is_some() && value.get("threads").is_some() {
        return own(value);
    }
    Err(StackError::UnknownFormat)
}

/// Foreign reports hold integers that strict JSON refuses (nanoseconds, registers); frames do not.
fn loose(bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let foreign = ["Stacktrace", "crash_info", "crashing_thread"].iter().any(|key| value.get(key).is_some());
    foreign.then_some(value)
}

fn captured(value: Value) -> Result<Report, StackError> {
    let frames: Vec<Frame> =
        serde_json::from_value(value).map_err(|error| StackError::Json { detail: error.to_string() })?;
    if frames.is_empty() {
        return Err(StackError::UnknownFormat);
    }
    Ok(from_frames(&frames, None))
}

/// Assay's own report; its keys are made anew, so that an older normaliser's do not survive.
fn own(value: Value) -> Result<Report, StackError> {
    let mut report: Report =
        serde_json::from_value(value).map_err(|error| StackError::Json { detail: error.to_string() })?;
    report.threads.truncate(MAX_THREADS);
    report.warnings.truncate(crate::report::MAX_WARNINGS);
    let crashed = report.threads.iter().position(|thread| thread.crashed).unwrap_or(0);
    for (at, thread) in report.threads.iter_mut().enumerate() {
        thread.crashed = at == crashed;
        thread.frames.truncate(MAX_FRAMES);
        thread.frames.iter_mut().for_each(rename);
    }
    bound(&mut report);
    name_frames(&mut report);
    if report.threads.iter().all(|thread| thread.frames.is_empty()) {
        return Err(StackError::UnknownFormat);
    }
    Ok(report)
}

fn rename(frame: &mut StackFrame) {
    frame.keys.clear();
    if frame.trust != Trust::Location {
        return;
    }
    match (&frame.function, &frame.file) {
        (None, Some(file)) => frame.keys = location_keys(cut(file, MAX_NAME_BYTES), frame.line),
        (Some(function), _) => frame.keys = vec![cut(function, MAX_NAME_BYTES).to_owned()],
        (None, None) => {}
    }
}

/// casr: `Stacktrace` holds one line a frame, innermost first, in the form of the tool that made it.
fn casr(value: &Value) -> Result<Report, StackError> {
    let lines: Vec<&str> = value["Stacktrace"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .take(MAX_FRAMES)
        .collect();
    let mut stacks = Stacks::default();
    for key in ["ShortDescription", "Description"] {
        if let Some(reason) = value["CrashSeverity"][key].as_str() {
            stacks.because(reason);
        }
    }
    stacks.begin(None);
    let mut format = Format::Casr;
    for line in &lines {
        let frame = if let Some(frame) = python::frame(line) {
            format = Format::Python;
            frame
        } else if let Some(frame) = java::frame(line.trim()) {
            format = Format::Java;
            frame
        } else if let Some(frame) = casr_line(line) {
            frame
        } else {
            continue;
        };
        stacks.push(frame);
    }
    if stacks.is_empty()
        && let Some(line) = value["CrashLine"].as_str().filter(|line| !line.is_empty())
    {
        let (file, line) = location(line);
        stacks.push(super::rust::location_frame(file, line));
    }
    if stacks.is_empty() {
        return Err(StackError::UnknownFormat);
    }
    // The frames' own language decides the keys, so a Python report of casr's is a Python report.
    Ok(stacks.into_report(format))
}

fn casr_line(line: &str) -> Option<StackFrame> {
    let rest = line.trim().strip_prefix('#')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    numbered::frame(rest[digits..].trim_start())
}

/// rust-minidump's `--json`.
fn minidump(value: &Value) -> Result<Report, StackError> {
    let mut stacks = Stacks::default();
    if let Some(reason) = value["crash_info"]["type"].as_str() {
        stacks.because(reason);
    }
    let crashing = value["crash_info"]["crashing_thread"].as_u64();
    let threads = value["threads"].as_array().map_or(&[][..], Vec::as_slice);
    if !threads.iter().any(|thread| thread["frames"].is_array()) {
        stacks.begin(None);
        minidump_frames(&mut stacks, &value["crashing_thread"]["frames"]);
    }
    for (at, thread) in threads.iter().enumerate().take(MAX_THREADS) {
        stacks.begin(thread["thread_name"].as_str());
        if crashing == Some(at as u64) {
            stacks.mark_crashed();
        }
        minidump_frames(&mut stacks, &thread["frames"]);
    }
    if stacks.is_empty() {
        return Err(StackError::UnknownFormat);
    }
    Ok(stacks.into_report(Format::Minidump))
}

fn minidump_frames(stacks: &mut Stacks, frames: &Value) {
    for frame in frames.as_array().into_iter().flatten() {
        for inlined in frame["inlines"].as_array().into_iter().flatten() {
            let mut inlined = minidump_frame(inlined, frame);
            inlined.inlined = true;
            stacks.push(inlined);
        }
        stacks.push(minidump_frame(frame, frame));
    }
}

fn minidump_frame(frame: &Value, physical: &Value) -> StackFrame {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    StackFrame {
        function: text(&frame["function"]),
        module: text(&physical["module"]),
        file: text(&frame["file"]),
        line: frame["line"].as_u64().and_then(|line| u32::try_from(line).ok()),
        address: physical["module_offset"].as_str().and_then(address).map(|(at, _)| at),
        trust: match physical["trust"].as_str() {
            Some("context") => Trust::Context,
            Some("scan") => Trust::Scanned,
            _ => Trust::Unwound,
        },
        ..StackFrame::default()
    }
}
