//! The console: server-rendered pages over the same services as the API.
//!
//! # Design constraints
//! - A page shows what the API answers; it decides nothing and changes nothing.
//! - No script at all; all state is in the URL; every query is bounded.
//! - Templates hold no logic beyond loops and presence: words, tones and links are made in `view`.

mod assets;
mod decisions;
mod deltas;
mod graph;
mod incidents;
mod log;
mod releases;
mod session;
mod statements;
mod view;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::problem::Problem;
use view::Shell;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(releases::list))
        .route("/releases/{name}", get(releases::show))
        .route("/decisions/{id}", get(decisions::show))
        .route("/statements/{digest}", get(statements::show))
        .route("/subjects/{digest}", get(statements::about))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::show))
        .route("/deltas", get(deltas::show))
        .route("/deltas/function", get(deltas::function))
        .route("/log", get(log::show))
        .route("/session", post(session::begin).get(session::form))
        .route("/session/end", post(session::end))
        .route(assets::STYLE_PATH, get(assets::style))
        .route(assets::ICON_PATH, get(assets::icon))
}

/// A rendered page.
#[expect(clippy::result_large_err, reason = "the handlers' own error type")]
fn page(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| {
        let detail = format!("the page cannot be written: {error}");
        Problem::refused(StatusCode::INTERNAL_SERVER_ERROR, &detail)
    })?;
    Ok(Html(text).into_response())
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    shell: Shell,
    problem: &'a Problem,
    sign_in: bool,
}

/// A problem as a page, with its status.
pub(crate) fn problem_page(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let sign_in = status == StatusCode::UNAUTHORIZED;
    let template = ProblemPage { shell: Shell::outside(&problem.title), problem, sign_in };
    match page(&template) {
        Ok(response) => (status, response).into_response(),
        Err(_) => (status, problem.detail.clone()).into_response(),
    }
}
