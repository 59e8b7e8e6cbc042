//! `cargo xtask bench witness`: the runner beside native runs and bubblewrap, in one run.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Row, median, quantile};
use crate::dist;
use crate::incidents::{self, Build};
use crate::shell::{self, Assay, list, step, text};

/// Budgets.
const SANDBOX_BUDGET: f64 = 4.0;
const CLOCK_BUDGET: f64 = 10.0;
const COVERAGE_BUDGET: f64 = 2.0;
const WORKERS_BUDGET: f64 = 1.1;
const CACHED_P50: f64 = 1.0;
const CACHED_P99: f64 = 5.0;
/// At most this many times the native run.
const RATIOS: [(&str, f64); 6] = [
    ("CPython: time", 2.0),
    ("CPython, 6 threads", 2.0),
    ("Node: print", 1.3),
    ("Node: HTTP", 2.5),
    ("JVM", 2.5),
    ("sqlite3", 2.0),
];
/// Cached verdicts asked for through the API.
const ASKED: usize = 1000;

pub fn run(as_json: bool) -> Result<()> {
    step("building the runner's own measurement, optimised");
    let mut command = shell::cargo();
    command.args(["run", "--release", "--locked", "--quiet", "-p", "assay-witness", "--example", "runner"]);
    let output = command.stderr(Stdio::inherit()).output()?;
    let measured: Value = serde_json::from_slice(&output.stdout).context("the measurement failed")?;
    let mut rows: Vec<Row> = list(&measured, "rows").iter().flat_map(rows).collect();
    step("cached verdicts through the API");
    rows.extend(cached()?);
    let document = json!({ "bench": "witness", "rows": rows, "skipped": measured["skipped"] });
    super::print("medians of one run; peer: native, or what the row names", &document, as_json);
    Ok(())
}

fn times(row: &Value, key: &str) -> Vec<f64> {
    list(row, key).iter().filter_map(Value::as_f64).collect()
}

fn rows(measured: &Value) -> Vec<Row> {
    let of = |key: &str| median(&times(measured, key));
    let (native, exact) = (of("native"), of("exact"));
    vec![match text(measured, "name") {
        "sandbox" => {
            let peer = of("bubblewrap");
            let beats = exact.zip(peer).map(|(ours, peer)| ours <= SANDBOX_BUDGET && ours <= peer);
            let unit = "ms; peer: bubblewrap, all namespaces";
            Row::new("cold replay of /bin/true", exact, unit).peer(peer).judged(Some(SANDBOX_BUDGET), beats)
        }
        "workers" => return workers(measured),
        "coverage" => {
            let what = format!("coverage of CPython, {} entries", measured["entries"]);
            let row = Row::new(what, of("on"), "ms; peer: without; budget: ratio").peer(of("off"));
            row.ratio_at_most(COVERAGE_BUDGET).with("executed", measured["executed"].clone())
        }
        name @ ("clock_gettime" | "clock_gettime, C library") => {
            let calls = measured["per"].as_f64();
            let per_call = |times: Option<f64>| Some(times? * 1000.0 / calls?);
            let over = per_call(exact).zip(per_call(native)).map(|(ours, peer)| ours - peer);
            let row = Row::new(format!("{name}, over native"), over, "us per call").peer(per_call(native));
            row.at_most(CLOCK_BUDGET)
        }
        "true" => Row::new("/bin/true beside native", exact, "ms").peer(native),
        name => {
            let row = Row::new(name, exact, "ms; budget: ratio").peer(native);
            match RATIOS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
                Some((_, most)) => row.ratio_at_most(*most),
                None => row,
            }
        }
    }]
}

/// The cheaper of two measurements each, since the machine is shared.
fn workers(measured: &Value) -> Vec<Row> {
    let least = |workers: u64, key: &str| {
        let figures = list(measured, "figures").iter().filter(|figure| figure["workers"] == workers);
        figures.filter_map(|figure| figure[key].as_f64()).min_by(f64::total_cmp)
    };
    let row = |what: &str, key: &str| Row::new(what, least(2, key), "ms; peer: one").peer(least(1, key));
    vec![
        row("CPU time per replay, two workers", "cpu").ratio_at_most(WORKERS_BUDGET),
        row("wall time per replay, two workers", "wall"),
    ]
}

/// A verified release asked about again and again over one connection.
fn cached() -> Result<Vec<Row>> {
    let home = shell::target().join("bench-witness");
    let data = home.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).context("the data of the last bench cannot be removed")?;
    }
    std::fs::create_dir_all(&home)?;
    let assay = Assay::of(dist::build()?, data);
    assay.expect(0, &["key", "new"])?;
    let corpus = incidents::all()?;
    let incident = corpus.iter().find(|incident| incident.id == "RUSTSEC-2024-0006");
    let incident = incident.context("the corpus lacks RUSTSEC-2024-0006")?;
    assay.expect(0, &["incident", "define", &incident.folder.join("incident.toml").to_string_lossy()])?;
    super::verify::record(&assay, incident, &incident.build(Build::Vulnerable, &home)?, &home)?;
    let fixed = format!("{}={}", incident.role, incident.build(Build::Fixed, &home)?.display());
    assay.expect(0, &["release", "create", "fixed", "--artifact", &fixed])?;
    let verified = assay.expect(0, &["verify", "fixed"])?.json;
    let verdict = &list(&verified, "verdicts").first().context("nothing was verified")?;
    let path =
        format!("/api/v1/witnesses/{}/verdicts/{}", text(verdict, "witness"), text(verdict, "artifact"));
    let token = text(&assay.expect(0, &["token", "new", "--scope", "write"])?.json, "token").to_owned();
    let (mut server, address) = serve(&assay)?;
    let asked = ask(&address, &path, &token);
    let _ = server.kill();
    let _ = server.wait();
    let times = asked?;
    let unit = "ms through the API";
    let cached =
        |what: &str, share: f64, budget: f64| Row::new(what, quantile(&times, share), unit).at_most(budget);
    Ok(vec![cached("cached verdict, p50", 0.5, CACHED_P50), cached("cached verdict, p99", 0.99, CACHED_P99)])
}

fn serve(assay: &Assay) -> Result<(Child, String)> {
    let mut command = assay.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut said = String::new();
    let mut output = server.stdout.take().context("the server has no output")?;
    let mut byte = [0];
    while !said.contains('}') {
        if output.read(&mut byte)? == 0 {
            bail!("the server ended: {said}");
        }
        said.push(char::from(byte[0]));
    }
    let ready: Value = serde_json::from_str(&said)?;
    Ok((server, text(&ready, "listening").to_owned()))
}

/// Asks for the same verdict over one kept connection; milliseconds of each answer.
fn ask(address: &str, path: &str, token: &str) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://"))?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: assay\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let started = Instant::now();
        stream.write_all(request.as_bytes())?;
        let answer = read_answer(&mut stream)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if !answer.contains("\"cached\"") {
            bail!("the verdict was not cached: {answer}");
        }
    }
    Ok(times)
}

fn read_answer(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let got = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..got]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| Some(line.strip_prefix("content-length: ")?.parse::<usize>()));
            if body.len() >= length.context("an answer without a length")?? {
                return Ok(text.into_owned());
            }
        }
        if got == 0 {
            bail!("the server closed the connection: {text}");
        }
    }
}
