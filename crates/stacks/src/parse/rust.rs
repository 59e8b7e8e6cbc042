//! Rust panics: the message, and the backtrace below it.

use super::builder::Stacks;
use super::scan::{address, after, location, number};
use crate::name::location_keys;
use crate::report::{StackFrame, Trust};

/// A panic's `stack backtrace:`, with numbered frames and `at` lines.
pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut inside = false;
    for line in lines {
        if let Some(message) = panic_message(line) {
            stacks.because(message);
        }
        if line.trim_start().starts_with("stack backtrace:") {
            inside = true;
            stacks.begin(None);
        } else if inside {
            inside = backtrace_line(&mut stacks, line);
        }
    }
    if let Some(thread) = stacks.threads_mut().iter_mut().find(|thread| !thread.frames.is_empty()) {
        thread.crashed = true;
    }
    stacks
}

/// Reads one line of a backtrace; false where the backtrace has ended.
fn backtrace_line(stacks: &mut Stacks, line: &str) -> bool {
    let text = line.trim();
    if let Some(place) = text.strip_prefix("at ") {
        if let Some(frame) = stacks.last_mut().and_then(|thread| thread.frames.last_mut()) {
            let (file, line) = location(place);
            frame.file = Some(crate::report::cut(file, crate::report::MAX_NAME_BYTES).to_owned());
            frame.line = line;
        }
        return true;
    }
    let mut frame = StackFrame { trust: Trust::Unwound, ..StackFrame::default() };
    let Some((_, rest)) = number(text).filter(|(_, rest)| rest.starts_with(':')) else {
        // A full backtrace prints inlined frames without a number.
        if let Some(name) = text.strip_prefix("- ").filter(|_| line.starts_with(' ')) {
            frame.function = Some(name.to_owned());
            frame.inlined = true;
            stacks.push(frame);
            return true;
        }
        return text.is_empty() || text.starts_with("[...") || text.starts_with("[[[");
    };
    let mut rest = rest[1..].trim_start();
    if let Some((at, name)) = address(rest) {
        frame.address = Some(at);
        rest = name.trim_start().trim_start_matches('-').trim_start();
    }
    if rest != "<unknown>" && !rest.is_empty() {
        frame.function = Some(rest.to_owned());
    }
    stacks.push(frame);
    true
}

/// A panic without a backtrace: one pseudo-frame for the place that the message names, or for the
/// exhausted stack.
pub(super) fn message(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    for (at, line) in lines.iter().enumerate() {
        if line.contains("has overflowed its stack") {
            stacks.because(line.trim());
            stacks.begin(quoted(line));
            stacks.push(StackFrame {
                trust: Trust::Location,
                function: Some("stack overflow".to_owned()),
                keys: vec!["stack overflow".to_owned()],
                ..StackFrame::default()
            });
            return stacks;
        }
        let Some(message) = panic_message(line) else { continue };
        let place = panic_place(message)
            .or_else(|| lines[at + 1..].iter().take(64).find_map(|line| panic_place(line)));
        if let Some((file, line)) = place {
            stacks.because(message);
            stacks.begin(after(lines[at], "thread ").and_then(quoted));
            stacks.push(location_frame(file, line));
            return stacks;
        }
    }
    stacks
}

fn quoted(text: &str) -> Option<&str> {
    let inside = after(text, "'")?;
    inside.find('\'').map(|end| &inside[..end])
}

/// What follows `thread '...' panicked at `.
fn panic_message(line: &str) -> Option<&str> {
    let start = line.find("thread '").or_else(|| line.find("thread "))?;
    let message = after(&line[start..], " panicked at ")?;
    (!message.is_empty()).then_some(message)
}

/// `src/x.rs:1:2:` (since Rust 1.73), or `'message', src/x.rs:1:2`.
fn panic_place(message: &str) -> Option<(&str, Option<u32>)> {
    let last = message.rsplit(", ").next().unwrap_or(message).trim();
    for text in [last, message.trim()] {
        let (file, line) = location(text);
        if line.is_some() && (file.ends_with(".rs") || !file.contains([' ', '\''])) && !file.is_empty() {
            return Some((file, line));
        }
    }
    None
}

/// A pseudo-frame for a place in the source that a message names.
pub(super) fn location_frame(file: &str, line: Option<u32>) -> StackFrame {
    StackFrame {
        file: Some(file.to_owned()),
        line,
        trust: Trust::Location,
        keys: location_keys(crate::report::cut(file, crate::report::MAX_NAME_BYTES), line),
        ..StackFrame::default()
    }
}
