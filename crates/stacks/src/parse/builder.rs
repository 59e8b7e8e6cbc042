//! Collects the stacks of one text within the limits.

use crate::name::demangled;
use crate::report::{Format, MAX_FRAMES, MAX_NAME_BYTES, MAX_THREADS, Report, StackFrame, Thread, cut};

/// The stacks that a reader found.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    pub(super) reason: Option<String>,
    threads: Vec<Thread>,
    dropped_frames: usize,
    dropped_threads: usize,
}

impl Stacks {
    /// Begins a new stack; frames that follow belong to it.
    pub(super) fn begin(&mut self, name: Option<&str>) {
        if self.threads.last().is_some_and(|last| last.frames.is_empty()) {
            self.threads.pop();
        }
        if self.threads.len() >= MAX_THREADS {
            self.dropped_threads += 1;
            return;
        }
        let name =
            name.map(|name| cut(name.trim(), MAX_NAME_BYTES).to_owned()).filter(|name| !name.is_empty());
        self.threads.push(Thread { name, crashed: false, frames: Vec::new() });
    }

    /// Adds the next frame outwards.
    pub(super) fn push(&mut self, mut frame: StackFrame) {
        if self.threads.is_empty() {
            self.begin(None);
        }
        if self.dropped_threads > 0 {
            return;
        }
        bound_fields(&mut frame);
        let Some(thread) = self.threads.last_mut() else { return };
        if thread.frames.len() >= MAX_FRAMES {
            self.dropped_frames += 1;
        } else {
            thread.frames.push(frame);
        }
    }

    /// The stack being filled.
    pub(super) fn last_mut(&mut self) -> Option<&mut Thread> {
        self.threads.last_mut()
    }

    pub(super) fn threads_mut(&mut self) -> &mut Vec<Thread> {
        &mut self.threads
    }

    /// Marks the stack being filled as the one of the incident.
    pub(super) fn mark_crashed(&mut self) {
        if let Some(thread) = self.threads.last_mut() {
            thread.crashed = true;
        }
    }

    /// Notes why the program stopped; the first word stands.
    pub(super) fn because(&mut self, reason: &str) {
        if self.reason.is_none() {
            let reason = cut(reason.trim(), MAX_NAME_BYTES);
            self.reason = (!reason.is_empty()).then(|| reason.to_owned());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads.iter().all(|thread| thread.frames.is_empty())
    }

    pub(super) fn into_report(self, format: Format) -> Report {
        let mut threads = self.threads;
        threads.retain(|thread| !thread.frames.is_empty());
        let crashed = threads.iter().position(|thread| thread.crashed).unwrap_or(0);
        for (at, thread) in threads.iter_mut().enumerate() {
            thread.crashed = at == crashed;
        }
        let mut report = Report { format, reason: self.reason, threads, warnings: Vec::new() };
        if self.dropped_frames > 0 {
            report
                .warn(format!("{} frames past the limit of {MAX_FRAMES} were dropped", self.dropped_frames));
        }
        if self.dropped_threads > 0 {
            report.warn(format!(
                "{} threads past the limit of {MAX_THREADS} were dropped",
                self.dropped_threads
            ));
        }
        super::bound(&mut report);
        super::name_frames(&mut report);
        report
    }
}

fn bound_fields(frame: &mut StackFrame) {
    if let Some(function) = &frame.function {
        let readable = demangled(function);
        if readable != function.as_str() {
            frame.function = Some(readable.into_owned());
        }
    }
    for field in [&mut frame.function, &mut frame.module, &mut frame.file, &mut frame.address] {
        if field.as_ref().is_some_and(|text| text.len() > MAX_NAME_BYTES) {
            *field = field.as_deref().map(|text| cut(text, MAX_NAME_BYTES).to_owned());
        }
        if field.as_ref().is_some_and(|text| text.trim().is_empty()) {
            *field = None;
        }
    }
}
