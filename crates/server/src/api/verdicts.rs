//! Verdicts that are known already.

use assay_verify::IncidentVerdict;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Answer;
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

pub(super) const OPERATIONS: &[Operation] = &[Operation {
    response: Body::json::<IncidentVerdict>(),
    problems: &[problems::WITNESS, problems::RUNNER, &[(404, "unknown_verdict")]],
    ..Operation::new(
        "getVerdict",
        Method::Get,
        "/api/v1/witnesses/{id}/verdicts/{artifact}",
        "The known verdict of a witness on an artifact; nothing is run",
        || get(show),
    )
}];

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path((id, artifact)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let verdict = app.control.verifier().cached_verdict(&principal, &id.parse()?, &artifact.parse()?).await?;
    Ok(Answer(verdict))
}
