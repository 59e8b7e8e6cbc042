//! The API's routes. Plural nouns; POST creates; errors are problems.

mod blobs;
pub(crate) mod deltas;
mod differences;
mod handover;
pub(crate) mod incidents;
pub(crate) mod log;
mod privacy;
mod releases;
mod system;
mod tokens;
mod verdicts;
mod witnesses;

use axum::Router;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::openapi::Operation;
use crate::problem::Problem;

/// Every operation of the API: the router and its description are both built from these.
pub(crate) fn operations() -> impl Iterator<Item = &'static Operation> {
    let rooms = [
        releases::OPERATIONS,
        incidents::OPERATIONS,
        witnesses::OPERATIONS,
        privacy::OPERATIONS,
        handover::OPERATIONS,
        differences::OPERATIONS,
        deltas::OPERATIONS,
        verdicts::OPERATIONS,
        log::OPERATIONS,
        blobs::OPERATIONS,
        tokens::OPERATIONS,
        system::OPERATIONS,
    ];
    rooms.into_iter().flatten()
}

/// All routes of the API.
pub(crate) fn routes() -> Router<App> {
    operations()
        .fold(Router::new(), |router, operation| router.route(operation.path, (operation.handler)()))
        .fallback(|| async { Problem::not_found("no such route") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
}

/// A JSON body, read strictly.
pub(crate) struct Strict<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Strict<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &App) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|error| too_large(&error))?;
        Ok(Self(assay_evidence::json::from_strict(&body)?))
    }
}

/// A raw body.
pub(crate) struct Raw(pub Bytes);

impl FromRequest<App> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &App) -> Result<Self, Problem> {
        Ok(Self(Bytes::from_request(request, state).await.map_err(|error| too_large(&error))?))
    }
}

fn too_large(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::body_too_large(&error.body_text());
    }
    Problem::bad_request("body_refused", &error.body_text(), "send the whole body")
}

/// The parameters of the query.
pub(crate) struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        let refuse = |error: QueryRejection| Problem::bad_request("query_refused", &error.body_text(), "");
        read.map(|Query(query)| Self(query)).map_err(refuse)
    }
}

/// A JSON answer.
pub(crate) struct Answer<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
