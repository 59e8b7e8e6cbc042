//! Texts of many tools, read line by line, each line once per format.

mod apple;
mod builder;
mod frames;
mod go;
mod java;
mod json;
mod kernel;
mod minidump;
mod node;
mod numbered;
mod python;
mod rust;
mod scan;
mod valgrind;

use std::borrow::Cow;
use std::collections::HashMap;

use builder::Stacks;
pub use frames::from_frames;

use crate::name::{Language, in_package, keys_of};
use crate::report::{
    Format, MAX_LINE_BYTES, MAX_REPORT_FRAMES, MAX_TEXT_BYTES, Report, StackError, StackFrame, cut,
};
use crate::trace::language;

/// Reads the stacks in a crash text of any known form.
///
/// A text may hold several forms (a Python traceback inside a sanitizer report); the one nearest to
/// the incident wins: the language's own stack before the native one.
pub fn parse(bytes: &[u8]) -> Result<Report, StackError> {
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(StackError::TooLarge { bytes: bytes.len() });
    }
    let text = String::from_utf8_lossy(bytes);
    let text = without_escapes(&text);
    let body = text.trim_start_matches('\u{feff}').trim_start();
    if body.starts_with('{') || body.starts_with('[') {
        match json::parse(body.trim_end().as_bytes()) {
            Ok(report) => return Ok(report),
            Err(error) if serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() => return Err(error),
            Err(_) => {}
        }
    }
    let mut cut_lines = false;
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            cut_lines |= line.len() > MAX_LINE_BYTES;
            cut(line, MAX_LINE_BYTES)
        })
        .collect();
    let (format, stacks) = recognise(&lines).ok_or(StackError::UnknownFormat)?;
    let mut report = stacks.into_report(format);
    if cut_lines {
        report.warn(format!("lines longer than {MAX_LINE_BYTES} bytes were cut"));
    }
    if matches!(text, Cow::Borrowed(_)) && std::str::from_utf8(bytes).is_err() {
        report.warn("bytes that are not UTF-8 were replaced");
    }
    Ok(report)
}

type Reader = fn(&[&str]) -> Stacks;

/// The readers, the most particular first; the last ones find only a source location.
const READERS: [(Format, Reader); 14] = [
    (Format::Minidump, minidump::parse),
    (Format::Go, go::parse),
    (Format::Java, java::parse),
    (Format::Python, python::parse),
    (Format::Kernel, kernel::parse),
    (Format::Rust, rust::parse),
    (Format::Valgrind, valgrind::parse),
    (Format::Sanitizer, numbered::sanitizer),
    (Format::Gdb, numbered::gdb),
    (Format::Apple, apple::parse),
    (Format::Node, node::parse),
    (Format::Rust, rust::message),
    (Format::Node, node::native),
    (Format::Sanitizer, numbered::location),
];

fn recognise(lines: &[&str]) -> Option<(Format, Stacks)> {
    READERS.iter().find_map(|(format, reader)| {
        let stacks = reader(lines);
        (!stacks.is_empty()).then_some((*format, stacks))
    })
}

/// The text without terminal escapes.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            out.push(letter);
            continue;
        }
        if letters.as_str().starts_with('[') {
            letters.next();
            for next in letters.by_ref() {
                if next.is_ascii_alphabetic() || next == '\n' {
                    break;
                }
            }
        }
    }
    Cow::Owned(out)
}

/// Gives every frame its keys.
fn name_frames(report: &mut Report) {
    let language = language(report.format);
    let packages = packages(report, language);
    for frame in report.threads.iter_mut().flat_map(|thread| &mut thread.frames) {
        if !frame.keys.is_empty() {
            continue;
        }
        let full = frame.file.as_deref().and_then(|file| packages.get(file)).and_then(Option::as_ref);
        frame.keys = match full {
            Some(full) => keys_of(&StackFrame { file: Some(full.clone()), ..frame.clone() }, language),
            None => keys_of(frame, language),
        };
    }
}

/// What a path relative to a package (`src/oid.rs`) stands for, where the same text also names that file
/// in full: debuggers print both, by how each unit was compiled. None where two packages have the file.
fn packages(report: &Report, language: Language) -> HashMap<String, Option<String>> {
    let mut found: HashMap<String, Option<String>> = HashMap::new();
    if language != Language::Native {
        return found;
    }
    for file in
        report.threads.iter().flat_map(|thread| &thread.frames).filter_map(|frame| frame.file.as_ref())
    {
        let Some(relative) = in_package(file) else { continue };
        match found.get_mut(relative) {
            Some(one) if one.as_ref() != Some(file) => *one = None,
            Some(_) => {}
            None => drop(found.insert(relative.to_owned(), Some(file.clone()))),
        }
    }
    found
}

/// Drops frames past the report's limit.
fn bound(report: &mut Report) {
    let mut left = MAX_REPORT_FRAMES;
    let mut dropped = 0;
    for thread in &mut report.threads {
        let keep = thread.frames.len().min(left);
        dropped += thread.frames.len() - keep;
        thread.frames.truncate(keep);
        left -= keep;
    }
    if dropped > 0 {
        report.warn(format!("{dropped} frames past the limit of {MAX_REPORT_FRAMES} were dropped"));
    }
}
