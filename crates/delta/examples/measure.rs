//! Measures pairs of files: `measure A B [A B]...` prints one JSON line for each pair; `measure --one FILE`
//! indexes one file on one thread's worth of work and prints its time, text and peak memory.
#![expect(clippy::print_stdout, reason = "its output is read by `cargo xtask bench delta`")]

use std::time::Instant;

use assay_binary::{Module, SectionKind};
use assay_delta::{Index, diff};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--one"
    {
        println!("{}", one(file)?);
        return Ok(());
    }
    for pair in arguments.chunks_exact(2) {
        println!("{}", measured(&pair[0], &pair[1])?);
    }
    Ok(())
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn one(file: &str) -> Outcome<Value> {
    let bytes = std::fs::read(file)?;
    let start = Instant::now();
    let index = Index::build(&bytes)?;
    let (wall, processor, peak) = (milliseconds(start), processor_milliseconds(), peak_bytes());
    let module = Module::parse(&bytes)?;
    let text: u64 = module
        .regions
        .iter()
        .filter(|region| region.kind == SectionKind::Code)
        .map(|region| region.size)
        .sum();
    Ok(json!({
        "file_bytes": bytes.len(), "text_bytes": text, "milliseconds": wall,
        "processor_milliseconds": processor, "peak_bytes": peak,
        "functions": index.functions().len(),
    }))
}

fn measured(a: &str, b: &str) -> Outcome<Value> {
    let (bytes_a, bytes_b) = (std::fs::read(a)?, std::fs::read(b)?);
    let start = Instant::now();
    let (index_a, index_b) = (Index::build(&bytes_a)?, Index::build(&bytes_b)?);
    let cold = milliseconds(start);
    let (kept_a, kept_b) = (index_a.to_bytes(), index_b.to_bytes());
    let start = Instant::now();
    let (index_a, index_b) = (Index::from_bytes(&kept_a)?, Index::from_bytes(&kept_b)?);
    let loaded = milliseconds(start);
    let start = Instant::now();
    let delta = diff(&index_a, &index_b);
    let compared = milliseconds(start);
    let functions = &delta.functions;
    Ok(json!({
        "a": a, "b": b,
        "functions_a": index_a.functions().len(), "functions_b": index_b.functions().len(),
        "cold": cold, "loaded": loaded, "compared": compared, "index_bytes": kept_a.len() + kept_b.len(),
        "unchanged": functions.unchanged, "changed": functions.changed.len(),
        "affected": functions.affected.len(), "added": functions.added.len(),
        "removed": functions.removed.len(), "moved": functions.moved.len(),
        "information": delta.delta_information, "entropy": delta.delta_entropy,
    }))
}

/// Peak resident memory of this process (`VmHWM`), in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

/// User and system time of this process; the kernel counts in hundredths of a second.
fn processor_milliseconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) * 10.0
}
