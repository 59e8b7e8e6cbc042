//! Prints the object identifier in a DER value given in hexadecimal.

use std::process::ExitCode;

use bcder::decode::IntoSource as _;
use bcder::{Mode, Oid};

const USAGE: &str = "usage: der-tool oid HEX      print the object identifier in dotted form\n\
                     \x20      der-tool stats HEX    a summary of the octets\n\
                     \x20      der-tool --help       this text";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let text = arguments.next().unwrap_or_default();
    match command.as_str() {
        "oid" => with_octets(&text, oid),
        "stats" => with_octets(&text, unrelated_stats),
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

fn with_octets(text: &str, run: impl FnOnce(&[u8]) -> ExitCode) -> ExitCode {
    match octets(text) {
        Some(octets) => run(&octets),
        None => {
            eprintln!("der-tool: octets are pairs of hexadecimal digits");
            ExitCode::from(3)
        }
    }
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

fn oid(octets: &[u8]) -> ExitCode {
    println!("octets: {} weight: {}", octets.len(), weight(octets));
    match Mode::Der.decode(octets.into_source(), Oid::take_from) {
        Ok(oid) => println!("oid: {oid}"),
        Err(error) => println!("rejected: {error}"),
    }
    ExitCode::SUCCESS
}

/// The sum of all octets.
#[inline(never)]
fn weight(octets: &[u8]) -> u64 {
    const BLOCK: usize = if cfg!(feature = "related-change") { 3 } else { 2 };
    octets.chunks(BLOCK).fold(0, |sum, block| sum + block.iter().map(|octet| u64::from(*octet)).sum::<u64>())
}

/// Not part of `oid`.
#[inline(never)]
fn unrelated_stats(octets: &[u8]) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let mark = octets.iter().fold(7u64, |mark, octet| mark.wrapping_mul(WEIGHT) ^ u64::from(*octet));
    println!("octets: {} mark: {mark:016x}", octets.len());
    ExitCode::SUCCESS
}
