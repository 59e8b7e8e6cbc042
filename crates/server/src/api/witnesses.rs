//! Witnesses: taking in, checking, replaying.

use std::collections::BTreeMap;

use assay_evidence::{Sha256, Timestamp};
use assay_verify::NewWitness;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/witnesses", post(add))
        .route("/api/v1/witnesses/{id}", get(show))
        .route("/api/v1/witnesses/{id}/checks", post(check))
        .route("/api/v1/witnesses/{id}/replays", post(replay))
}

async fn add(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(new): Strict<NewWitness>,
) -> Result<impl IntoResponse, Problem> {
    let witness = app.control.verifier().add_witness(&principal, new, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(witness)))
}

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let (witness, capsule) = app.control.verifier().witness(&principal, &id.parse()?).await?;
    let mut answer = serde_json::to_value(witness).unwrap_or_default();
    answer["capsule"] = serde_json::to_value(capsule).unwrap_or_default();
    Ok(Answer(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    replays: u32,
}

async fn check(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<Check>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    Ok(Answer(verifier.check(&principal, &id.parse()?, request.replays, Timestamp::now()).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    #[serde(default)]
    subjects: BTreeMap<String, Sha256>,
}

async fn replay(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<Replay>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().replay(&principal, &id.parse()?, &request.subjects).await?))
}
