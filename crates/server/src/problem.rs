//! Errors as problem+json (RFC 9457): one place turns every room's error into status, code and hint.

use assay_access::{AccessError, Denied};
use assay_control::ControlError;
use assay_delta::catalogue::CatalogueError;
use assay_deltas::DeltasError;
use assay_evidence::{DigestError, JsonError, chain};
use assay_notary::NotaryError;
use assay_store::StoreError;
use assay_verify::{IncidentError, SideError, SpecError, VerifyError};
use assay_witness::WitnessError;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// The media type of every error.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// What to do about a statement of provenance that is refused.
pub const PROVENANCE_HINT: &str =
    "give a DSSE envelope with an in-toto statement whose subject is the file under test, byte for byte";

/// What to do about a pattern of an expectation that is refused.
pub const PATTERN_HINT: &str = "the syntax is that of Rust's regex, over bytes and without look-around; escape ( ) [ ] { } . * + ? | ^ $ \\";

/// What sort of failure a problem is: the command line's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The input is refused, or what it names is not there.
    Input,
    /// The caller may not.
    Denied,
    /// A signature, proof or history is broken.
    Trust,
    /// A disk, a database, a kernel failed.
    Environment,
}

/// A problem.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// Always `about:blank`; `code` tells problems apart.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, `snake_case`.
    pub code: String,
    /// What sort of failure it is.
    pub category: Category,
    /// What happened, with what it stands on.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        category: Category,
        error: &(dyn std::error::Error + 'static),
        hint: &str,
    ) -> Self {
        Self::text(status, code, category, &chain(error), hint)
    }

    fn text(status: StatusCode, code: &str, category: Category, detail: &str, hint: &str) -> Self {
        Self {
            problem_type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            category,
            detail: detail.to_owned(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        }
    }

    pub(crate) fn unauthenticated() -> Self {
        let hint =
            "send `Authorization: Bearer <token>`; `assay token new` on the server's machine makes one";
        Self::text(
            StatusCode::UNAUTHORIZED,
            "token_missing",
            Category::Denied,
            "the request has no token",
            hint,
        )
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::text(StatusCode::NOT_FOUND, "not_found", Category::Input, what, "")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let hint = "`/openapi.json` lists what each path takes";
        let detail = "the path does not take this method";
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", Category::Input, detail, hint)
    }

    pub(crate) fn body_too_large(detail: &str) -> Self {
        let hint = "this route takes less";
        Self::text(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Category::Input, detail, hint)
    }

    /// A request that another site's page makes in the reader's name.
    pub(crate) fn foreign_site(detail: &str) -> Self {
        let hint = "open the console by the address that `assay serve` prints";
        Self::text(StatusCode::FORBIDDEN, "foreign_site", Category::Denied, detail, hint)
    }

    /// A rejection of the framework's that has no form of its own.
    pub(crate) fn refused(status: StatusCode, detail: &str) -> Self {
        Self::text(status, "request_refused", Category::Input, detail, "")
    }

    pub(crate) fn bad_request(code: &str, detail: &str, hint: &str) -> Self {
        Self::text(StatusCode::BAD_REQUEST, code, Category::Input, detail, hint)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(code = self.code, detail = self.detail, "request failed");
        }
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_CONTENT_TYPE)], body).into_response();
        // For the console, which shows it as a page.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Denied> for Problem {
    fn from(error: Denied) -> Self {
        let hint = "use a token of a wider scope";
        Self::new(StatusCode::FORBIDDEN, "not_permitted", Category::Denied, &error, hint)
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Denied(error) => error.into(),
            AccessError::Store(error) => error.into(),
            AccessError::BadToken => {
                let hint = "it may be revoked or past its time; `assay token list` shows";
                Self::new(StatusCode::UNAUTHORIZED, "token_refused", Category::Denied, &error, hint)
            }
            AccessError::UnknownToken { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "unknown_token",
                Category::Input,
                &error,
                "see `assay token list`",
            ),
            AccessError::Life { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "token_life", Category::Input, &error, "")
            }
            AccessError::Randomness { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "no_randomness",
                Category::Environment,
                &error,
                "",
            ),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Missing { .. } => {
                let hint = "upload the blob first";
                Self::new(StatusCode::NOT_FOUND, "blob_missing", Category::Input, &error, hint)
            }
            StoreError::Frozen { .. } | StoreError::Damaged { .. } => {
                let hint = "compare the blob store with a backup; nothing was overwritten";
                Self::new(StatusCode::CONFLICT, "stored_bytes_differ", Category::Trust, &error, hint)
            }
            _ => {
                let hint = "check the disk and the database; nothing that was acknowledged is lost";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_failed",
                    Category::Environment,
                    &error,
                    hint,
                )
            }
        }
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let hint = "duplicate keys, integers beyond 2^53 and text that is not UTF-8 are refused";
        Self::new(StatusCode::BAD_REQUEST, "json_refused", Category::Input, &error, hint)
    }
}

