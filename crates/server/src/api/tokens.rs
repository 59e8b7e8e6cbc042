//! Tokens: only for whoever runs the program over its own data folder.

use assay_access::Scope;
use assay_evidence::Timestamp;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use serde::Deserialize;

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/tokens", post(create).get(list))
        .route("/api/v1/tokens/{id}", delete(revoke))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    scope: Scope,
    #[serde(default)]
    name: String,
    days: u32,
}

async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(new): Strict<NewToken>,
) -> Result<impl IntoResponse, Problem> {
    let token = app.tokens.create(&principal, &new.name, new.scope, new.days, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(token)))
}

async fn list(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(serde_json::json!({ "tokens": app.tokens.list(&principal).await? })))
}

async fn revoke(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.tokens.revoke(&principal, &id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
