//! Real inputs to begin with: this project's fixtures and reports, and small files of the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// Most seeds from one place: more of a kind teach little and cost a run each.
const MOST: usize = 60;

const BINARIES: &[(&str, &[&str])] = &[
    ("crates/binary/tests/fixtures/bin", &[""]),
    ("/usr/lib/x86_64-linux-gnu", &[".so", ".o", ".so.1", ".so.2"]),
    ("/usr/aarch64-linux-gnu/lib", &[".o", ".so.1"]),
];
const REPORTS: &[(&str, &[&str])] = &[("incidents", &[".txt"])];

/// Folders, absolute or the project's own, and the endings of the files to take from them.
fn places(target: &str) -> &'static [(&'static str, &'static [&'static str])] {
    match target {
        "image" | "index" | "module" | "prove" | "core" => BINARIES,
        "archive" => &[
            ("/usr/lib/x86_64-linux-gnu", &[".a"]),
            ("/usr/share/doc", &[".gz", ".xz"]),
            ("/usr/share/python-wheels", &[".whl"]),
            ("/var/cache/apt/archives", &[".deb"]),
            ("target/corpus", &[".whl", ".tgz", ".deb", ".jar"]),
        ],
        "report" => REPORTS,
        "redaction" => &[("incidents", &[".txt", ".toml"]), ("docs", &[".md"])],
        "json" => &[("schemas", &[".json"]), ("crates", &[".json"])],
        "python" => &[("/usr/lib/python3", &[".py"]), ("/usr/lib/python3.11", &[".py"])],
        "javascript" => &[("/usr/share/nodejs", &[".js"]), ("target/corpus", &[".js"])],
        _ => &[],
    }
}

/// Copies the seeds of a target into its corpus, which may hold what earlier runs found.
pub fn plant(target: &str, corpus: &Path, longest: usize) -> Result<()> {
    for (place, endings) in places(target) {
        let mut files = Vec::new();
        gather(&shell::root().join(place), endings, longest as u64, &mut files);
        for (at, file) in files.iter().enumerate() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            std::fs::copy(file, corpus.join(format!("seed-{at}-{name}")))?;
        }
    }
    Ok(())
}

/// Has the fuzzer write indexes of the seeds among the binaries, and a shard of them, for the targets that
/// read such files; what it says goes to `log`.
pub fn derive(program: &Path, binaries: &Path, index_files: &Path, shards: &Path, log: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.env("ASSAY_FUZZ_TARGET", "index").env("ASSAY_FUZZ_INDEXES", index_files);
    command.env("ASSAY_FUZZ_SHARDS", shards).env("ASSAY_FUZZ_BINARIES", binaries).arg("-runs=1");
    command.arg(format!("-artifact_prefix={}.", log.display()));
    shell::run(command.stderr(std::fs::File::create(log)?))
        .with_context(|| format!("the last binary named in {} cannot be indexed", log.display()))
}

/// Files with one of the endings, at most [`MOST`], in the order of their paths; what cannot be read is none.
fn gather(place: &Path, endings: &[&str], longest: u64, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if files.len() >= MOST {
            return;
        }
        let Ok(about) = path.symlink_metadata() else { continue };
        if about.is_dir() {
            gather(&path, endings, longest, files);
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            // Followed, since libraries are often links.
            let small =
                path.metadata().is_ok_and(|about| about.is_file() && (1..=longest).contains(&about.len()));
            files.extend(small.then_some(path));
        }
    }
}
