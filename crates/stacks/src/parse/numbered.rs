//! Stacks whose frames stand behind `#N`: sanitizers, GDB, and some kernels.

use super::builder::Stacks;
use super::scan::{address, after, find_outside, is_place, location as place, number};
use crate::report::{StackFrame, Trust};

/// How many lines of one frame GDB may wrap into.
const MAX_WRAP: usize = 16;

/// Sanitizer reports.
pub(super) fn sanitizer(lines: &[&str]) -> Stacks {
    let marks = ["Sanitizer", "runtime error:", "libFuzzer: ", "LeakSanitizer", "MemorySanitizer"];
    if !lines.iter().any(|line| marks.iter().any(|mark| line.contains(mark))) {
        return Stacks::default();
    }
    read(lines)
}

/// GDB's `bt`, and any other stack of `#N` frames.
pub(super) fn gdb(lines: &[&str]) -> Stacks {
    let mut stacks = read(lines);
    choose_thread(&mut stacks);
    stacks
}

/// The source location of a failed check that came without a stack (UBSan, assert, CHECK).
pub(super) fn location(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    for line in lines {
        let found = line.split_once(": runtime error: ").or_else(|| {
            let (place, why) = line.split_once(": Assertion ")?;
            // `program: file.c:12: function: Assertion`.
            let place = place.split(' ').find(|word| is_place(word))?;
            Some((place, why))
        });
        let Some((text, why)) = found else { continue };
        let (file, line) = place(text.trim());
        if line.is_some() {
            stacks.because(why);
            stacks.push(super::rust::location_frame(file, line));
            return stacks;
        }
    }
    stacks
}

fn read(lines: &[&str]) -> Stacks {
    let mut stacks = Stacks::default();
    let mut heading: Option<&str> = None;
    let mut last: Option<u32> = None;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let mut next = at + 1;
        if let Some((index, rest)) = numbered(line) {
            let joined = wrapped(rest, &lines[next..]);
            if let Some((_, taken)) = &joined {
                next += taken;
            }
            let rest = joined.as_ref().map_or(rest, |(text, _)| text.as_str());
            if let Some(mut frame) = frame(rest) {
                let fresh = index == 0 && last != Some(0)
                    || last.is_none_or(|last| index < last)
                    || heading.is_some();
                if fresh {
                    begin(&mut stacks, heading.take(), &frame);
                }
                if last == Some(index) && !fresh {
                    frame.inlined = frame.address.is_none() || frame.inlined;
                }
                stacks.push(frame);
                last = Some(index);
            }
        } else if is_heading(line) {
            stacks.because_of(line);
            heading = Some(line);
        } else {
            stacks.because_of(line);
            if line.trim().is_empty() {
                heading = heading.filter(|heading| heading.contains("ERROR") || heading.contains("WARNING"));
            }
        }
        at = next;
    }
    stacks
}

/// Begins a stack, unless the one before it is only the first line of the same stack, printed twice.
fn begin(stacks: &mut Stacks, heading: Option<&str>, first: &StackFrame) {
    let repeated = stacks
        .last_mut()
        .is_some_and(|thread| thread.frames.len() == 1 && thread.frames[0].function == first.function);
    if repeated && let Some(thread) = stacks.last_mut() {
        thread.frames.clear();
    }
    stacks.begin(heading);
}

fn is_heading(line: &str) -> bool {
    let line = line.trim();
    line.contains("ERROR: ")
        || line.contains("WARNING: ")
        || line.starts_with("Thread ")
        || line.ends_with(':') && line.len() < 200
}

impl Stacks {
    fn because_of(&mut self, line: &str) {
        for mark in [
            "ERROR: ",
            "WARNING: ThreadSanitizer: ",
            "runtime error: ",
            "terminated with signal ",
            "received signal ",
        ] {
            if let Some(reason) = after(line, mark) {
                let reason = reason.split(" on unknown address").next().unwrap_or(reason);
                let reason = reason.split(" on address").next().unwrap_or(reason);
                self.because(reason);
                return;
            }
        }
    }
}

/// `#N` (or `#N.M`, an inlined frame) and what follows.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let at = line.find('#')?;
    // A log prefix may stand before it, another word may not.
    if at > 0 && !line[..at].trim_end().is_empty() && !is_log_prefix(&line[..at]) {
        return None;
    }
    let (index, rest) = number(&line[at + 1..])?;
    let rest = match rest.strip_prefix('.') {
        Some(inlined) => number(inlined)?.1,
        None => rest,
    };
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    Some((index, rest.trim()))
}

fn is_log_prefix(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with([':', ']', '|', '>']) && text.len() < 120
}

/// A frame that continues on the following lines, joined, and how many lines that took.
fn wrapped(first: &str, following: &[&str]) -> Option<(String, usize)> {
    let open = |text: &str| text.matches('(').count() > text.matches(')').count();
    let continues = |line: &str| {
        let text = line.trim_start();
        line.starts_with([' ', '\t']) && (text.starts_with("at ") || text.starts_with("from "))
    };
    let mut joined: Option<String> = None;
    let mut taken = 0;
    for line in following.iter().take(MAX_WRAP) {
        let text = joined.as_deref().unwrap_or(first);
        let more = continues(line) || line.starts_with("    ") && open(text);
        if !more || numbered(line).is_some() || first.starts_with("0x") && !first.contains(" in ") {
            break;
        }
        joined = Some(format!("{text} {}", line.trim()));
        taken += 1;
        if continues(line) {
            break;
        }
    }
    joined.map(|joined| (joined, taken))
}

