//! The text of minidump-stackwalk: human-readable, or Breakpad's `thread|frame|module|...` table.

use super::builder::Stacks;
use super::scan::{hex, number};
use crate::report::{StackFrame, Trust};

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let human = lines
        .iter()
        .any(|line| line.starts_with("Crash reason:") || line.trim_start().starts_with("Found by:"));
    if human {
        lines.iter().for_each(|line| human_line(&mut stacks, line));
    } else if lines.iter().any(|line| line.starts_with("Crash|") || line.starts_with("OS|")) {
        table(&mut stacks, lines);
    }
    stacks
}

fn human_line(stacks: &mut Stacks, line: &str) {
    if let Some(reason) = line.strip_prefix("Crash reason:") {
        stacks.because(reason);
    } else if line.starts_with("Thread ") {
        stacks.begin(Some(line));
        if line.contains("(crashed)") {
            stacks.mark_crashed();
        }
    } else if let Some(found) = line.trim_start().strip_prefix("Found by: ") {
        if let Some(frame) = stacks.last_mut().and_then(|thread| thread.frames.last_mut()) {
            frame.trust = trust(found);
            frame.inlined = found.starts_with("inlining");
        }
    } else if let Some((_, rest)) = number(line.trim_start()).filter(|(_, rest)| rest.starts_with("  "))
        && stacks.last_mut().is_some()
        && !rest.contains(" = 0x")
    {
        stacks.push(human_frame(rest.trim()));
    }
}

fn trust(found: &str) -> Trust {
    if found.contains("instruction pointer in context") {
        Trust::Context
    } else if found.contains("scanning") {
        Trust::Scanned
    } else {
        Trust::Unwound
    }
}

/// `module!function [file : 12 + 0x3]`, `module + 0x123`, or `0x1234`.
fn human_frame(text: &str) -> StackFrame {
    let mut frame = StackFrame::default();
    if let Some((module, offset)) = text.rsplit_once(" + 0x").filter(|_| !text.ends_with(']')) {
        // Without source: `module!function + 0x12` or `module + 0x12`.
        match module.split_once('!') {
            Some((module, function)) => {
                frame.module = Some(module.to_owned());
                frame.function = Some(function.to_owned());
            }
            None => {
                frame.module = Some(module.to_owned());
                frame.address = Some(hex(offset));
            }
        }
        return frame;
    }
    let (symbol, source) = match text.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
        Some((symbol, source)) => (symbol, Some(source)),
        None => (text, None),
    };
    match symbol.split_once('!') {
        Some((module, function)) => {
            frame.module = Some(module.to_owned());
            frame.function = Some(function.to_owned());
        }
        None if symbol.starts_with("0x") => frame.address = Some(hex(&symbol[2..])),
        None => frame.module = Some(symbol.to_owned()),
    }
    if let Some((file, rest)) = source.and_then(|source| source.rsplit_once(" : ")) {
        frame.file = Some(file.to_owned());
        frame.line = number(rest).map(|(line, _)| line);
    }
    frame
}

/// `thread|frame|module|function|file|line|offset`, and `Crash|reason|address|thread`.
fn table(stacks: &mut Stacks, lines: &[&str]) {
    let mut crashed: Option<&str> = None;
    let mut current: Option<&str> = None;
    for line in lines {
        let columns: Vec<&str> = line.splitn(8, '|').collect();
        if columns[0] == "Crash" && columns.len() >= 4 {
            stacks.because(columns[1]);
            crashed = Some(columns[3]);
        }
        if columns.len() < 7 || number(columns[0]).is_none_or(|(_, rest)| !rest.is_empty()) {
            continue;
        }
        if current != Some(columns[0]) {
            current = Some(columns[0]);
            stacks.begin(Some(columns[0]));
            if crashed == current {
                stacks.mark_crashed();
            }
        }
        let text = |at: usize| Some(columns[at].to_owned()).filter(|text| !text.is_empty());
        stacks.push(StackFrame {
            module: text(2),
            function: text(3),
            file: text(4),
            line: columns[5].parse().ok(),
            address: columns[6].strip_prefix("0x").map(hex),
            ..StackFrame::default()
        });
    }
}
