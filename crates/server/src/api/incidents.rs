//! Incidents, their history and their stacks.

use assay_evidence::Timestamp;
use assay_stacks::{Fingerprint, Report, Trace};
use assay_verify::{IncidentDefinition, IncidentSummary, StackMatch, VerdictRecord};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Asked, Raw, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, Parameter, problems};
use crate::problem::Problem;

/// A parameter that bounds an answer.
const LIMIT: &[Parameter] =
    &[Parameter { name: "limit", summary: "At most this many matches, 1 to 100", kind: "integer" }];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: Body::json::<IncidentDefinition>(),
        status: 201,
        response: Body::json::<IncidentSummary>(),
        problems: &[
            problems::JSON,
            &[
                (400, "incident_refused"),
                (400, "expectation_refused"),
                (400, "pattern_refused"),
                (409, "incident_exists"),
            ],
        ],
        ..Operation::new("defineIncident", Method::Post, "/api/v1/incidents", "Define an incident", || {
            post(define)
        })
    },
    Operation {
        response: Body::json::<IncidentList>(),
        ..Operation::new(
            "listIncidents",
            Method::Get,
            "/api/v1/incidents",
            "All incidents with their witnesses",
            || get(list),
        )
    },
    Operation {
        response: Body::json::<IncidentSummary>(),
        problems: &[problems::INCIDENT],
        ..Operation::new(
            "getIncident",
            Method::Get,
            "/api/v1/incidents/{id}",
            "An incident by id or alias",
            || get(show),
        )
    },
    Operation {
        response: Body::json::<IncidentHistory>(),
        problems: &[problems::INCIDENT],
        ..Operation::new(
            "listIncidentVerdicts",
            Method::Get,
            "/api/v1/incidents/{id}/verdicts",
            "The newest verdicts on an incident",
            || get(history),
        )
    },
    Operation {
        response: Body::json::<IncidentStacks>(),
        problems: &[problems::INCIDENT],
        ..Operation::new(
            "listIncidentStacks",
            Method::Get,
            "/api/v1/incidents/{id}/stacks",
            "The captured stacks of an incident, as read and normalised",
            || get(stacks),
        )
    },
    Operation {
        query: LIMIT,
        request: Body::Bytes("text/plain"),
        response: Body::json::<StackMatch>(),
        problems: &[
            problems::BYTES,
            problems::QUERY,
            &[(400, "stack_refused"), (400, "stack_index_refused"), (409, "stored_bytes_differ")],
        ],
        ..Operation::new(
            "matchStack",
            Method::Post,
            "/api/v1/stack-matches",
            "The incidents that a pasted stack looks like",
            || post(match_stack),
        )
    },
];

/// All incidents of a tenant.
#[derive(Serialize, JsonSchema)]
struct IncidentList {
    /// By id.
    incidents: Vec<IncidentSummary>,
}

/// What was said of an incident.
#[derive(Serialize, JsonSchema)]
struct IncidentHistory {
    /// As it was asked for.
    incident: String,
    /// Newest first.
    verdicts: Vec<VerdictRecord>,
}

/// The stacks of an incident.
#[derive(Serialize, JsonSchema)]
struct IncidentStacks {
    /// As it was asked for.
    incident: String,
    /// As they were captured.
    stacks: Vec<Report>,
    /// The same, normalised, in the same order.
    normalised: Vec<NormalisedStack>,
}

/// A stack as it is compared.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NormalisedStack {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its frames, innermost first, recursion collapsed.
    pub trace: Trace,
}

impl NormalisedStack {
    /// Of a report's crashed thread.
    pub fn of(report: &Report) -> Self {
        let trace = assay_stacks::normalize(report);
        Self { fingerprint: assay_stacks::fingerprint(&trace), trace }
    }
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
    Ok(Answer(IncidentList { incidents }))
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
    Ok(Answer(IncidentHistory { incident: id, verdicts }))
}

async fn stacks(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let stacks = app.control.verifier().incident_stacks(&principal, &id).await?;
    let normalised = stacks.iter().map(NormalisedStack::of).collect();
    Ok(Answer(IncidentStacks { incident: id, stacks, normalised }))
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
    Asked(query): Asked<Limit>,
    Raw(body): Raw,
) -> Result<impl IntoResponse, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_MATCHES);
    let found = app.control.verifier().match_stack(&principal, &body, limit, Timestamp::now()).await?;
    Ok(Answer(found))
}
