//! Asks whether a run carries: `carry entries A` prints the addresses that breakpoints belong on,
//! `carry prove A B FILE` takes the ones that were hit, one in hex a line.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use assay_binary::{Address, CodeMap, Image};
use assay_delta::{Executed, prove};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["entries", a] => {
            let bytes = std::fs::read(a)?;
            let image = Image::parse(&bytes)?;
            for entry in CodeMap::build(&image).units().iter().flat_map(|unit| &unit.entries) {
                println!("{:x}", entry.address.0);
            }
        }
        ["prove", a, b, file] => {
            let (a, b, text) = (std::fs::read(a)?, std::fs::read(b)?, std::fs::read_to_string(file)?);
            let hit: Result<Vec<_>, _> =
                text.lines().map(|line| u64::from_str_radix(line, 16).map(Address)).collect();
            match prove(&a, &b, Executed::Units(&hit?)) {
                Ok(proof) => {
                    println!("carries: {} functions, {} ranges", proof.executed.len(), proof.data.len())
                }
                Err(refusals) => refusals.iter().for_each(|refusal| println!("{refusal}")),
            }
        }
        _ => return Err("usage: carry entries A | carry prove A B FILE".into()),
    }
    Ok(())
}
