//! Kernel reports: Linux oopses and sanitizers, and the in-kernel debuggers of the BSDs.

use super::builder::Stacks;
use super::scan::{after, hex, location};
use crate::report::{StackFrame, Trust};

/// Where a report begins; stacks printed before it (fault injection, `dump_stack`) are not the incident's.
const HEADERS: &[&str] = &[
    "BUG: ",
    "WARNING: ",
    "kernel BUG at",
    "general protection fault",
    "Unable to handle kernel",
    "unable to handle kernel",
    "INFO: ",
    "Kernel panic",
    "divide error",
    "invalid opcode",
    "Internal error",
    "UBSAN: ",
    "panic: ",
    "stack segment",
    "possible deadlock",
    "Oops: ",
    "double fault",
];

/// What names the crash point itself.
const POINTS: &[&str] =
    &["RIP: ", "RIP  [<", "EIP: ", "EIP is at ", "IP: ", "PC is at ", "pc : ", "epc : ", "NIP ", "PC: "];

/// What ends a call trace.
const ENDS: &[&str] = &[
    "Allocated by",
    "Freed by",
    "---[ end",
    "Code: ",
    "Memory state",
    "The buggy address",
    "</TASK>",
    "Last potentially",
    "other info that might",
    "stack backtrace:",
    "Showing all locks",
    "Uninit was",
    "Kernel Offset",
    "Local variable",
    "-> #",
    "the existing dependency",
];

struct Reader {
    stacks: Stacks,
    reported: bool,
    marked: bool,
    inside: bool,
    /// The function that the report's first line names; its frame in the trace replaces it.
    hint: Option<String>,
    /// A stack holds only a crash point so far, and waits for its trace.
    waiting: bool,
}

pub(super) fn parse(lines: &[&str]) -> Stacks {
    let kernel = lines.iter().any(|line| {
        let sanitizer =
            ["BUG: KMSAN", "BUG: KFENCE", "BUG: KCSAN", "KASAN: "].iter().any(|mark| line.contains(mark));
        let point = line.contains("+0x") && POINTS.iter().any(|point| content(line).starts_with(point));
        sanitizer
            || point
            || line.contains("Call Trace:")
            || line.contains("Call trace:")
            || line.contains("RIP: 0010:")
            || debugger_frame(line).is_some()
    });
    if !kernel {
        return Stacks::default();
    }
    let mut reader = Reader {
        stacks: Stacks::default(),
        reported: false,
        marked: false,
        inside: false,
        hint: None,
        waiting: false,
    };
    for line in lines {
        reader.line(content(line));
    }
    reader.stacks
}

impl Reader {
    fn line(&mut self, line: &str) {
        let text = line.trim();
        if text.starts_with("Call Trace:")
            || text.starts_with("Call trace:")
            || text == "Backtrace:"
            || text == "stack backtrace:"
        {
            if !self.waiting {
                self.begin();
            }
            self.inside = true;
            self.waiting = false;
            return;
        }
        if HEADERS.iter().any(|header| text.contains(header)) && !text.contains("FAULT_INJECTION") {
            self.header(text);
            return;
        }
        if let Some(frame) = POINTS.iter().find_map(|point| crash_point(text, point)) {
            self.point(frame);
            return;
        }
        if let Some(frame) = debugger_frame(text) {
            if !self.inside {
                self.begin();
                self.inside = true;
            }
            self.stacks.push(frame);
            return;
        }
        if ENDS.iter().any(|end| text.starts_with(end)) {
            self.inside = false;
            return;
        }
        if self.inside
            && let Some(frame) = trace_frame(line)
        {
            self.push(frame);
        }
    }

    fn begin(&mut self) {
        self.stacks.begin(None);
        if self.reported && !self.marked {
            self.marked = true;
            self.stacks.mark_crashed();
        }
    }

    fn header(&mut self, text: &str) {
        self.inside = false;
        if self.reported {
            return;
        }
        self.reported = true;
        self.stacks.because(text);
        let named = after(text, " in ")
            .or_else(|| after(text, " at ").and_then(|place| place.split_once(' ').map(|(_, name)| name)));
        if let Some(mut frame) = named.and_then(|named| trace_frame(&format!(" {named}"))) {
            frame.trust = Trust::Context;
            self.hint.clone_from(&frame.function);
            self.begin();
            self.stacks.push(frame);
            self.waiting = true;
        }
        // These print their trace without announcing it.
        if text.contains("KMSAN") || text.contains("KFENCE") || text.contains("KCSAN") {
            if !self.waiting {
                self.begin();
            }
            self.inside = true;
        }
    }

    fn point(&mut self, mut frame: StackFrame) {
        frame.trust = Trust::Context;
        if self.reported && !self.marked || !self.inside && !self.waiting && self.stacks.is_empty() {
            self.begin();
            self.waiting = true;
        }
        let Some(thread) = self.stacks.last_mut() else { return };
        let seen = thread.frames.iter().any(|other| other.function == frame.function);
        let has_point =
            thread.frames.iter().any(|other| other.trust == Trust::Context && other.address.is_some());
        if seen || has_point && !self.inside {
            return;
        }
        if self.inside || self.waiting {
            // What was printed above the crash point is the machinery that reports it.
            if self.inside {
                thread.frames.retain(|frame| frame.trust == Trust::Context);
            }
            self.stacks.push(frame);
        } else if thread.crashed {
            thread.frames.insert(0, frame);
        }
    }

