//! What the machine must have: installed as root on Debian and Ubuntu, named otherwise.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell;

/// Something is missing that cannot be installed from here: exit 10.
#[derive(Debug)]
pub struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// A program and the Debian package that brings it.
struct Need {
    found: fn() -> bool,
    package: &'static str,
}

fn in_path(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

fn postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin").join("initdb").is_file())
        || in_path("initdb")
}

fn venv() -> bool {
    let check = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    check.is_ok_and(|output| output.status.success())
}

const BUILD: &[Need] = &[Need { found: || in_path("cc"), package: "build-essential" }];
const TESTS: &[Need] = &[
    Need { found: || in_path("g++"), package: "g++" },
    Need { found: || in_path("readelf"), package: "binutils" },
    Need { found: || in_path("python3"), package: "python3" },
    Need { found: venv, package: "python3-venv" },
    Need { found: postgres, package: "postgresql" },
    Need { found: || in_path("setpriv"), package: "util-linux" },
    Need { found: || in_path("openssl"), package: "openssl" },
    Need { found: || in_path("docker-registry"), package: "docker-registry" },
    Need { found: || in_path("crun"), package: "crun" },
];

/// What building and the demo need.
pub fn for_demo() -> Result<()> {
    install(&missing(&[BUILD]))
}

/// What the tests need.
pub fn for_tests() -> Result<()> {
    install(&missing(&[BUILD, TESTS]))
}

fn missing(groups: &[&[Need]]) -> Vec<&'static str> {
    groups
        .iter()
        .flat_map(|needs| needs.iter())
        .filter(|need| !(need.found)())
        .map(|need| need.package)
        .collect()
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line =
        format!("apt-get update && apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let id = Command::new("id").arg("-u").output();
    let root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return Err(Missing(format!(
            "missing: {}\nhint: run this once: sudo sh -c '{line}'",
            packages.join(", ")
        ))
        .into());
    }
    shell::step(&format!("installing {}", packages.join(", ")));
    shell::run(Command::new("sh").args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive"))
        .map_err(|error| Missing(format!("{error}; the packages are: {}", packages.join(", "))).into())
}
