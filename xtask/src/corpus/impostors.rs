//! The vacuity suite: subjects that are no fixed build must never pass for one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::entry::{Entry, Kind, Side};
use super::obtain::{Obtained, home, quietly};
use super::session;
use crate::shell::{Assay, text};

/// What a module that does nothing looks like: every name exists, every call gives the module again.
const STUB_JS: &str = "\
const stub = new Proxy(function () {}, {
  get: (target, name) => (name === 'then' || typeof name === 'symbol' ? undefined : stub),
  apply: () => undefined,
  construct: () => ({}),
});
module.exports = stub;
";
const STUB_PY: &str = "\
class Nothing:
    def __init__(self, *args, **names): pass
    def __call__(self, *args, **names): return None
    def __getattr__(self, name): return Nothing()
    def __enter__(self): return self
    def __exit__(self, *args): return False

__path__ = __path__ if '__path__' in globals() else []

def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return type(name, (Nothing, Exception), {}) if name[:1].isupper() else Nothing()
";
const USAGE_JS: &str = "console.log('usage: see the manual');\nprocess.exit(0);\n";
const USAGE_PY: &str = "print('usage: see the manual')\nraise SystemExit(0)\n";
const USAGE_C: &str = "#include <stdio.h>\nint main(void) { puts(\"usage: see the manual\"); return 0; }\n";
const FEATURE_C: &str =
    "#include <stdio.h>\nint main(void) { fputs(\"built without this feature\\n\", stderr); return 0; }\n";

/// One replay of an impostor.
#[derive(Clone, Debug, Serialize)]
pub struct Passed {
    pub id: String,
    pub impostor: String,
    pub verdict: String,
    pub reason: String,
}

/// Replays every impostor of one incident.
pub fn run(assay: &Assay, entry: &Entry, obtained: &Obtained, others: &[PathBuf]) -> Result<Vec<Passed>> {
    let witness = session::record(assay, entry, obtained)?;
    let mut all = Vec::new();
    for (name, subject) in impostors(entry, obtained, others)? {
        let answer = session::replay(assay, entry, &witness, &subject)?;
        let refused = answer["error"]["code"].as_str().map(|code| format!("refused: {code}"));
        all.push(Passed {
            id: entry.id.clone(),
            impostor: name.to_owned(),
            verdict: refused.unwrap_or_else(|| text(&answer, "verdict").to_owned()),
            reason: text(&answer, "reason").to_owned(),
        });
    }
    Ok(all)
}

type Impostors = Vec<(&'static str, PathBuf)>;

fn impostors(entry: &Entry, obtained: &Obtained, others: &[PathBuf]) -> Result<Impostors> {
    match entry.obtain.kind {
        Kind::Npm | Kind::Pip => trees(entry, obtained, others),
        Kind::Program | Kind::Crate | Kind::CCrate | Kind::Go => programs(obtained, others),
    }
}

fn programs(obtained: &Obtained, others: &[PathBuf]) -> Result<Impostors> {
    let mut all = vec![("true", PathBuf::from("/bin/true"))];
    all.push(("usage", static_program("usage", USAGE_C)?));
    all.push(("without the feature", static_program("without-feature", FEATURE_C)?));
    let other = others.iter().find(|other| **other != obtained.fixed);
    all.extend(other.map(|other| ("another program", other.clone())));
    Ok(all)
}

/// A static program: it needs nothing of the capsule.
fn static_program(name: &str, source: &str) -> Result<PathBuf> {
    let folder = home().join("impostors");
    std::fs::create_dir_all(&folder)?;
    let (file, code) = (folder.join(name), folder.join(format!("{name}.c")));
    if !file.is_file() {
        std::fs::write(&code, source)?;
        quietly(Command::new("cc").args(["-static", "-O1", "-o"]).arg(&file).arg(&code))?;
    }
    Ok(file)
}

fn trees(entry: &Entry, obtained: &Obtained, others: &[PathBuf]) -> Result<Impostors> {
    let into = home().join(&entry.id).join("impostors");
    if into.exists() {
        std::fs::remove_dir_all(&into)?;
    }
    std::fs::create_dir_all(into.join("empty"))?;
    std::fs::write(into.join("empty").join("README"), "nothing\n")?;
    let (stub, usage) = match entry.obtain.kind {
        Kind::Npm => (STUB_JS, USAGE_JS),
        _ => (STUB_PY, USAGE_PY),
    };
    let fixed = obtained.subject(Side::Fixed);
    replace_code(fixed, &into.join("stub"), stub).context("the stub")?;
    replace_code(fixed, &into.join("usage"), usage).context("the usage")?;
    let mut all = vec![
        ("empty package", into.join("empty")),
        ("stub of the same modules", into.join("stub")),
        ("usage on import", into.join("usage")),
    ];
    let other = others.iter().find(|other| **other != obtained.fixed);
    all.extend(other.map(|other| ("another package", other.clone())));
    Ok(all)
}

/// The same tree with every module replaced; what is neither code nor a package's description is left out.
fn replace_code(from: &Path, to: &Path, code: &str) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for item in std::fs::read_dir(from)? {
        let item = item?;
        let (path, name) = (item.path(), item.file_name());
        let shown = name.to_string_lossy();
        if path.is_dir() {
            replace_code(&path, &to.join(&name), code)?;
        } else if shown == "package.json" {
            std::fs::copy(&path, to.join(&name))?;
        } else if [".js", ".cjs", ".mjs", ".py"].iter().any(|ending| shown.ends_with(ending)) {
            std::fs::write(to.join(&name), code)?;
        }
    }
    Ok(())
}
