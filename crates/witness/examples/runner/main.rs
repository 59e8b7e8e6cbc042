//! Runs real programs natively and exactly, in turn, and prints the times in milliseconds as JSON: what
//! `cargo xtask bench witness` makes its table of.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example's output is its purpose")]

mod programs;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use assay_binary::{CodeMap, Image};
use assay_witness::{CoveragePlan, Ending, Host, RecordRequest, Recording, ReplayRequest, record, replay};
use programs::Program;
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let host = Host::probe()?;
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut rows = Vec::new();
    let mut skipped = Vec::new();
    for program in programs::all(folder.path())? {
        eprintln!("{}", program.name);
        match measure(&program, &host) {
            Ok(row) => rows.push(row),
            Err(error) => skipped.push(format!("{}: {error}", program.name)),
        }
    }
    rows.push(sandbox(&host)?);
    rows.push(two_workers(&host)?);
    match coverage(&host) {
        Ok(row) => rows.push(row),
        Err(error) => skipped.push(format!("coverage: {error}")),
    }
    println!("{}", json!({ "rows": rows, "skipped": skipped }));
    Ok(())
}

fn request(program: &Program) -> RecordRequest {
    let variables = [("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("HOME", "/")];
    RecordRequest {
        command: program.command.clone(),
        working_directory: "/".to_owned(),
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        seed: 1,
        provenance: Vec::new(),
        ..RecordRequest::default()
    }
}

/// A native run, its output thrown away; milliseconds.
fn native(command: &[String]) -> Result<f64, Failed> {
    let mut run = Command::new(&command[0]);
    run.args(&command[1..]).env_clear().envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("HOME", "/")]);
    run.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = run.status()?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    if status.success() { Ok(took) } else { Err(format!("ended with {status}").into()) }
}

fn exact(recording: &Recording, how: &ReplayRequest, host: &Host) -> Result<f64, Failed> {
    let started = Instant::now();
    let report = replay(&recording.capsule, recording, how, host)?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    match report.ending {
        Ending::Exited { code: 0 } => Ok(took),
        other => Err(format!("the replay ended with {other:?}").into()),
    }
}

fn recorded(program: &Program, host: &Host) -> Result<Recording, Failed> {
    let recording = record(&request(program), host)?;
    match &recording.report.ending {
        Ending::Exited { code: 0 } => Ok(recording),
        other => Err(format!("the recording ended with {other:?}").into()),
    }
}

fn measure(program: &Program, host: &Host) -> Result<Value, Failed> {
    native(&program.command)?;
    let recording = recorded(program, host)?;
    let how = ReplayRequest::default();
    let (mut plain, mut replayed) = (Vec::new(), Vec::new());
    for _ in 0..program.rounds {
        plain.push(native(&program.command)?);
        replayed.push(exact(&recording, &how, host)?);
    }
    Ok(json!({
        "name": program.name, "native": plain, "exact": replayed, "per": program.calls,
        "events": recording.report.events,
    }))
}

/// `/bin/true`, with every namespace, beside bubblewrap doing the same.
fn sandbox(host: &Host) -> Result<Value, Failed> {
    const ROUNDS: usize = 60;
    let program = Program::of("sandbox", &["/bin/true"], ROUNDS);
    let recording = recorded(&program, host)?;
    let peer: Vec<String> =
        "bwrap --unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp /bin/true"
            .split(' ')
            .map(str::to_owned)
            .collect();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.extend(native(&peer));
        ours.push(exact(&recording, &ReplayRequest::default(), host)?);
    }
    Ok(json!({ "name": "sandbox", "bubblewrap": theirs, "exact": ours }))
}

/// CPU time of this process and its children in milliseconds, by the kernel's clock ticks.
fn cpu_milliseconds() -> Result<f64, Failed> {
    const TICK: f64 = 10.0;
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 = fields[11..15].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks * TICK)
}

/// CPU time of one replay with one worker and with two.
fn two_workers(host: &Host) -> Result<Value, Failed> {
    const REPLAYS: usize = 40;
    let program = Program::of("workers", &["/usr/bin/python3", "-c", "print(sum(range(300000)))"], 1);
    let recording = recorded(&program, host)?;
    let work = |count: usize| -> Result<(), String> {
        (0..count).try_for_each(|_| {
            exact(&recording, &ReplayRequest::default(), host).map(drop).map_err(|error| error.to_string())
        })
    };
    let mut figures = Vec::new();
    for workers in [1usize, 2, 1, 2] {
        let (cpu, wall) = (cpu_milliseconds()?, Instant::now());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(REPLAYS / workers))).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or(Err("a worker failed".to_owned())))
        })
        .map_err(|error: String| error)?;
        figures.push(json!({
            "workers": workers,
            "cpu": (cpu_milliseconds()? - cpu) / REPLAYS as f64,
            "wall": wall.elapsed().as_secs_f64() * 1e3 / REPLAYS as f64,
        }));
    }
    Ok(json!({ "name": "workers", "figures": figures }))
}

/// CPython with every function of its executable watched, and without.
fn coverage(host: &Host) -> Result<Value, Failed> {
    const ROUNDS: usize = 15;
    let python = std::fs::canonicalize("/usr/bin/python3")?;
    let python = python.to_string_lossy().into_owned();
    let program = Program::of("coverage", &[&python, "-c", "import json; print(json.dumps([1, 2]))"], 1);
    let recording = recorded(&program, host)?;
    let plan = plan(&python)?;
    let entries = plan.entries.len();
    let watching = ReplayRequest { coverage: vec![plan], ..ReplayRequest::default() };
    let (mut off, mut on, mut executed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        off.push(exact(&recording, &ReplayRequest::default(), host)?);
        on.push(exact(&recording, &watching, host)?);
        let report = replay(&recording.capsule, &recording, &watching, host)?;
        executed = report.functions_executed.len();
    }
    Ok(json!({ "name": "coverage", "off": off, "on": on, "entries": entries, "executed": executed }))
}

fn plan(path: &str) -> Result<CoveragePlan, Failed> {
    let bytes = std::fs::read(Path::new(path))?;
    let image = Image::parse(&bytes)?;
    let map = CodeMap::build(&image);
    let entries =
        map.units().iter().flat_map(|unit| unit.entries.iter().map(|entry| entry.address)).collect();
    let traps = map.gaps().iter().map(|gap| gap.start.0..gap.end.0).collect();
    Ok(CoveragePlan { path: path.to_owned(), entries, traps, watch: Vec::new() })
}
