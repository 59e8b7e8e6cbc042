//! The runner as its callers use it, on small real programs.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod archives;
mod capsules;
mod clock;
mod coverage;
mod escapes;
mod exactness;
mod faults;
mod lab;
mod limits;
mod profiles;
mod real;
mod redaction;
mod runtimes;
mod search;
mod surroundings;
mod sysv;
mod trees;
