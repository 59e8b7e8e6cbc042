//! Tests of the reader against real binaries, an independent tool and hostile bytes.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod apple;
mod basics;
mod bytecode;
mod fixtures;
mod hostile;
mod modules;
mod windows;
