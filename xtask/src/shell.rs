//! Running commands.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project's root").to_owned()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` as it runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and fails unless it succeeds.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("{shown} did not start"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// Says what comes next.
pub fn step(text: &str) {
    eprintln!("\n== {text}");
}

/// The `assay` program over one data folder.
pub struct Assay {
    program: PathBuf,
    data: PathBuf,
}

/// What a call of the program gave.
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Its JSON document.
    pub json: Value,
    /// What it said.
    pub stderr: String,
}

impl Assay {
    /// Builds the program for working on it, and points it at `data`.
    pub fn build(data: PathBuf) -> Result<Self> {
        run(cargo().args(["build", "--locked", "--package", "assay-cli"]))?;
        Ok(Self { program: target().join("debug").join("assay"), data })
    }

    /// A program that was built already.
    pub fn of(program: PathBuf, data: PathBuf) -> Self {
        Self { program, data }
    }

    /// The program's file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A call, with the store at hand and nothing of the caller's own settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ASSAY_") {
                command.env_remove(name);
            }
        }
        command.args(args).env("ASSAY_DATA", &self.data).current_dir(root());
        command
    }

    /// A call with `--json`; any exit code is an answer.
    pub fn call(&self, args: &[&str]) -> Result<Answer> {
        let output = self.command(args).arg("--json").output().context("assay did not start")?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("assay {} printed no JSON: {stderr}", args.join(" ")))?;
        Ok(Answer { code: output.status.code().unwrap_or(-1), json, stderr })
    }

    /// A call that must end with `code`.
    pub fn expect(&self, code: i32, args: &[&str]) -> Result<Answer> {
        let answer = self.call(args)?;
        if answer.code != code {
            let shown = args.join(" ");
            bail!(
                "assay {shown} ended with {} instead of {code}: {} {}",
                answer.code,
                answer.json,
                answer.stderr
            );
        }
        Ok(answer)
    }
}

/// A text of a JSON answer.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A list of a JSON answer.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
