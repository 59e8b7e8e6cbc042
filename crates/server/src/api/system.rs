//! Health, metrics and the API's own description.

use assay_evidence::Timestamp;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::App;
use crate::openapi::{Body, Method, Operation};
use crate::problem::Problem;

const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        public: true,
        response: Body::json::<Health>(),
        problems: &[&[(503, "store_failed")]],
        ..Operation::new("getHealth", Method::Get, "/health", "Whether the database answers", || get(health))
    },
    Operation {
        public: true,
        response: Body::Bytes(METRICS),
        ..Operation::new("getMetrics", Method::Get, "/metrics", "Figures for Prometheus", || get(metrics))
    },
    Operation {
        public: true,
        response: Body::AnyJson,
        ..Operation::new("getOpenApi", Method::Get, "/openapi.json", "This description", || get(description))
    },
];

/// That the server works.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// Always `ok`; anything else is a problem.
    status: &'static str,
}

async fn description() -> impl IntoResponse {
    Answer(crate::openapi())
}

/// 200 when the database answers.
async fn health(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    app.control.count_decisions().await?;
    Ok(Answer(Health { status: "ok" }))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics.index_age(app.deltas.oldest_waiting(Timestamp::now()));
    ([(CONTENT_TYPE, METRICS)], app.metrics.render())
}
