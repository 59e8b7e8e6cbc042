//! The runner as its callers use it, on small real programs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]
#![allow(clippy::print_stderr, reason = "skips are told by name")]

mod archives;
mod capsules;
mod coverage;
mod escapes;
mod exactness;
mod faults;
mod lab;
mod limits;
mod profiles;
