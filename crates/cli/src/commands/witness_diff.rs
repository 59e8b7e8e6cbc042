//! `assay witness diff`: why two replays differ.

use std::collections::BTreeMap;

use assay_evidence::Sha256;
use serde_json::{Value, json};

use super::{list, role_and_path, text, witness};
use crate::args::WitnessDiff;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) async fn run(client: &Client, args: &WitnessDiff, output: &Output) -> Result<Exit, CliError> {
    if args.b.is_none() && args.subject.is_empty() {
        let hint = "name another witness, or another build with --subject ROLE=PATH";
        return Err(CliError::usage("there is nothing to compare with", hint));
    }
    let a = witness::resolve(client, &args.a).await?;
    let other = match &args.b {
        Some(b) => Some(witness::resolve(client, b).await?),
        None => None,
    };
    let mut subjects: BTreeMap<String, Sha256> = BTreeMap::new();
    for subject in &args.subject {
        let (role, path) = role_and_path(subject)?;
        subjects.insert(role, client.upload_artifact(&path).await?);
    }
    let spinner = output.spinner("replaying both");
    let path = format!("/api/v1/witnesses/{}/differences", segment(&a));
    let answer = client.post(&path, &json!({ "other": other, "subjects": subjects })).await?;
    spinner.finish_and_clear();
    output.data(&answer, || describe(&answer));
    Ok(if text(&answer, "reason_class") == "none" { Exit::Yes } else { Exit::No })
}

fn describe(answer: &Value) -> String {
    let side = |name: &str| {
        let side = &answer[name];
        format!("{name}: {} ({}), {} events", text(side, "verdict"), text(side, "reason"), side["events"])
    };
    let class = text(answer, "reason_class");
    let mut lines = vec![side("a"), side("b"), format!("{class}: {}", text(answer, "detail"))];
    lines.extend(describe_stacks(answer));
    lines.join("\n")
}

/// The first event that differs and the stacks there, from a comparison or a check.
pub(super) fn describe_stacks(answer: &Value) -> Vec<String> {
    let Some(event) = answer["diverged_at"].as_u64() else { return Vec::new() };
    let mut lines = vec![format!("first different event: {event}")];
    for stack in list(answer, "stacks") {
        lines.push(format!("  {}", text(stack, "event")));
        let frames = list(stack, "frames").iter().filter_map(Value::as_str);
        lines.extend(frames.enumerate().map(|(at, frame)| format!("    #{at} {frame}")));
    }
    lines
}
