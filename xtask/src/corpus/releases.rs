//! Consecutive releases of real projects, fetched or built by the ordinary clients and kept.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::entry::{self, Entry, Kind};
use super::obtain;
use crate::shell;

/// A project, and which of its releases are asked.
pub struct Project {
    pub name: &'static str,
    /// Its incidents in the corpus; the first says how a release is made.
    pub incidents: &'static [&'static str],
    /// The releases, where the client that fetches them lists none: as the registry has them, without
    /// previews and those that were withdrawn.
    versions: &'static [&'static str],
    /// A program of our own beside the project's sources, instead of the incident's.
    harness: Option<&'static str>,
    /// What that program needs of the project's sources besides.
    sources: &'static [&'static str],
    /// Inputs on standard input whose answers a defect would change.
    pub inputs: &'static [&'static str],
}

const PLAIN: Project =
    Project { name: "", incidents: &[], versions: &[], harness: None, sources: &[], inputs: &[] };

/// All of them; the compiled ones first, of these the one that takes longest last.
pub const PROJECTS: [Project; 8] = [
    Project {
        name: "lua-src",
        incidents: &["CVE-2020-24370"],
        versions: &[
            "540.0.0", "540.0.1", "541.0.0", "542.0.0", "543.0.0", "543.1.0", "544.0.0", "544.0.1",
            "546.0.0", "546.0.1",
        ],
        inputs: &LUA,
        ..PLAIN
    },
    Project {
        name: "libz-sys",
        incidents: &["CVE-2022-37434"],
        versions: &[
            "1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.8", "1.1.9", "1.1.10",
        ],
        harness: Some("zlib"),
        sources: &["src/zlib/compress.c", "src/zlib/uncompr.c", "src/zlib/deflate.c", "src/zlib/trees.c"],
        inputs: &TEXTS,
    },
    Project {
        name: "lz4-sys",
        incidents: &["CVE-2021-3520"],
        versions: &[
            "1.7.5", "1.8.0", "1.8.2", "1.8.3", "1.9.2", "1.9.3", "1.9.4", "1.9.5", "1.10.0", "1.11.0",
        ],
        harness: Some("lz4"),
        inputs: &TEXTS,
        ..PLAIN
    },
    Project {
        name: "serde_yaml",
        incidents: &["RUSTSEC-2018-0005"],
        versions: &["0.7.3", "0.7.4", "0.7.5", "0.8.0", "0.8.1", "0.8.2", "0.8.3", "0.8.4", "0.8.5", "0.8.6"],
        ..PLAIN
    },
    Project {
        name: "time",
        incidents: &["RUSTSEC-2026-0009"],
        versions: &[
            "0.3.38", "0.3.39", "0.3.40", "0.3.41", "0.3.42", "0.3.43", "0.3.44", "0.3.45", "0.3.46",
            "0.3.47",
        ],
        ..PLAIN
    },
    Project {
        name: "libsqlite3-sys",
        incidents: &["CVE-2020-13434"],
        versions: &["0.22.0", "0.22.1", "0.22.2", "0.23.0", "0.23.1", "0.23.2", "0.24.0"],
        inputs: &SQL,
        ..PLAIN
    },
    Project {
        name: "lodash",
        incidents: &["CVE-2019-10744", "CVE-2020-8203", "CVE-2020-28500", "CVE-2021-23337"],
        ..PLAIN
    },
    Project { name: "Jinja2", incidents: &["CVE-2024-22195", "CVE-2024-56326", "CVE-2025-27516"], ..PLAIN },
];

const LUA: [&str; 12] = [
    "print(#'text', ('x'):rep(3), ('a,b'):find(',', 1, true))\n",
    "local t = {3, 1, 2} table.sort(t) print(table.concat(t, ' '))\n",
    "print(string.format('%5.2f %d %s', 3.14159, 42, 'end'))\n",
    "local c = coroutine.wrap(function(a) for i = 1, a do coroutine.yield(i) end end) print(c(3), c(), c())\n",
    "print(pcall(error, 'broken'), select('#', 1, nil, 3))\n",
    "local t = setmetatable({}, {__index = function(_, key) return key .. '!' end}) print(t.some, t.more)\n",
    "for word in ('one two three'):gmatch('%a+') do io.write(word:upper(), ' ') end print()\n",
    "print(10 // 3, 10 % 3, 2^10, 7 & 3, 1 << 40, -7 // 2)\n",
    "print(math.type(1), math.type(1.0), math.max(3, 9, 2), math.floor(-2.5))\n",
    "goto done print('never') ::done:: print(load('return 1 + 1')())\n",
    "print(utf8.char(228, 8364), utf8.len('\\u{20AC}'), #utf8.char(8364))\n",
    "local s = 0 for k, v in pairs({a = 1, b = 2, 10, 20}) do s = s + v end print(s, next({}))\n",
];

