//! Records real programs, replays each several times, and prints how each ended, how many different
//! observations there were, and how long a cold replay takes beside the program alone.
//!
//! `cargo run --release -p assay-witness --example real_programs -- [FILTER] [--replays N] [--talk] [--native]`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example's output is its purpose")]

mod programs;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use assay_witness::{Ending, Host, Limits, RecordRequest, Recording, ReplayRequest, record, replay};
use programs::{PROGRAMS, Program};

struct Options {
    filter: String,
    replays: usize,
    talk: bool,
    native: bool,
}

fn options() -> Options {
    let mut options = Options { filter: String::new(), replays: 4, talk: false, native: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--replays" => options.replays = words.next().and_then(|n| n.parse().ok()).unwrap_or(4),
            "--native" => options.native = true,
            "--talk" => options.talk = true,
            _ => options.filter = word,
        }
    }
    options
}

const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/bin:/bin:/usr/sbin"), ("HOME", "/tmp"), ("LC_ALL", "C")];

/// Milliseconds that the program takes by itself, the best of three.
fn native(command: &[String], folder: &Path) -> Option<f64> {
    let once = || {
        let started = Instant::now();
        let status = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(folder)
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?;
        status.success().then(|| started.elapsed().as_secs_f64() * 1e3)
    };
    (0..3).filter_map(|_| once()).min_by(f64::total_cmp)
}

fn tell(recording: &Recording) {
    let report = &recording.report;
    println!("    {}", String::from_utf8_lossy(&report.stdout.head).replace('\n', "\n    "));
    println!("    {}", String::from_utf8_lossy(&report.stderr.head).replace('\n', "\n    "));
}

fn one(program: &Program, host: &Host, options: &Options) {
    let folder = tempfile::Builder::new().prefix("program").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(command) = program.prepare(folder.path()) else {
        println!("{:28} skipped: not here", program.name);
        return;
    };
    let alone = options.native.then(|| native(&command, folder.path())).flatten();
    let request = RecordRequest {
        command: command.clone(),
        working_directory: folder.path().to_str().unwrap().to_owned(),
        environment: ENVIRONMENT.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        limits: Limits::default(),
        ..RecordRequest::default()
    };
    let recording = match record(&request, host) {
        Ok(recording) => recording,
        Err(error) => return println!("{:28} cannot be recorded: {error:?}", program.name),
    };
    if options.talk || !matches!(recording.report.ending, Ending::Exited { code: 0 }) {
        tell(&recording);
    }
    let how = ReplayRequest { keep_trace: Some(3_000_000), ..ReplayRequest::default() };
    let mut seen = BTreeSet::new();
    let mut best = f64::INFINITY;
    let mut first: Option<assay_witness::RunReport> = None;
    for _ in 0..options.replays {
        let started = Instant::now();
        let report = replay(&recording.capsule, &recording, &how, host).unwrap();
        best = best.min(started.elapsed().as_secs_f64() * 1e3);
        seen.insert((report.trace_digest, report.stdout.digest, format!("{:?}", report.ending)));
        match &first {
            Some(first) if first.trace_digest != report.trace_digest => {
                let differs = first.trace.iter().zip(&report.trace).position(|(a, b)| a != b);
                let at = differs.unwrap_or(first.trace.len().min(report.trace.len()));
                println!(
                    "    differs at event {at}:\n      {:?}\n      {:?}",
                    first.trace.get(at),
                    report.trace.get(at)
                );
            }
            Some(_) => {}
            None => first = Some(report),
        }
    }
    let first = first.unwrap();
    let same = seen.len() == 1 && first.stdout.digest == recording.report.stdout.digest;
    let good = same && matches!(first.ending, Ending::Exited { code: 0 });
    if options.talk || !good {
        for line in first.trace.iter().rev().take(12).rev() {
            println!("      {line}");
        }
    }
    let alone = alone.map_or("?".to_owned(), |ms| format!("{ms:.1}"));
    println!(
        "{} {:26} {:?} {} distinct, {} events, alone {alone} ms, replay {best:.1} ms",
        if good { "ok  " } else { "FAIL" },
        program.name,
        first.ending,
        seen.len(),
        first.events,
    );
}

fn main() {
    let options = options();
    let host = Host::probe().unwrap();
    for program in PROGRAMS.iter().filter(|program| program.name.contains(&options.filter)) {
        one(program, &host, &options);
    }
}
