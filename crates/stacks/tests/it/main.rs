//! The crate against real reports and short texts of its own.

#![expect(clippy::print_stdout, reason = "tests print what they counted and why they skipped")]

mod captured;
mod formats;
mod real;
