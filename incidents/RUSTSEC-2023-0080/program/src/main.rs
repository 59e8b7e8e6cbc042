//! Transposes a matrix of numbers read from the standard input.

use std::io::Read as _;
use std::panic::catch_unwind;
use std::process::ExitCode;

const USAGE: &str = "usage: matrix-tool transpose WIDTH HEIGHT < CELLS    print the transposed cells\n\
                     \x20      matrix-tool check WIDTH HEIGHT < CELLS        transpose twice and compare\n\
                     \x20      matrix-tool stats < CELLS                     a summary of the cells\n\
                     \x20      matrix-tool --help                            this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["transpose", width, height] => with_shape(width, height, transpose),
        ["check", width, height] => with_shape(width, height, check),
        ["stats"] => with_cells(unrelated_stats),
        ["--help" | "help"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn with_shape(width: &str, height: &str, run: impl FnOnce(&[u32], usize, usize) -> ExitCode) -> ExitCode {
    let (Ok(width), Ok(height)) = (width.parse(), height.parse()) else {
        eprintln!("matrix-tool: the width and the height must be whole numbers");
        return ExitCode::from(3);
    };
    with_cells(|cells| run(cells, width, height))
}

fn with_cells(run: impl FnOnce(&[u32]) -> ExitCode) -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("matrix-tool: cannot read the standard input: {error}");
        return ExitCode::from(3);
    }
    match text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>() {
        Ok(cells) => run(&cells),
        Err(error) => {
            eprintln!("matrix-tool: a cell is not a number: {error}");
            ExitCode::from(3)
        }
    }
}

fn transpose(cells: &[u32], width: usize, height: usize) -> ExitCode {
    println!("cells: {} weight: {}", cells.len(), weight(cells));
    let Some(turned) = turned(cells, width, height) else {
        println!("refused: {width} x {height} is not the shape of {} cells", cells.len());
        return ExitCode::SUCCESS;
    };
    for row in turned.chunks(height.max(1)) {
        println!("{row:?}");
    }
    ExitCode::SUCCESS
}

fn check(cells: &[u32], width: usize, height: usize) -> ExitCode {
    let mut once = vec![0; cells.len()];
    let mut twice = vec![0; cells.len()];
    transpose::transpose(cells, &mut once, width, height);
    transpose::transpose(&once, &mut twice, height, width);
    println!("same: {}", twice == cells);
    ExitCode::SUCCESS
}

/// The transposed cells, or nothing when the library refuses the shape.
fn turned(cells: &[u32], width: usize, height: usize) -> Option<Vec<u32>> {
    catch_unwind(|| {
        let mut output = vec![0; cells.len()];
        transpose::transpose(cells, &mut output, width, height);
        output
    })
    .ok()
}

/// The sum of all cells.
#[inline(never)]
fn weight(cells: &[u32]) -> u64 {
    const BLOCK: usize = if cfg!(feature = "related-change") { 6 } else { 4 };
    cells.chunks(BLOCK).fold(0, |sum, block| sum + block.iter().map(|cell| u64::from(*cell)).sum::<u64>())
}

/// Not part of `transpose`.
#[inline(never)]
fn unrelated_stats(cells: &[u32]) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let mark = cells.iter().fold(7u64, |mark, cell| mark.wrapping_mul(WEIGHT) ^ u64::from(*cell));
    println!("cells: {} mark: {mark:016x}", cells.len());
    ExitCode::SUCCESS
}