impl From<DigestError> for Problem {
    fn from(error: DigestError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "digest_refused",
            Category::Input,
            &error,
            "copy the whole digest, sha256: included",
        )
    }
}

impl From<NotaryError> for Problem {
    fn from(error: NotaryError) -> Self {
        match error {
            NotaryError::Store(error) => error.into(),
            NotaryError::Json(error) => error.into(),
            NotaryError::NoKey => {
                let hint = "make one with `assay key new`, or name it with --key or ASSAY_KEY";
                Self::new(StatusCode::CONFLICT, "no_signing_key", Category::Input, &error, hint)
            }
            NotaryError::UnknownStatement { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "unknown_statement",
                Category::Input,
                &error,
                "a decision or verdict names its statement",
            ),
            NotaryError::NotIncluded { .. } => {
                let hint = "it was accepted but not published yet; try again";
                Self::new(StatusCode::CONFLICT, "not_included", Category::Input, &error, hint)
            }
            ref trust if trust.is_trust_broken() => {
                let hint = "`assay log verify` tells what does not hold";
                Self::new(StatusCode::CONFLICT, "trust_broken", Category::Trust, &error, hint)
            }
            _ => Self::new(
                StatusCode::CONFLICT,
                "log_damaged",
                Category::Trust,
                &error,
                "`assay log verify` tells more",
            ),
        }
    }
}

impl From<assay_witness::redact::PolicyError> for Problem {
    fn from(error: assay_witness::redact::PolicyError) -> Self {
        let hint = "policies/redaction.toml shows the form";
        Self::new(StatusCode::BAD_REQUEST, "redaction_policy_refused", Category::Input, &error, hint)
    }
}

impl From<WitnessError> for Problem {
    fn from(error: WitnessError) -> Self {
        match &error {
            WitnessError::Capsule(_) | WitnessError::Request { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "capsule_refused", Category::Input, &error, "")
            }
            WitnessError::Provenance(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "provenance_refused",
                Category::Input,
                &error,
                PROVENANCE_HINT,
            ),
            WitnessError::WrongBytes { .. } => {
                Self::new(StatusCode::CONFLICT, "stored_bytes_differ", Category::Trust, &error, "")
            }
            WitnessError::Refused(refusal) => {
                let hint = refusal.remedy.clone();
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "host_refused",
                    Category::Environment,
                    &error,
                    &hint,
                )
            }
            _ => {
                let hint = "`assay doctor` checks what the runner needs";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "runner_failed",
                    Category::Environment,
                    &error,
                    hint,
                )
            }
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let input = |status, code, hint: &str| Self::new(status, code, Category::Input, &error, hint);
        match error {
            VerifyError::Denied(error) => error.into(),
            VerifyError::Store(error) => error.into(),
            VerifyError::Notary(error) => error.into(),
            VerifyError::Json(error) => error.into(),
            VerifyError::Witness(error) => error.into(),
            VerifyError::Host(ref refusal) => {
                let hint = refusal.remedy.clone();
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "host_refused",
                    Category::Environment,
                    &error,
                    &hint,
                )
            }
            VerifyError::UnknownIncident { .. } => {
                input(StatusCode::NOT_FOUND, "unknown_incident", "see `assay incident list`")
            }
            VerifyError::UnknownVerdict { .. } => {
                input(StatusCode::NOT_FOUND, "unknown_verdict", "verify a release with that artifact first")
            }
            VerifyError::UnknownWitness { .. } => {
                input(StatusCode::NOT_FOUND, "unknown_witness", "see `assay incident show ID`")
            }
            VerifyError::UnknownRole { .. } => input(
                StatusCode::BAD_REQUEST,
                "unknown_role",
                "write --subject ROLE=PATH with a role that the witness has",
            ),
            VerifyError::Incident(IncidentError::Side { source: SideError::Pattern { .. }, .. })
            | VerifyError::Spec(SpecError { reason: SideError::Pattern { .. }, .. }) => {
                input(StatusCode::BAD_REQUEST, "pattern_refused", PATTERN_HINT)
            }
            VerifyError::Incident(_) => input(StatusCode::BAD_REQUEST, "incident_refused", ""),
            VerifyError::Spec(_) => input(StatusCode::BAD_REQUEST, "expectation_refused", ""),
            VerifyError::NotShown { .. } => {
                let hint = "the command must show the incident under the runner; see what it showed with `assay witness record --dry-run`";
                input(StatusCode::CONFLICT, "incident_not_shown", hint)
            }
            VerifyError::IncidentExists { .. } => input(
                StatusCode::CONFLICT,
                "incident_exists",
                "an incident's definition never changes; choose another id",
            ),
            VerifyError::WitnessExists { .. } => input(
                StatusCode::CONFLICT,
                "witness_exists",
                "one run shows one incident; record the other one by itself",
            ),
            VerifyError::Quota { .. } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "quota_exceeded",
                Category::Denied,
                &error,
                "`assay quota show` says what is used; its owner can set more",
            ),
            VerifyError::UnknownSignature { .. } => input(
                StatusCode::NOT_FOUND,
                "unknown_signature",
                "`assay delta sign VULNERABLE FIXED --incident ID` makes one",
            ),
            VerifyError::NoSignature { .. } => input(
                StatusCode::CONFLICT,
                "no_signature",
                "`assay delta sign VULNERABLE FIXED --incident ID` makes one of two files",
            ),
            VerifyError::Signature { .. } => {
                input(StatusCode::BAD_REQUEST, "signature_refused", "`assay delta sign` writes the form")
            }
            VerifyError::NothingToBundle { .. } => input(
                StatusCode::CONFLICT,
                "no_admitted_witness",
                "`assay witness check` admits one whose replays agree",
            ),
            VerifyError::Bundle(ref refused) if refused.is_trust_broken() => {
                let hint = "ask its sender for the bundle again, and for the key that signed it";
                Self::new(StatusCode::CONFLICT, "bundle_not_trusted", Category::Trust, &error, hint)
            }
            VerifyError::Bundle(_) => {
                let hint = "`assay incident bundle` writes the form; nothing was taken in";
                input(StatusCode::BAD_REQUEST, "bundle_refused", hint)
            }
            VerifyError::Artifact { .. } => input(StatusCode::BAD_REQUEST, "artifact_refused", ""),
            VerifyError::Stack(_) => {
                let hint = "paste the whole report: a panic message, gdb's `bt`, a sanitizer's report";
                input(StatusCode::BAD_REQUEST, "stack_refused", hint)
            }
            VerifyError::StackIndex(_) => input(StatusCode::BAD_REQUEST, "stack_index_refused", ""),
            VerifyError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopped",
                Category::Environment,
                &error,
                "try again",
            ),
        }
    }
}

