//! Who asks.

use assay_access::Principal;
use assay_evidence::{TenantId, Timestamp};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::App;
use crate::problem::Problem;

/// How callers are told apart.
#[derive(Clone, Debug)]
pub enum Access {
    /// The program runs over its own data folder for this tenant (in-process, or a server without
    /// tokens, which listens on loopback only).
    Owner(TenantId),
    /// Every request carries a bearer token.
    Tokens,
}

/// The principal of a request.
pub(crate) struct Caller(pub Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let bearer = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match (&app.access, bearer) {
            (_, Some(token)) => Ok(Self(app.tokens.authenticate(token.trim(), Timestamp::now()).await?)),
            (Access::Owner(tenant), None) => Ok(Self(Principal::owner(tenant.clone()))),
            (Access::Tokens, None) => Err(Problem::unauthenticated()),
        }
    }
}
