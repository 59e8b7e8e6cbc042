//! The readable page of an evidence archive.

use askama::Template;
use assay_control::{Bundle, BundleReport};
use serde_json::Value;

use crate::error::CliError;

#[derive(Template)]
#[template(path = "evidence.html")]
struct Page<'a> {
    release: &'a str,
    decision: String,
    reasons: Vec<String>,
    evaluated: String,
    artifacts: Vec<(String, String)>,
    verdicts: Vec<Verdict>,
    statements: Vec<(String, String, u64)>,
    checkpoint: String,
    key: &'a str,
}

struct Verdict {
    incident: String,
    role: String,
    verdict: String,
    mode: String,
    reason: String,
    statement: String,
}

/// The page, with nothing loaded from elsewhere.
pub(super) fn render(bundle: &Bundle, report: &BundleReport) -> Result<String, CliError> {
    let decision = report.verified_statements.iter().find(|statement| statement.statement == bundle.decision);
    let decision = decision.map(|statement| &statement.predicate).unwrap_or(&Value::Null);
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let items = list(&decision["evidence"]["items"]);
    let verdicts = items.iter().map(|item| Verdict {
        incident: word(&item["incident"]),
        role: word(&item["artifact"]["role"]),
        verdict: word(&item["verdict"]),
        mode: word(&item["mode"]),
        reason: word(&item["reason"]),
        statement: word(&item["statement"]),
    });
    let artifacts = bundle.artifacts.iter();
    let page = Page {
        release: &bundle.release,
        decision: word(&decision["decision"]),
        reasons: list(&decision["reasonCodes"]).iter().map(word).collect(),
        evaluated: word(&decision["evaluatedAtUtc"]),
        artifacts: artifacts
            .flat_map(|(role, digests)| digests.iter().map(move |digest| (role.clone(), digest.to_string())))
            .collect(),
        verdicts: verdicts.collect(),
        statements: report
            .verified_statements
            .iter()
            .map(|statement| {
                (statement.statement.to_string(), statement.predicate_type.clone(), statement.index)
            })
            .collect(),
        checkpoint: word(&decision["evidence"]["checkpoint"]),
        key: &bundle.public_key,
    };
    page.render().map_err(|error| CliError::environment("the page cannot be written", &error))
}
