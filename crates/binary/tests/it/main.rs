//! Tests of the reader against real binaries, an independent tool and hostile bytes.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says what it skips"
)]

mod basics;
mod hostile;
