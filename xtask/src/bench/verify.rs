//! `cargo xtask bench verify`: time-to-verify for N incidents x M builds in the three modes.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::median;
use crate::dist;
use crate::incidents::{self, Build};
use crate::shell::{self, Assay, list, step, text};

/// What the design allows, in milliseconds (DESIGN.md: cached <= 1 ms, native cold replay <= 30 ms).
const CACHED_BUDGET: f64 = 1.0;
const REPLAY_BUDGET: f64 = 30.0;
/// How often the cached verification is asked for.
const CACHED_ROUNDS: usize = 5;

pub fn run(as_json: bool) -> Result<()> {
    let home = shell::target().join("bench-verify");
    let data = home.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).context("the data of the last bench cannot be removed")?;
    }
    std::fs::create_dir_all(&home)?;
    let assay = Assay::of(dist::build()?, data);
    let corpus = incidents::all()?;
    assay.expect(0, &["key", "new"])?;
    step("recording and checking");
    for incident in &corpus {
        let definition = incident.folder.join("incident.toml");
        assay.expect(0, &["incident", "define", &definition.to_string_lossy()])?;
        let program = incident.build(Build::Vulnerable, &home)?;
        record(&assay, incident, &program, &home)?;
    }
    let mut times: Times = Times::default();
    for (release, build, baseline) in [
        ("r0", Build::Vulnerable, "r0"),
        ("r1", Build::Fixed, "r0"),
        ("r2", Build::Unrelated, "r1"),
        ("r3", Build::Related, "r1"),
    ] {
        let mut args = vec!["release".to_owned(), "create".to_owned(), release.to_owned()];
        for incident in &corpus {
            let file = incident.build(build, &home)?;
            args.extend(["--artifact".to_owned(), format!("{}={}", incident.role, file.display())]);
        }
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        assay.expect(0, &words)?;
        for _ in 0..=CACHED_ROUNDS {
            times.add(&assay.call(&["verify", release, "--baseline", baseline])?.json);
        }
    }
    print(&times, corpus.len(), as_json);
    Ok(())
}

pub(super) fn record(
    assay: &Assay,
    incident: &incidents::Incident,
    program: &Path,
    home: &Path,
) -> Result<()> {
    let stdin = incident.stdin(home)?.to_string_lossy().into_owned();
    let program = program.to_string_lossy();
    let mut args =
        vec!["witness", "record", "--incident", &incident.id, "--stdin", &stdin, "--json", "--", &program];
    args.extend(incident.trigger.args.iter().map(String::as_str));
    let output = assay.command(&args).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let recorded: Value = serde_json::from_slice(&output.stdout)?;
    assay.expect(0, &["witness", "check", text(&recorded, "witness"), "-n", "5"]).map(drop)
}

#[derive(Default)]
struct Times {
    replayed: Vec<f64>,
    carried: Vec<f64>,
    cached: Vec<f64>,
    saved: Vec<(f64, f64)>,
}

impl Times {
    fn add(&mut self, verified: &Value) {
        for verdict in list(verified, "verdicts") {
            let took = verdict["milliseconds"].as_f64().unwrap_or_default();
            // A run that is cut off at its processor time measures the limit, not the runner.
            let cut_off = text(verdict, "verdict") == "reproduced"
                && verdict["replay_milliseconds"].as_f64() > Some(900.0);
            match text(verdict, "mode") {
                "replayed" if !cut_off => self.replayed.push(took),
                "carried_over" => self.carried.push(took),
                "cached" => self.cached.push(took),
                _ => {}
            }
        }
        let total = verified["milliseconds"].as_f64().unwrap_or_default();
        self.saved.push((total, verified["replay_all_milliseconds"].as_f64().unwrap_or_default()));
    }
}

fn print(times: &Times, incidents: usize, as_json: bool) {
    // The peer is replaying everything: what one does without Assay's reuse.
    let replayed = median(&times.replayed);
    let row = |what: &str, ours: Option<f64>, budget: Option<f64>| {
        json!({
            "what": what, "ours": ours, "peer": replayed, "unit": "ms, median per verdict",
            "ratio": ours.zip(replayed).map(|(ours, peer)| ours / peer),
            "budget": budget, "within": ours.zip(budget).map(|(ours, budget)| ours <= budget),
        })
    };
    let (took, all): (f64, f64) =
        times.saved.iter().fold((0.0, 0.0), |(took, all), (t, a)| (took + t, all + a));
    let rows = vec![
        row("replayed", replayed, Some(REPLAY_BUDGET)),
        row("carried_over", median(&times.carried), None),
        row("cached", median(&times.cached), Some(CACHED_BUDGET)),
        json!({ "what": "all verifications of the run", "ours": took, "peer": all, "unit": "ms, sum", "ratio": took / all, "budget": null, "within": null }),
    ];
    let counts = json!({
        "replayed": times.replayed.len(),
        "carried_over": times.carried.len(),
        "cached": times.cached.len(),
    });
    let document =
        json!({ "bench": "verify", "incidents": incidents, "builds": 4, "counts": counts, "rows": rows });
    let title = format!("{incidents} incidents x 4 builds; peer: replaying everything, same run");
    super::print(&title, &document, as_json);
}
