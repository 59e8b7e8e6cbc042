//! `cargo xtask dist` and `cargo xtask schemas`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{prerequisites, shell};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the optimised, static program; its file.
pub fn build() -> Result<PathBuf> {
    prerequisites::for_demo()?;
    shell::step("building the static program");
    let flags = "-C target-feature=+crt-static -C relocation-model=static";
    let build = ["build", "--locked", "--release", "--package", "assay-cli", "--target", TARGET];
    shell::run(shell::cargo().args(build).env("RUSTFLAGS", flags))?;
    Ok(shell::target().join(TARGET).join("release").join("assay"))
}

/// One static binary: the C library is linked in, so it runs on any x86-64 Linux.
pub fn run() -> Result<()> {
    let built = build()?;
    let dist = shell::target().join("dist");
    std::fs::create_dir_all(&dist)?;
    let file = dist.join("assay");
    std::fs::copy(&built, &file)?;
    // Symbols stay for backtraces; line tables are most of the size.
    shell::run(Command::new("strip").arg("--strip-debug").arg(&file))?;
    let linked = Command::new("readelf").args(["--program-headers", "--dynamic"]).arg(&file).output()?;
    let text = String::from_utf8_lossy(&linked.stdout);
    if text.contains("(NEEDED)") || text.contains("INTERP") {
        bail!("{} still needs shared libraries", file.display());
    }
    shell::run(Command::new(&file).arg("--version"))?;
    println!("{}", file.display());
    Ok(())
}

/// Rewrites what is generated from the types.
pub fn schemas() -> Result<()> {
    let run = ["run", "--locked", "--quiet", "--package", "assay-server", "--example", "write_schemas", "--"];
    shell::run(shell::cargo().args(run).arg(shell::root()))
}
