//! Archives made by the tools of the machine, nested, damaged and hostile ones.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod hostile;
mod tools;
