//! Frames that the runner captured itself.

use assay_binary::Frame;

use super::builder::Stacks;
use crate::report::{Format, Report, StackFrame, Trust};

/// A report over captured frames, innermost first; symbols are demangled. `signal` says why the
/// program stopped, where that is known.
pub fn from_frames(frames: &[Frame], signal: Option<&str>) -> Report {
    let mut stacks = Stacks::default();
    if let Some(signal) = signal {
        stacks.because(signal);
    }
    stacks.begin(None);
    for (at, frame) in frames.iter().enumerate() {
        stacks.push(StackFrame {
            function: frame.symbol.clone(),
            module: frame.module.as_ref().map(|module| module.path.clone()),
            address: Some(frame.offset.to_string()),
            trust: if at == 0 { Trust::Context } else { Trust::Unwound },
            ..StackFrame::default()
        });
    }
    stacks.mark_crashed();
    let mut report = stacks.into_report(Format::Assay);
    if report.threads.is_empty() {
        report.warn("no frame was captured");
    }
    report
}
