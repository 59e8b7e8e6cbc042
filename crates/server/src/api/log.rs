//! The log: for people, and as C2SP tlog-tiles for programs.

use assay_access::Permission;
use assay_evidence::{TenantId, Timestamp};
use assay_store::BlobKey;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::Answer;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/log", get(head))
        .route("/api/v1/log/publications", post(publish))
        .route("/api/v1/log/verification", get(verify))
        .route("/api/v1/log/proofs/{digest}", get(prove))
        .route("/api/v1/statements/{digest}", get(statement))
        .route("/log/{tenant}/checkpoint", get(checkpoint))
        .route("/log/{tenant}/tile/{*path}", get(tile))
}

/// The log's head, for people and for `assay log head`.
#[derive(Serialize, schemars::JsonSchema)]
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
    /// Whether signature and history of the head hold.
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
    Ok(Answer(serde_json::json!({
        "digest": accepted.row.digest,
        "index": accepted.row.position,
        "acceptedAt": accepted.row.accepted_at,
        "keyId": accepted.row.key_id,
        "statement": accepted.statement,
    })))
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

fn own_log(principal: &assay_access::Principal, tenant: &str, path: &str) -> Result<BlobKey, Problem> {
    principal.require(Permission::ReadEvidence)?;
    if principal.tenant().as_str() != tenant {
        return Err(Problem::not_found("no such log"));
    }
    Ok(BlobKey::log(principal.tenant(), path))
}
