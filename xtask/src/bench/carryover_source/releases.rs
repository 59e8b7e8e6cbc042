//! How often consecutive releases of the corpus's packages carry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use assay_witness::Host;

use super::subject::Subject;
use super::{Options, tried};
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
    entries.truncate(options.mutants);
    step(&format!("releases of {} packages", entries.len()));
    let (mut pairs, mut carried, mut wrong) = (0u64, 0u64, 0u64);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for entry in &entries {
        let obtained = obtain::one(entry).and_then(|it| Subject::package(entry, &it, &home, host));
        let Some(subject) = tried(&entry.id, obtained) else { continue };
        for version in near(entry, NEXT).unwrap_or_default() {
            let folder = match fetched(entry, &version, &home) {
                Ok(folder) => folder,
                Err(error) => {
                    eprintln!("  {} {version} SKIPPED: {error:#}", entry.package);
                    continue;
                }
            };
            let outcome = subject.judge_folder(&folder, host)?;
            pairs += 1;
            carried += u64::from(outcome.refused.is_none());
            wrong += u64::from(outcome.refused.is_none() && !outcome.same);
            let shown = outcome
                .refused
                .as_ref()
                .map_or("carried".to_owned(), |codes| codes.iter().cloned().collect::<Vec<_>>().join(" "));
            let same = if outcome.same { "same" } else { "different" };
            println!(
                "{:<18} {} {} -> {version}: {shown} ({same})",
                entry.id, entry.package, entry.vulnerable
            );
            for reason in outcome.refused.iter().flatten() {
                *reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        let _ = std::fs::remove_dir_all(home.join(&entry.id));
    }
    println!("{pairs} pairs of releases, {carried} carried, {wrong} of them false");
    for (reason, count) in &reasons {
        println!("  {reason}: {count}");
    }
    ensure!(wrong == 0, "{wrong} carry-overs were false");
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
