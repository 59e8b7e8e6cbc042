//! Deltas and proofs over programs that are built here, and hostile bytes.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod build;
mod carry;
mod catalogue;
mod differences;
mod hostile;
mod observed;
mod patches;
mod sources;
mod without_names;