impl From<DeltasError> for Problem {
    fn from(error: DeltasError) -> Self {
        let input = |status, code, hint: &str| Self::new(status, code, Category::Input, &error, hint);
        let environment = |code, hint: &str| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, Category::Environment, &error, hint)
        };
        match error {
            DeltasError::Denied(error) => error.into(),
            DeltasError::Store(error) => error.into(),
            DeltasError::NotIndexed { .. } => {
                input(StatusCode::NOT_FOUND, "not_indexed", "index it with POST /api/v1/deltas/indexes")
            }
            DeltasError::Refused { .. } | DeltasError::Catalogue(CatalogueError::TooMany { .. }) => {
                input(StatusCode::BAD_REQUEST, "artifact_refused", "")
            }
            DeltasError::UnknownFunction => {
                let hint = "the delta names the addresses of its functions on both sides";
                input(StatusCode::NOT_FOUND, "unknown_function", hint)
            }
            DeltasError::Cursor { .. } => {
                input(StatusCode::BAD_REQUEST, "cursor_refused", "pass the `next` of the page before")
            }
            DeltasError::Catalogue(CatalogueError::Read(_)) | DeltasError::Contended { .. } => {
                environment("store_failed", "check the disk, and try again")
            }
            DeltasError::Stopped => environment("stopped", "try again"),
            DeltasError::Index(_) | DeltasError::Catalogue(_) | DeltasError::Manifest { .. } => {
                let hint = "compare the blob store with a backup; nothing was overwritten";
                Self::new(StatusCode::CONFLICT, "index_refused", Category::Trust, &error, hint)
            }
        }
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let input = |status, code, hint: &str| Self::new(status, code, Category::Input, &error, hint);
        match error {
            ControlError::Denied(error) => error.into(),
            ControlError::Verify(error) => error.into(),
            ControlError::Notary(error) => error.into(),
            ControlError::Store(error) => error.into(),
            ControlError::Json(error) => error.into(),
            ControlError::UnknownRelease { .. } => {
                input(StatusCode::NOT_FOUND, "unknown_release", "see `assay release list`")
            }
            ControlError::UnknownDecision { .. } => {
                input(StatusCode::NOT_FOUND, "unknown_decision", "`assay verify RELEASE` makes one")
            }
            ControlError::Undecided { .. } => {
                input(StatusCode::CONFLICT, "undecided", "run `assay verify RELEASE` first")
            }
            ControlError::ReleaseExists { .. } => {
                input(StatusCode::CONFLICT, "release_exists", "a release never changes; choose another name")
            }
            ControlError::Release { .. } => input(
                StatusCode::BAD_REQUEST,
                "release_refused",
                "choose a name such as app-1.1, and roles such as yaml-tool",
            ),
            ControlError::MissingArtifact { .. } => {
                input(StatusCode::CONFLICT, "artifact_missing", "upload it with PUT /api/v1/blobs/{digest}")
            }
            ControlError::Policy(_) => {
                input(StatusCode::BAD_REQUEST, "policy_refused", "policies/default.toml shows the form")
            }
            ControlError::Bundle { .. } => input(StatusCode::BAD_REQUEST, "bundle_refused", ""),
        }
    }
}
