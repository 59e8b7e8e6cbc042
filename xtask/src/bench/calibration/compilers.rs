//! The compilers and their settings, and building one release with each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use assay_delta::Index;

use super::projects::{self, Project, Unit};
use crate::shell;

/// The version of Zig whose C compiler, a Clang, is fetched by `pip`.
const ZIG: &str = "ziglang==0.13.0";
const WORKERS: usize = 2;

/// A compiler for one architecture.
#[derive(Clone, Debug)]
pub struct Toolchain {
    pub name: &'static str,
    command: Vec<String>,
    pub levels: &'static [&'static str],
    /// Whether the weights were fitted on it.
    pub fitted: bool,
}

const LEVELS: &[&str] = &["-O2", "-O3", "-Os"];

/// Every compiler that is here or can be fetched, and those that are not.
pub fn all(home: &Path) -> Result<(Vec<Toolchain>, Vec<String>)> {
    let zig = zig(home)?.display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let cross = |target: &str| words(&[&zig, "cc", "-target", target, "-fno-sanitize=undefined"]);
    let toolchain = |name, command, levels, fitted| Toolchain { name, command, levels, fitted };
    let known = [
        toolchain("gcc x86-64", words(&["gcc"]), LEVELS, true),
        toolchain("clang x86-64", cross("x86_64-linux-gnu"), &["-O2", "-Os"], true),
        toolchain("clang AArch64", cross("aarch64-linux-gnu"), &["-O2", "-Os"], false),
        toolchain("gcc AArch64", words(&["aarch64-linux-gnu-gcc"]), &["-O2", "-Os"], false),
    ];
    let (mut here, mut missing) = (Vec::new(), Vec::new());
    for toolchain in known {
        match Command::new(&toolchain.command[0])
            .arg("--help")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
        {
            Ok(_) => here.push(toolchain),
            Err(_) => missing.push(format!("{}: `{}` is not here", toolchain.name, toolchain.command[0])),
        }
    }
    Ok((here, missing))
}

fn zig(home: &Path) -> Result<PathBuf> {
    let folder = home.join("zig");
    let program = folder.join("ziglang/zig");
    if !program.is_file() {
        std::fs::create_dir_all(&folder)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", ZIG, "--dest"]).arg(&folder);
        shell::run(&mut pip)?;
        let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
        let files = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let wheel = files.into_iter().find(is_wheel).context("pip fetched no wheel of Zig")?;
        shell::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder))?;
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        std::fs::remove_file(wheel)?;
    }
    ensure!(program.is_file(), "{} is not there", program.display());
    Ok(program)
}

/// Both releases of a project under one setting.
pub struct Both<'t> {
    pub toolchain: &'t Toolchain,
    pub level: &'static str,
    pub indexes: [Index; 2],
}

/// Both releases under every setting; what does not build is skipped by name.
pub fn both<'t>(
    project: &Project,
    settings: impl Iterator<Item = (&'t Toolchain, &'static str)>,
    home: &Path,
    skipped: &mut Vec<String>,
) -> Result<Vec<Both<'t>>> {
    let [before, after] = project.versions;
    let units = [projects::units(project, before, home)?, projects::units(project, after, home)?];
    let mut all = Vec::new();
    for (toolchain, level) in settings {
        let index = |which: usize| -> Result<Index> {
            let library = build(project, project.versions[which], &units[which], toolchain, level, home)?;
            Ok(Index::build(&std::fs::read(library)?)?)
        };
        match index(0).and_then(|before| Ok([before, index(1)?])) {
            Ok(indexes) => all.push(Both { toolchain, level, indexes }),
            Err(error) => skipped.push(format!("{} {} {level}: {error:#}", project.name, toolchain.name)),
        }
    }
    Ok(all)
}

/// One release as a shared library; built once.
pub fn build(
    project: &Project,
    version: &str,
    units: &[Unit],
    toolchain: &Toolchain,
    level: &str,
    home: &Path,
) -> Result<PathBuf> {
    let name = format!("{}-{version}-{}{level}.so", project.name, toolchain.name.replace(' ', "-"));
    let library = home.join("built").join(name);
    if library.is_file() {
        return Ok(library);
    }
    let objects = home.join("objects");
    let _ = std::fs::remove_dir_all(&objects);
    std::fs::create_dir_all(&objects)?;
    std::fs::create_dir_all(home.join("built"))?;
    let made = compile(units, toolchain, level, &objects)?;
    ensure!(
        made.len() * 10 >= units.len() * 8,
        "{}: {} of {} files compile",
        library.display(),
        made.len(),
        units.len()
    );
    let mut link = Command::new(zig(home)?);
    link.args(["ld.lld", "-shared", "--build-id", "--unresolved-symbols=ignore-all", "-o"]);
    link.arg(&library).args(&made).stdin(Stdio::null());
    let output = link.output()?;
    if !output.status.success() {
        bail!("{} does not link: {}", library.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(library)
}

fn compile(units: &[Unit], toolchain: &Toolchain, level: &str, objects: &Path) -> Result<Vec<PathBuf>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<PathBuf>> {
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = units.get(number) else { return Ok(made) };
            let object = objects.join(format!("{number:04}.o"));
            if unit.compile(&toolchain.command, &[level, "-fPIC"], &object)? {
                made.push(object);
            }
        }
    };
    let mut made = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_fold(Vec::new(), |mut all, worker| {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a worker died"))??);
            anyhow::Ok(all)
        })
    })?;
    made.sort();
    Ok(made)
}
