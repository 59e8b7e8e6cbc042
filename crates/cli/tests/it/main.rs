//! The program as a user calls it: the main job on a crashing C program, and bad input.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "tests")]

mod bad_input;
mod carried_sources;
mod debugging;
mod deltas;
mod divergence;
mod drafts;
mod expectations;
mod handing_on;
mod main_job;
mod provenance;
mod reports;
mod serving;
mod signatures;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A data folder of its own, and the program over it.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
}

/// What a call gave.
pub(crate) struct Answer {
    pub code: i32,
    pub json: Value,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self::over(Vec::new())
    }

    /// With settings from the environment, such as `ASSAY_DATABASE`.
    pub fn over(settings: Vec<(&'static str, String)>) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), settings };
        assert_eq!(bench.call(&["key", "new"]).code, 0);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ASSAY_"))
        {
            command.env_remove(name);
        }
        command.args(args).env("ASSAY_DATA", self.path("data")).env("NO_COLOR", "1");
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
        command.current_dir(self.folder.path());
        command
    }

    pub fn raw(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn call(&self, args: &[&str]) -> Answer {
        let split = args.iter().position(|word| *word == "--").unwrap_or(args.len());
        let mut words = args.to_vec();
        words.insert(split, "--json");
        let output = self.raw(&words);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{args:?} printed no JSON ({error}): {} {stderr}", String::from_utf8_lossy(&output.stdout))
        });
        Answer { code: output.status.code().unwrap(), json, stderr }
    }

    pub fn ok(&self, args: &[&str]) -> Value {
        let answer = self.call(args);
        assert_eq!(answer.code, 0, "{args:?}: {} {}", answer.json, answer.stderr);
        answer.json
    }

    /// Builds a C program with symbols; none, with the reason printed, where there is no compiler.
    pub fn compile(&self, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
        if Command::new("cc").arg("--version").output().is_err() {
            println!("skipped: cc is not there");
            return None;
        }
        let file = self.path(&format!("{name}.c"));
        std::fs::write(&file, source).unwrap();
        let program = self.path(name);
        let built =
            Command::new("cc").args(["-g", "-O1", "-o"]).arg(&program).arg(&file).args(flags).status();
        assert!(built.unwrap().success());
        Some(program)
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
