//! `cargo xtask demo`: the main job, end to end, on real incidents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::incidents::{self, Build, Incident};
use crate::prerequisites;
use crate::shell::{self, Assay, list, step, text};
use crate::words::Words;

/// Where the console listens.
const CONSOLE: &str = "127.0.0.1:7878";
/// How often each witness is replayed before it is admitted.
const REPLAYS: &str = "10";

/// How the demo runs.
pub struct Options {
    /// Serve the console at the end.
    pub serve: bool,
    /// Print one JSON document.
    pub json: bool,
}

impl Options {
    /// `[--no-serve] [--json]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { serve: true, json: false };
        let mut words = Words::new(words);
        while let Some(option) = words.option() {
            match option {
                "--json" => options.json = true,
                "--no-serve" => options.serve = false,
                _ => return words.unknown(),
            }
        }
        Ok(options)
    }
}

/// What the demo gathers.
#[derive(Default)]
struct Report {
    incidents: Vec<Value>,
    verifications: Vec<Value>,
    decisions: Vec<Value>,
    stacks: Vec<Value>,
    times: Vec<(String, f64, f64)>,
}

/// The programs of the corpus, by build and role.
type Programs = BTreeMap<&'static str, BTreeMap<String, PathBuf>>;

pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    prerequisites::for_demo()?;
    let home = shell::target().join("demo");
    let data = home.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).context("the data of the last demo cannot be removed")?;
    }
    std::fs::create_dir_all(&home)?;
    step("building assay");
    let assay = Assay::build(data)?;
    let corpus = incidents::all()?;
    let programs = build_programs(&corpus, &home)?;
    let mut report = Report::default();
    assay.expect(0, &["doctor"]).context("this machine cannot run witnesses")?;
    let key = assay.expect(0, &["key", "new"])?;
    eprintln!("no signing key was named, so one was made: {}", text(&key.json, "key"));
    record(&assay, &corpus, &programs, &home, &mut report)?;
    match_reports(&assay, &corpus, &mut report)?;
    releases(&assay, &programs)?;
    verify_all(&assay, &corpus, &programs, &home, &mut report)?;
    let log = prove(&assay, &home)?;
    summary(&report, &log, started);
    if options.json {
        let document = json!({
            "incidents": report.incidents,
            "stacks": report.stacks,
            "verifications": report.verifications,
            "decisions": report.decisions,
            "log": log,
            "milliseconds": started.elapsed().as_secs_f64() * 1000.0,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    }
    if options.serve {
        step(&format!("the console: http://{CONSOLE}  (Ctrl-C ends it)"));
        shell::run(&mut assay.command(&["serve", "--listen", CONSOLE]))?;
    }
    Ok(())
}

fn build_programs(corpus: &[Incident], home: &Path) -> Result<Programs> {
    step(&format!("building {} programs, each at the vulnerable and the fixed version", corpus.len()));
    let into = home.join("programs");
    let mut programs = Programs::new();
    for build in Build::ALL {
        for incident in corpus {
            let file = incident.build(build, &into)?;
            programs.entry(build.name()).or_default().insert(incident.role.clone(), file);
        }
        eprintln!("  {}", build.name());
    }
    Ok(programs)
}

fn record(
    assay: &Assay,
    corpus: &[Incident],
    programs: &Programs,
    home: &Path,
    report: &mut Report,
) -> Result<()> {
    step(&format!("recording each incident once, then replaying it {REPLAYS} times"));
    for incident in corpus {
        let file = incident.folder.join("incident.toml");
        assay.expect(0, &["incident", "define", &file.to_string_lossy()])?;
        let program = programs["vulnerable"][&incident.role].to_string_lossy().into_owned();
        let stdin = incident.stdin(home)?.to_string_lossy().into_owned();
        let mut args = vec![
            "witness",
            "record",
            "--incident",
            &incident.id,
            "--stdin",
            &stdin,
            "--json",
            "--",
            &program,
        ];
        args.extend(incident.trigger.args.iter().map(String::as_str));
        let recorded = call_as_is(assay, &args)?;
        let witness = text(&recorded, "witness").to_owned();
        let checked = assay.expect(0, &["witness", "check", &witness, "-n", REPLAYS])?.json;
        let sensitive = checked["layout_sensitive"].as_bool() == Some(true);
        eprintln!(
            "  {:<18} {:<14} {} files, {} events; {} replays, {} elsewhere: {} observation{}",
            incident.id,
            text(&recorded["observation"], "ending"),
            recorded["files"],
            recorded["events"],
            checked["replays"],
            checked["replays_elsewhere"],
            checked["distinct_observations"],
            if sensitive { " (layout-sensitive: never carried over)" } else { "" },
        );
        ensure!(checked["distinct_observations"] == 1, "{} has several observations", incident.id);
        report.incidents.push(json!({
            "id": incident.id,
            "ecosystem": incident.ecosystem,
            "witness": witness,
            "observation": recorded["observation"]["ending"],
            "replays": checked["replays"],
            "replays_elsewhere": checked["replays_elsewhere"],
            "distinct_observations": checked["distinct_observations"],
            "layout_sensitive": sensitive,
        }));
    }
    Ok(())
}

/// A call whose arguments hold `--json` already, since what follows `--` is the witness's own.
fn call_as_is(assay: &Assay, args: &[&str]) -> Result<Value> {
    let output = assay.command(args).output().context("assay did not start")?;
    if !output.status.success() {
        bail!("assay {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn match_reports(assay: &Assay, corpus: &[Incident], report: &mut Report) -> Result<()> {
    step("the stack of each crashing incident, captured by the runner at the fault");
    for incident in corpus.iter().filter(|incident| !incident.reports().is_empty()) {
        let shown = assay.command(&["stack", "explain", &incident.id]).output()?;
        eprintln!("{}\n{}", incident.id, indent(&String::from_utf8_lossy(&shown.stdout)));
    }
    step("finding the incidents again from the text that a person would paste");
    for incident in corpus {
        for file in incident.reports() {
            let found = assay.call(&["stack", "match", &file.to_string_lossy()])?;
            let best = list(&found.json, "matches").first().cloned().unwrap_or_default();
            let hit = found.code == 0 && text(&best, "incident") == incident.id;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let word = if hit { "found" } else { "NOT FOUND" };
            eprintln!("  {:<18} {name:<24} {word}", incident.id);
            report.stacks.push(json!({
                "incident": incident.id, "text": name, "found": hit,
                "matched": best["incident"], "probability": best["probability"],
            }));
        }
    }
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn create(assay: &Assay, name: &str, programs: &BTreeMap<String, PathBuf>) -> Result<()> {
    let mut args = vec!["release".to_owned(), "create".to_owned(), name.to_owned()];
    for (role, file) in programs {
        args.extend(["--artifact".to_owned(), format!("{role}={}", file.display())]);
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    assay.expect(0, &words).map(drop)
}

fn releases(assay: &Assay, programs: &Programs) -> Result<()> {
    step("releases");
    create(assay, "app-1.0", &programs["vulnerable"])?;
    create(assay, "app-1.1", &programs["fixed"])?;
    create(assay, "app-1.2", &programs["unrelated-change"])?;
    create(assay, "app-1.3", &programs["related-change"])?;
    eprintln!(
        "  app-1.0 vulnerable, app-1.1 fixed, app-1.2 an unrelated function changed, app-1.3 an executed one"
    );
    Ok(())
}

fn verify_all(
    assay: &Assay,
    corpus: &[Incident],
    programs: &Programs,
    home: &Path,
    report: &mut Report,
) -> Result<()> {
    let reproduced = verify(assay, "app-1.0", None, 1, report)?;
    for incident in corpus {
        let reason = format!("incident_reproduced:{}", incident.id);
        ensure!(list(&reproduced, "reasonCodes").contains(&reason.into()), "{} is not named", incident.id);
    }
    verify(assay, "app-1.1", Some("app-1.0"), 0, report)?;
    let again = verify(assay, "app-1.1", Some("app-1.0"), 0, report)?;
    ensure!(modes(&again, "cached") == corpus.len(), "not every verdict is cached");
    let carried = verify(assay, "app-1.2", Some("app-1.1"), 0, report)?;
    ensure!(modes(&carried, "carried_over") > 0, "nothing was carried over");
    let related = verify(assay, "app-1.3", Some("app-1.1"), 0, report)?;
    ensure!(modes(&related, "replayed") == corpus.len(), "a changed executed function was not replayed");
    impostors(assay, programs, home, report)
}

/// `/bin/true` in place of an artifact says nothing, and a missing artifact is listed as unknown.
fn impostors(assay: &Assay, programs: &Programs, home: &Path, report: &mut Report) -> Result<()> {
    let mut swapped = programs["fixed"].clone();
    let folder = home.join("programs").join("impostor");
    std::fs::create_dir_all(&folder)?;
    let role = swapped.keys().next().cloned().unwrap_or_default();
    let impostor = folder.join(&role);
    std::fs::copy("/bin/true", &impostor).context("/bin/true")?;
    swapped.insert(role.clone(), impostor);
    create(assay, "app-1.4-true", &swapped)?;
    let verified = verify(assay, "app-1.4-true", Some("app-1.1"), 4, report)?;
    let of_role = list(&verified, "verdicts").iter().find(|verdict| text(verdict, "role") == role);
    let verdict = of_role.map(|verdict| text(verdict, "verdict")).unwrap_or_default();
    ensure!(verdict == "inconclusive", "/bin/true gave {verdict}");
    let mut fewer = programs["fixed"].clone();
    fewer.remove(&role);
    create(assay, "app-1.5-without", &fewer)?;
    let verified = verify(assay, "app-1.5-without", Some("app-1.1"), 4, report)?;
    ensure!(list(&verified, "unknown").len() == 1, "the missing artifact is not listed");
    Ok(())
}

fn modes(verified: &Value, mode: &str) -> usize {
    list(verified, "verdicts").iter().filter(|verdict| text(verdict, "mode") == mode).count()
}

fn verify(
    assay: &Assay,
    release: &str,
    baseline: Option<&str>,
    code: i32,
    report: &mut Report,
) -> Result<Value> {
    let mut args = vec!["verify", release];
    let shown = match baseline {
        Some(baseline) => {
            args.extend(["--baseline", baseline]);
            format!("assay verify {release} --baseline {baseline}")
        }
        None => format!("assay verify {release}"),
    };
    step(&shown);
    let answer = assay.expect(code, &args)?;
    let verified = answer.json;
    for verdict in list(&verified, "verdicts") {
        let reasons: Vec<&str> = list(verdict, "not_carried").iter().filter_map(Value::as_str).collect();
        let not_carried = if reasons.is_empty() || reasons == ["no_earlier_run"] {
            String::new()
        } else {
            format!("  (not carried: {})", reasons.join(", "))
        };
        eprintln!(
            "  {:<18} {:<13} {:<14} {:<12} {:>9.2} ms  {}{not_carried}",
            text(verdict, "incident"),
            text(verdict, "role"),
            text(verdict, "verdict"),
            text(verdict, "mode"),
            verdict["milliseconds"].as_f64().unwrap_or_default(),
            text(verdict, "reason"),
        );
        report.verifications.push(json!({
            "release": release,
            "incident": verdict["incident"],
            "verdict": verdict["verdict"],
            "mode": verdict["mode"],
            "reason": verdict["reason"],
            "not_carried": verdict["not_carried"],
            "milliseconds": verdict["milliseconds"],
        }));
    }
    for unknown in list(&verified, "unknown") {
        eprintln!("  {:<18} unknown: {}", text(unknown, "incident"), text(unknown, "reason"));
    }
    let time = verified["milliseconds"].as_f64().unwrap_or_default();
    let all = verified["replay_all_milliseconds"].as_f64().unwrap_or_default();
    eprintln!(
        "  => {} (exit {code}) in {time:.1} ms; replaying everything: {all:.1} ms",
        text(&verified, "decision")
    );
    report.times.push((shown, time, all));
    report.decisions.push(json!({
        "release": release,
        "decision": verified["decision"],
        "reasonCodes": verified["reasonCodes"],
        "decisionId": verified["decisionId"],
        "milliseconds": time,
        "replay_all_milliseconds": all,
    }));
    Ok(verified)
}

/// The log, one proof, and the evidence of a release, verified.
fn prove(assay: &Assay, home: &Path) -> Result<Value> {
    step("the log, a proof, and the evidence to hand over");
    let log = assay.expect(0, &["log", "verify"])?.json;
    eprintln!("  {} leaves under {} heads, verified: {}", log["size"], log["heads"], log["verified"]);
    let shown = assay.expect(0, &["release", "show", "app-1.2"])?.json;
    let statement = text(&list(&shown, "decisions")[0], "statement").to_owned();
    let proof = assay.expect(0, &["log", "prove", &statement])?.json;
    eprintln!(
        "  the decision on app-1.2 is leaf {} with a path of {} hashes",
        proof["index"],
        list(&proof, "path").len()
    );
    let file = home.join("app-1.2-evidence.tar");
    let file = file.to_string_lossy();
    assay.expect(0, &["evidence", "export", "app-1.2", "-o", &file])?;
    let key = text(&proof, "publicKey").to_owned();
    let verified = offline(assay, &["evidence", "verify", &file, "--trust", &key, "--json"])?;
    eprintln!("  {file}: {} statements, verified offline: {}", verified["statements"], verified["verified"]);
    Ok(json!({ "size": log["size"], "root": log["root"], "verified": log["verified"] }))
}

/// A call without any store, and without network where the machine lets us take it away.
fn offline(assay: &Assay, args: &[&str]) -> Result<Value> {
    let mut plain = Command::new(assay.program());
    plain.args(args);
    let mut alone = Command::new("unshare");
    alone.args(["--user", "--map-root-user", "--net"]).arg(assay.program()).args(args);
    let output = match alone.output() {
        Ok(output) if output.status.success() => output,
        _ => plain.output()?,
    };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn summary(report: &Report, log: &Value, started: Instant) {
    step("time to verify");
    eprintln!("  {:<46} {:>12} {:>18} {:>8}", "", "took", "replay everything", "saved");
    for (shown, time, all) in &report.times {
        let saved = if *all > 0.0 { (1.0 - time / all) * 100.0 } else { 0.0 };
        eprintln!("  {shown:<46} {time:>9.1} ms {all:>15.1} ms {saved:>6.0} %");
    }
    let found = report.stacks.iter().filter(|row| row["found"] == true).count();
    eprintln!(
        "\n{} incidents, {} decisions, {found} of {} pasted texts found, {} statements in the log, {:.0} s",
        report.incidents.len(),
        report.decisions.len(),
        report.stacks.len(),
        log["size"],
        started.elapsed().as_secs_f64()
    );
}
