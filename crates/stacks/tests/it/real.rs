//! Real reports from the shared folder; skipped, by name, where it is absent.

use std::path::{Path, PathBuf};

use assay_stacks::{Candidates, EvalOptions, Labelled, evaluate, normalize, parse, parse_labelled};

/// The shared folder of real traces: `$ASSAY_SHARED/data/stacks`, or `shared/data/stacks` beside a parent.
pub fn shared(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("ASSAY_SHARED").map(|root| PathBuf::from(root).join("data/stacks"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/data/stacks"));
    let found = named.into_iter().chain(beside).find(|folder| folder.is_dir());
    if found.is_none() {
        println!(
            "skipped {test}: no shared/data/stacks folder beside the project, and ASSAY_SHARED is not set"
        );
    }
    found
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "LICENSE"))
        .map(|path| {
            (
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                std::fs::read(&path).expect("readable"),
            )
        })
        .collect();
    files.sort();
    files
}

/// The body of a snapshot file, without its header.
fn body(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let text = if text.starts_with("---\n") {
        text.splitn(3, "---\n").nth(2).unwrap_or("").to_owned()
    } else {
        text
    };
    text.into_bytes()
}

#[test]
fn every_folder_is_read() {
    let Some(root) = shared("every_folder_is_read") else { return };
    for folder in ["clusterfuzz", "syzkaller", "casr", "rust-minidump", "fuzzmanager", "apple"] {
        let mut parsed = 0;
        let mut missed = Vec::new();
        let all = files(&root.join("raw").join(folder));
        for (name, bytes) in &all {
            match parse(&body(bytes)) {
                Ok(report) => {
                    assert!(
                        !report.threads.is_empty()
                            && report.threads.iter().filter(|t| t.crashed).count() == 1,
                        "{name}"
                    );
                    parsed += 1;
                }
                Err(_) => missed.push(name.as_str()),
            }
        }
        // Floors a little under what was read when this was written; the rest hold no stack, or a
        // format that is not read (WinDbg, Fuchsia, KCSAN's two-sided reports).
        let floor = match folder {
            "casr" => all.len(),
            "clusterfuzz" => 238,
            "syzkaller" => 340,
            "rust-minidump" => 17,
            "fuzzmanager" => 49,
            _ => 2,
        };
        assert!(parsed >= floor, "{folder}: {parsed}");
        println!("{folder}: {parsed} of {} read; not read: {}", all.len(), missed.join(" "));
    }
}

#[test]
fn kernel_titles_name_the_top_frame() {
    let Some(root) = shared("kernel_titles_name_the_top_frame") else { return };
    let (mut asked, mut first, mut near) = (0, 0, 0);
    for (name, bytes) in files(&root.join("raw/syzkaller")) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(title) = text.lines().next().and_then(|line| line.strip_prefix("TITLE: ")) else { continue };
        let Some(function) = title.rsplit_once(" in ").map(|(_, function)| function.trim()) else { continue };
        if function.contains([' ', '.', '/', ':']) || function == "corrupted" || !name.starts_with("linux") {
            continue;
        }
        let log = text.split_once("\n\n").map_or("", |(_, log)| log);
        let Ok(report) = parse(log.as_bytes()) else {
            println!("{name}: {title}: not read");
            asked += 1;
            continue;
        };
        let trace = normalize(&report);
        let keys: Vec<&str> =
            trace.frames.iter().filter(|frame| !frame.standard).take(4).map(|frame| frame.key()).collect();
        let function = function.trim_start_matches("__x64_").trim_start_matches("__ia32_");
        asked += 1;
        if keys.first().is_some_and(|key| *key == function) {
            first += 1;
        } else if keys.contains(&function) {
            near += 1;
        } else {
            println!("{name}: {title}: {:?} {keys:?}", report.format);
        }
    }
    assert!(first * 10 >= asked * 3 && (first + near) * 10 >= asked * 6, "{first} and {near} of {asked}");
    println!("kernel titles: {asked} name a function; {first} are the top frame, {near} more within four");
}

#[test]
fn casr_crash_lines_are_among_the_top_frames() {
    let Some(root) = shared("casr_crash_lines_are_among_the_top_frames") else { return };
    let (mut asked, mut found) = (0, 0);
    for (name, bytes) in files(&root.join("raw/casr")) {
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("casr reports are JSON");
        let Some(line) = value["CrashLine"].as_str().filter(|line| !line.is_empty()) else { continue };
        let report = parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let trace = normalize(&report);
        let mut parts = line.rsplit('/').next().unwrap_or(line).split(':');
        let (file, number) =
            (parts.next().unwrap_or(""), parts.next().and_then(|number| number.parse::<u32>().ok()));
        asked += 1;
        let agrees =
            |frame: &assay_stacks::TraceFrame| frame.file.as_deref() == Some(file) && frame.line == number;
        if trace.frames.iter().take(3).any(agrees) {
            found += 1;
        } else {
            println!(
                "{name}: {line}: {:?}",
                trace.frames.iter().take(3).map(|f| (f.key(), &f.file, f.line)).collect::<Vec<_>>()
            );
        }
    }
    println!("casr crash lines: {found} of {asked} within three frames of the top");
    assert!(found * 100 >= asked * 95, "{found} of {asked}");
}

#[test]
fn labelled_sets_reach_the_published_method() {
    let Some(root) = shared("labelled_sets_reach_the_published_method") else { return };
    let read = |file: &str| {
        parse_labelled(&std::fs::read(root.join("labelled").join(file)).expect("readable")).expect("labelled")
    };
    let run = |items: &[Labelled], cross| {
        evaluate(items, None, EvalOptions { cross, ..EvalOptions::default() }).expect("small enough").ours
    };
    let java = run(&read("defects4j_exceptions.jsonl"), Candidates::All);
    let cross = run(&read("casr_xlnt_cross_tool.jsonl"), Candidates::OtherSource);
    let kernel = run(&read("syzbot_fixcommit.jsonl"), Candidates::All);
    println!(
        "defects4j_exceptions: rr1 {:.3} precision {:.3} recall {:.3} (FaST .980)",
        java.rr1, java.top1_precision, java.top1_recall
    );
    println!(
        "casr_xlnt_cross_tool: precision {:.3}, macro {:.3} (FaST .98-.99)",
        cross.top1_precision, cross.macro_precision
    );
    println!(
        "syzbot_fixcommit: rr1 {:.3} auc {:.3} (FaST .400, .631)",
        kernel.rr1,
        kernel.auc.unwrap_or(0.0)
    );
    assert!(java.rr1 >= 0.97 && cross.top1_precision >= 0.98 && kernel.rr1 >= 0.55);
}