    fn push(&mut self, frame: StackFrame) {
        if frame.trust != Trust::Scanned && self.hint.is_some() && frame.function == self.hint {
            self.hint = None;
            if let Some(thread) = self.stacks.last_mut().filter(|thread| thread.crashed) {
                thread.frames.clear();
            }
        }
        self.stacks.push(frame);
    }
}

/// The line without the console's level, time and task.
fn content(line: &str) -> &str {
    let mut text = line.trim_end();
    if let Some((level, rest)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        && level.len() <= 3
        && level.bytes().all(|byte| byte.is_ascii_digit())
    {
        text = rest;
    }
    for _ in 0..2 {
        let Some((inside, rest)) = text.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            break;
        };
        let time = !inside.is_empty()
            && inside
                .trim()
                .trim_start_matches(['T', 'C'])
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !time {
            break;
        }
        text = rest;
    }
    text
}

/// `RIP: 0010:name+0x1/0x2 file:12`, `RIP: 0010:[<addr>]  [<addr>] name+0x1/0x2`, `PC is at name+0x1`.
fn crash_point(text: &str, point: &str) -> Option<StackFrame> {
    let rest = text.strip_prefix(point)?;
    let rest = rest.rsplit(">]").next().unwrap_or(rest).trim_start();
    let rest = match rest.split_once(':') {
        Some((segment, name))
            if segment.len() <= 4 && segment.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => rest,
    };
    let rest = rest.rsplit("] ").next().unwrap_or(rest).trim_start();
    trace_frame(&format!(" {rest}"))
}

/// ` [<addr>] ? name+0x1/0x2 file:12 [inline]`, each part but the name optional.
fn trace_frame(line: &str) -> Option<StackFrame> {
    if !line.starts_with([' ', '[', '\t', '(']) {
        return None;
    }
    let mut frame = StackFrame::default();
    let mut text = line.trim();
    if let Some((inside, rest)) = text.strip_prefix("[<").and_then(|rest| rest.split_once(">]")) {
        if inside.trim().starts_with("inline") {
            frame.inlined = true;
        } else {
            frame.address = Some(hex(inside.trim().trim_start_matches("0x")));
        }
        text = rest.trim_start();
    }
    if let Some(rest) = text.strip_prefix("? ") {
        frame.trust = Trust::Scanned;
        text = rest.trim_start();
    }
    if let Some((callee, _)) = text.split_once(" from ") {
        text = callee.trim();
    }
    if let Some(inside) = text.strip_prefix('(').and_then(|rest| rest.split(')').next()) {
        text = inside;
    }
    if let Some(rest) = text.strip_suffix("[inline]") {
        frame.inlined = true;
        text = rest.trim_end();
    }
    let name_end = text
        .find(|letter: char| !(letter.is_alphanumeric() || "_.$:".contains(letter)))
        .unwrap_or(text.len());
    let (mut name, rest) = text.split_at(name_end);
    name = name.trim_end_matches(':');
    let mut places = rest.trim();
    let offset = rest.starts_with("+0x");
    if offset {
        places = rest.split_once(' ').map_or("", |(_, places)| places.trim());
    }
    if let Some(module) = places.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        frame.module = Some(module.to_owned());
        places = "";
    }
    let place = places.split(" (discriminator").next().unwrap_or(places).rsplit(' ').next().unwrap_or(places);
    let (file, number) = location(place);
    if number.is_some() && file.contains('.') {
        frame.file = Some(file.trim_start_matches("./").to_owned());
        frame.line = number;
    }
    let named = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    let ends = offset || rest.is_empty() || rest.starts_with([' ', '[']);
    if !ends || !named || name.contains("::") && !offset || !(offset || frame.file.is_some()) {
        return None;
    }
    frame.function = Some(name.to_owned());
    Some(frame)
}

/// `name(args) at name+0x12`, `name() at netbsd:name+0x12`; Darwin: `0x... : 0x... mach_kernel : _name + 0x12`.
fn debugger_frame(line: &str) -> Option<StackFrame> {
    let line = line.trim();
    if let Some((_, symbol)) = line.split_once(" mach_kernel : ") {
        let name = symbol.split(" + ").next().unwrap_or(symbol).trim();
        let name = name.strip_prefix('_').unwrap_or(name);
        return Some(StackFrame { function: Some(name.to_owned()), ..StackFrame::default() });
    }
    let open = line.find('(').filter(|&open| open > 0 && !line[..open].contains(' '))?;
    let target = after(&line[open..], ") at ")?;
    let symbol = target.split("+0x").next().unwrap_or(target);
    let symbol = symbol.rsplit(':').next().unwrap_or(symbol);
    let plausible = !symbol.is_empty() && !symbol.contains([' ', '/', '.', '(']) && target.contains('+');
    plausible.then(|| StackFrame { function: Some(symbol.to_owned()), ..StackFrame::default() })
}
