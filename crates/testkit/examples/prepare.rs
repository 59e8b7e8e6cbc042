//! Installs what the services need ahead of the tests: `cargo run -p assay-testkit --example prepare`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match assay_testkit::S3::prepare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(missing) => {
            #[expect(clippy::print_stderr, reason = "a command for people")]
            {
                eprintln!("{missing}");
            }
            ExitCode::FAILURE
        }
    }
}
