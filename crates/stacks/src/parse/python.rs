//! Python tracebacks: `File "x.py", line 12, in f`, outermost first.

use super::builder::Stacks;
use super::scan::number;
use crate::report::{MAX_FRAMES, StackFrame};

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut frames: Vec<StackFrame> = Vec::new();
    let mut reason: Option<&str> = None;
    let mut open = false;
    for line in lines {
        if line.contains("Traceback (most recent call last)") {
            flush(&mut stacks, &mut frames, &mut reason);
            open = true;
        } else if let Some(frame) = frame(line) {
            // The innermost frames stand last: an endless recursion keeps its outer end.
            if frames.len() < MAX_FRAMES {
                frames.push(frame);
            }
        } else if open && !frames.is_empty() && !line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            reason = Some(line.trim());
            open = false;
            flush(&mut stacks, &mut frames, &mut reason);
        }
    }
    flush(&mut stacks, &mut frames, &mut reason);
    // The exception that ended the program stands last.
    stacks.mark_crashed();
    stacks
}

fn flush(stacks: &mut Stacks, frames: &mut Vec<StackFrame>, reason: &mut Option<&str>) {
    if frames.is_empty() {
        return;
    }
    stacks.begin(*reason);
    if let Some(reason) = reason.take() {
        stacks.reason = None;
        stacks.because(reason);
    }
    for frame in frames.drain(..).rev() {
        stacks.push(frame);
    }
}

/// `File "x.py", line 12, in f`.
pub(super) fn frame(line: &str) -> Option<StackFrame> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, rest) = number(rest)?;
    let function = rest.strip_prefix(", in ").map_or("<module>", str::trim);
    Some(StackFrame {
        function: Some(function.to_owned()),
        file: Some(file.to_owned()),
        line: Some(line),
        ..StackFrame::default()
    })
}
