//! Java exceptions (and Kotlin, Scala, Android): `at pkg.Class.method(File.java:12)`.

use super::builder::Stacks;
use super::scan::number;
use crate::report::{MAX_FRAMES, StackFrame};

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut chain: Vec<(String, Vec<StackFrame>)> = Vec::new();
    let mut stacks = Stacks::default();
    let mut previous = "";
    let mut open = false;
    for line in lines {
        let text = line.trim();
        if let Some(frame) = frame(text) {
            let cause = previous.starts_with("Caused by");
            if !open {
                if !cause {
                    flush(&mut stacks, &mut chain);
                }
                chain.push((previous.to_owned(), Vec::new()));
            }
            open = true;
            if let Some((_, frames)) = chain.last_mut().filter(|(_, frames)| frames.len() < MAX_FRAMES) {
                frames.push(frame);
            }
        } else if let Some(more) =
            text.strip_prefix("... ").and_then(number).filter(|(_, rest)| rest.starts_with(" more"))
        {
            share(&mut chain, more.0 as usize);
        } else {
            open = false;
            if !text.is_empty() {
                previous = text;
            }
        }
    }
    flush(&mut stacks, &mut chain);
    stacks
}

/// `... N more`: the cause shares the N outermost frames of the exception that encloses it.
fn share(chain: &mut [(String, Vec<StackFrame>)], count: usize) {
    let Some((last, before)) = chain.split_last_mut() else { return };
    let Some((_, outer)) = before.last() else { return };
    let start = outer.len().saturating_sub(count);
    let room = MAX_FRAMES.saturating_sub(last.1.len());
    last.1.extend(outer[start..].iter().take(room).cloned());
}

/// The root cause, which stands last, is the incident; what it was wrapped in follows.
fn flush(stacks: &mut Stacks, chain: &mut Vec<(String, Vec<StackFrame>)>) {
    while let Some((heading, frames)) = chain.pop() {
        stacks.because(heading.trim_start_matches("Caused by: "));
        stacks.begin(Some(&heading));
        for frame in frames {
            stacks.push(frame);
        }
    }
}

pub(super) fn frame(text: &str) -> Option<StackFrame> {
    let text = text.strip_prefix("at ")?;
    let open = text.rfind('(')?;
    let place = text[open + 1..].split(')').next()?;
    let function = text[..open].trim();
    let (file, line) = place.rsplit_once(':').map_or((place, None), |(file, line)| (file, line.parse().ok()));
    let native = matches!(place, "Native Method" | "Unknown Source" | "<generated>" | "Unknown Source:0");
    let known = [".java", ".kt", ".scala", ".groovy", ".clj", ".rs"].iter().any(|end| file.ends_with(end));
    let android = file.starts_with("Unknown Source") || file == "SourceFile" || file == "PG";
    if !(native || known || android) || !function.contains('.') || function.contains(' ') {
        return None;
    }
    Some(StackFrame {
        function: Some(function.to_owned()),
        file: (known && !native).then(|| file.to_owned()),
        line,
        ..StackFrame::default()
    })
}
