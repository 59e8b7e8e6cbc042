//! One entry of the table: what a route is called, takes and answers.

use axum::routing::MethodRouter;
use schemars::{Schema, SchemaGenerator};

use crate::app::App;

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

impl Method {
    /// As OpenAPI spells it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// What a body holds.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// No body.
    None,
    /// JSON of a type's schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// The API's own description.
    AnyJson,
    /// Bytes of a media type.
    Bytes(&'static str),
}

impl Body {
    /// JSON of the type `T`.
    pub const fn json<T: schemars::JsonSchema>() -> Self {
        Self::Json(|generator| generator.subschema_for::<T>())
    }
}

/// A parameter of the query.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub name: &'static str,
    pub summary: &'static str,
    /// `string` or `integer`.
    pub kind: &'static str,
}

/// A status with the stable code of a problem.
pub(crate) type ProblemCode = (u16, &'static str);

/// One operation of the API.
pub(crate) struct Operation {
    /// Unique, camelCase.
    pub id: &'static str,
    pub method: Method,
    pub path: &'static str,
    pub summary: &'static str,
    pub query: &'static [Parameter],
    pub request: Body,
    /// The status of success.
    pub status: u16,
    pub response: Body,
    /// The problems besides those that every operation has.
    pub problems: &'static [&'static [ProblemCode]],
    /// Whether anybody may ask.
    pub public: bool,
    pub handler: fn() -> MethodRouter<App>,
}

impl Operation {
    /// An operation with nothing but its answer; the other fields are set with `..`.
    pub const fn new(
        id: &'static str,
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<App>,
    ) -> Self {
        Self {
            id,
            method,
            path,
            summary,
            query: &[],
            request: Body::None,
            status: 200,
            response: Body::None,
            problems: &[],
            public: false,
            handler,
        }
    }

    /// The names between braces in the path.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.path.split('{').skip(1).filter_map(|part| part.split_once('}'));
        inner.map(|(name, _)| name.trim_start_matches('*'))
    }
}

/// The problems that operations share, by what causes them.
pub(crate) mod problems {
    use super::ProblemCode;

    /// Any operation that knows its caller.
    pub const CALLER: &[ProblemCode] =
        &[(401, "token_missing"), (401, "token_refused"), (403, "not_permitted"), (503, "store_failed")];
    /// A path with a name in it.
    pub const PATH: &[ProblemCode] = &[(400, "request_refused")];
    /// A body of JSON.
    pub const JSON: &[ProblemCode] = &[(400, "json_refused"), (400, "body_refused"), (413, "body_too_large")];
    /// A body of bytes.
    pub const BYTES: &[ProblemCode] = &[(400, "body_refused"), (413, "body_too_large")];
    /// A digest in the path.
    pub const DIGEST: &[ProblemCode] = &[(400, "digest_refused")];
    /// Parameters of the query.
    pub const QUERY: &[ProblemCode] = &[(400, "query_refused")];
    /// Stored bytes, read and compared.
    pub const STORED: &[ProblemCode] = &[(404, "blob_missing"), (409, "stored_bytes_differ")];
    /// Signing and publishing.
    pub const SIGNING: &[ProblemCode] =
        &[(409, "no_signing_key"), (409, "trust_broken"), (409, "log_damaged")];
    /// The log, read.
    pub const LOG: &[ProblemCode] = &[(409, "trust_broken"), (409, "log_damaged")];
    /// Something running on this host.
    pub const RUNNER: &[ProblemCode] =
        &[(429, "quota_exceeded"), (503, "host_refused"), (503, "runner_failed"), (503, "stopped")];
    /// An incident by name.
    pub const INCIDENT: &[ProblemCode] = &[(404, "unknown_incident")];
    /// A witness by id.
    pub const WITNESS: &[ProblemCode] = &[(400, "digest_refused"), (404, "unknown_witness")];
    /// A release by name.
    pub const RELEASE: &[ProblemCode] = &[(404, "unknown_release")];
    /// A decision by name.
    pub const DECISION: &[ProblemCode] = &[(404, "unknown_decision")];
    /// A statement by digest.
    pub const STATEMENT: &[ProblemCode] = &[(400, "digest_refused"), (404, "unknown_statement")];
}
