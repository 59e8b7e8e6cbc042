//! Both sides of an incident, from the ordinary package clients; kept in the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail, ensure};

use super::entry::{Entry, Kind, Side};
use super::native;
use crate::shell;

/// Downloads and builds under way at once.
const PARALLEL: usize = 2;

/// Both sides of one incident, ready to run.
#[derive(Clone, Debug)]
pub struct Obtained {
    pub vulnerable: PathBuf,
    pub fixed: PathBuf,
    /// The command that shows the incident.
    pub command: Vec<String>,
    pub environment: Vec<String>,
    pub stdin: Option<PathBuf>,
}

impl Obtained {
    pub fn subject(&self, side: Side) -> &Path {
        match side {
            Side::Vulnerable => &self.vulnerable,
            Side::Fixed => &self.fixed,
        }
    }
}

/// Where everything fetched and built is kept.
pub fn home() -> PathBuf {
    shell::target().join("corpus")
}

/// Every incident with its sides, or why the environment lacks them.
pub fn all(entries: &[Entry]) -> Vec<(Entry, Result<Obtained>)> {
    let waiting = Mutex::new(entries.iter().enumerate().collect::<Vec<_>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some((position, entry)) = next(&waiting) {
                    let obtained = one(entry);
                    lock(&done).push((position, entry.clone(), obtained));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(position, ..)| *position);
    done.into_iter().map(|(_, entry, obtained)| (entry, obtained)).collect()
}

fn next<T>(waiting: &Mutex<Vec<T>>) -> Option<T> {
    lock(waiting).pop()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Fetches and builds both sides, unless that was done before.
pub fn one(entry: &Entry) -> Result<Obtained> {
    let vulnerable = side(entry, Side::Vulnerable)?;
    let fixed = side(entry, Side::Fixed)?;
    let mut obtained =
        Obtained { vulnerable, fixed, command: Vec::new(), environment: Vec::new(), stdin: None };
    obtained.command = command(entry, &obtained.vulnerable)?;
    obtained.environment = environment(entry);
    obtained.stdin = stdin(entry)?;
    Ok(obtained)
}

fn folder(entry: &Entry, side: Side) -> PathBuf {
    home().join(&entry.id).join(side.name())
}

fn side(entry: &Entry, side: Side) -> Result<PathBuf> {
    let into = folder(entry, side);
    let subject = subject(entry, &into);
    let stamp = into.join(".obtained");
    let wanted = wanted(entry, side)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) && subject.exists() {
        return Ok(subject);
    }
    if into.exists() {
        std::fs::remove_dir_all(&into)?;
    }
    std::fs::create_dir_all(&into)?;
    match entry.obtain.kind {
        Kind::Npm => npm(entry, side, &into),
        Kind::Pip => pip(entry, side, &into),
        Kind::Program => native::program(entry, side, &into),
        Kind::Crate => native::crate_program(entry, side, &into),
        Kind::CCrate => native::c_program(entry, side, &into),
        Kind::Go => native::go_program(entry, side, &into),
    }
    .with_context(|| format!("{} {} was not obtained", entry.package, entry.version(side)))?;
    ensure!(subject.exists(), "{} is missing after it was obtained", subject.display());
    std::fs::write(&stamp, wanted)?;
    Ok(subject)
}

/// The release that `entry` calls vulnerable, fetched or built in a folder of its own; its tree or program.
pub fn release(entry: &Entry, into: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(into)?;
    match entry.obtain.kind {
        Kind::Npm => npm(entry, Side::Vulnerable, into)?,
        Kind::Pip => pip(entry, Side::Vulnerable, into)?,
        Kind::CCrate => native::c_program(entry, Side::Vulnerable, into)?,
        Kind::Crate => native::crate_release(entry, into)?,
        Kind::Program | Kind::Go => bail!("{} is not made of a package's release", entry.id),
    }
    Ok(subject(entry, into))
}

/// What a side was made from, to see whether it must be made again.
fn wanted(entry: &Entry, side: Side) -> Result<String> {
    let obtain = &entry.obtain;
    let mut wanted = format!(
        "{:?} {:?} {:?}\n{:?} {:?} {:?} {:?}\n{:?} {:?} {:?} {:?} {:?}\n",
        obtain.kind,
        entry.package,
        entry.version(side),
        obtain.with,
        obtain.platform,
        obtain.python_version,
        obtain.abi,
        obtain.dependencies,
        obtain.features,
        obtain.opt_level,
        obtain.sources,
        obtain.flags,
    );
    for name in ["program.rs", "program.c", "program.go", "program/src/main.rs"] {
        let file = entry.folder.join(name);
        if file.is_file() {
            wanted += &std::fs::read_to_string(file)?;
        }
    }
    Ok(wanted)
}

/// The artifact under test: a package's tree, or a program.
fn subject(entry: &Entry, into: &Path) -> PathBuf {
    match entry.obtain.kind {
        Kind::Npm => into.join("node_modules").join(&entry.package),
        Kind::Pip => into.join("site"),
        Kind::Program | Kind::Crate | Kind::CCrate | Kind::Go => into.join(&entry.role),
    }
}

/// Dependencies lie inside the package, so that the package's folder is closed.
fn npm(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    std::fs::write(into.join("package.json"), "{\"private\":true}\n")?;
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]);
    command.args(["--loglevel=error", "--install-strategy=nested", "--prefix"]).arg(into);
    command.arg(format!("{}@{}", entry.package, entry.version(side))).args(&entry.obtain.with);
    quietly(&mut command)
}

