//! Grows a list to the capacity it has.
use smallvec::SmallVec;

fn main() {
    let mut pages: SmallVec<[u64; 2]> = SmallVec::new();
    pages.extend(1..=4);
    println!("before: sum {}", pages.iter().sum::<u64>());
    let capacity = pages.capacity();
    pages.grow(capacity);
    println!("after: {} pages", pages.len());
    drop(pages);
    println!("dropped");
}