/// The frame that stands behind its number.
pub(super) fn frame(text: &str) -> Option<StackFrame> {
    let mut frame = StackFrame { trust: Trust::Unwound, ..StackFrame::default() };
    let mut text = text.trim();
    if let Some((at, rest)) = address(text) {
        frame.address = Some(at);
        text = rest.trim_start();
        text = text.strip_prefix("in ").unwrap_or(text).trim_start();
        if let Some(symbol) = text.strip_prefix("at ") {
            frame.function = Some(symbol.split("+0x").next().unwrap_or(symbol).to_owned());
            return Some(frame);
        }
    }
    if text.is_empty() {
        return frame.address.is_some().then_some(frame);
    }
    if text.starts_with("<signal handler called>") {
        frame.function = Some("signal handler called".to_owned());
        return Some(frame);
    }
    if let Some(done) = gdb_frame(text, &frame) {
        return Some(done);
    }
    Some(sanitizer_frame(text, frame))
}

/// `function (args) at file:line`, `function (args) from library`, `function ()`.
fn gdb_frame(text: &str, begun: &StackFrame) -> Option<StackFrame> {
    let open = find_outside(text, " (").filter(|&at| at > 0)?;
    let (function, rest) = (&text[..open], &text[open + 1..]);
    let mut frame = begun.clone();
    if let Some(at) = rest.rfind(") at ") {
        let (file, line) = place(&rest[at + 5..]);
        line?;
        frame.file = Some(file.to_owned());
        frame.line = line;
    } else if let Some(at) = rest.rfind(") from ") {
        frame.module = Some(rest[at + 7..].trim().to_owned());
    } else if !rest.trim_end().ends_with(')') || is_module(rest) {
        return None;
    }
    frame.function = Some(function.to_owned());
    frame.inlined = frame.address.is_none();
    Some(frame)
}

/// `(module+0x1234)` or `(module+0x1234) (BuildId: ...)`.
fn is_module(text: &str) -> bool {
    let inside = text.split(')').next().unwrap_or(text);
    inside.contains("+0x") || text.contains("(BuildId") || inside.starts_with("(/")
}

/// `function file:line:column (module+0x1234)`, each part optional.
fn sanitizer_frame(text: &str, mut frame: StackFrame) -> StackFrame {
    let mut text = text.trim();
    if let Some(at) = text.find(" (BuildId") {
        text = text[..at].trim_end();
    }
    if let Some(at) = text.rfind('(').filter(|&at| at == 0 || text[..at].ends_with(' ')) {
        let inside = text[at + 1..].split(')').next().unwrap_or_default();
        if let Some((module, offset)) = inside.rsplit_once("+0x") {
            frame.module = Some(module.to_owned());
            frame.address =
                Some(super::scan::hex(offset.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or("")));
            text = text[..at].trim_end();
        }
    }
    // Fuchsia: `function file:line <module>+0x1234`.
    if let Some(at) = text.rfind('<').filter(|&at| at > 0 && text[at..].contains(">+0x")) {
        let (module, _) = text[at + 1..].split_once('>').unwrap_or_default();
        frame.module = (!module.is_empty()).then(|| module.to_owned());
        text = text[..at].trim_end();
    }
    let split = source_start(text);
    let (function, source) = match split {
        Some(at) => (text[..at].trim_end(), text[at..].trim_start()),
        None => (text, ""),
    };
    if !source.is_empty() && source != "??:?" && source != "<null>" && !source.starts_with("??:") {
        let (file, line) = place(source);
        frame.file = Some(file.to_owned());
        frame.line = line;
    }
    if !matches!(function, "" | "<null>" | "??" | "<unknown>") {
        frame.function = Some(function.to_owned());
    }
    frame
}

/// Where the source location begins in `function location`.
fn source_start(text: &str) -> Option<usize> {
    if is_place(text) && !text.contains(' ') {
        return Some(0);
    }
    for mark in [" /", " <null>", " ??:"] {
        if let Some(at) = find_outside(text, mark) {
            return Some(at);
        }
    }
    let at = text.rfind(' ')?;
    let last = &text[at + 1..];
    if is_place(last) {
        return Some(at);
    }
    // A path with a blank in it: `C:\\Program Files\\...`.
    text.find(":\\").and_then(|drive| text[..drive].rfind(' '))
}

/// The crashed one of several GDB threads: the one that a signal or an abort stopped, else the one
/// printed on its own, else number one.
fn choose_thread(stacks: &mut Stacks) {
    let threads = stacks.threads_mut();
    let stopped = |name: &str| {
        matches!(name, "signal handler called" | "raise" | "__GI_raise" | "abort" | "__GI_abort")
    };
    let chosen = threads
        .iter()
        .position(|thread| {
            thread.frames.iter().take(16).any(|frame| frame.function.as_deref().is_some_and(stopped))
        })
        .or_else(|| {
            threads.iter().position(|thread| !thread.name.as_deref().unwrap_or("").starts_with("Thread "))
        })
        .or_else(|| {
            threads
                .iter()
                .position(|thread| thread.name.as_deref().is_some_and(|name| name.starts_with("Thread 1 ")))
        });
    if let Some(thread) = chosen.and_then(|at| threads.get_mut(at)) {
        thread.crashed = true;
    }
}
