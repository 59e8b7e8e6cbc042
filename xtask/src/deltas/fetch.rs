//! Earlier and later builds of Debian packages: both sides come from the machine's own package client
//! (`apt-get download NAME=VERSION`), are unpacked without being installed, and stay in `target/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell::{self, step};

/// Packages whose earlier patch levels the suites of one release still hold.
const PACKAGES: [&str; 36] = [
    "libssl3",
    "libxml2",
    "libcurl4",
    "liblzma5",
    "libc6",
    "libglib2.0-0",
    "libaom3",
    "libssh-4",
    "libssh2-1",
    "python3.11-minimal",
    "perl-base",
    "libperl5.36",
    "bind9-libs",
    "libpq5",
    "libsystemd0",
    "libsystemd-shared",
    "libexpat1",
    "libarchive13",
    "libpcre2-8-0",
    "libxslt1.1",
    "libde265-0",
    "nginx",
    "sudo",
    "openssh-client",
    "openssh-server",
    "curl",
    "git",
    "libpng16-16",
    "redis-server",
    "libmariadb3",
    "libgnutls30",
    "libcups2",
    "libopenjp2-7",
    "libfreetype6",
    "libtiff6",
    "vim-common",
];
/// Files smaller than this say little.
const MIN_BYTES: u64 = 30_000;
/// Files of one package, the largest first.
const MAX_FILES: usize = 3;

/// Two builds of one file.
pub struct Pair {
    /// Package, versions and file.
    pub id: String,
    /// The earlier.
    pub a: PathBuf,
    /// The later.
    pub b: PathBuf,
}

/// The pairs at hand, and what was skipped and why.
pub fn pairs(only: &[&str]) -> Result<(Vec<Pair>, Vec<String>)> {
    let folder = shell::target().join("corpus/deltas");
    std::fs::create_dir_all(&folder)?;
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for package in PACKAGES.iter().filter(|package| only.is_empty() || only.contains(package)) {
        let versions = versions(package);
        if versions.len() < 2 {
            skipped.push(format!("{package}: the package client offers {} version", versions.len()));
            continue;
        }
        for window in versions.windows(2) {
            let sides = [&window[0], &window[1]].map(|version| unpacked(&folder, package, version));
            match sides {
                [Ok(a), Ok(b)] => pairs.extend(files(package, window, &a, &b)),
                [a, b] => {
                    let problem = a.err().or(b.err()).map(|error| format!("{error:#}")).unwrap_or_default();
                    skipped.push(format!("{package} {} -> {}: {problem}", window[0], window[1]));
                }
            }
        }
    }
    Ok((pairs, skipped))
}

/// The versions on offer, the earliest first.
fn versions(package: &str) -> Vec<String> {
    let Ok(output) = Command::new("apt-cache").args(["madison", package]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut versions: Vec<String> =
        text.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect();
    versions.sort_by(|a, b| {
        let earlier =
            Command::new("dpkg").args(["--compare-versions", a, "lt", b]).status().is_ok_and(|s| s.success());
        if a == b {
            std::cmp::Ordering::Equal
        } else if earlier {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        }
    });
    versions.dedup();
    versions
}

fn unpacked(folder: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let to = folder.join(format!("{package}_{}", version.replace([':', '~', '+'], "_")));
    if to.is_dir() {
        return Ok(to);
    }
    step(&format!("{package} {version}"));
    let downloads = tempdir(folder)?;
    let status = Command::new("apt-get")
        .current_dir(&downloads)
        .args(["-q", "-q", "-o", "APT::Sandbox::User=root", "download", &format!("{package}={version}")])
        .status()
        .context("apt-get")?;
    anyhow::ensure!(status.success(), "apt-get download failed");
    let deb = std::fs::read_dir(&downloads)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("no package came")?;
    let half = downloads.join("unpacked");
    let status = Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&half).status().context("dpkg-deb")?;
    anyhow::ensure!(status.success(), "dpkg-deb failed");
    std::fs::rename(&half, &to)?;
    let _ = std::fs::remove_dir_all(&downloads);
    Ok(to)
}

fn tempdir(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(format!("half-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

/// The largest ELF files that stand at one place in both, versions in file names aside.
fn files(package: &str, versions: &[String], a: &Path, b: &Path) -> Vec<Pair> {
    let (in_a, in_b) = (binaries(a, a), binaries(b, b));
    let mut found: Vec<(u64, Pair)> = Vec::new();
    for (place, (path, size)) in &in_a {
        if let Some((other, _)) = in_b.get(place).filter(|_| *size >= MIN_BYTES) {
            let id = format!(
                "{package} {} -> {} {}",
                versions[0],
                versions[1],
                place.rsplit('/').next().unwrap_or(place)
            );
            found.push((*size, Pair { id, a: path.clone(), b: other.clone() }));
        }
    }
    found.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    found.truncate(MAX_FILES);
    found.into_iter().map(|(_, pair)| pair).collect()
}

fn binaries(folder: &Path, root: &Path) -> BTreeMap<String, (PathBuf, u64)> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(binaries(&path, root));
        } else if kind.is_file() && is_elf(&path) {
            let place = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            found.insert(without_version(&place), (path, size));
        }
    }
    found
}

/// `usr/lib/libcurl.so.4.8.0` and `.../libcurl.so.4.9.0` stand at one place.
fn without_version(place: &str) -> String {
    match place.split_once(".so.") {
        Some((stem, _)) => format!("{stem}.so"),
        None => place.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"\x7fELF"
}
