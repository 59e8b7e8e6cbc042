//! Where two runs of one witness part, and what every thread was doing there.

use assay_binary::Frame;
use assay_witness::{RunReport, Stopped};
use schemars::JsonSchema;
use serde::Serialize;

use crate::demangle::demangle;
use crate::running::{How, Ready};
use crate::{Verifier, VerifyResult};

/// Lines of a trace that are compared.
pub(crate) const MAX_TRACE: usize = 200_000;
/// How often a run is repeated to see both of its ways past the event.
const MAX_LOOKS: u64 = 8;
/// Frames shown of one stack.
const MAX_FRAMES: usize = 32;

/// The first event in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Divergence {
    /// Its number in the trace, the first event being 1.
    pub event: u64,
    /// The event of the first run; none where that run had ended.
    pub expected: Option<String>,
    /// The event of the other run; none where that one had ended.
    pub found: Option<String>,
    /// The running thread's stack after that event, in each of the two ways that were seen again.
    pub stacks: Vec<DivergedStack>,
}

/// A stack at a divergence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct DivergedStack {
    /// The event after which it was looked at.
    pub event: String,
    /// `module+offset name`, innermost first.
    pub frames: Vec<String>,
}

/// The first line in which two traces differ: its number from 1, and both lines.
pub(crate) fn first_difference(a: &[String], b: &[String]) -> Option<(u64, Option<String>, Option<String>)> {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let differ = a.len() != b.len() || common < a.len();
    differ.then(|| (common as u64 + 1, a.get(common).cloned(), b.get(common).cloned()))
}

impl Verifier {
    /// Compares two runs and, where they differ, runs again up to that event until both ways were seen.
    pub(crate) async fn divergence(
        &self,
        ready: &Ready,
        first: &RunReport,
        other: &RunReport,
    ) -> VerifyResult<Option<Divergence>> {
        let Some((event, expected, found)) = first_difference(&first.trace, &other.trace) else {
            return Ok(None);
        };
        let mut stacks: Vec<DivergedStack> = Vec::new();
        for turn in 0..MAX_LOOKS {
            let perturbation = assay_witness::Perturbation::of_turn(turn);
            let how =
                How { perturbation, stop_at: Some(event), keep_trace: Some(MAX_TRACE), ..How::default() };
            let run = self.run(ready, None, how).await?;
            let Some(stack) = stack_at(&run.report, event) else { continue };
            if stacks.iter().all(|known| known.event != stack.event) {
                stacks.push(stack);
            }
            if stacks.len() == 2 {
                break;
            }
        }
        Ok(Some(Divergence { event, expected, found, stacks }))
    }
}

fn stack_at(report: &RunReport, event: u64) -> Option<DivergedStack> {
    let line = report.trace.get(usize::try_from(event).ok()?.checked_sub(1)?)?;
    Some(DivergedStack { event: line.clone(), frames: running_stack(report.stopped.as_ref()?) })
}

/// The stack of the thread that ran.
pub(crate) fn running_stack(stopped: &Stopped) -> Vec<String> {
    let current = stopped.threads.iter().find(|thread| thread.current).or(stopped.threads.first());
    current.map(|thread| thread.frames.iter().take(MAX_FRAMES).map(frame_text).collect()).unwrap_or_default()
}

/// A frame as `module+offset name`.
pub(crate) fn frame_text(frame: &Frame) -> String {
    let module = frame.module.as_ref().map_or("?", |module| module.path.as_str());
    let name = frame.symbol.as_deref().map(demangle).unwrap_or_default();
    format!("{module}+{} {name}", frame.offset).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_traces_part() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(first_difference(&lines("a b c"), &lines("a b c")), None);
        let expected = Some((2, Some("b".to_owned()), Some("x".to_owned())));
        assert_eq!(first_difference(&lines("a b c"), &lines("a x c")), expected);
        assert_eq!(first_difference(&lines("a b"), &lines("a")), Some((2, Some("b".to_owned()), None)));
        assert_eq!(first_difference(&[], &[]), None);
    }
}
