//! What a user pastes against what the runner captured of the same incident: the texts come from debuggers
//! and panics, with inlined frames and sometimes bare names; the captured stacks from the symbol table.

use std::path::{Path, PathBuf};
use std::time::Instant;

use assay_binary::{Address, Frame, ModuleId};
use assay_stacks::{Index, Item, fingerprint, from_frames, normalize, parse};
use serde::Deserialize;

#[derive(Deserialize)]
struct Captured {
    reason: String,
    frames: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    module: String,
    offset: Address,
    symbol: Option<String>,
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    paths
}

/// Every captured stack, its C library's offsets moved by `shift`, as another build's would be.
fn captured(shift: u64) -> Vec<Item> {
    let item = |path: &PathBuf| {
        let captured: Captured =
            serde_json::from_slice(&std::fs::read(path).expect("readable")).expect("a captured stack");
        let frames: Vec<Frame> = captured
            .frames
            .iter()
            .flat_map(|line| std::iter::repeat_n(line, line.times))
            .map(|line| Frame {
                module: Some(ModuleId { path: line.module.clone(), debug_id: None }),
                offset: if line.module.starts_with("/lib/") {
                    Address(line.offset.0 + shift)
                } else {
                    line.offset
                },
                symbol: line.symbol.clone(),
            })
            .collect();
        Item {
            incident: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            trace: normalize(&from_frames(&frames, Some(&captured.reason))),
            time: None,
        }
    };
    entries(&folder("tests/data/captured")).iter().map(item).collect()
}

fn reports() -> Vec<(String, String, Vec<u8>)> {
    let mut out = Vec::new();
    for incident in entries(&folder("../../incidents")) {
        let reports = incident.join("reports");
        if !reports.is_dir() {
            continue;
        }
        for path in entries(&reports) {
            let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
            out.push((name(&incident), name(&path), std::fs::read(&path).expect("readable")));
        }
    }
    out
}

#[test]
fn every_report_finds_its_captured_incident() {
    let index = Index::build(&captured(0)).expect("four traces");
    let reports = reports();
    let mut failed = Vec::new();
    for (incident, file, text) in &reports {
        let trace = normalize(&parse(text).unwrap_or_else(|error| panic!("{incident} {file}: {error}")));
        let result = index.match_trace(&trace, 4);
        let best = result.matches.first();
        let probability = best.map_or(0.0, |best| best.probability);
        let keys: Vec<&str> = trace.frames.iter().take(6).map(|frame| frame.key()).collect();
        println!(
            "{incident} {file}: {} {probability:.3}, then {:.3} {keys:?}",
            best.map_or("none", |best| best.incident.as_str()),
            result.matches.get(1).map_or(0.0, |second| second.probability)
        );
        if result.new || probability < 0.5 || best.is_none_or(|best| best.incident != *incident) {
            failed.push(format!("{incident} {file}: {result:#?}"));
        }
    }
    assert!(reports.len() >= 12, "{}", reports.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_other_way_round() {
    // Known from a pasted text, asked for with a captured stack.
    for (incident, file, text) in reports() {
        let trace = normalize(&parse(&text).expect("read above"));
        if trace.frames.iter().all(|frame| frame.location) {
            continue;
        }
        let index =
            Index::build(&[Item { incident: incident.clone(), trace, time: None }]).expect("one trace");
        for item in captured(0) {
            let result = index.match_trace(&item.trace, 1);
            let probability = result.matches.first().map_or(0.0, |best| best.probability);
            println!("{file} known, {} asked: {probability:.3}", item.incident);
            assert!(item.incident == incident || result.new, "{file} {}", item.incident);
        }
    }
}

#[test]
fn the_build_of_the_c_library_does_not_show() {
    for (one, other) in captured(0).iter().zip(captured(0x1230)) {
        assert_eq!(fingerprint(&one.trace), fingerprint(&other.trace));
        assert!(one.trace.frames.iter().all(|frame| !frame.key().contains("+0x")), "{:?}", one.trace);
    }
}

#[test]
fn other_programs_stay_new() {
    let Some(root) = super::real::shared("other_programs_stay_new") else { return };
    let index = Index::build(&captured(0)).expect("four traces");
    let (mut asked, mut matched, mut times) = (0_usize, 0_usize, Vec::new());
    for kind in ["apple", "casr", "clusterfuzz", "fuzzmanager", "rust-minidump", "syzkaller"] {
        for path in entries(&root.join("raw").join(kind)).iter().step_by(2) {
            let bytes = std::fs::read(path).expect("readable");
            let Ok(report) = parse(&bytes) else { continue };
            let trace = normalize(&report);
            let start = Instant::now();
            let result = index.match_trace(&trace, 4);
            times.push(start.elapsed().as_micros());
            asked += 1;
            if !result.new {
                matched += 1;
                println!("{}: {:?}", path.display(), result.matches.first());
            }
        }
    }
    times.sort_unstable();
    let quantile = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{matched} of {asked} matched; p50 {} us, p99 {} us", quantile(50), quantile(99));
    assert!(asked >= 300 && matched * 50 <= asked, "{matched} of {asked}");
}

/// Texts that share a package, an entry point, or the kind of end with a known incident, and are another.
#[test]
fn near_misses_stay_new() {
    let index = Index::build(&captured(0)).expect("four traces");
    let registry = "/home/u/.cargo/registry/src/index.crates.io-1";
    let recursion = |name: &str, file: &str| {
        (0..30).map(|at| format!("#{at} 0x1 in {name} () at {file}:9\n")).collect::<String>()
    };
    let fault = "Program received signal SIGSEGV, Segmentation fault.\n";
    for text in [
        format!("{fault}#0 push () at {registry}/smallvec-1.6.0/src/lib.rs:9\n#1 main () at src/main.rs:3\n"),
        format!(
            "{fault}#0 insert_many () at src/table.c:9\n#1 0x1 in fill () at src/table.c:3\n#2 0x2 in main () at src/main.c:1\n"
        ),
        format!(
            "{fault}#0 next () at src/walk.rs:9\n#1 0x1 in fmt () at src/show.rs:3\n#2 0x2 in main () at src/main.rs:1\n"
        ),
        format!(
            "{fault}#0 transpose () at src/matrix.rs:9\n#1 0x1 in solve () at src/solve.rs:3\n#2 0x2 in main () at src/main.rs:1\n"
        ),
        format!(
            "{fault}#0 page_tool::parse () at src/main.rs:9\n#1 0x1 in page_tool::main () at src/main.rs:3\n"
        ),
        format!("{fault}{}", recursion("parse_value", "src/parser.rs")),
        format!("{fault}{}", recursion("load_node", "src/graph.c")),
        format!("{fault}{}", recursion("next", "src/parser.rs")),
    ] {
        let trace = normalize(&parse(text.as_bytes()).expect("a stack"));
        let result = index.match_trace(&trace, 1);
        println!(
            "{:?} {:?}",
            trace.frames.first().map(|frame| frame.key()),
            result.matches.first().map(|best| best.probability)
        );
        assert!(result.new, "{text}: {result:#?}");
    }
}
