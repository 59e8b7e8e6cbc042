//! Quotes words so that they can be pasted into a shell.

use std::process::ExitCode;

const USAGE: &str = "usage: quote-tool quote WORD...    one shell command line that prints the words\n\
                     \x20      quote-tool stats WORD...    a summary of the words\n\
                     \x20      quote-tool --help           this text";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let words: Vec<String> = arguments.collect();
    match command.as_str() {
        "quote" if !words.is_empty() => quote(&words),
        "stats" => unrelated_stats(&words),
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

fn quote(words: &[String]) -> ExitCode {
    let mut line = String::with_capacity(capacity_for(words));
    line.push_str("printf '%s\\n'");
    for word in words {
        line.push(' ');
        #[allow(deprecated, reason = "the fixed version keeps this entry point and deprecates it")]
        line.push_str(&shlex::quote(word));
    }
    println!("{line}");
    ExitCode::SUCCESS
}

/// Room for every word with its quotes, rounded up.
#[inline(never)]
fn capacity_for(words: &[String]) -> usize {
    const STEP: usize = if cfg!(feature = "related-change") { 128 } else { 64 };
    let needed = words.iter().fold(STEP, |sum, word| sum + word.len() + 3);
    needed.next_multiple_of(STEP)
}

/// Not part of `quote`.
#[inline(never)]
fn unrelated_stats(words: &[String]) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let mark = words
        .iter()
        .flat_map(|word| word.bytes())
        .fold(7u64, |mark, byte| mark.wrapping_mul(WEIGHT) ^ u64::from(byte));
    println!("words: {} mark: {mark:016x}", words.len());
    ExitCode::SUCCESS
}
