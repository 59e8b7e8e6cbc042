//! Health, metrics and the API's own description.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Answer;
use crate::app::App;
use crate::problem::Problem;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(|| async { Answer(crate::openapi()) }))
}

/// 200 when the database answers.
async fn health(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    app.control.count_decisions().await?;
    Ok(Answer(serde_json::json!({ "status": "ok" })))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.render())
}
