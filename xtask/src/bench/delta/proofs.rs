//! Proofs from two files alone, by the program that people run: how long making and checking one takes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use assay_binary::{Address, CodeMap, Image, UnitKind};
use assay_delta::{DeltaProof, Executed, Prover};
use assay_evidence::json;

use super::{Row, quantile};
use crate::corpus::releases::PROJECTS;
use crate::deltas::Pair;
use crate::dist;
use crate::shell::{self, step};

/// Budgets, in milliseconds.
const P50_BUDGET: f64 = 1000.0;
const P95_BUDGET: f64 = 5000.0;
/// Consecutive releases of each project.
const RELEASES: usize = 10;
/// How often functions that do not correspond are left out before a pair counts as not provable.
const ROUNDS: usize = 60;

/// Rows for the pairs of the corpus and those that are built here.
pub fn rows(pairs: &[Pair], skipped: &mut Vec<String>) -> Result<Vec<Row>> {
    let program = dist::build()?;
    let built = built(skipped)?;
    step("proofs from two files");
    let folder = shell::target().join("bench-delta-proofs");
    std::fs::create_dir_all(&folder)?;
    let (mut tried, mut checked) = (Vec::new(), Vec::new());
    for (a, b) in pairs.iter().map(|pair| (&pair.a, &pair.b)).chain(built.iter().map(|(a, b)| (a, b))) {
        tried.push(timed(Command::new(&program).args(["delta", "prove"]).arg(a).arg(b))?.0);
    }
    for (a, b) in &built {
        let Some(proof) = largest(&std::fs::read(a)?, &std::fs::read(b)?) else { continue };
        let file = folder.join("proof.json");
        std::fs::write(&file, json::canonical(&proof)?)?;
        let (took, said) = timed(Command::new(&program).args(["delta", "check"]).arg(&file).arg(a).arg(b))?;
        ensure!(said, "a proof of {} -> {} is not valid", a.display(), b.display());
        checked.push(took);
    }
    std::fs::remove_dir_all(&folder)?;
    let row = |what: &str, name: &str, times: &[f64], share: f64, budget: f64| {
        let what = format!("{what} ({} pairs), {name}", times.len());
        Row::new(what, quantile(times, share), "ms, whole command").at_most(budget)
    };
    Ok(vec![
        row("delta prove, proof or refusal", "p50", &tried, 0.5, P50_BUDGET),
        row("delta prove, proof or refusal", "p95", &tried, 0.95, P95_BUDGET),
        row("delta check of a proof", "p50", &checked, 0.5, P50_BUDGET),
        row("delta check of a proof", "p95", &checked, 0.95, P95_BUDGET),
    ])
}

/// Consecutive releases that are compiled here, with their symbols.
fn built(skipped: &mut Vec<String>) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut pairs = Vec::new();
    for project in &PROJECTS {
        if !project.is_native()? {
            continue;
        }
        step(&format!("releases of {}", project.name));
        let entry = project.entries()?.into_iter().next().context("no incident")?;
        let mut files = Vec::new();
        for version in project.versions(RELEASES)? {
            match project.artifact(&entry, &version) {
                Ok(file) => files.push(file),
                Err(error) => skipped.push(format!("{} {version}: {error:#}", project.name)),
            }
        }
        pairs.extend(files.windows(2).map(|two| (two[0].clone(), two[1].clone())));
    }
    Ok(pairs)
}

/// Milliseconds, and whether the program said yes; an error where it neither said yes nor no.
fn timed(command: &mut Command) -> Result<(f64, bool)> {
    let started = Instant::now();
    let status = command.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    ensure!(matches!(status.code(), Some(0 | 1)), "{command:?} failed ({status})");
    Ok((took, status.success()))
}

/// The proof over all functions but those that do not correspond: the largest there is, and so the one
/// that takes longest to check. None where the files themselves are refused.
fn largest(a: &[u8], b: &[u8]) -> Option<DeltaProof> {
    let prover = Prover::read(a, b).ok()?;
    let image = Image::parse(a).ok()?;
    let map = CodeMap::build(&image);
    let functions = map.units().iter().filter(|unit| unit.kind == UnitKind::Function);
    let mut left: Vec<(&str, Address)> = functions.map(|unit| (unit.name.as_str(), unit.entry)).collect();
    for _ in 0..ROUNDS {
        let executed: Vec<Address> = left.iter().map(|(_, entry)| *entry).collect();
        let refusals = match prover.prove(Executed::Units(&executed)) {
            Ok(proof) => return Some(proof).filter(|proof| !proof.executed.is_empty()),
            Err(refusals) => refusals,
        };
        let places: BTreeSet<&str> = refusals.iter().map(|refusal| refusal.place.as_str()).collect();
        let before = left.len();
        left.retain(|(name, _)| !places.contains(name));
        if left.len() == before {
            return None;
        }
    }
    None
}
