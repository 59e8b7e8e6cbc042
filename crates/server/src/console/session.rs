//! A browser's token, kept in a cookie that only ever looks.

use askama::Template;
use assay_evidence::Timestamp;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::page;
use super::view::Shell;
use crate::api::Raw;
use crate::app::App;
use crate::auth::SESSION_COOKIE;
use crate::problem::Problem;

/// The largest form.
const MAX_FORM_BYTES: usize = 1024;
/// How long a browser keeps the cookie, in seconds; the token may end before.
const MAX_AGE_SECONDS: u32 = 12 * 3600;

#[derive(Deserialize)]
struct Form {
    token: String,
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    shell: Shell,
}

pub(super) async fn form() -> Result<Response, Problem> {
    page(&SessionPage { shell: Shell::outside("Sign in") })
}

pub(super) async fn begin(
    State(app): State<App>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let refuse = || {
        Problem::bad_request("form_refused", "the form has no token", "paste a token of `assay token new`")
    };
    let text =
        std::str::from_utf8(&body).ok().filter(|text| text.len() <= MAX_FORM_BYTES).ok_or_else(refuse)?;
    let uri: Uri = format!("/session?{text}").parse().map_err(|_| refuse())?;
    let Query(Form { token }) = Query::try_from_uri(&uri).map_err(|_| refuse())?;
    let token = token.trim();
    app.tokens.authenticate(token, Timestamp::now()).await?;
    // A token that authenticates is base64url and so fits a cookie.
    Ok(with_cookie(&headers, token, MAX_AGE_SECONDS))
}

pub(super) async fn end(headers: HeaderMap) -> Response {
    with_cookie(&headers, "", 0)
}

fn with_cookie(headers: &HeaderMap, token: &str, seconds: u32) -> Response {
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
    let secure = if secure { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, cookie)]).into_response()
}
