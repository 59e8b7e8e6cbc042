//! The HTTP API and the console.
//!
//! # Design constraints
//! - No decision is made here; everything the console shows, the API answers.
//! - Only this room knows status codes. Every error is problem+json (RFC 9457) with a stable `code`.
//! - The command line with an embedded store calls this router in-process, so there is one code path.

mod api;
mod app;
mod auth;
mod background;
mod console;
mod guard;
mod metrics;
mod openapi;
mod problem;
mod schemas;
mod serve;

pub use app::{App, router};
pub use auth::Access;
pub use openapi::openapi;
pub use problem::{Category, PATTERN_HINT, PROBLEM_CONTENT_TYPE, PROVENANCE_HINT, Problem};
pub use schemas::schemas;
pub use serve::{ServeError, serve};
