//! Why two replays differ.

use assay_verify::{Compared, Difference};
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::post;

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

pub(super) const OPERATIONS: &[Operation] = &[Operation {
    request: Body::json::<Compared>(),
    response: Body::json::<Difference>(),
    problems: &[
        problems::JSON,
        problems::WITNESS,
        problems::RUNNER,
        &[(400, "unknown_role"), (404, "blob_missing")],
    ],
    ..Operation::new(
        "compareReplays",
        Method::Post,
        "/api/v1/witnesses/{id}/differences",
        "Replay a witness beside another witness or build, and say why they differ",
        || post(compare),
    )
}];

async fn compare(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<Compared>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().difference(&principal, &id.parse()?, &request).await?))
}
