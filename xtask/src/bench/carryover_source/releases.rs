//! How often consecutive releases of the corpus's packages carry.
#![expect(clippy::print_stdout, reason = "a command for people")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use assay_witness::Host;
use serde_json::{Value, json};

use super::Options;
use super::subject::Subject;
use crate::bench::Row;
use crate::corpus::entry::{Entry, Kind};
use crate::corpus::obtain;
use crate::corpus::releases::stable_versions;
use crate::shell::{self, step};

/// Releases on either side of the vulnerable one that are asked about.
const NEXT: usize = 2;

/// For every interpreted incident: its witness on the vulnerable release, carried to the ones around it.
pub fn run(options: &Options, host: &Host) -> Result<()> {
    let home = shell::target().join("bench-carryover-releases");
    std::fs::create_dir_all(&home)?;
    let mut entries = crate::corpus::entry::read(&options.only)?;
    entries.retain(|entry| matches!(entry.obtain.kind, Kind::Npm | Kind::Pip));
    step(&format!("releases of {} packages", entries.len()));
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for entry in &entries {
        if let Err(error) = of_package(entry, &home, host, &mut pairs, &mut skipped) {
            skipped.push(format!("{} {}: {error:#}", entry.id, entry.package));
        }
        let _ = std::fs::remove_dir_all(home.join(&entry.id));
    }
    ensure!(!pairs.is_empty(), "no pair of releases could be judged: {}", skipped.join("; "));
    let count = |of: fn(&Pair) -> bool| pairs.iter().filter(|pair| of(pair)).count();
    let (carried, wrong) = (count(Pair::is_carried), count(|pair| pair.is_carried() && !pair.same));
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in pairs.iter().flat_map(|pair| pair.refused.iter().flatten()) {
        *reasons.entry(reason).or_default() += 1;
    }
    let rows = vec![
        Row::new("pairs of releases", pairs.len() as f64, "pairs"),
        Row::new("carried", carried as f64, "pairs"),
        Row::new("carried falsely", (carried > 0).then_some(wrong as f64), "pairs").at_most(0.0),
    ];
    let document = json!({
        "bench": "carryover-source", "rows": rows, "pairs": pairs.iter().map(Pair::document).collect::<Vec<_>>(),
        "reasons": reasons, "skipped": skipped,
    });
    crate::bench::print("consecutive releases; each replayed in the runner", &document, options.json);
    if !options.json {
        pairs.iter().for_each(|pair| println!("{}", pair.line()));
        reasons.iter().for_each(|(reason, count)| println!("  {count:>6} {reason}"));
    }
    ensure!(wrong == 0, "{wrong} carry-overs were false");
    Ok(())
}

/// What became of one pair.
struct Pair {
    id: String,
    /// Why it did not carry, as stable codes.
    refused: Option<BTreeSet<String>>,
    /// Whether a replay shows the same.
    same: bool,
}

impl Pair {
    fn is_carried(&self) -> bool {
        self.refused.is_none()
    }

    fn document(&self) -> Value {
        json!({ "id": self.id, "carried": self.is_carried(), "refused": self.refused, "same": self.same })
    }

    fn line(&self) -> String {
        let codes = self.refused.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        let word = if self.is_carried() { "carried" } else { &codes };
        format!("{}: {word} ({})", self.id, if self.same { "same" } else { "different" })
    }
}

fn of_package(
    entry: &Entry,
    home: &Path,
    host: &Host,
    pairs: &mut Vec<Pair>,
    skipped: &mut Vec<String>,
) -> Result<()> {
    let obtained = obtain::one(entry)?;
    let subject = Subject::package(entry, &obtained, home, host)?;
    for version in near(entry, NEXT)? {
        let id = format!("{} {} {} -> {version}", entry.id, entry.package, entry.vulnerable);
        match fetched(entry, &version, home) {
            Ok(folder) => {
                let outcome = subject.judge_folder(&folder, host)?;
                pairs.push(Pair { id, refused: outcome.refused, same: outcome.same });
            }
            Err(error) => skipped.push(format!("{id}: {error:#}")),
        }
    }
    Ok(())
}

/// The releases around the vulnerable one, by the registry's own order.
fn near(entry: &Entry, count: usize) -> Result<Vec<String>> {
    let stable = stable_versions(entry)?;
    let at = stable.iter().position(|version| *version == entry.vulnerable).context("not in the list")?;
    let first = at.saturating_sub(count);
    Ok((first..=at + count).filter(|near| *near != at).filter_map(|near| stable.get(near).cloned()).collect())
}

fn fetched(entry: &Entry, version: &str, home: &Path) -> Result<PathBuf> {
    let mut other = entry.clone();
    other.vulnerable = version.to_owned();
    let into = home.join("fetched").join(format!("{}-{version}", entry.id));
    if into.exists() {
        std::fs::remove_dir_all(&into)?;
    }
    obtain::release(&other, &into)
}
