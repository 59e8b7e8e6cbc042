//! Runs of interpreted programs, by the real observer and the real prover.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]

mod lab;
mod node;
mod python;
