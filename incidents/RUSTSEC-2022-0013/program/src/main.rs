//! Compiles a regular expression and counts the lines of the standard input that match it.

use std::io::Read as _;
use std::process::ExitCode;

use regex::Regex;

const USAGE: &str = "usage: pattern-tool count PATTERN < FILE    count the lines that match\n\
                     \x20      pattern-tool stats PATTERN           a summary of the pattern's text\n\
                     \x20      pattern-tool --help                  this text";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let pattern = arguments.next().unwrap_or_default();
    match command.as_str() {
        "count" => count(&pattern),
        "stats" => unrelated_stats(&pattern),
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

fn count(pattern: &str) -> ExitCode {
    println!("pattern: {} repetitions", repetitions(pattern));
    let compiled = match Regex::new(pattern) {
        Ok(compiled) => compiled,
        Err(error) => {
            println!("rejected: {error}");
            return ExitCode::SUCCESS;
        }
    };
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("pattern-tool: cannot read the standard input: {error}");
        return ExitCode::from(3);
    }
    println!("matched: {} lines", text.lines().filter(|line| compiled.is_match(line)).count());
    ExitCode::SUCCESS
}

/// How many counted repetitions the pattern opens.
#[inline(never)]
fn repetitions(pattern: &str) -> usize {
    const BLOCK: usize = if cfg!(feature = "related-change") { 16 } else { 8 };
    pattern
        .as_bytes()
        .chunks(BLOCK)
        .fold(0, |sum, block| sum + block.iter().filter(|byte| **byte == b'{').count())
}

/// Not part of `count`.
#[inline(never)]
fn unrelated_stats(pattern: &str) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let mark = pattern.bytes().fold(7u64, |mark, byte| mark.wrapping_mul(WEIGHT) ^ u64::from(byte));
    println!("bytes: {} mark: {mark:016x}", pattern.len());
    ExitCode::SUCCESS
}
