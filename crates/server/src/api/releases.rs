//! Releases, verifications and decisions.

use assay_control::{Bundle, Decided, Explained, NewRelease, Release, Replayed, Verified};
use assay_evidence::Timestamp;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Asked, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, Parameter, problems};
use crate::problem::Problem;

/// Releases in one page without a limit.
const DEFAULT_PAGE: u32 = 50;
/// The most releases in one page: one less than the service gives, to see whether there are more.
const MAX_PAGE: u32 = 199;

const PAGE: &[Parameter] = &[
    Parameter { name: "cursor", summary: "The `nextCursor` of the page before", kind: "string" },
    Parameter { name: "limit", summary: "At most this many, 1 to 199", kind: "integer" },
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: Body::json::<NewRelease>(),
        status: 201,
        response: Body::json::<Release>(),
        problems: &[
            problems::JSON,
            &[(400, "release_refused"), (409, "artifact_missing"), (409, "release_exists")],
        ],
        ..Operation::new(
            "createRelease",
            Method::Post,
            "/api/v1/releases",
            "Create a release of uploaded artifacts",
            || post(create),
        )
    },
    Operation {
        query: PAGE,
        response: Body::json::<ReleasePage>(),
        problems: &[problems::QUERY],
        ..Operation::new("listReleases", Method::Get, "/api/v1/releases", "Releases by name", || get(list))
    },
    Operation {
        response: Body::json::<Release>(),
        problems: &[problems::RELEASE],
        ..Operation::new(
            "getRelease",
            Method::Get,
            "/api/v1/releases/{name}",
            "A release with its artifacts",
            || get(show),
        )
    },
    Operation {
        request: Body::json::<VerificationRequest>(),
        status: 201,
        response: Body::json::<Verified>(),
        problems: &[
            problems::JSON,
            problems::RELEASE,
            problems::SIGNING,
            problems::RUNNER,
            &[(400, "policy_refused"), (400, "artifact_refused")],
        ],
        ..Operation::new(
            "verifyRelease",
            Method::Post,
            "/api/v1/releases/{name}/verifications",
            "Verify a release and decide",
            || post(verify),
        )
    },
    Operation {
        response: Body::json::<DecisionList>(),
        problems: &[problems::RELEASE],
        ..Operation::new(
            "listDecisions",
            Method::Get,
            "/api/v1/releases/{name}/decisions",
            "The decisions of a release, newest first",
            || get(decisions),
        )
    },
    Operation {
        response: Body::json::<Bundle>(),
        problems: &[
            problems::RELEASE,
            problems::LOG,
            problems::STORED,
            &[(409, "undecided"), (409, "not_included")],
        ],
        ..Operation::new(
            "getEvidence",
            Method::Get,
            "/api/v1/releases/{name}/evidence",
            "The newest decision with all it stands on",
            || get(evidence),
        )
    },
    Operation {
        response: Body::json::<Decided>(),
        problems: &[problems::DECISION],
        ..Operation::new(
            "getDecision",
            Method::Get,
            "/api/v1/decisions/{id}",
            "A decision by id, statement or release",
            || get(decision),
        )
    },
    Operation {
        response: Body::json::<Explained>(),
        problems: &[problems::DECISION],
        ..Operation::new(
            "explainDecision",
            Method::Get,
            "/api/v1/decisions/{id}/explanation",
            "Each rule with the evidence it used",
            || get(explain),
        )
    },
    Operation {
        response: Body::json::<Replayed>(),
        problems: &[problems::DECISION, &[(400, "policy_refused")]],
        ..Operation::new(
            "replayDecision",
            Method::Post,
            "/api/v1/decisions/{id}/replays",
            "Make a decision again from what it keeps",
            || post(redecide),
        )
    },
];

/// A page of releases.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReleasePage {
    /// By name.
    releases: Vec<Release>,
    /// Where the next page starts; null on the last.
    next_cursor: Option<String>,
}

/// The decisions of a release.
#[derive(Serialize, JsonSchema)]
struct DecisionList {
    /// The release.
    release: String,
    /// Newest first, at most 100.
    decisions: Vec<Decided>,
}

async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(new): Strict<NewRelease>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::CREATED, Answer(app.control.create_release(&principal, &new, Timestamp::now()).await?)))
}

#[derive(Deserialize)]
struct Page {
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(page): Asked<Page>,
) -> Result<impl IntoResponse, Problem> {
    let limit = page.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let mut releases =
        app.control.releases(&principal, page.cursor.as_deref().unwrap_or(""), limit + 1).await?;
    let more = releases.len() > limit as usize;
    releases.truncate(limit as usize);
    let next_cursor = releases.last().filter(|_| more).map(|release| release.release.clone());
    Ok(Answer(ReleasePage { releases, next_cursor }))
}

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.release(&principal, &name).await?))
}

/// How a release is verified.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VerificationRequest {
    /// The release whose verdicts may be carried over.
    #[serde(default)]
    baseline: Option<String>,
    /// The policy's text; the default policy without one.
    #[serde(default)]
    policy: Option<String>,
    /// How many witnesses run at one time, 1 to 256; as many as there are processors without it.
    #[serde(default)]
    jobs: Option<u32>,
}

async fn verify(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Strict(request): Strict<VerificationRequest>,
) -> Result<impl IntoResponse, Problem> {
    let (baseline, policy) = (request.baseline.as_deref(), request.policy.as_deref());
    let jobs = request.jobs.map_or_else(processors, |jobs| jobs as usize);
    let verified = app
        .control
        .verify_release(&principal, &name, baseline, policy, jobs, Timestamp::now(), &|verdict| {
            tracing::info!(
                incident = verdict.incident,
                role = verdict.role,
                mode = ?verdict.mode,
                verdict = ?verdict.verdict,
                duration_milliseconds = verdict.milliseconds,
                "verdict"
            );
        })
        .await?;
    app.metrics.verified(&verified);
    Ok((StatusCode::CREATED, Answer(verified)))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

async fn decisions(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    app.control.release(&principal, &name).await?;
    let decisions = app.control.decisions(&principal, &name).await?;
    Ok(Answer(DecisionList { release: name, decisions }))
}

async fn evidence(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.bundle(&principal, &name).await?))
}

async fn decision(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.decision(&principal, &id).await?))
}

async fn explain(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.explain(&principal, &id).await?))
}

async fn redecide(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.redecide(&principal, &id).await?))
}
