//! JavaScript errors, and V8's native stack.

use super::builder::Stacks;
use super::scan::{address, location, number};
use crate::report::StackFrame;

/// `at name (file:12:3)` or `at file:12:3`.
pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut previous = "";
    let mut open = false;
    for line in lines {
        let text = line.trim();
        match frame(text) {
            Some(frame) => {
                if !open {
                    stacks.begin(Some(previous));
                    stacks.because(previous);
                }
                open = true;
                stacks.push(frame);
            }
            None => {
                open = false;
                if !text.is_empty() {
                    previous = text;
                }
            }
        }
    }
    stacks
}

fn frame(text: &str) -> Option<StackFrame> {
    let text = text.strip_prefix("at ")?;
    let (function, place) = match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((function, place)) => (function, place),
        None => ("", text.strip_prefix("async ").unwrap_or(text)),
    };
    let (file, line) = location(place);
    let native = matches!(place, "<anonymous>" | "native" | "[native code]");
    if !native && (line.is_none() || file.contains(' ') || file.is_empty()) {
        return None;
    }
    if native && function.is_empty() {
        return None;
    }
    Some(StackFrame {
        function: Some(function.to_owned())
            .filter(|name| !name.is_empty())
            .or_else(|| Some("<anonymous>".to_owned())),
        file: (!native).then(|| file.to_owned()),
        line,
        ..StackFrame::default()
    })
}

/// `==== C stack trace ====`, then ` 1: V8_Fatal` or ` 1: 0x34cdfb0`; also `0: 0x... name [module]`.
pub(super) fn native(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut inside = false;
    for line in lines {
        if line.contains("C stack trace") || line.contains("Native stack trace") {
            inside = true;
            stacks.begin(None);
            continue;
        }
        if let Some(reason) = line.trim().strip_prefix("# Fatal error in ") {
            stacks.because(reason);
        }
        let Some((_, rest)) = number(line.trim()).filter(|(_, rest)| inside && rest.starts_with(':')) else {
            continue;
        };
        let mut frame = StackFrame::default();
        let mut rest = rest[1..].trim();
        if let Some((at, name)) = address(rest) {
            frame.address = Some(at);
            rest = name.trim();
        }
        let rest = rest.split(" [").next().unwrap_or(rest).trim();
        frame.function = (!rest.is_empty()).then(|| rest.to_owned());
        stacks.push(frame);
    }
    stacks
}
