//! Indexes of artifacts, which artifacts contain a function, and what differs between two.

use assay_binary::Address;
use assay_delta::{ChangeGraph, Explanation};
use assay_deltas::{Comparison, FunctionArtifacts, IndexSummary, MAX_FOUND};
use assay_evidence::{Sha256, Timestamp};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Asked, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, Parameter, ProblemCode, problems};
use crate::problem::Problem;

const PAIR: [Parameter; 2] = [
    Parameter { name: "a", summary: "The artifact before, sha256:...", kind: "string" },
    Parameter { name: "b", summary: "The artifact after, sha256:...", kind: "string" },
];

const NOT_INDEXED: &[ProblemCode] = &[(404, "not_indexed")];
const STOPPED: &[ProblemCode] = &[(503, "stopped")];
const INDEX: &[ProblemCode] = &[(409, "index_refused")];

/// What every question about a pair may meet.
const OF_A_PAIR: [&[ProblemCode]; 6] =
    [problems::QUERY, problems::DIGEST, problems::STORED, NOT_INDEXED, STOPPED, INDEX];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: Body::json::<NewIndex>(),
        status: 201,
        response: Body::json::<IndexSummary>(),
        problems: &[problems::JSON, problems::STORED, &[(400, "artifact_refused")], STOPPED, INDEX],
        ..Operation::new(
            "createIndex",
            Method::Post,
            "/api/v1/deltas/indexes",
            "Index a stored artifact, once",
            || post(create),
        )
    },
    Operation {
        response: Body::json::<IndexSummary>(),
        problems: &[problems::DIGEST, NOT_INDEXED, INDEX],
        ..Operation::new(
            "getIndex",
            Method::Get,
            "/api/v1/deltas/indexes/{artifact}",
            "What the index says of an artifact",
            || get(show),
        )
    },
    Operation {
        query: &[
            Parameter { name: "after", summary: "The `next` of the page before", kind: "string" },
            Parameter { name: "limit", summary: "At most this many, 1 to 1000", kind: "integer" },
        ],
        response: Body::json::<FunctionArtifacts>(),
        problems: &[
            problems::DIGEST,
            problems::QUERY,
            problems::STORED,
            &[(400, "cursor_refused")],
            STOPPED,
            INDEX,
        ],
        ..Operation::new(
            "findFunction",
            Method::Get,
            "/api/v1/functions/{function}/artifacts",
            "The artifacts that contain a function, by the hash of what it means",
            || get(find),
        )
    },
    Operation {
        query: &PAIR,
        response: Body::json::<Comparison>(),
        problems: &OF_A_PAIR,
        ..Operation::new(
            "compareArtifacts",
            Method::Get,
            "/api/v1/deltas",
            "What differs between two indexed artifacts",
            || get(compare),
        )
    },
    Operation {
        query: &PAIR,
        response: Body::json::<ChangeGraph>(),
        problems: &OF_A_PAIR,
        ..Operation::new(
            "graphChange",
            Method::Get,
            "/api/v1/deltas/graph",
            "The changed functions among their callers and callees",
            || get(graph),
        )
    },
    Operation {
        query: &[
            PAIR[0],
            PAIR[1],
            Parameter { name: "address_a", summary: "The function's address in A, 0x...", kind: "string" },
            Parameter { name: "address_b", summary: "The function's address in B, 0x...", kind: "string" },
        ],
        response: Body::json::<Explanation>(),
        problems: &[
            problems::QUERY,
            problems::DIGEST,
            problems::STORED,
            NOT_INDEXED,
            STOPPED,
            INDEX,
            &[(404, "unknown_function")],
        ],
        ..Operation::new(
            "explainFunction",
            Method::Get,
            "/api/v1/deltas/functions",
            "A function of both side by side, and what differs in words",
            || get(explain),
        )
    },
];

/// An artifact to index.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewIndex {
    /// Its digest; it was uploaded before.
    artifact: Sha256,
}

/// Two artifacts.
#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
}

impl Pair {
    /// Their digests.
    #[expect(clippy::result_large_err, reason = "the handlers' own error type")]
    pub fn read(&self) -> Result<(Sha256, Sha256), Problem> {
        Ok((self.a.parse()?, self.b.parse()?))
    }
}

/// An artifact and where a function begins there.
type FunctionPlace = (Sha256, Address);

/// A function of two artifacts.
#[derive(Deserialize)]
pub(crate) struct FunctionPair {
    a: String,
    b: String,
    address_a: Address,
    address_b: Address,
}

impl FunctionPair {
    /// Each side's artifact and address.
    #[expect(clippy::result_large_err, reason = "the handlers' own error type")]
    pub fn read(&self) -> Result<(FunctionPlace, FunctionPlace), Problem> {
        Ok(((self.a.parse()?, self.address_a), (self.b.parse()?, self.address_b)))
    }
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
    #[serde(default = "whole_page")]
    limit: usize,
}

fn whole_page() -> usize {
    MAX_FOUND
}

async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(request): Strict<NewIndex>,
) -> Result<impl IntoResponse, Problem> {
    let summary = app.deltas.index(&principal, &request.artifact, Timestamp::now()).await?;
    app.background.maintain(&app.deltas, principal.tenant());
    Ok((StatusCode::CREATED, Answer(summary)))
}

async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(artifact): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.deltas.summary(&principal, &artifact.parse()?).await?))
}

async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(function): Path<String>,
    Asked(page): Asked<Page>,
) -> Result<impl IntoResponse, Problem> {
    if !(1..=MAX_FOUND).contains(&page.limit) {
        let detail = format!("`limit` is {}, not 1 to {MAX_FOUND}", page.limit);
        return Err(Problem::bad_request("query_refused", &detail, "take the pages one by one"));
    }
    let (function, after) = (function.parse()?, page.after.as_deref());
    let found = app.deltas.find(&principal, &function, after, page.limit, Timestamp::now()).await?;
    if found.index_age_seconds > 0.0 {
        app.background.maintain(&app.deltas, principal.tenant());
    }
    Ok(Answer(found))
}

async fn compare(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(pair): Asked<Pair>,
) -> Result<impl IntoResponse, Problem> {
    let (a, b) = pair.read()?;
    Ok(Answer(app.deltas.compare(&principal, &a, &b).await?))
}

async fn graph(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(pair): Asked<Pair>,
) -> Result<impl IntoResponse, Problem> {
    let (a, b) = pair.read()?;
    Ok(Answer(app.deltas.graph(&principal, &a, &b).await?))
}

async fn explain(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(pair): Asked<FunctionPair>,
) -> Result<impl IntoResponse, Problem> {
    let ((a, address_a), (b, address_b)) = pair.read()?;
    Ok(Answer(app.deltas.explain(&principal, (&a, address_a), (&b, address_b)).await?))
}
