//! What surrounds every answer: who may ask from where, one form of error, and the headers.

use assay_evidence::Sha256;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::app::App;
use crate::auth::Access;
use crate::console;
use crate::problem::Problem;

/// Scripts are not even allowed from the server itself: there are none.
const POLICY: &str = "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";
/// The longest text of a rejection that is shown.
const MAX_REJECTION_BYTES: usize = 4096;
/// The largest page that gets an entity tag.
const MAX_TAGGED_BYTES: usize = 8 << 20;

/// Wraps every route.
pub(crate) async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let for_people = wants_html(request.headers());
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let mut response = match foreign(&app.access, &method, request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    if method != Method::HEAD {
        response = as_problem(response).await;
        if for_people && let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = console::problem_page(&problem);
        }
        response = tagged(response, known.as_ref()).await;
    }
    harden(response.headers_mut());
    response
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

/// A server without tokens trusts whoever reaches loopback, so a page of another site must not reach
/// it through the reader's browser: neither by a name of its own (DNS rebinding) nor by a form.
fn foreign(access: &Access, method: &Method, headers: &HeaderMap) -> Option<Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if matches!(access, Access::Owner(_))
        && let Some(host) = text(HOST)
        && !is_loopback(host)
    {
        return Some(Problem::foreign_site("a server without tokens answers to loopback names only"));
    }
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Some(Problem::foreign_site("another site's page may not change anything here"));
    }
    None
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Gives the framework's own rejections the form that every error has.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let plain =
        response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let detail = to_bytes(response.into_body(), MAX_REJECTION_BYTES).await.unwrap_or_default();
    Problem::refused(status, &String::from_utf8_lossy(&detail)).into_response()
}

/// Gives a page its entity tag; 304 where the reader has it already.
async fn tagged(response: Response, known: Option<&HeaderValue>) -> Response {
    let html =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !html || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_TAGGED_BYTES).await else {
        return Problem::refused(StatusCode::INTERNAL_SERVER_ERROR, "the page is too large").into_response();
    };
    let tag = format!("\"{}\"", &Sha256::of(&bytes).hex()[..32]);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, value);
    }
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        parts.status = StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, bytes.into())
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        for host in ["localhost", "LOCALHOST:7878", "127.0.0.1:7878", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["example.org", "localhost.example.org:7878", "10.0.0.1:7878", "127.0.0.1.example.org", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
