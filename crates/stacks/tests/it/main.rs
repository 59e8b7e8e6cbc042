//! The crate against real reports and short texts of its own.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod captured;
mod formats;
mod real;
