//! One folder of `incidents/`, as the corpus reads it; `assay` reads the rest of the same file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell;

/// An incident: facts, how both sides are obtained, and what shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub id: String,
    pub ecosystem: String,
    pub package: String,
    pub vulnerable: String,
    pub fixed: String,
    pub role: String,
    #[serde(default)]
    pub traits: Vec<Trait>,
    #[serde(default)]
    pub obtain: Obtain,
    pub trigger: Trigger,
    /// `crash` where none is named.
    #[serde(default)]
    kind: String,
    #[serde(skip)]
    pub folder: PathBuf,
}

/// What the corpus counts beside the ecosystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    /// Needs more than one thread to show.
    Threads,
    /// Needs more than one process to show.
    Processes,
    /// A hang, or a resource that runs out.
    Exhaustion,
    /// A server, a compiler, a database: not a call of one function.
    WholeProgram,
    /// Part of `cargo xtask test`.
    Fast,
}

/// How both sides come about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Obtain {
    #[serde(default)]
    pub kind: Kind,
    /// The package to fetch, where the defect lies in C code that it carries: the definition's own package
    /// is empty then, since no symbol begins with its name.
    pub package: Option<String>,
    /// Further packages, each with its exact version.
    #[serde(default)]
    pub with: Vec<String>,
    /// pip: the platform, the Python and the ABI of the wheel, where it is not this machine's own.
    pub platform: Option<String>,
    pub python_version: Option<String>,
    pub abi: Option<String>,
    /// crate: further lines of `[dependencies]`, and features of the package.
    pub dependencies: Option<String>,
    #[serde(default)]
    pub features: Vec<String>,
    /// crate: the level of optimisation, where the compiler would remove the defect.
    pub opt_level: Option<u8>,
    /// c-crate: C files, relative to the package, and options of the compiler.
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub flags: Vec<String>,
}

/// Whose client fetches it, and what is made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two Cargo packages in the folder, which share one source.
    #[default]
    Program,
    /// `program.rs` beside the exact version of a crate.
    Crate,
    /// `program.c` beside the C sources that a crate carries.
    CCrate,
    /// `program.go`, compiled by the exact version of the Go toolchain.
    Go,
    /// The unpacked package of an npm registry, its dependencies inside it.
    Npm,
    /// A folder with the package and its dependencies, as `pip install --target` lays it out.
    Pip,
}

/// What shows the incident.
#[derive(Clone, Debug, Deserialize)]
pub struct Trigger {
    /// The interpreter; none where the subject itself is the program.
    pub program: Option<String>,
    #[serde(default)]
    pub args: Vec<String>,
    /// What the interpreter runs.
    pub script: Option<String>,
    pub stdin: Option<String>,
    pub stdin_file: Option<String>,
}

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Vulnerable,
    Fixed,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::Vulnerable, Self::Fixed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vulnerable => "vulnerable",
            Self::Fixed => "fixed",
        }
    }
}

/// All incidents by id, or those that are named.
pub fn read(only: &[String]) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(shell::root().join("incidents"))? {
        let folder = folder?.path();
        let file = folder.join("incident.toml");
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wanted = only.is_empty() || only.contains(&name);
        if wanted && file.is_file() {
            found.push(Entry::read(&file)?);
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(id) = only.iter().find(|id| found.iter().all(|entry| entry.id != **id)) {
        bail!("there is no incident {id}");
    }
    Ok(found)
}

impl Entry {
    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let mut entry: Self = toml::from_str(&text).with_context(|| file.display().to_string())?;
        entry.folder = file.parent().unwrap_or(file).to_owned();
        if let Some(package) = &entry.obtain.package {
            entry.package.clone_from(package);
        }
        Ok(entry)
    }

    /// The exact version of a side.
    pub fn version(&self, side: Side) -> &str {
        match side {
            Side::Vulnerable => &self.vulnerable,
            Side::Fixed => &self.fixed,
        }
    }

    /// The definition, as `assay incident define` takes it.
    pub fn definition(&self) -> PathBuf {
        self.folder.join("incident.toml")
    }

    /// Whether a signal or a panic shows it.
    pub fn crashes(&self) -> bool {
        matches!(self.kind.as_str(), "" | "crash")
    }

    pub fn has(&self, wanted: Trait) -> bool {
        self.traits.contains(&wanted)
    }
}
