//! What a person does with a witness before handing it on: scans, redaction, a smaller one.

use assay_evidence::Timestamp;
use assay_verify::{
    MinimizeOutcome, MinimizeRequest, QuotaUsage, Quotas, RedactionKey, RequalifyOutcome, WitnessScan,
};
use assay_witness::redact::Policy;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

const QUOTAS: &str = "/api/v1/quotas";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        response: Body::json::<RedactionKey>(),
        problems: &[problems::SIGNING],
        ..Operation::new(
            "getRedactionKey",
            Method::Get,
            "/api/v1/redaction-key",
            "The tenant's key for pseudonyms: redaction comes before uploading",
            || get(key),
        )
    },
    Operation {
        request: Body::json::<ScanRequest>(),
        response: Body::json::<WitnessScan>(),
        problems: &[
            problems::JSON,
            problems::WITNESS,
            problems::STORED,
            &[(400, "redaction_policy_refused"), (503, "stopped"), (503, "runner_failed")],
        ],
        ..Operation::new(
            "scanWitness",
            Method::Post,
            "/api/v1/witnesses/{id}/scans",
            "Look for secrets and personal data in a witness",
            || post(scan),
        )
    },
    Operation {
        request: Body::json::<MinimizeRequest>(),
        status: 201,
        response: Body::json::<MinimizeOutcome>(),
        problems: &[
            problems::JSON,
            problems::WITNESS,
            problems::STORED,
            problems::SIGNING,
            problems::RUNNER,
            &[(409, "incident_not_shown"), (409, "witness_exists")],
        ],
        ..Operation::new(
            "minimizeWitness",
            Method::Post,
            "/api/v1/witnesses/{id}/minimizations",
            "Make a smaller witness of the same incident",
            || post(minimize),
        )
    },
    Operation {
        request: Body::json::<RequalifyRequest>(),
        status: 201,
        response: Body::json::<RequalifyOutcome>(),
        problems: &[
            problems::JSON,
            problems::INCIDENT,
            problems::STORED,
            problems::SIGNING,
            problems::RUNNER,
            &[(404, "unknown_witness")],
        ],
        ..Operation::new(
            "requalifyVerdicts",
            Method::Post,
            "/api/v1/requalifications",
            "Ask stored verdicts again under the present runner",
            || post(requalify),
        )
    },
    Operation {
        response: Body::json::<QuotaUsage>(),
        ..Operation::new("getQuotas", Method::Get, QUOTAS, "What the tenant may use and uses", || get(quotas))
    },
    Operation {
        request: Body::json::<Quotas>(),
        response: Body::json::<QuotaUsage>(),
        problems: &[problems::JSON],
        ..Operation::new(
            "putQuotas",
            Method::Put,
            QUOTAS,
            "Set what the tenant may use; for its owner",
            || put(set_quotas),
        )
    },
];

async fn key(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().redaction_key(&principal, Timestamp::now()).await?))
}

/// What is sought.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScanRequest {
    /// A redaction policy in TOML; without one, the built-in.
    #[serde(default)]
    policy: Option<String>,
}

async fn scan(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<ScanRequest>,
) -> Result<impl IntoResponse, Problem> {
    let policy = match &request.policy {
        Some(text) => Policy::from_toml(text)?,
        None => Policy::default(),
    };
    Ok(Answer(app.control.verifier().scan_witness(&principal, &id.parse()?, policy).await?))
}

async fn minimize(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(request): Strict<MinimizeRequest>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    let outcome = verifier.minimize(&principal, &id.parse()?, request, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(outcome)))
}

/// Which verdicts are asked again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RequalifyRequest {
    /// Of this incident only.
    #[serde(default)]
    incident: Option<String>,
    /// Take the changes over; otherwise nothing is altered.
    #[serde(default)]
    accept: bool,
}

async fn requalify(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(request): Strict<RequalifyRequest>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    let incident = request.incident.as_deref();
    let outcome = verifier.requalify(&principal, incident, request.accept, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(outcome)))
}

async fn quotas(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().quota_usage(&principal, Timestamp::now()).await?))
}

async fn set_quotas(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(request): Strict<Quotas>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    verifier.set_quotas(&principal, request).await?;
    Ok(Answer(verifier.quota_usage(&principal, Timestamp::now()).await?))
}
