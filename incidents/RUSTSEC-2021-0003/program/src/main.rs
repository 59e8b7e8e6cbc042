//! Puts the odd pages of one range into another range of pages.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use smallvec::SmallVec;

/// Most print jobs have few pages.
type Pages = SmallVec<[u32; 8]>;

const USAGE: &str = "usage: page-tool insert RANGE POSITION RANGE    the odd pages of the second range\n\
                     \x20                                              go into the first at the position\n\
                     \x20      page-tool prefix RANGE RANGE             the same at the very front\n\
                     \x20      page-tool stats RANGE                    a summary of a range\n\
                     \x20      page-tool --help                         this text\n\
                     a RANGE is FIRST-LAST";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["insert", pages, position, inserted] => insert(pages, position, inserted),
        ["prefix", pages, inserted] => prefix(pages, inserted),
        ["stats", pages] => range(pages).map(unrelated_stats),
        ["--help" | "help"] => {
            println!("{USAGE}");
            Some(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Some(ExitCode::from(2))
        }
    };
    outcome.unwrap_or_else(|| {
        eprintln!("page-tool: a range is FIRST-LAST and a position lies inside the first range");
        ExitCode::from(3)
    })
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn odd(pages: RangeInclusive<u32>) -> impl Iterator<Item = u32> {
    pages.filter(|page| page % 2 == 1)
}

fn insert(pages: &str, position: &str, inserted: &str) -> Option<ExitCode> {
    let mut pages: Pages = range(pages)?.collect();
    let position = position.parse().ok().filter(|position| *position <= pages.len())?;
    summary("before", &pages);
    pages.insert_many(position, odd(range(inserted)?));
    summary("after", &pages);
    Some(ExitCode::SUCCESS)
}

fn prefix(pages: &str, inserted: &str) -> Option<ExitCode> {
    let mut pages: Pages = range(pages)?.collect();
    summary("before", &pages);
    pages.insert_many(0, odd(range(inserted)?));
    summary("after", &pages);
    Some(ExitCode::SUCCESS)
}

fn summary(when: &str, pages: &[u32]) {
    println!("{when}: {} pages, sum {}", pages.len(), sum(pages));
}

/// The sum of all page numbers.
#[inline(never)]
fn sum(pages: &[u32]) -> u64 {
    const BLOCK: usize = if cfg!(feature = "related-change") { 96 } else { 64 };
    pages.chunks(BLOCK).fold(0, |sum, block| sum + block.iter().map(|page| u64::from(*page)).sum::<u64>())
}

/// Not part of `insert`.
#[inline(never)]
fn unrelated_stats(pages: RangeInclusive<u32>) -> ExitCode {
    const WEIGHT: u64 = if cfg!(feature = "unrelated-change") { 37 } else { 31 };
    let count = pages.clone().count();
    let mark = pages.fold(7u64, |mark, page| mark.wrapping_mul(WEIGHT) ^ u64::from(page));
    println!("pages: {count} mark: {mark:016x}");
    ExitCode::SUCCESS
}
