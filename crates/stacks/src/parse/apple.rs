//! Apple crash reports and Swift's own stacks: `0   Module   0x0000... function + 12`.

use super::builder::Stacks;
use super::scan::{address, number};
use crate::report::StackFrame;

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut heading: Option<&str> = None;
    let mut last: Option<u32> = None;
    for line in lines {
        if let Some(reason) = line.strip_prefix("Exception Type:") {
            stacks.because(reason);
        }
        match frame(line) {
            Some((index, frame)) => {
                if index == 0 || last.is_none() {
                    stacks.begin(heading);
                    if heading.is_some_and(|heading| heading.contains("Crashed")) {
                        stacks.mark_crashed();
                    }
                }
                last = Some(index);
                stacks.push(frame);
            }
            None if line.starts_with("Thread ") => heading = Some(line.trim_end().trim_end_matches(':')),
            None => {}
        }
    }
    stacks
}

fn frame(line: &str) -> Option<(u32, StackFrame)> {
    let (index, rest) = number(line.trim_start())?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let at = rest.find(" 0x").or_else(|| rest.find("\t0x"))?;
    let module = rest[..at].trim();
    let (pc, tail) = address(&rest[at + 1..])?;
    if module.is_empty() || pc.len() < 5 {
        return None;
    }
    let tail = tail.trim();
    let mut frame =
        StackFrame { module: Some(module.to_owned()), address: Some(pc), ..StackFrame::default() };
    let symbol = tail.rsplit_once(" + ").map_or(tail, |(symbol, _)| symbol);
    if let Some((base, "")) = address(symbol) {
        // Not symbolised: the module's base and an offset from it.
        let offset = tail.rsplit_once(" + ").and_then(|(_, offset)| offset.trim().parse::<u64>().ok());
        frame.address = offset.map(|offset| format!("{offset:#x}")).or(Some(base));
    } else if symbol != "<unavailable>" && !symbol.is_empty() {
        frame.function = Some(symbol.to_owned());
    }
    Some((index, frame))
}
