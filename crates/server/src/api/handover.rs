//! Incidents as one file, given and taken.

use assay_delta::PatchSignature;
use assay_evidence::{PublicKey, Timestamp};
use assay_verify::{ImportOutcome, MAX_INCIDENT_BUNDLE_BYTES, MAX_SIGNATURE_BYTES, SignatureInfo};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Asked, Raw, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, Parameter, problems};
use crate::problem::Problem;

const TAR: &str = "application/x-tar";
const TRUST: &[Parameter] =
    &[Parameter { name: "trust", summary: "Believe only this key, ed25519:...", kind: "string" }];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        response: Body::Bytes(TAR),
        problems: &[
            problems::INCIDENT,
            problems::LOG,
            problems::STORED,
            &[
                (400, "bundle_refused"),
                (409, "no_admitted_witness"),
                (409, "not_included"),
                (409, "bundle_not_trusted"),
                (503, "stopped"),
            ],
        ],
        ..Operation::new(
            "getIncidentBundle",
            Method::Get,
            "/api/v1/incidents/{id}/bundle",
            "An incident with its witnesses and statements in one archive",
            || get(bundle),
        )
    },
    Operation {
        query: TRUST,
        request: Body::Bytes(TAR),
        status: 201,
        response: Body::json::<ImportOutcome>(),
        problems: &[
            problems::BYTES,
            problems::QUERY,
            problems::SIGNING,
            problems::RUNNER,
            &[
                (400, "bundle_refused"),
                (400, "signature_refused"),
                (400, "key_refused"),
                (400, "incident_refused"),
                (400, "capsule_refused"),
                (400, "provenance_refused"),
                (400, "unknown_role"),
                (409, "bundle_not_trusted"),
                (409, "incident_exists"),
                (409, "incident_not_shown"),
                (409, "witness_exists"),
                (409, "stored_bytes_differ"),
            ],
        ],
        ..Operation::new(
            "importIncidentBundle",
            Method::Post,
            "/api/v1/incident-bundles",
            "Check a bundle, replay its witnesses, and take them in",
            || post(import).layer(DefaultBodyLimit::max(MAX_INCIDENT_BUNDLE_BYTES as usize)),
        )
    },
    Operation {
        request: Body::json::<NewSignature>(),
        status: 201,
        response: Body::json::<SignatureInfo>(),
        problems: &[
            problems::JSON,
            problems::INCIDENT,
            problems::STORED,
            problems::SIGNING,
            &[(400, "signature_refused"), (409, "no_signature"), (503, "stopped")],
        ],
        ..Operation::new(
            "addPatchSignature",
            Method::Post,
            "/api/v1/incidents/{id}/patch-signatures",
            "Keep and state the signature of a fix, given or made of the builds in the store",
            || post(sign).layer(DefaultBodyLimit::max(MAX_SIGNATURE_BYTES as usize)),
        )
    },
    Operation {
        response: Body::json::<PatchSignature>(),
        problems: &[
            problems::INCIDENT,
            problems::STORED,
            &[(400, "signature_refused"), (404, "unknown_signature")],
        ],
        ..Operation::new(
            "getPatchSignature",
            Method::Get,
            "/api/v1/incidents/{id}/patch-signature",
            "The newest signature of an incident's fix",
            || get(signature),
        )
    },
];

/// A signature to keep.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSignature {
    /// The signature; none to have it made of the builds in the store.
    #[serde(default)]
    signature: Option<PatchSignature>,
}

async fn sign(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
    Strict(new): Strict<NewSignature>,
) -> Result<impl IntoResponse, Problem> {
    let verifier = app.control.verifier();
    let kept = verifier.add_signature(&principal, &id, new.signature, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(kept)))
}

async fn signature(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(app.control.verifier().signature(&principal, &id).await?))
}

async fn bundle(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let bytes = app.control.verifier().incident_bundle(&principal, &id).await?;
    Ok(([(CONTENT_TYPE, TAR)], bytes))
}

#[derive(Deserialize)]
struct Trust {
    trust: Option<String>,
}

async fn import(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(query): Asked<Trust>,
    Raw(body): Raw,
) -> Result<impl IntoResponse, Problem> {
    let parsed = query.trust.map(|key| key.parse::<PublicKey>()).transpose();
    let key = parsed.map_err(|error| {
        Problem::bad_request("key_refused", &error.to_string(), "a key is written ed25519:...")
    })?;
    let verifier = app.control.verifier();
    let outcome = verifier.import_bundle(&principal, &body, key.as_ref(), Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(outcome)))
}
