//! The projects whose consecutive releases are compared, and how their sources are obtained.
//!
//! Crates carry the C sources of well-known libraries, in many versions, and any cargo can fetch them.
//! Their own build scripts say which files are compiled and how: they run once with a compiler that
//! writes down what it was asked, and the rest is done from that.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::shell;

/// One project in two consecutive releases.
#[derive(Clone, Copy, Debug)]
pub struct Project {
    pub name: &'static str,
    pub versions: [&'static str; 2],
    features: &'static [&'static str],
    /// Definitions besides the build script's own.
    defined: &'static [&'static str],
    /// Whether the weights were fitted on it.
    pub fitted: bool,
}

const fn project(
    name: &'static str,
    versions: [&'static str; 2],
    features: &'static [&'static str],
    fitted: bool,
) -> Project {
    Project { name, versions, features, defined: &[], fitted }
}

/// Which projects weights are fitted on and which judge them was decided before the judges were built.
pub const ALL: &[Project] = &[
    project("libz-sys", ["1.1.8", "1.1.20"], &["static"], true),
    project("lz4-sys", ["1.9.4", "1.11.1"], &[], true),
    project("pcre2-sys", ["0.2.5", "0.2.10"], &[], true),
    project("libdeflate-sys", ["1.19.0", "1.23.0"], &[], true),
    project("liblzma-sys", ["0.3.3", "0.4.3"], &["static"], true),
    project("onig_sys", ["69.8.1", "69.9.3"], &[], true),
    // Its own assembler is for one architecture only.
    Project { defined: &["-DZSTD_DISABLE_ASM=1"], ..project("zstd-sys", ["2.0.9", "2.0.13"], &[], true) },
    project("libmimalloc-sys", ["0.1.39", "0.1.42"], &[], true),
    project("libnghttp2-sys", ["0.1.7", "0.1.10"], &[], true),
    // The judges.
    project("lmdb-master-sys", ["0.2.1", "0.2.5"], &[], false),
    project("brotlic-sys", ["0.2.1", "0.2.2"], &[], false),
    project("libpng-sys", ["1.1.8", "1.1.11"], &["static"], false),
];

/// One file that a project compiles.
#[derive(Clone, Debug)]
pub struct Unit {
    pub source: PathBuf,
    folder: PathBuf,
    /// Includes, definitions and the language's standard.
    flags: Vec<String>,
}

impl Unit {
    /// Compiles it; what does not compile is left out.
    pub fn compile(&self, compiler: &[String], options: &[&str], object: &Path) -> Result<bool> {
        let (program, words) = compiler.split_first().context("no compiler")?;
        let mut command = Command::new(program);
        command.args(words).args(&self.flags).args(options).arg("-w").arg("-c").arg(&self.source);
        command.arg("-o").arg(object).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status().with_context(|| format!("{program} does not start"))?.success())
    }
}

/// What the build script of one release compiles.
pub fn units(project: &Project, version: &str, home: &Path) -> Result<Vec<Unit>> {
    let folder = home.join(format!("{}-{version}", project.name));
    let log = folder.join("calls");
    if !folder.join("done").is_file() {
        ask(project, version, home, &folder, &log)?;
        std::fs::write(folder.join("done"), "")?;
    }
    let mut units = Vec::new();
    for entry in std::fs::read_dir(&log)? {
        let text = String::from_utf8_lossy(&std::fs::read(entry?.path())?).into_owned();
        units.extend(unit(&text));
    }
    // Its dependencies may have been compiled with it.
    let own = format!("/{}-", project.name);
    units.retain(|unit| unit.source.to_string_lossy().contains(&own));
    units.sort_by(|a, b| a.source.cmp(&b.source));
    units.dedup_by(|a, b| a.source == b.source);
    let defined: Vec<String> = project.defined.iter().map(|&word| word.to_owned()).collect();
    units.iter_mut().for_each(|unit| unit.flags.extend(defined.clone()));
    ensure!(!units.is_empty(), "{} {version}: its build script compiles nothing", project.name);
    Ok(units)
}

/// Runs the build script with a compiler that writes down its calls.
fn ask(project: &Project, version: &str, home: &Path, folder: &Path, log: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::create_dir_all(log)?;
    std::fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"asked\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         {} = {{ version = \"={version}\", features = {:?} }}\n",
        project.name, project.features
    );
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    let script = "#!/bin/sh\n{ printf '%s\\0' \"$PWD\" \"$@\"; } > \"$CALLS/$$\"\nexec cc \"$@\"\n";
    let asked = home.join("asked");
    std::fs::write(&asked, script)?;
    std::fs::set_permissions(&asked, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = shell::cargo();
    command.current_dir(folder).args(["build", "--quiet"]);
    command.env("CC", &asked).env("CALLS", log).env("CARGO_TARGET_DIR", home.join("asked-target"));
    for name in [
        "LZMA_API_STATIC",
        "LIBZ_SYS_STATIC",
        "RUSTONIG_STATIC_LIBONIG",
        "PCRE2_SYS_STATIC",
        "LIBGIT2_NO_VENDOR",
    ] {
        command.env(name, if name.contains("NO_VENDOR") { "0" } else { "1" });
    }
    shell::run(&mut command)
}

/// One call of the compiler, if it compiles one file.
fn unit(call: &str) -> Option<Unit> {
    let mut words = call.split_terminator('\0');
    let folder = PathBuf::from(words.next()?);
    let words: Vec<&str> = words.collect();
    let source = words.iter().find(|word| word.ends_with(".c") && !word.starts_with('-'))?;
    words.contains(&"-c").then_some(())?;
    let mut flags = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-I" | "-D" | "-include" | "-isystem" => {
                flags.push((*word).to_owned());
                flags.extend(rest.next().map(|value| (*value).to_owned()));
            }
            word if ["-I", "-D", "-U", "-std="].iter().any(|start| word.starts_with(start)) => {
                flags.push(word.to_owned());
            }
            _ => {}
        }
    }
    Some(Unit { source: folder.join(source), folder, flags })
}
