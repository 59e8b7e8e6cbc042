//! Witnesses: taking in, checking, replaying.

use std::collections::BTreeMap;

use assay_evidence::{Sha256, Timestamp};
use assay_verify::{CheckOutcome, NewWitness, ReplayOutcome, WitnessInfo};
use assay_witness::Capsule;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: Body::json::<NewWitness>(),
        status: 201,
        response: Body::json::<WitnessInfo>(),
        problems: &[
            problems::JSON,
            problems::INCIDENT,
            problems::SIGNING,
            problems::RUNNER,
            &[
                (400, "capsule_refused"),
                (400, "provenance_refused"),
                (400, "unknown_role"),
                (404, "blob_missing"),
                (409, "incident_not_shown"),
                (409, "witness_exists"),
            ],
        ],
        ..Operation::new(
            "addWitness",
            Method::Post,
            "/api/v1/witnesses",
            "Take in a capsule whose files are uploaded",
            || post(add),
        )
    },
    Operation {
        response: Body::json::<WitnessAnswer>(),
        problems: &[problems::WITNESS, problems::STORED],
        ..Operation::new(
            "getWitness",
            Method::Get,
            "/api/v1/witnesses/{id}",
            "A witness with its capsule",
            || get(show),
        )
    },
    Operation {
        request: Body::json::<CheckRequest>(),
        response: Body::json::<CheckOutcome>(),
        problems: &[problems::JSON, problems::WITNESS, problems::SIGNING, problems::RUNNER],
        ..Operation::new(
            "checkWitness",
            Method::Post,
            "/api/v1/witnesses/{id}/checks",
            "Replay a witness many times and compare",
            || post(check),
        )
    },
    Operation {
        request: Body::json::<ReplayRequest>(),
        response: Body::json::<ReplayOutcome>(),
        problems: &[
            problems::JSON,
            problems::WITNESS,
            problems::RUNNER,
            &[(400, "unknown_role"), (404, "blob_missing")],
        ],
        ..Operation::new(
            "replayWitness",
            Method::Post,
            "/api/v1/witnesses/{id}/replays",
            "Replay a witness once",
            || post(replay),
        )
    },
];

/// A witness with its capsule.
#[derive(Serialize, JsonSchema)]
struct WitnessAnswer {
    #[serde(flatten)]
    witness: WitnessInfo,
    /// Everything that makes it happen again.
    capsule: Capsule,
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
    Ok(Answer(WitnessAnswer { witness, capsule }))
}

/// How a witness is checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    /// How often it is replayed, 1 to 1,000.
    replays: u32,
}

async fn check(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<CheckRequest>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    let outcome = verifier.check(&principal, &id.parse()?, request.replays, Timestamp::now()).await?;
    app.metrics.checked(&outcome);
    Ok(Answer(outcome))
}

/// How a witness is replayed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Other builds to put in, by role.
    #[serde(default)]
    subjects: BTreeMap<String, Sha256>,
}

async fn replay(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<ReplayRequest>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().replay(&principal, &id.parse()?, &request.subjects).await?))
}
