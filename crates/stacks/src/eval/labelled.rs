//! Labelled traces: one JSON object a line.

use serde::Deserialize;
use serde_json::Value;

use crate::name::{Language, assign_keys};
use crate::report::{MAX_FRAMES, StackFrame};
use crate::trace::{Cause, Trace, from_stack};

/// The most labelled traces of one file.
pub const MAX_LABELLED: usize = 1_000_000;

/// One trace whose incident is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Its own id.
    pub id: String,
    /// The label: traces of one group are one incident.
    pub group: String,
    /// Who reported it.
    pub source: String,
    /// When, microseconds since 1970 UTC, where known.
    pub time: Option<i64>,
    /// The names as they came, for the baseline.
    pub raw: Vec<String>,
    /// The normalised trace.
    pub trace: Trace,
}

/// Why a file of labelled traces is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A line is not a labelled trace.
    #[error("line {line} is not a labelled trace: {detail}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// More than [`MAX_LABELLED`].
    #[error("more than {MAX_LABELLED} labelled traces")]
    TooMany,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    group: String,
    #[serde(default)]
    src: String,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    title: String,
    ts: Option<String>,
    frames: Vec<LineFrame>,
}

#[derive(Deserialize)]
struct LineFrame {
    #[serde(rename = "fn")]
    function: Option<String>,
    file: Option<String>,
    line: Option<Value>,
    #[serde(default)]
    inl: bool,
}

/// Reads labelled traces, one JSON object a line.
pub fn parse_labelled(bytes: &[u8]) -> Result<Vec<Labelled>, LabelError> {
    let mut out = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if out.len() >= MAX_LABELLED {
            return Err(LabelError::TooMany);
        }
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| LabelError::Line { line: at + 1, detail: error.to_string() })?;
        out.push(labelled(line));
    }
    Ok(out)
}

fn labelled(line: Line) -> Labelled {
    let language = match line.lang.to_ascii_lowercase().as_str() {
        "java" | "kotlin" | "scala" => Language::Java,
        "python" => Language::Python,
        "javascript" | "js" => Language::JavaScript,
        "go" => Language::Go,
        "c/linux" => Language::Kernel,
        _ => Language::Native,
    };
    let raw =
        line.frames.iter().take(MAX_FRAMES).map(|frame| frame.function.clone().unwrap_or_default()).collect();
    let frames: Vec<StackFrame> =
        line.frames.into_iter().take(MAX_FRAMES).map(|frame| stack_frame(frame, language)).collect();
    let overflow = line.title.to_ascii_lowercase().contains("stackoverflow");
    let trace = from_stack(&frames, language, if overflow { Cause::Overflow } else { Cause::Other });
    Labelled {
        id: line.id,
        group: line.group,
        source: line.src,
        time: line.ts.as_deref().and_then(micros),
        raw,
        trace,
    }
}

fn stack_frame(frame: LineFrame, language: Language) -> StackFrame {
    let line = frame.line.and_then(|line| match line {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let mut out = StackFrame {
        function: frame.function,
        file: frame.file,
        line,
        inlined: frame.inl,
        ..StackFrame::default()
    };
    assign_keys(&mut out, language);
    out
}

/// Microseconds of `YYYY-MM-DD...` (the day only: that is all the ranking needs).
fn micros(text: &str) -> Option<i64> {
    let mut parts = text.get(..10)?.splitn(3, '-');
    let mut next = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days from civil, after H. Hinnant's published algorithm.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        assert_eq!(micros("1970-01-01"), Some(0));
        assert_eq!(micros("2021-09-25T10:00:00Z"), Some(1_632_528_000_000_000));
        assert_eq!(micros("2021-13-01"), None);
        assert_eq!(micros("é"), None);
    }
}
