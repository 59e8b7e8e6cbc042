//! Releases, verifications and decisions.

use assay_control::NewRelease;
use assay_evidence::Timestamp;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Releases in one page without a limit.
const DEFAULT_PAGE: u32 = 50;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/releases", post(create).get(list))
        .route("/api/v1/releases/{name}", get(show))
        .route("/api/v1/releases/{name}/verifications", post(verify))
        .route("/api/v1/releases/{name}/decisions", get(decisions))
        .route("/api/v1/releases/{name}/evidence", get(evidence))
        .route("/api/v1/decisions/{id}", get(decision))
        .route("/api/v1/decisions/{id}/explanation", get(explain))
        .route("/api/v1/decisions/{id}/replays", post(redecide))
}

async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(new): Strict<NewRelease>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::CREATED, Answer(app.control.create_release(&principal, &new, Timestamp::now()).await?)))
}

#[derive(Deserialize)]
struct Page {
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(page): Query<Page>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page.limit.unwrap_or(DEFAULT_PAGE);
    let releases = app.control.releases(&principal, page.cursor.as_deref().unwrap_or(""), limit).await?;
    let next = (releases.len() as u64 >= u64::from(limit)).then(|| releases.last().map(|r| r.release.clone())).flatten();
    Ok(Answer(serde_json::json!({ "releases": releases, "nextCursor": next })))
}

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.release(&principal, &name).await?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    #[serde(default)]
    baseline: Option<String>,
    #[serde(default)]
    policy: Option<String>,
}

async fn verify(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Strict(request): Strict<Verify>,
) -> Result<impl IntoResponse, Problem> {
    let (baseline, policy) = (request.baseline.as_deref(), request.policy.as_deref());
    let verified = app
        .control
        .verify_release(&principal, &name, baseline, policy, Timestamp::now(), &|verdict| {
            tracing::info!(
                incident = verdict.incident,
                role = verdict.role,
                mode = ?verdict.mode,
                verdict = ?verdict.verdict,
                duration_milliseconds = verdict.milliseconds,
                "verdict"
            );
        })
        .await?;
    app.metrics.verified(&verified);
    Ok((StatusCode::CREATED, Answer(verified)))
}

async fn decisions(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    app.control.release(&principal, &name).await?;
    let decisions = app.control.decisions(&principal, &name).await?;
    Ok(Answer(serde_json::json!({ "release": name, "decisions": decisions })))
}

async fn evidence(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.bundle(&principal, &name).await?))
}

async fn decision(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.decision(&principal, &id).await?))
}

async fn explain(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.explain(&principal, &id).await?))
}

async fn redecide(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.redecide(&principal, &id).await?))
}
