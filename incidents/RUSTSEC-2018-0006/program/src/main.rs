//! Checks YAML documents read from the standard input.

use std::io::Read as _;
use std::process::ExitCode;

use yaml_rust::{Yaml, YamlLoader};

const USAGE: &str = "usage: yaml-tool check < FILE    parse YAML and say what was found\n\
                     \x20      yaml-tool stats < FILE    a line and byte summary\n\
                     \x20      yaml-tool --help          this text";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "check" => with_input(check),
        "stats" => with_input(unrelated_stats),
        "--help" | "help" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn with_input(run: impl FnOnce(&str) -> ExitCode) -> ExitCode {
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => run(&text),
        Err(error) => {
            eprintln!("yaml-tool: cannot read the standard input: {error}");
            ExitCode::from(3)
        }
    }
}

fn check(text: &str) -> ExitCode {
    println!("input: {} bytes", size_in_bytes(text));
    match YamlLoader::load_from_str(text) {
        Ok(documents) => {
            println!("accepted: {} documents, depth {}", documents.len(), depth(&documents));
        }
        Err(error) => println!("rejected: {error}"),
    }
    ExitCode::SUCCESS
}

/// The size of `text`, counted in blocks.
#[inline(never)]
fn size_in_bytes(text: &str) -> usize {
    const BLOCK: usize = if cfg!(feature = "related-change") { 8192 } else { 4096 };
    text.as_bytes().chunks(BLOCK).fold(0, |sum, block| sum + block.len())
}

/// How deep sequences and mappings nest.
fn depth(nodes: &[Yaml]) -> usize {
    let mut deepest = 0;
    let mut open: Vec<(&Yaml, usize)> = nodes.iter().map(|node| (node, 1)).collect();
    while let Some((node, level)) = open.pop() {
        deepest = deepest.max(level);
        match node {
            Yaml::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Yaml::Hash(map) => open.extend(map.iter().map(|(_, item)| (item, level + 1))),
            _ => {}
        }
    }
    deepest
}

/// Not part of `check`.
#[inline(never)]
fn unrelated_stats(text: &str) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let mark = text.bytes().fold(7u64, |mark, byte| mark.wrapping_mul(WEIGHT) ^ u64::from(byte));
    println!("lines: {} bytes: {} mark: {mark:016x}", text.lines().count(), text.len());
    ExitCode::SUCCESS
}
