//! A registry as linkme and inventory make it: entries in a section of their own, and initialisers.

use std::cell::Cell;

#[repr(C)]
pub struct Entry {
    run: fn(u64) -> u64,
    rank: u64,
}

fn thrice(x: u64) -> u64 {
    x * 3
}

fn shifted(x: u64) -> u64 {
    (x << 2) + 5
}

#[used]
#[unsafe(link_section = "entries")]
static THRICE: Entry = Entry { run: thrice, rank: 4 };
#[used]
#[unsafe(link_section = "entries")]
static SHIFTED: Entry = Entry { run: shifted, rank: 6 };

unsafe extern "C" {
    #[link_name = "__start_entries"]
    static START: Entry;
    #[link_name = "__stop_entries"]
    static STOP: Entry;
}

thread_local! {
    static STARTED: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn start_one() {
    STARTED.set(STARTED.get() * 10 + 1);
}

extern "C" fn start_two() {
    STARTED.set(STARTED.get() * 10 + 2);
}

#[used]
#[unsafe(link_section = ".init_array")]
static ONE: extern "C" fn() = start_one;
#[used]
#[unsafe(link_section = ".init_array")]
static TWO: extern "C" fn() = start_two;

fn entries() -> &'static [Entry] {
    let (start, stop) = (&raw const START, &raw const STOP);
    // SAFETY: the linker puts both labels around one array of entries.
    unsafe { std::slice::from_raw_parts(start, stop.offset_from(start) as usize) }
}

#[inline(never)]
fn unrelated_ranks(from: u64) -> u64 {
    println!("ranks from {from}");
    entries().iter().map(|entry| entry.rank * from).sum()
}

fn main() {
    let mut value = 1;
    for entry in entries() {
        value = (entry.run)(value);
        println!("rank {} gives {value}", entry.rank);
    }
    println!("started {}", STARTED.get());
    if std::env::args().count() > 3 {
        println!("{}", unrelated_ranks(value));
    }
}
