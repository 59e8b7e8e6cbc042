//! `cargo xtask test` and `cargo xtask ci`.

use std::process::Command;

use anyhow::Result;

use crate::{bench, corpus, floors, prerequisites, shell};

/// Every test; `rest` goes to the test runner.
pub fn test(rest: &[&str]) -> Result<()> {
    prerequisites::for_tests()?;
    let nextest = Command::new("cargo").args(["nextest", "--version"]).output();
    let nextest = nextest.is_ok_and(|output| output.status.success());
    prepare_services(nextest)?;
    shell::step("documentation tests");
    shell::run(shell::cargo().args(["test", "--locked", "--workspace", "--doc", "--quiet"]))?;
    if rest.is_empty() {
        corpus::fast()?;
        bench::carryover::fast()?;
        bench::carryover_source::fast()?;
    }
    // Last, so that the closing line is the tests' summary.
    shell::step("tests");
    if nextest {
        shell::run(shell::cargo().args(["nextest", "run", "--locked", "--workspace"]).args(rest))
    } else {
        shell::run(shell::cargo().args(["test", "--locked", "--workspace", "--all-targets"]).args(rest))
    }
}

/// Installs what the tests' services need while the tests are compiled.
fn prepare_services(nextest: bool) -> Result<()> {
    shell::step("building the tests; beside it, what their services need");
    let prepare = ["run", "--locked", "--quiet", "--package", "assay-testkit", "--example", "prepare"];
    shell::run(shell::cargo().args(["build", "--locked", "--package", "assay-testkit", "--examples"]))?;
    let mut beside = shell::cargo().args(prepare).spawn()?;
    let build: &[&str] = if nextest {
        &["nextest", "run", "--no-run", "--locked", "--workspace"]
    } else {
        &["test", "--no-run", "--locked", "--workspace", "--all-targets"]
    };
    let built = shell::run(shell::cargo().args(build));
    let prepared = beside.wait()?;
    built?;
    anyhow::ensure!(prepared.success(), "what the tests' services need could not be installed");
    Ok(())
}

/// Everything that a change must pass.
pub fn run() -> Result<()> {
    shell::step("formatting");
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    shell::step("floors");
    floors::check()?;
    shell::step("lints");
    let lints = ["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    shell::run(shell::cargo().args(lints))?;
    test(&[])?;
    deny()
}

/// Licences and sources always; advisories where their database can be reached.
fn deny() -> Result<()> {
    let version = shell::cargo().args(["deny", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        shell::step("installing cargo-deny");
        shell::run(shell::cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    shell::step("licences and sources");
    shell::run(shell::cargo().args(["deny", "check", "licenses", "sources", "bans"]))?;
    shell::step("advisories");
    let fetched = shell::cargo().args(["deny", "fetch", "db"]).output();
    if fetched.is_ok_and(|output| output.status.success()) {
        return shell::run(shell::cargo().args(["deny", "check", "advisories"]));
    }
    eprintln!("advisories: NOT RUN, their database cannot be reached from here");
    Ok(())
}