/// Wheels only: a source distribution would run its own code on the host.
fn pip(entry: &Entry, side: Side, into: &Path) -> Result<()> {
    let obtain = &entry.obtain;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:"]);
    command.args(["--disable-pip-version-check", "--target"]).arg(into.join("site"));
    let options = [
        ("--platform", &obtain.platform),
        ("--python-version", &obtain.python_version),
        ("--abi", &obtain.abi),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    command.arg(format!("{}=={}", entry.package, entry.version(side))).args(&obtain.with);
    quietly(&mut command)
}

/// Runs a client and keeps its words for the error.
pub fn quietly(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} is not installed"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
        bail!("{program} failed ({}): {}", output.status, last.join("; "));
    }
    Ok(())
}

fn command(entry: &Entry, subject: &Path) -> Result<Vec<String>> {
    let mut words = match &entry.trigger.program {
        Some(program) => vec![interpreter(program)?, script(entry, program)?],
        None => vec![subject.to_string_lossy().into_owned()],
    };
    words.extend(entry.trigger.args.iter().cloned());
    Ok(words)
}

/// The system's interpreter: a shim or a link in a home folder cannot be read by the sandbox's user.
fn interpreter(program: &str) -> Result<String> {
    let file = format!("/usr/bin/{program}");
    ensure!(Path::new(&file).exists(), "{file} is not installed");
    Ok(file)
}

fn script(entry: &Entry, program: &str) -> Result<String> {
    let extension = if program == "node" { "js" } else { "py" };
    let file = home().join(&entry.id).join(format!("trigger.{extension}"));
    let text = entry.trigger.script.as_deref().context("[trigger] has a program but no script")?;
    std::fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

fn environment(entry: &Entry) -> Vec<String> {
    let into = folder(entry, Side::Vulnerable);
    match entry.obtain.kind {
        Kind::Npm => vec![format!("NODE_PATH={}", into.join("node_modules").display())],
        Kind::Pip => vec![
            format!("PYTHONPATH={}", into.join("site").display()),
            "PYTHONDONTWRITEBYTECODE=1".to_owned(),
        ],
        Kind::Program | Kind::Crate | Kind::CCrate | Kind::Go => Vec::new(),
    }
}

fn stdin(entry: &Entry) -> Result<Option<PathBuf>> {
    if let Some(name) = &entry.trigger.stdin_file {
        return Ok(Some(entry.folder.join(name)));
    }
    let Some(text) = &entry.trigger.stdin else { return Ok(None) };
    let file = home().join(&entry.id).join("trigger.stdin");
    std::fs::write(&file, text)?;
    Ok(Some(file))
}
