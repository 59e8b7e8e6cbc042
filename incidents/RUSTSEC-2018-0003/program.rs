//! Inserts items of an iterator that panics.
use smallvec::SmallVec;

struct Broken;

impl Iterator for Broken {
    type Item = Box<u64>;

    fn next(&mut self) -> Option<Box<u64>> {
        panic!("broken iterator");
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

fn main() {
    let mut pages: SmallVec<[Box<u64>; 2]> = SmallVec::new();
    pages.extend((1..=3).map(Box::new));
    println!("before: sum {}", pages.iter().map(|page| **page).sum::<u64>());
    let caught = std::panic::catch_unwind(move || pages.insert_many(0, Broken));
    println!("caught: {}", caught.is_err());
}
