//! The log: for people, and as C2SP tlog-tiles for programs.

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Statement, TenantId, Timestamp};
use assay_notary::{InclusionProof, LogReport, StatementRow};
use assay_store::BlobKey;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        response: Body::json::<LogHead>(),
        problems: &[problems::LOG, &[(404, "not_found")]],
        ..Operation::new("getLog", Method::Get, "/api/v1/log", "The log's head", || get(head))
    },
    Operation {
        response: Body::json::<LogHead>(),
        problems: &[problems::SIGNING, &[(404, "not_found")]],
        ..Operation::new("publishLog", Method::Post, "/api/v1/log/publications", "Publish what waits", || {
            post(publish)
        })
    },
    Operation {
        response: Body::json::<LogReport>(),
        problems: &[problems::LOG],
        ..Operation::new(
            "verifyLog",
            Method::Get,
            "/api/v1/log/verification",
            "Recompute the log: signatures, inclusion, consistency",
            || get(verify),
        )
    },
    Operation {
        response: Body::json::<InclusionProof>(),
        problems: &[problems::STATEMENT, problems::LOG, &[(409, "not_included")]],
        ..Operation::new(
            "proveStatement",
            Method::Get,
            "/api/v1/log/proofs/{digest}",
            "The proof that a statement is in the log",
            || get(prove),
        )
    },
    Operation {
        response: Body::json::<StatementAnswer>(),
        problems: &[problems::STATEMENT, problems::LOG, problems::STORED],
        ..Operation::new(
            "getStatement",
            Method::Get,
            "/api/v1/statements/{digest}",
            "A statement, verified",
            || get(statement),
        )
    },
    Operation {
        response: Body::json::<SubjectStatements>(),
        problems: &[problems::DIGEST],
        ..Operation::new(
            "listSubjectStatements",
            Method::Get,
            "/api/v1/subjects/{digest}/statements",
            "The statements about a subject, oldest first, at most 1,000",
            || get(about),
        )
    },
    Operation {
        response: Body::Bytes("text/plain; charset=utf-8"),
        problems: &[&[(404, "not_found")]],
        ..Operation::new(
            "getCheckpoint",
            Method::Get,
            "/log/{tenant}/checkpoint",
            "C2SP tlog-tiles: the newest checkpoint",
            || get(checkpoint),
        )
    },
    Operation {
        response: Body::Bytes("application/octet-stream"),
        problems: &[&[(404, "not_found")]],
        ..Operation::new(
            "getTile",
            Method::Get,
            "/log/{tenant}/tile/{*path}",
            "C2SP tlog-tiles: hash tiles and entry bundles",
            || get(tile),
        )
    },
];

/// A statement with its place.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StatementAnswer {
    /// Digest of the envelope.
    digest: Sha256,
    /// Its index in the log, once published.
    index: Option<u64>,
    /// When it was accepted.
    accepted_at: Timestamp,
    /// The key that signed it.
    key_id: String,
    /// What is stated.
    statement: Statement,
}

/// The statements about one subject.
#[derive(Serialize, JsonSchema)]
struct SubjectStatements {
    /// The subject.
    subject: Sha256,
    /// Oldest first.
    statements: Vec<StatementEntry>,
}

/// A statement in a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatementEntry {
    /// Digest of the envelope.
    pub digest: Sha256,
    /// What form its predicate has.
    pub predicate_type: String,
    /// Its index in the log, once published.
    pub index: Option<u64>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The key that signed it.
    pub key_id: String,
}

/// The statements about `subject`.
pub(crate) async fn statements_about(
    app: &App,
    principal: &Principal,
    subject: &Sha256,
) -> Result<Vec<StatementEntry>, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let rows = app.control.verifier().notary().about(principal.tenant(), subject).await?;
    let entry = |row: StatementRow| StatementEntry {
        digest: row.digest,
        predicate_type: row.predicate_type,
        index: row.position,
        accepted_at: row.accepted_at,
        key_id: row.key_id,
    };
    Ok(rows.into_iter().map(entry).collect())
}

