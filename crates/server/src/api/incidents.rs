//! Incidents, their history and their stacks.

use assay_evidence::Timestamp;
use assay_verify::IncidentDefinition;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;

use super::{Answer, Raw, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/incidents", post(define).get(list))
        .route("/api/v1/incidents/{id}", get(show))
        .route("/api/v1/incidents/{id}/verdicts", get(history))
        .route("/api/v1/incidents/{id}/stacks", get(stacks))
        .route("/api/v1/stack-matches", post(match_stack))
}

async fn define(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(definition): Strict<IncidentDefinition>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    verifier.define_incident(&principal, &definition, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(verifier.incident(&principal, &definition.id).await?)))
}

async fn list(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    let incidents = app.control.verifier().incidents(&principal).await?;
    Ok(Answer(serde_json::json!({ "incidents": incidents })))
}

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().incident(&principal, &id).await?))
}

async fn history(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let verdicts = app.control.verifier().history(&principal, &id).await?;
    Ok(Answer(serde_json::json!({ "incident": id, "verdicts": verdicts })))
}

async fn stacks(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let stacks = app.control.verifier().incident_stacks(&principal, &id).await?;
    Ok(Answer(serde_json::json!({ "incident": id, "stacks": stacks })))
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

/// How many matches are given without a limit.
const DEFAULT_MATCHES: usize = 5;

async fn match_stack(
    State(app): State<App>,
    Caller(principal): Caller,
    Query(query): Query<Limit>,
    Raw(body): Raw,
) -> Result<impl IntoResponse, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_MATCHES);
    let found = app.control.verifier().match_stack(&principal, &body, limit, Timestamp::now()).await?;
    Ok(Answer(found))
}
