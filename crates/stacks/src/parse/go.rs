//! Go panics and fatal errors: `goroutine N [running]:`, then call and place on two lines.

use super::builder::Stacks;
use super::scan::location;
use crate::report::StackFrame;

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut inside = false;
    let mut crashed = false;
    for (at, line) in lines.iter().enumerate() {
        if let Some(reason) = line
            .trim_start()
            .strip_prefix("panic: ")
            .or_else(|| line.trim_start().strip_prefix("fatal error: "))
        {
            stacks.because(reason);
        }
        if let Some(start) = line.find("goroutine ").filter(|_| line.trim_end().ends_with("]:")) {
            inside = true;
            stacks.begin(Some(line[start..].trim_end_matches(':')));
            if !crashed && line.contains("[running") {
                crashed = true;
                stacks.mark_crashed();
            }
            continue;
        }
        if !inside {
            continue;
        }
        if line.trim().is_empty() {
            inside = lines.get(at + 1).is_some_and(|next| call(next).is_some());
            continue;
        }
        let place = lines.get(at + 1).and_then(|next| place(next));
        if let (Some(function), Some((file, line))) = (call(line), place) {
            stacks.push(StackFrame {
                function: Some(function.to_owned()),
                file: Some(file.to_owned()),
                line: Some(line),
                ..StackFrame::default()
            });
        }
    }
    stacks
}

/// The function of a call line; the goroutine's creator is no frame of it.
fn call(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with("created by ") || line.is_empty() || line.contains(".go:") {
        return None;
    }
    let line = line.strip_suffix("...)").map_or(line, |_| line);
    let open = line.rfind('(').filter(|&at| at > 0)?;
    line.ends_with(')').then(|| &line[..open])
}

/// `\t/path/x.go:12 +0x34`.
fn place(line: &str) -> Option<(&str, u32)> {
    let place = line.trim().split(" +0x").next()?.split(" fp=").next()?;
    let (file, line) = location(place);
    let known = file.ends_with(".go") || file.ends_with(".s") || file.contains("_cgo_");
    line.filter(|_| known).map(|line| (file, line))
}
