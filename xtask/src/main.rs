//! The project's own commands: `cargo xtask demo | test | ci | bench | schemas | dist`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod bench;
mod ci;
mod corpus;
mod deltas;
mod demo;
mod dist;
mod floors;
mod fuzz;
mod incidents;
mod prerequisites;
mod shell;
mod words;

use std::process::ExitCode;

/// The exit code where the environment lacks something.
const ENVIRONMENT: u8 = 10;
/// The exit code of a wrong command line.
const USAGE: u8 = 2;

const HELP: &str = "\
cargo xtask demo [--no-serve] [--json]   the main job on real incidents, then the console
cargo xtask test                         every test
cargo xtask ci                           formatting, lints, floors, tests, documents, licences
cargo xtask bench carryover [--json] [-n MUTANTS] [--only PROGRAM,PROGRAM] [--seed S] [--releases]
cargo xtask bench carryover-source [--json] [-n MUTANTS] [--only PROGRAM,PROGRAM] [--seed S] [--releases]
                                         mutants: are carried runs what replays show?
cargo xtask bench verify [--json] [--fast] [--fleet | --releases] [--assay FILE]
                                         20 artifacts x 500 incidents, one function changed; then ten
                                         consecutive releases of real projects
cargo xtask bench witness [--json]       the runner beside native runs and bubblewrap
cargo xtask corpus incidents [--only ID,ID] [-n N] [--json] [--fast] [--impostors] [--fetch]
                             [--assay FILE] [--data DIR]
                                         every incident: fetched, recorded, checked, replayed on both sides
cargo xtask bench delta [--json] [--proofs]
                                         indexing, comparing and proving real builds beside diffoscope
                                         and abidiff
cargo xtask bench delta-calibration [--json] [--only PROJECT,PROJECT] [--dump FILE] [--fit [--write]]
                                         do the probabilities behind delta_entropy hold?
cargo xtask bench presence [--json] [--only PROJECT,PROJECT]
                                         are patches found in builds of other compilers?
cargo xtask corpus deltas [--only NAME,NAME] [--json]
                                         consecutive builds of Debian packages, compared
cargo xtask fuzz [--seconds S] [--only TARGET,TARGET] [--json]
                                         every parser under coverage-guided fuzzing; S of processor time
cargo xtask schemas                      rewrite openapi.json and schemas/
cargo xtask dist                         one static binary in target/dist/";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo", rest @ ..] => demo::Options::parse(rest).and_then(|options| demo::run(&options)),
        ["test", rest @ ..] => ci::test(rest),
        ["ci"] => ci::run(),
        ["bench", "verify", rest @ ..] => {
            bench::verify::Options::parse(rest).and_then(|options| bench::verify::run(&options))
        }
        ["bench", "carryover-source", rest @ ..] => bench::carryover_source::Options::parse(rest)
            .and_then(|options| bench::carryover_source::run(&options)),
        ["bench", "carryover", rest @ ..] => {
            bench::carryover::Options::parse(rest).and_then(|options| bench::carryover::run(&options))
        }
        ["bench", "delta-calibration", rest @ ..] => {
            bench::calibration::Options::parse(rest).and_then(|options| bench::calibration::run(&options))
        }
        ["bench", "presence", rest @ ..] => {
            bench::presence::Options::parse(rest).and_then(|options| bench::presence::run(&options))
        }
        ["bench", "witness", rest @ ..] => words::only_json(rest).and_then(bench::witness::run),
        ["bench", "delta", rest @ ..] => {
            bench::delta::Options::parse(rest).and_then(|options| bench::delta::run(&options))
        }
        ["corpus", "deltas", rest @ ..] => deltas::run(rest),
        ["corpus", "incidents", rest @ ..] => {
            corpus::Options::parse(rest).and_then(|options| corpus::run(&options))
        }
        ["fuzz", rest @ ..] => fuzz::Options::parse(rest).and_then(|options| fuzz::run(&options)),
        ["schemas"] => dist::schemas(),
        ["dist"] => dist::run(),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(USAGE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let code = if error.is::<prerequisites::Missing>() { ENVIRONMENT } else { 1 };
            ExitCode::from(code)
        }
    }
}
