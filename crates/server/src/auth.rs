//! Who asks.

use assay_access::Principal;
use assay_evidence::{TenantId, Timestamp};
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, COOKIE};
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
        // A cookie travels by itself, so it only ever looks.
        let looks = matches!(parts.method, Method::GET | Method::HEAD);
        let token = bearer.or_else(|| session(parts).filter(|_| looks));
        match (&app.access, token) {
            (Access::Owner(tenant), None) => Ok(Self(Principal::owner(tenant.clone()))),
            (Access::Owner(tenant), Some(_)) if bearer.is_none() => {
                Ok(Self(Principal::owner(tenant.clone())))
            }
            (_, Some(token)) => Ok(Self(app.tokens.authenticate(token.trim(), Timestamp::now()).await?)),
            (Access::Tokens, None) => Err(Problem::unauthenticated()),
        }
    }
}

/// The cookie by which a browser keeps its token.
pub(crate) const SESSION_COOKIE: &str = "assay_session";

/// The token in a browser's cookie.
fn session(parts: &Parts) -> Option<&str> {
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, token)| token)
}
