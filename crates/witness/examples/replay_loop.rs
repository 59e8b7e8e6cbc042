//! Records a command and prints how long cold replays of it take, in milliseconds.
#![allow(clippy::print_stdout, reason = "an example's output is its purpose")]

use std::time::Instant;

use assay_witness::{Host, Limits, RecordRequest, ReplayRequest, record, replay};

const REPLAYS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut command: Vec<String> = std::env::args().skip(1).collect();
    if command.is_empty() {
        command.push("/bin/true".to_owned());
    }
    let host = Host::probe()?;
    println!("profile {:?}, Landlock {}", host.profile(), host.landlock_version());
    let request = RecordRequest {
        command,
        working_directory: "/".to_owned(),
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        limits: Limits::default(),
        ..RecordRequest::default()
    };
    let recording = record(&request, &host)?;
    println!(
        "recorded: {:?}, {} files, {} events",
        recording.report.ending,
        recording.capsule.files.len(),
        recording.report.events
    );
    let how =
        ReplayRequest { keep_trace: std::env::var_os("TRACE").map(|_| 5000), ..ReplayRequest::default() };
    let mut times = Vec::new();
    let mut digests = std::collections::BTreeSet::new();
    for turn in 0..REPLAYS {
        let started = Instant::now();
        let report = replay(&recording.capsule, &recording, &how, &host)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        digests.insert((report.trace_digest, report.stdout.digest));
        if turn == 0 {
            println!(
                "replayed: {:?}, {} events, CPU {} us, wall {} us",
                report.ending, report.events, report.cpu_micros, report.wall_micros
            );
            println!("{}", report.trace.join("\n"));
            println!("{}", String::from_utf8_lossy(&report.stdout.head));
            println!("{}", String::from_utf8_lossy(&report.stderr.head));
            for fault in &report.faults {
                println!("{fault:?}");
            }
        }
    }
    times.sort_by(f64::total_cmp);
    println!("{REPLAYS} replays, {} distinct observations", digests.len());
    println!("cold replay: min {:.2} ms, median {:.2} ms", times[0], times[REPLAYS / 2]);
    Ok(())
}
