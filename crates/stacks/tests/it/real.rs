//! Real reports from the shared folder; skipped, by name, where it is absent.

use std::path::{Path, PathBuf};

use assay_stacks::{Format, normalize, parse};

/// The shared folder of real traces: `$ASSAY_SHARED/data/stacks`, or `shared/data/stacks` beside a parent.
pub fn shared(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("ASSAY_SHARED").map(|root| PathBuf::from(root).join("data/stacks"));
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("shared/data/stacks"));
    let found = named.into_iter().chain(beside).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped {test}: no shared/data/stacks folder beside the project, and ASSAY_SHARED is not set");
    }
    found
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "LICENSE"))
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&path).expect("readable")))
        .collect();
    files.sort();
    files
}

/// The body of a snapshot file, without its header.
fn body(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let text = if text.starts_with("---\n") { text.splitn(3, "---\n").nth(2).unwrap_or("").to_owned() } else { text };
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
                    assert!(!report.threads.is_empty() && report.threads.iter().filter(|t| t.crashed).count() == 1, "{name}");
                    parsed += 1;
                }
                Err(_) => missed.push(name.as_str()),
            }
        }
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
        let keys: Vec<&str> = trace.frames.iter().take(4).map(|frame| frame.key()).collect();
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
        let (file, number) = (parts.next().unwrap_or(""), parts.next().and_then(|number| number.parse::<u32>().ok()));
        asked += 1;
        let agrees = |frame: &assay_stacks::TraceFrame| frame.file.as_deref() == Some(file) && frame.line == number;
        if trace.frames.iter().take(3).any(agrees) {
            found += 1;
        } else {
            println!("{name}: {line}: {:?}", trace.frames.iter().take(3).map(|f| (f.key(), &f.file, f.line)).collect::<Vec<_>>());
        }
    }
    println!("casr crash lines: {found} of {asked} within three frames of the top");
    let _ = Format::Casr;
}
