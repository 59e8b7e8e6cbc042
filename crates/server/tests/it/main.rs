//! The router in-process over a store of its own: the API, its description, the console.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod api;
mod console;
mod contract;
mod deltas;
mod lab;
mod schema;
mod tokens;