const TEXTS: [&str; 6] = [
    "a short text\n",
    "",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the same words again and again, the same words again and again, the same words again and again\n",
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.-;:_#+*~<>|^!\"$%&/()=?\n",
    "{\"name\": \"value\", \"list\": [1, 2, 3, 4, 5, 6, 7], \"more\": {\"name\": \"value\", \"list\": [1, 2, 3]}}\n",
];

const SQL: [&str; 8] = [
    "SELECT 1 + 1, 'text' || 'more', upper('abc');\n",
    "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2), (3, 4), (5, 6); SELECT sum(a), max(b) FROM t;\n",
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE); INSERT INTO t VALUES (1, 'x'), (2, 'x');\n",
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 9) SELECT group_concat(n) FROM c;\n",
    "SELECT printf('%05d %s %.2f', 42, 'end', 3.14159), substr('hello', 2, 3), instr('abc', 'c');\n",
    "CREATE TABLE t(a); INSERT INTO t VALUES (3), (1), (2); CREATE INDEX i ON t(a); SELECT a FROM t ORDER BY a DESC;\n",
    "SELECT date('2020-02-29', '+1 year'), strftime('%j', '2021-12-31'), julianday('2000-01-01');\n",
    "SELECT nothing FROM nowhere;\n",
];

impl Project {
    /// The incidents' folders, as the releases are made from them.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let wanted: Vec<String> = self.incidents.iter().map(|id| (*id).to_owned()).collect();
        entry::read(&wanted)
    }

    /// Whether it is compiled.
    pub fn is_native(&self) -> Result<bool> {
        let entries = self.entries()?;
        Ok(entries.iter().all(|entry| !matches!(entry.obtain.kind, Kind::Npm | Kind::Pip)))
    }

    /// At most `count` consecutive releases.
    pub fn versions(&self, count: usize) -> Result<Vec<String>> {
        if !self.versions.is_empty() {
            return Ok(self.versions.iter().take(count).map(|version| (*version).to_owned()).collect());
        }
        let entry = self.entries()?.into_iter().next_back().context("no incident")?;
        let all = stable_versions(&entry)?;
        // The last incident's fix and one more release.
        let at = all.iter().position(|version| *version == entry.fixed).context("the registry lacks it")?;
        let end = (at + 2).min(all.len());
        Ok(all[end.saturating_sub(count)..end].to_vec())
    }

    /// One release as an artifact, for the role of `entry`: a program, or a tree as one archive.
    pub fn artifact(&self, entry: &Entry, version: &str) -> Result<PathBuf> {
        let home = obtain::home().join("releases");
        std::fs::create_dir_all(&home)?;
        let kept = home.join(format!("{}-{}-{version}", self.name, entry.role));
        if kept.exists() {
            return Ok(kept);
        }
        let mut other = entry.clone();
        other.vulnerable = version.to_owned();
        if let Some(harness) = self.harness {
            other.folder = shell::root().join("xtask/carryover/harness").join(harness);
            other.obtain.sources.extend(self.sources.iter().map(|source| (*source).to_owned()));
        }
        let into = home.join(format!("half-{}", self.name));
        if into.exists() {
            std::fs::remove_dir_all(&into)?;
        }
        let subject = obtain::release(&other, &into)?;
        let half = home.join(format!("half-{}.file", self.name));
        if subject.is_dir() {
            let mut tar = Command::new("tar");
            tar.args(["--sort=name", "--mtime=@0", "-czf"]).arg(&half).arg("-C").arg(&subject).arg(".");
            shell::run(&mut tar)?;
        } else {
            std::fs::copy(&subject, &half)?;
        }
        std::fs::rename(&half, &kept)?;
        std::fs::remove_dir_all(&into)?;
        Ok(kept)
    }
}

/// Every release of a package that an interpreter runs, by the registry's own order, without previews.
pub fn stable_versions(entry: &Entry) -> Result<Vec<String>> {
    let package = entry.obtain.package.as_ref().unwrap_or(&entry.package);
    let mut all: Vec<String> = match entry.obtain.kind {
        Kind::Npm => {
            let output = Command::new("npm").args(["view", package, "versions", "--json"]).output()?;
            serde_json::from_slice(&output.stdout).context("npm's answer")?
        }
        _ => {
            let output =
                Command::new("python3").args(["-m", "pip", "index", "versions", package]).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let list = text.split_once("Available versions: ").context("pip's answer")?.1;
            let line = list.lines().next().unwrap_or_default();
            let mut newest_first: Vec<String> = line.split(", ").map(str::to_owned).collect();
            newest_first.reverse();
            newest_first
        }
    };
    all.retain(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'));
    Ok(all)
}
