//! The corpus: building each incident's program at both versions.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// What of `incident.toml` the demo needs; `assay` reads the rest.
#[derive(Clone, Debug, Deserialize)]
pub struct Incident {
    pub id: String,
    pub ecosystem: String,
    pub role: String,
    pub trigger: Trigger,
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How the program is called.
#[derive(Clone, Debug, Deserialize)]
pub struct Trigger {
    pub args: Vec<String>,
    pub stdin: Option<String>,
    pub stdin_file: Option<String>,
}

/// Which build of a program.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    Vulnerable,
    Fixed,
    /// Fixed, with a function changed that the trigger does not reach.
    Unrelated,
    /// Fixed, with a function changed that the trigger executes.
    Related,
}

impl Build {
    pub const ALL: [Self; 4] = [Self::Vulnerable, Self::Fixed, Self::Unrelated, Self::Related];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vulnerable => "vulnerable",
            Self::Fixed => "fixed",
            Self::Unrelated => "unrelated-change",
            Self::Related => "related-change",
        }
    }

    fn side(self) -> &'static str {
        if matches!(self, Self::Vulnerable) { "vulnerable" } else { "fixed" }
    }

    fn feature(self) -> Option<&'static str> {
        matches!(self, Self::Unrelated | Self::Related).then(|| self.name())
    }
}

/// The incidents of the demo, by id.
pub fn all() -> Result<Vec<Incident>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(shell::root().join("incidents"))? {
        let folder = entry?.path();
        let file = folder.join("incident.toml");
        // The demo shows the programs whose two packages lie in their folder.
        if file.is_file() && folder.join("program").is_dir() {
            let text = std::fs::read_to_string(&file)?;
            let mut incident: Incident = toml::from_str(&text).with_context(|| file.display().to_string())?;
            incident.folder = folder;
            found.push(incident);
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

impl Incident {
    /// Builds the program, unless it is newer than its sources; its file.
    pub fn build(&self, build: Build, into: &Path) -> Result<PathBuf> {
        let folder = into.join(build.name());
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(&self.role);
        let package = self.folder.join(build.side());
        let sources = [
            self.folder.join("program").join("src").join("main.rs"),
            package.join("Cargo.toml"),
            package.join("Cargo.lock"),
        ];
        if newer(&file, &sources) {
            return Ok(file);
        }
        let shared = into.join("target");
        let mut command = shell::cargo();
        command.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]);
        command.arg(package.join("Cargo.toml")).arg("--target-dir").arg(&shared);
        if let Some(feature) = build.feature() {
            command.args(["--features", feature]);
        }
        // No path of the building machine in the programs.
        command.env("RUSTFLAGS", format!("--remap-path-prefix={}=/build", shell::root().display()));
        shell::run(&mut command)?;
        std::fs::copy(shared.join("release").join(&self.role), &file)?;
        Ok(file)
    }

    /// The file with the program's standard input.
    pub fn stdin(&self, into: &Path) -> Result<PathBuf> {
        if let Some(name) = &self.trigger.stdin_file {
            return Ok(self.folder.join(name));
        }
        let file = into.join(format!("{}.stdin", self.id));
        std::fs::write(&file, self.trigger.stdin.as_deref().unwrap_or_default())?;
        Ok(file)
    }

    /// The texts that a person would paste.
    pub fn reports(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.join("reports")).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }
}

fn newer(file: &Path, sources: &[PathBuf]) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(built) = time(file) else { return false };
    sources.iter().all(|source| time(source).is_some_and(|changed| changed < built))
}
