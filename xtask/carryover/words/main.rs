//! Counts words in several ways: traits, closures, hash maps, and a panic that is caught.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Read;

trait Rule {
    fn name(&self) -> &'static str;
    fn key(&self, word: &str) -> Option<String>;
    fn weight(&self) -> u64 {
        1
    }
}

struct Whole;
struct Ending(usize);
struct Vowels {
    least: usize,
}

impl Rule for Whole {
    fn name(&self) -> &'static str {
        "whole words"
    }
    fn key(&self, word: &str) -> Option<String> {
        (word.len() > 3).then(|| word.to_lowercase())
    }
}

impl Rule for Ending {
    fn name(&self) -> &'static str {
        "endings"
    }
    fn key(&self, word: &str) -> Option<String> {
        let from = word.len().checked_sub(self.0)?;
        word.get(from..).map(|end| format!("-{end}"))
    }
    fn weight(&self) -> u64 {
        3
    }
}

impl Rule for Vowels {
    fn name(&self) -> &'static str {
        "vowels"
    }
    fn key(&self, word: &str) -> Option<String> {
        let count = word.chars().filter(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')).count();
        (count >= self.least).then(|| kind(count).to_owned())
    }
}

#[inline(never)]
fn kind(count: usize) -> &'static str {
    match count {
        0 => "none",
        1 => "one",
        2 => "a pair",
        3 => "three of them",
        4 => "four of them",
        _ => "many",
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Problem {
    Empty,
    TooLong { word: String, length: usize },
    Digit(char),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Empty => write!(f, "there is nothing"),
            Problem::TooLong { word, length } => write!(f, "`{word}` has {length} letters"),
            Problem::Digit(digit) => write!(f, "the digit {digit:?} is no letter"),
        }
    }
}

#[inline(never)]
fn checked(word: &str) -> Result<&str, Problem> {
    if word.is_empty() {
        return Err(Problem::Empty);
    }
    if word.len() > 14 {
        return Err(Problem::TooLong { word: word.to_owned(), length: word.len() });
    }
    match word.chars().find(char::is_ascii_digit) {
        Some(digit) => Err(Problem::Digit(digit)),
        None => Ok(word),
    }
}

struct Table {
    counts: HashMap<String, u64>,
    seen: HashSet<u64>,
}

impl Table {
    fn add(&mut self, key: String, weight: u64) {
        let hash = key.bytes().fold(5381u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
        self.seen.insert(hash % 64);
        *self.counts.entry(key).or_insert(0) += weight;
    }

    #[inline(never)]
    fn best(&self, most: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|(key, count)| (key.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(most);
        all
    }
}

#[inline(never)]
fn unrelated_report(table: &Table, verbose: bool) -> String {
    let mut by_length: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for key in table.counts.keys() {
        by_length.entry(key.len()).or_default().push(key);
    }
    let mut out = String::from("by length:");
    for (length, mut keys) in by_length {
        keys.sort_unstable();
        out += &format!(" {length} ({} keys)", keys.len());
        if verbose {
            out += &format!(": {keys:?}");
        }
    }
    out
}

#[inline(never)]
fn letter(word: &str, place: usize) -> u8 {
    word.as_bytes()[place]
}

#[inline(never)]
fn sum_of_letters(words: &[&str]) -> u32 {
    words.iter().enumerate().map(|(at, word)| u32::from(letter(word, at % 5))).sum()
}

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("text");
    let rules: Vec<Box<dyn Rule>> = vec![Box::new(Whole), Box::new(Ending(3)), Box::new(Vowels { least: 2 })];
    let mut problems = 0;
    let mut words = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ';' | ':')) {
        match checked(word) {
            Ok(word) => words.push(word),
            Err(Problem::Empty) => {}
            Err(problem) => {
                println!("left out: {problem}");
                problems += 1;
            }
        }
    }
    for rule in &rules {
        let mut table = Table { counts: HashMap::new(), seen: HashSet::new() };
        for key in words.iter().filter_map(|word| rule.key(word)) {
            table.add(key, rule.weight());
        }
        println!("{}: {} keys, {} buckets", rule.name(), table.counts.len(), table.seen.len());
        for (key, count) in table.best(4) {
            println!("  {key:<16} {count}");
        }
        if std::env::args().count() > 3 {
            println!("{}", unrelated_report(&table, problems > 1));
        }
    }
    let long: Vec<&str> = words.iter().copied().filter(|word| word.len() >= 5).collect();
    println!("letters {}", sum_of_letters(&long));
    let caught = std::panic::catch_unwind(|| sum_of_letters(&words));
    println!("{} problems, the sum of all {}", problems, if caught.is_ok() { "is known" } else { "is not known" });
    std::process::exit(problems);
}
