//! Incidents: what they are, what witnesses them, what was said of them.

use askama::Template;
use assay_stacks::TraceFrame;
use assay_verify::{IncidentSummary, Side, VerdictRecord, WitnessInfo};
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::page;
use super::view::{self, Badge, Digest, Moment, Shell, milliseconds, segment};
use crate::api::Asked;
use crate::api::incidents::NormalisedStack;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Incidents on one page: each asks for its verdicts.
const PAGE: usize = 25;

#[derive(Deserialize)]
pub(super) struct Cursor {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    shell: Shell,
    incidents: Vec<IncidentRow>,
    first: bool,
    next: Option<String>,
}

struct IncidentRow {
    id: String,
    link: String,
    title: String,
    package: String,
    kind: Badge,
    witnesses: usize,
    admitted: usize,
    last: Option<VerdictRow>,
}

struct VerdictRow {
    verdict: Badge,
    mode: String,
    reason: String,
    milliseconds: String,
    artifact: Digest,
    statement: Digest,
    at: Moment,
}

impl VerdictRow {
    fn of(record: &VerdictRecord) -> Self {
        Self {
            verdict: Badge::verdict(record.verdict),
            mode: view::mode(Some(record.mode)),
            reason: record.reason.clone(),
            milliseconds: milliseconds(record.milliseconds),
            artifact: Digest::of(&record.artifact),
            statement: Digest::of(&record.statement),
            at: Moment::of(record.created_at),
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(cursor): Asked<Cursor>,
) -> Result<Response, Problem> {
    let verifier = app.control.verifier();
    let after = cursor.after.unwrap_or_default();
    let all = verifier.incidents(&principal).await?;
    let mut left = all.into_iter().filter(|summary| summary.definition.id > after);
    let shown: Vec<IncidentSummary> = left.by_ref().take(PAGE).collect();
    let more = left.next().is_some();
    let next = shown.last().filter(|_| more).map(|summary| segment(&summary.definition.id));
    let mut incidents = Vec::new();
    for summary in shown {
        let verdicts = verifier.history(&principal, &summary.definition.id).await?;
        incidents.push(IncidentRow {
            link: segment(&summary.definition.id),
            package: package(&summary),
            kind: kind(&summary),
            witnesses: summary.witnesses.len(),
            admitted: summary.witnesses.iter().filter(|witness| witness.admitted).count(),
            last: verdicts.first().map(VerdictRow::of),
            title: summary.definition.title,
            id: summary.definition.id,
        });
    }
    let shell = Shell::new("Incidents", "incidents", &principal);
    page(&IncidentsPage { shell, incidents, first: after.is_empty(), next })
}

fn package(summary: &IncidentSummary) -> String {
    format!("{} {}", summary.definition.package, summary.definition.vulnerable).trim().to_owned()
}

fn kind(summary: &IncidentSummary) -> Badge {
    let word = serde_json::to_value(summary.definition.kind).unwrap_or_default();
    Badge::plain(word.as_str().unwrap_or_default())
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    shell: Shell,
    id: String,
    link: String,
    title: String,
    facts: Vec<(&'static str, String)>,
    sources: Vec<Source>,
    summary: String,
    undefined_behaviour: bool,
    expectations: Vec<(&'static str, Vec<(String, String)>)>,
    witnesses: Vec<WitnessRow>,
    stacks: Vec<StackView>,
    verdicts: Vec<VerdictRow>,
}

/// Where facts come from: a link where it is one.
struct Source {
    text: String,
    link: bool,
}

struct WitnessRow {
    witness: Digest,
    artifact: Digest,
    statement: Digest,
    role: String,
    admitted: Badge,
    layout: Badge,
    replays: i64,
    path: Vec<String>,
    at: Moment,
}

impl WitnessRow {
    fn of(info: &WitnessInfo) -> Self {
        Self {
            witness: Digest::of(&info.witness),
            artifact: Digest::of(&info.artifact),
            statement: Digest::of(&info.statement),
            role: info.role.clone(),
            admitted: if info.admitted { Badge::good("admitted") } else { Badge::open("not admitted") },
            layout: Badge::plain(if info.layout_sensitive {
                "layout-sensitive"
            } else {
                "layout-independent"
            }),
            replays: info.replays,
            path: info.recorded_path.clone(),
            at: Moment::of(info.created_at),
        }
    }
}

struct StackView {
    fingerprint: Digest,
    version: u32,
    reason: String,
    overflow: bool,
    frames: Vec<FrameRow>,
}

struct FrameRow {
    name: String,
    place: String,
    repeated: bool,
    standard: bool,
}

impl FrameRow {
    fn of(frame: &TraceFrame) -> Self {
        let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
        Self {
            name: frame.key().to_owned(),
            place: frame.file.as_ref().map(|file| format!("{file}{line}")).unwrap_or_default(),
            repeated: frame.repeated,
            standard: frame.standard,
        }
    }
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let verifier = app.control.verifier();
    let summary = verifier.incident(&principal, &id).await?;
    let verdicts = verifier.history(&principal, &id).await?;
    let stacks = verifier.incident_stacks(&principal, &id).await?;
    let definition = summary.definition;
    let source = |text: &String| Source { text: text.clone(), link: text.starts_with("https://") };
    let mut expectations = vec![("vulnerable side", expected(&definition.expect.vulnerable))];
    expectations.extend(definition.expect.fixed.as_ref().map(|side| ("fixed side", expected(side))));
    let facts = [
        ("Aliases", definition.aliases.join(", ")),
        ("Package", format!("{} {}", definition.ecosystem, definition.package).trim().to_owned()),
        ("Vulnerable", definition.vulnerable),
        ("Fixed", definition.fixed),
        ("Kind", view::word_of(&definition.kind)),
        ("Role", definition.role),
        ("Definition", summary.digest.to_string()),
    ];
    page(&IncidentPage {
        shell: Shell::new(definition.id.as_str(), "incidents", &principal),
        link: segment(&definition.id),
        id: definition.id,
        title: definition.title,
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        sources: definition.source.iter().map(source).collect(),
        summary: definition.facts.summary,
        undefined_behaviour: definition.facts.undefined_behaviour,
        expectations,
        witnesses: summary.witnesses.iter().map(WitnessRow::of).collect(),
        stacks: stacks
            .iter()
            .map(|report| stack(report.reason.clone(), &NormalisedStack::of(report)))
            .collect(),
        verdicts: verdicts.iter().map(VerdictRow::of).collect(),
    })
}

fn stack(reason: Option<String>, normalised: &NormalisedStack) -> StackView {
    StackView {
        fingerprint: Digest::of(&normalised.fingerprint.digest),
        version: normalised.fingerprint.version,
        reason: reason.unwrap_or_default(),
        overflow: normalised.trace.overflow,
        frames: normalised.trace.frames.iter().map(FrameRow::of).collect(),
    }
}

/// The keys of a side, as they are written.
fn expected(side: &Side) -> Vec<(String, String)> {
    let Ok(Value::Object(keys)) = serde_json::to_value(side) else { return Vec::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    keys.into_iter().map(|(key, value)| (key, text(value))).collect()
}