async fn about(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let subject = digest.parse()?;
    Ok(Answer(SubjectStatements { subject, statements: statements_about(&app, &principal, &subject).await? }))
}

/// The log's head, for people and for `assay log head`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogHead {
    /// The log's name.
    pub origin: String,
    /// Leaves under the head.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
    /// Counts heads from 0.
    pub ordinal: u64,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The verifier key, as C2SP signed-note writes it.
    pub vkey: String,
    /// Statements accepted but not published.
    pub waiting: u64,
    /// Always true: the checkpoint's signature is verified when it is read, and one that is wrong is an error. `GET /api/v1/log/verification` verifies the rest.
    pub verified: bool,
}

pub(crate) async fn log_head(app: &App, tenant: &TenantId) -> Result<Option<LogHead>, Problem> {
    let notary = app.control.verifier().notary();
    let (Some(log), Some(head)) = (notary.log(tenant).await?, notary.head(tenant).await?) else {
        return Ok(None);
    };
    app.metrics.head(head.size);
    let checkpoint = String::from_utf8_lossy(&head.note).into_owned();
    let root = checkpoint.lines().nth(2).unwrap_or_default().to_owned();
    Ok(Some(LogHead {
        vkey: log.note_key()?.vkey(),
        origin: log.origin,
        size: head.size,
        root,
        ordinal: head.ordinal,
        checkpoint,
        waiting: notary.waiting(tenant).await?,
        verified: true,
    }))
}

async fn head(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let head = log_head(&app, principal.tenant()).await?;
    Ok(Answer(head.ok_or_else(|| Problem::not_found("the log is empty"))?))
}

async fn publish(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    principal.require(Permission::AddEvidence)?;
    app.control.verifier().notary().publish(principal.tenant(), Timestamp::now()).await?;
    let head = log_head(&app, principal.tenant()).await?;
    Ok(Answer(head.ok_or_else(|| Problem::not_found("the log is empty"))?))
}

async fn verify(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    principal.require(Permission::ReadEvidence)?;
    Ok(Answer(app.control.verifier().notary().verify_log(principal.tenant()).await?))
}

async fn prove(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    principal.require(Permission::ReadEvidence)?;
    Ok(Answer(app.control.verifier().notary().prove(principal.tenant(), &digest.parse()?).await?))
}

async fn statement(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let accepted = app.control.verifier().notary().statement(principal.tenant(), &digest.parse()?).await?;
    Ok(Answer(StatementAnswer {
        digest: accepted.row.digest,
        index: accepted.row.position,
        accepted_at: accepted.row.accepted_at,
        key_id: accepted.row.key_id,
        statement: accepted.statement,
    }))
}

/// C2SP tlog-tiles: the newest checkpoint.
async fn checkpoint(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    let key = own_log(&principal, &tenant, "checkpoint")?;
    let bytes = app.store().blobs().get(&key).await?.ok_or_else(|| Problem::not_found("the log is empty"))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], bytes).into_response())
}

/// C2SP tlog-tiles: hash tiles and entry bundles, immutable.
async fn tile(
    State(app): State<App>,
    Caller(principal): Caller,
    Path((tenant, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let fits = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !fits {
        return Err(Problem::not_found("no such tile"));
    }
    let key = own_log(&principal, &tenant, &format!("tile/{path}"))?;
    let bytes = app.store().blobs().get(&key).await?.ok_or_else(|| Problem::not_found("no such tile"))?;
    let headers =
        [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, bytes).into_response())
}

#[expect(clippy::result_large_err, reason = "the handlers' own error type")]
fn own_log(principal: &Principal, tenant: &str, path: &str) -> Result<BlobKey, Problem> {
    principal.require(Permission::ReadEvidence)?;
    if principal.tenant().as_str() != tenant {
        return Err(Problem::not_found("no such log"));
    }
    Ok(BlobKey::log(principal.tenant(), path))
}
