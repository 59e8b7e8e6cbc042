//! `assay verify`.

use serde_json::{Value, json};

use super::{list, read_input, text, verify_reports};
use crate::args::Verify;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, milliseconds, table};

/// The largest policy.
const MAX_POLICY: u64 = 256 << 10;

pub(super) async fn run(client: &Client, args: &Verify, output: &Output) -> Result<Exit, CliError> {
    let mut request = json!({});
    if let Some(baseline) = &args.baseline {
        request["baseline"] = baseline.as_str().into();
    }
    if let Some(file) = &args.policy {
        let policy = String::from_utf8(read_input(file, MAX_POLICY)?);
        let policy =
            policy.map_err(|_| CliError::refused("policy_refused", "the policy is not UTF-8", ""))?;
        request["policy"] = policy.into();
    }
    if let Some(jobs) = args.jobs {
        request["jobs"] = jobs.into();
    }
    let spinner = output.spinner(&format!("verifying {}", args.release));
    let path = format!("/api/v1/releases/{}/verifications", segment(&args.release));
    let answer = client.post(&path, &request).await?;
    spinner.finish_and_clear();
    if let Some(file) = &args.junit {
        std::fs::write(file, verify_reports::junit(&answer)).map_err(|error| CliError::file(file, &error))?;
    }
    if let Some(file) = &args.sarif {
        let sarif = serde_json::to_string_pretty(&verify_reports::sarif(&answer)).unwrap_or_default();
        std::fs::write(file, sarif).map_err(|error| CliError::file(file, &error))?;
    }
    output.data(&answer, || describe(&answer, output));
    Ok(match text(&answer, "decision") {
        "allow" => Exit::Yes,
        "deny" => Exit::No,
        _ => Exit::Unknown,
    })
}

fn describe(answer: &Value, output: &Output) -> String {
    let row = |verdict: &Value| {
        vec![
            text(verdict, "incident").to_owned(),
            text(verdict, "role").to_owned(),
            text(verdict, "verdict").to_owned(),
            text(verdict, "mode").to_owned(),
            milliseconds(verdict["milliseconds"].as_f64().unwrap_or_default()),
            text(verdict, "reason").to_owned(),
        ]
    };
    let unknown = |unknown: &Value| {
        let dash = || "-".to_owned();
        vec![
            text(unknown, "incident").to_owned(),
            dash(),
            "unknown".to_owned(),
            dash(),
            dash(),
            text(unknown, "reason").to_owned(),
        ]
    };
    let mut rows: Vec<Vec<String>> = list(answer, "verdicts").iter().map(row).collect();
    rows.extend(list(answer, "unknown").iter().map(unknown));
    let decision = text(answer, "decision");
    let colour = match decision {
        "allow" => "32",
        "deny" => "31",
        _ => "33",
    };
    let not_carried = not_carried(list(answer, "verdicts"));
    let reasons: Vec<&str> = list(answer, "reasonCodes").iter().filter_map(Value::as_str).collect();
    format!(
        "{}\n{}  {}  ({} for {}, {} for replaying everything){}\nwhy: {}\nexplain: assay gate explain {}",
        table(&rows),
        output.paint(colour, decision),
        text(answer, "release"),
        milliseconds(answer["milliseconds"].as_f64().unwrap_or_default()),
        if rows.len() == 1 { "1 verdict".to_owned() } else { format!("{} verdicts", rows.len()) },
        milliseconds(answer["replay_all_milliseconds"].as_f64().unwrap_or_default()),
        not_carried,
        reasons.join(", "),
        text(answer, "decisionId"),
    )
}

/// A line with every reason why a run was not carried over, and how often it was one; none where all were.
fn not_carried(verdicts: &[Value]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for reason in verdicts.iter().flat_map(|verdict| list(verdict, "not_carried")) {
        *counts.entry(reason.as_str().unwrap_or_default()).or_insert(0u32) += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!("\nnot carried over: {}", parts.join(", "))
}
