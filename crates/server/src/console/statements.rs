//! Statements: pretty-printed, with their place in the log and what they stand on.

use askama::Template;
use assay_access::Permission;
use assay_evidence::{Sha256, Statement};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;

use super::page;
use super::view::{Digest, Moment, Shell, predicate_name, segment};
use crate::api::log::{StatementEntry, statements_about};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// The most of a statement that is printed; the whole of it is one link away.
const MAX_SHOWN_BYTES: usize = 200 << 10;
/// The fields of a predicate that name other statements.
const REFERENCES: [&str; 3] = ["carriedFrom", "deltaProof", "evidenceDigests"];

#[derive(Template)]
#[template(path = "statement.html")]
struct StatementPage {
    shell: Shell,
    digest: Digest,
    predicate: String,
    predicate_type: String,
    index: Option<u64>,
    accepted: Moment,
    key_id: String,
    incident: Option<(String, String)>,
    subjects: Vec<(String, Digest)>,
    stands_on: Vec<(&'static str, Vec<Digest>)>,
    text: String,
    cut: bool,
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let digest: Sha256 = digest.parse()?;
    let accepted = app.control.verifier().notary().statement(principal.tenant(), &digest).await?;
    let statement = accepted.statement;
    let predicate = predicate_name(&statement.predicate_type);
    let incident = statement.predicate.get("incident").and_then(Value::as_str);
    let subject =
        |subject: &assay_evidence::Subject| Some((subject.name.clone(), Digest::of(&subject.sha256()?)));
    let (text, cut) = pretty(&statement);
    page(&StatementPage {
        shell: Shell::new(format!("{predicate} {}", Digest::of(&digest).short), "log", &principal),
        digest: Digest::of(&digest),
        predicate,
        index: accepted.row.position,
        accepted: Moment::of(accepted.row.accepted_at),
        key_id: accepted.row.key_id,
        incident: incident.map(|id| (id.to_owned(), segment(id))),
        subjects: statement.subject.iter().filter_map(subject).collect(),
        stands_on: references(&statement.predicate),
        predicate_type: statement.predicate_type,
        text,
        cut,
    })
}

fn pretty(statement: &Statement) -> (String, bool) {
    let mut text = serde_json::to_string_pretty(statement).unwrap_or_default();
    let cut = text.len() > MAX_SHOWN_BYTES;
    if cut {
        let mut end = MAX_SHOWN_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    (text, cut)
}

/// The statements that a predicate names, by field.
fn references(predicate: &Value) -> Vec<(&'static str, Vec<Digest>)> {
    let mut found = Vec::new();
    for field in REFERENCES {
        let values = match predicate.get(field) {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        let digests = values.iter().filter_map(|value| value.as_str()?.parse::<Sha256>().ok());
        let digests: Vec<Digest> = digests.map(|digest| Digest::of(&digest)).collect();
        if !digests.is_empty() {
            found.push((field, digests));
        }
    }
    found
}

#[derive(Template)]
#[template(path = "subject.html")]
struct SubjectPage {
    shell: Shell,
    subject: Digest,
    statements: Vec<StatementRow>,
}

struct StatementRow {
    predicate: String,
    digest: Digest,
    index: Option<u64>,
    accepted: Moment,
}

pub(super) async fn about(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let subject: Sha256 = digest.parse()?;
    let row = |entry: StatementEntry| StatementRow {
        predicate: predicate_name(&entry.predicate_type),
        digest: Digest::of(&entry.digest),
        index: entry.index,
        accepted: Moment::of(entry.accepted_at),
    };
    let statements = statements_about(&app, &principal, &subject).await?;
    page(&SubjectPage {
        shell: Shell::new(format!("Subject {}", Digest::of(&subject).short), "log", &principal),
        subject: Digest::of(&subject),
        statements: statements.into_iter().map(row).collect(),
    })
}
