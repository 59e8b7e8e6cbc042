//! `assay stack`.

use assay_stacks::Report;
use serde_json::{Value, json};

use super::{list, read_input, text};
use crate::args::{Global, Stack, TraceFile};
use crate::client::{Client, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::{Output, table};

/// The largest trace.
const MAX_TRACE: u64 = 64 << 20;

pub(super) async fn run(global: &Global, command: &Stack, output: &Output) -> Result<Exit, CliError> {
    match command {
        Stack::Parse(file) => {
            let report = parse(file)?;
            output.data(&report, || describe(&report));
            Ok(Exit::Yes)
        }
        Stack::Normalize(file) => {
            let report = parse(file)?;
            let trace = assay_stacks::normalize(&report);
            let answer = json!({
                "format": report.format,
                "frames": trace.frames.iter().map(|frame| json!({ "keys": frame.keys, "repeated": frame.repeated })).collect::<Vec<_>>(),
                "warnings": report.warnings,
            });
            output.data(&answer, || trace.frames.iter().map(|frame| format!("{}\n", frame.key())).collect());
            Ok(Exit::Yes)
        }
        Stack::Fingerprint(file) => {
            let print = assay_stacks::fingerprint(&assay_stacks::normalize(&parse(file)?));
            let answer =
                json!({ "fingerprint": print.digest, "frames": print.frames, "version": print.version });
            output.data(&answer, || print.digest.to_string());
            Ok(Exit::Yes)
        }
        Stack::Match { file, limit } => {
            let bytes = read_input(&file.file, MAX_TRACE)?;
            let client = Client::open(global).await?;
            let answer = client.post_raw(&format!("/api/v1/stack-matches?limit={limit}"), bytes).await?;
            let found = answer["new"].as_bool() == Some(false);
            output.data(&answer, || matches(&answer));
            Ok(if found { Exit::Yes } else { Exit::No })
        }
        Stack::Explain { incident } => {
            let client = Client::open(global).await?;
            let answer = client.get(&format!("/api/v1/incidents/{}/stacks", segment(incident))).await?;
            output.data(&answer, || {
                let stacks: Vec<Report> =
                    serde_json::from_value(answer["stacks"].clone()).unwrap_or_default();
                stacks.iter().map(normalised).collect()
            });
            Ok(Exit::Yes)
        }
    }
}

fn parse(file: &TraceFile) -> Result<Report, CliError> {
    let bytes = read_input(&file.file, MAX_TRACE)?;
    assay_stacks::parse(&bytes).map_err(|error| {
        let hint = "paste the whole report: a panic message, gdb's `bt`, a sanitizer's report";
        CliError::refused("stack_refused", chain(&error), hint)
    })
}

fn describe(report: &Report) -> String {
    let mut text = String::new();
    for thread in &report.threads {
        text.push_str(if thread.crashed { "crashed thread\n" } else { "thread\n" });
        for (index, frame) in thread.frames.iter().enumerate() {
            let name = frame.function.as_deref().unwrap_or("?");
            let place = frame.file.as_deref().map(|file| format!("  {file}:{}", frame.line.unwrap_or(0)));
            text.push_str(&format!("  #{index} {name}{}\n", place.unwrap_or_default()));
        }
    }
    text
}

/// The normalised stack with its fingerprint.
fn normalised(report: &Report) -> String {
    let trace = assay_stacks::normalize(report);
    let mut text = format!("fingerprint {}\n", assay_stacks::fingerprint(&trace).digest);
    for frame in &trace.frames {
        let times = if frame.repeated { "  (repeated)" } else { "" };
        text.push_str(&format!("  {}{times}\n", frame.key()));
    }
    text
}

fn matches(answer: &Value) -> String {
    let rows: Vec<Vec<String>> = list(answer, "matches")
        .iter()
        .map(|found| {
            let probability = found["probability"].as_f64().unwrap_or_default();
            let words = match &found["explanation"] {
                Value::String(words) => words.clone(),
                other => other.to_string(),
            };
            vec![text(found, "incident").to_owned(), format!("{:.0} %", probability * 100.0), words]
        })
        .collect();
    if answer["new"].as_bool() == Some(true) {
        format!("no known incident\n{}", table(&rows))
    } else {
        table(&rows)
    }
}
