//! Prints the figures on labelled files: `labelled FILE [--train FILE] [--cross] [--fit]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::time::Instant;

use assay_stacks::{Baseline, Candidates, EvalOptions, evaluate, fit_model, parse_labelled};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read =
        |file: &str| -> Result<_, Box<dyn std::error::Error>> { Ok(parse_labelled(&std::fs::read(file)?)?) };
    let cross =
        if arguments.iter().any(|a| a == "--cross") { Candidates::OtherSource } else { Candidates::All };
    let after = |mark: &str| arguments.iter().position(|a| a == mark).and_then(|at| arguments.get(at + 1));
    let items = read(arguments.first().ok_or("a file")?)?;
    if arguments.iter().any(|a| a == "--fit") {
        println!("{:?}", fit_model(&items, cross)?);
        return Ok(());
    }
    let train = after("--train").map(|file| read(file)).transpose()?;
    let start = Instant::now();
    let clock = move || start.elapsed();
    let baseline = if arguments.iter().any(|a| a == "--fast") { Baseline::Fast } else { Baseline::None };
    let options = EvalOptions { cross, baseline, clock: Some(&clock) };
    let figures = evaluate(&items, train.as_deref(), options)?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
