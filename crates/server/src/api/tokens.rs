//! Tokens: only for whoever runs the program over its own data folder.

use assay_access::{NewToken, Scope, TokenInfo};
use assay_evidence::Timestamp;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Strict};
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: Body::json::<TokenRequest>(),
        status: 201,
        response: Body::json::<NewToken>(),
        problems: &[problems::JSON, &[(400, "token_life"), (500, "no_randomness")]],
        ..Operation::new("createToken", Method::Post, "/api/v1/tokens", "Make a token (owner only)", || {
            post(create)
        })
    },
    Operation {
        response: Body::json::<TokenList>(),
        ..Operation::new(
            "listTokens",
            Method::Get,
            "/api/v1/tokens",
            "The tokens without their secrets (owner only)",
            || get(list),
        )
    },
    Operation {
        status: 204,
        problems: &[&[(404, "unknown_token")]],
        ..Operation::new(
            "revokeToken",
            Method::Delete,
            "/api/v1/tokens/{id}",
            "End a token now (owner only)",
            || delete(revoke),
        )
    },
];

/// A token to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// What it may do.
    scope: Scope,
    /// What it is for.
    #[serde(default)]
    name: String,
    /// How long it lives, 1 to 365.
    days: u32,
}

/// The tokens of a tenant.
#[derive(Serialize, JsonSchema)]
struct TokenList {
    /// Newest first.
    tokens: Vec<TokenInfo>,
}

async fn create(
    State(app): State<App>,
    Caller(principal): Caller,
    Strict(new): Strict<TokenRequest>,
) -> Result<impl IntoResponse, Problem> {
    let token = app.tokens.create(&principal, &new.name, new.scope, new.days, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Answer(token)))
}

async fn list(State(app): State<App>, Caller(principal): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Answer(TokenList { tokens: app.tokens.list(&principal).await? }))
}

async fn revoke(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.tokens.revoke(&principal, &id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
