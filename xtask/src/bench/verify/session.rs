//! Recording many witnesses and verifying releases through the program.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::counts::Tally;
use super::inputs::Input;
use crate::shell::{Assay, text};

/// Recordings under way at once.
const PARALLEL: usize = 3;
/// Replays before a witness is admitted: one at the fixed layout and one elsewhere; the corpus asks for
/// more, and here they would be most of the bench.
const REPLAYS: &str = "2";

/// A witness to record.
#[derive(Clone, Debug)]
pub struct Recording {
    pub incident: String,
    pub role: String,
    pub subject: PathBuf,
    /// The program and what comes before its own arguments.
    pub command: Vec<String>,
    pub environment: Vec<String>,
    pub input: Input,
}

/// Records and checks all of them; how many were admitted, and the first reason why one was not.
pub fn record_all(assay: &Assay, recordings: &[Recording], folder: &Path) -> Result<(usize, Option<String>)> {
    std::fs::create_dir_all(folder)?;
    let (next, admitted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let refused = Mutex::new(None);
    let work = || -> Result<()> {
        while let Some(recording) = recordings.get(next.fetch_add(1, Ordering::Relaxed)) {
            match record(assay, recording, folder)? {
                None => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                Some(reason) => {
                    let mut refused = refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    refused.get_or_insert(format!("{}: {reason}", recording.incident));
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("died"))?)
    })?;
    Ok((admitted.into_inner(), refused.into_inner().unwrap_or_default()))
}

/// None where it was admitted, else why not. Where the program ends as if all were well, nothing but its
/// end shows the incident, and that has to be said.
fn record(assay: &Assay, recording: &Recording, folder: &Path) -> Result<Option<String>> {
    match recorded(assay, recording, folder, None)? {
        Some(reason) if reason.contains("say what shows") => {
            recorded(assay, recording, folder, Some("exit=0"))
        }
        done => Ok(done),
    }
}

fn recorded(
    assay: &Assay,
    recording: &Recording,
    folder: &Path,
    shows: Option<&str>,
) -> Result<Option<String>> {
    let stdin = folder.join(format!("{}.stdin", recording.incident));
    std::fs::write(&stdin, &recording.input.stdin)?;
    let subject = format!("{}={}", recording.role, recording.subject.display());
    let stdin_path = stdin.to_string_lossy();
    let mut args = vec!["witness", "record", "--incident", &recording.incident, "--subject", &subject];
    args.extend(["--stdin", &stdin_path, "--check", REPLAYS, "--json"]);
    args.extend(shows.into_iter().flat_map(|shows| ["--expect", shows]));
    for variable in &recording.environment {
        args.extend(["--env", variable]);
    }
    args.push("--");
    args.extend(recording.command.iter().chain(&recording.input.args).map(String::as_str));
    let output = assay.command(&args).output()?;
    std::fs::remove_file(&stdin)?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if answer["check"]["admitted"].as_bool() == Some(true) {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Some(said.trim().lines().last().unwrap_or("the replays disagree").chars().take(300).collect()))
}

/// Creates a release of `(role, file)`.
pub fn release(assay: &Assay, name: &str, artifacts: &[(String, PathBuf)]) -> Result<()> {
    let mut args = vec!["release".to_owned(), "create".to_owned(), name.to_owned()];
    for (role, file) in artifacts {
        args.extend(["--artifact".to_owned(), format!("{role}={}", file.display())]);
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    assay.expect(0, &words).map(drop)
}

/// Verifies a release; the answer, and the seconds that the whole command took.
pub fn verify(assay: &Assay, name: &str, baseline: Option<&str>) -> Result<(Value, f64)> {
    let mut args = vec!["verify", name];
    args.extend(baseline.into_iter().flat_map(|baseline| ["--baseline", baseline]));
    let started = std::time::Instant::now();
    let answer = assay.call(&args)?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(answer.json["verdicts"].is_array(), "{name} was not verified: {} {}", answer.json, answer.stderr);
    Ok((answer.json, seconds))
}

/// Replays every verdict that is stored; how many there are, and the seconds that the whole command took.
///
/// # Errors
/// A verdict is another now: something was reused that should not have been.
pub fn replay_everything(assay: &Assay) -> Result<(u64, f64)> {
    let started = std::time::Instant::now();
    let answer = assay.call(&["witness", "requalify"])?.json;
    let seconds = started.elapsed().as_secs_f64();
    let changes = answer["changes"].as_array().context("nothing was replayed")?;
    for change in changes.iter().take(5) {
        eprintln!("  {} became {}: {change}", text(change, "from"), text(change, "to"));
    }
    ensure!(changes.is_empty(), "{} verdicts are others when replayed", changes.len());
    Ok((answer["unchanged"].as_u64().unwrap_or_default(), seconds))
}

/// Seconds that replaying what was verified would take, where replaying `replayed` verdicts took `seconds`.
///
/// # Errors
/// Nothing was verified or replayed, or a verdict is inconclusive: then nothing is shown.
pub fn as_long(verified: &Tally, replayed: u64, seconds: f64) -> Result<f64> {
    let (verdicts, inconclusive) = (verified.count(), verified.inconclusive());
    ensure!(
        replayed > 0 && verdicts > 0,
        "{verdicts} verdicts, {replayed} of them replayed: nothing is shown"
    );
    ensure!(inconclusive == 0, "{inconclusive} of {verdicts} verdicts are inconclusive");
    Ok(seconds * verdicts as f64 / replayed as f64)
}
