//! Valgrind: `==pid==    at 0x...: function (file.c:12)`.

use super::builder::Stacks;
use super::scan::{address, location};
use crate::report::StackFrame;

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut heading: Option<&str> = None;
    let mut open = false;
    for line in lines {
        let Some(text) = body(line) else { continue };
        match frame(text) {
            Some((frame, first)) => {
                if first || !open {
                    stacks.begin(heading);
                    stacks.because(heading.unwrap_or_default());
                }
                open = true;
                stacks.push(frame);
            }
            None => {
                open = false;
                heading = Some(text.trim());
            }
        }
    }
    stacks
}

/// The line without `==pid==`.
fn body(line: &str) -> Option<&str> {
    let inside = line.trim_start().strip_prefix("==")?;
    let end = inside.find("==")?;
    inside[..end].bytes().all(|byte| byte.is_ascii_digit()).then(|| &inside[end + 2..])
}

fn frame(text: &str) -> Option<(StackFrame, bool)> {
    let text = text.trim_start();
    let (rest, first) = match text.strip_prefix("at ") {
        Some(rest) => (rest, true),
        None => (text.strip_prefix("by ")?, false),
    };
    let (at, rest) = address(rest)?;
    let rest = rest.strip_prefix(": ")?;
    let mut frame = StackFrame { address: Some(at), ..StackFrame::default() };
    let (function, place) = rest.rsplit_once(" (").unwrap_or((rest, ""));
    let place = place.trim_end().trim_end_matches(')');
    match place.strip_prefix("in ") {
        Some(module) => frame.module = Some(module.to_owned()),
        None if !place.is_empty() => {
            let (file, line) = location(place);
            frame.file = Some(file.to_owned());
            frame.line = line;
        }
        None => {}
    }
    if function.trim() != "???" {
        frame.function = Some(function.trim().to_owned());
    }
    Some((frame, first))
}
