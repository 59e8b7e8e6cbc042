//! Throw-away services for tests: a PostgreSQL cluster, an S3 server. No room; a dev-dependency only.
//!
//! # Design constraints
//! - A service dies with the test that started it, however the test ends: it is stopped on drop, and
//!   the kernel signals it when the test process is killed.
//! - What is missing on the machine is named and fails the test. A test is skipped only where
//!   `ASSAY_TEST_SKIP` (names with commas: `postgresql`, `s3`) says so, and then it says so itself.

#![expect(clippy::print_stderr, reason = "a skipped test must be seen in the test's output")]

mod postgres;
mod s3;
mod service;

pub use postgres::Postgres;
pub use s3::S3;
pub use service::{Missing, kill_self};

/// The service, or none where `ASSAY_TEST_SKIP` lists `name`.
///
/// # Panics
/// When the machine lacks what the service needs: the text names the package to install.
pub fn start_or_skip<T>(name: &str, start: impl FnOnce() -> Result<T, Missing>) -> Option<T> {
    let skipped = std::env::var("ASSAY_TEST_SKIP").unwrap_or_default();
    if skipped.split(',').any(|word| word.trim() == name) {
        eprintln!("SKIPPED: {name} is listed in ASSAY_TEST_SKIP");
        return None;
    }
    match start() {
        Ok(service) => Some(service),
        Err(missing) => {
            panic!("{missing}\nhint: install it, or set ASSAY_TEST_SKIP={name} to leave these tests out")
        }
    }
}
