//! The API's routes. Plural nouns; POST creates; errors are problems.

mod blobs;
mod incidents;
mod log;
mod releases;
mod system;
mod tokens;
mod witnesses;

use axum::Router;
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// All routes of the API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(blobs::routes())
        .merge(incidents::routes())
        .merge(witnesses::routes())
        .merge(releases::routes())
        .merge(log::routes())
        .merge(tokens::routes())
        .merge(system::routes())
        .fallback(|| async { Problem::not_found("no such route") })
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
    Problem::bad_request("body_refused", &error.to_string(), "the body may be larger than this route takes")
}

/// A JSON answer.
pub(crate) struct Answer<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
