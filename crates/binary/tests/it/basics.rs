//! The reader beside binutils, on programs built here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_binary::{Address, CodeMap, Image, UnitKind};

pub const C_SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
static int table[] = {3, 1, 4, 1, 5};
__attribute__((noinline)) int pick(int x) {
    switch (x) { case 0: return 5; case 1: return 17; case 2: puts("two"); return 2; case 3: return table[x & 3];
                 case 4: return 99; case 5: puts("five"); return 1; case 6: return -4; case 7: abort(); }
    return x;
}
__attribute__((cold, noinline)) void fail(int x) { fprintf(stderr, "bad %d\n", x); exit(3); }
__attribute__((noinline)) int work(int x) { if (__builtin_expect(x > 1000, 0)) { fail(x); fail(x + 1); } return pick(x) + 1; }
int main(int argc, char **argv) { printf("%d\n", work(argc)); return 0; }
"#;

const RUST_SOURCE: &str = r#"
use std::collections::HashMap;
fn main() {
    let mut map = HashMap::new();
    for word in std::env::args() { *map.entry(word).or_insert(0u32) += 1; }
    println!("{}", map.values().sum::<u32>());
}
"#;

/// Builds a program, or says why the test is skipped.
pub fn build(dir: &Path, tool: &str, file: &str, source: &str, args: &[&str]) -> Option<PathBuf> {
    let (input, output) = (dir.join(file), dir.join("program"));
    std::fs::write(&input, source).unwrap();
    match Command::new(tool).args(args).arg(&input).arg("-o").arg(&output).output() {
        Ok(out) => {
            assert!(out.status.success(), "{tool}: {}", String::from_utf8_lossy(&out.stderr));
            let windows = output.with_extension("exe");
            Some(if windows.exists() { windows } else { output })
        }
        Err(error) => {
            eprintln!("skipped: {tool}: {error}");
            None
        }
    }
}

fn tool(program: &str, args: &[&str], file: &Path) -> Option<String> {
    match Command::new(program).args(args).arg(file).output() {
        Ok(out) => Some(String::from_utf8_lossy(&out.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

fn compare_with_binutils(path: &Path) {
    let data = std::fs::read(path).unwrap();
    let image = Image::parse(&data).unwrap();
    assert!(image.warnings().is_empty(), "{:?}", image.warnings());
    let map = CodeMap::build(&image);
    if let Some(text) = tool("readelf", &["-sW"], path) {
        let defined = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.len() >= 8 && matches!(fields[3], "FUNC" | "IFUNC") && fields[6] != "UND"
        };
        let theirs: BTreeSet<u64> = text
            .lines()
            .filter(defined)
            .filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok())
            .collect();
        assert!(theirs.len() > 5);
        for address in &theirs {
            let unit = &map.units()[map.unit_at(*address).expect("a function is in a unit")];
            let entry = unit.entries.iter().any(|entry| entry.address.0 == *address);
            assert!(entry || unit.name != "main", "{address:#x} in {}", unit.name);
        }
        let ours: BTreeSet<u64> = map
            .units()
            .iter()
            .filter(|unit| unit.kind == UnitKind::Function)
            .flat_map(|unit| unit.entries.iter().map(|entry| entry.address.0))
            .collect();
        assert!(ours.iter().all(|address| theirs.contains(address)), "an entry that readelf does not know");
    }
    if let Some(text) = tool("readelf", &["--debug-dump=frames"], path) {
        let theirs = text.lines().filter(|line| line.contains(" FDE ")).count();
        let shown: usize = image.unwind().fdes().len();
        let debug_frame = image.section(".debug_frame").is_some();
        assert!(debug_frame || theirs == shown, "readelf {theirs}, ours {shown}");
    }
    if let Some(text) = tool("objdump", &["-T"], path) {
        let theirs: BTreeSet<String> = text
            .lines()
            .filter(|line| line.contains("*UND*"))
            .filter_map(|line| Some(line.split_whitespace().last()?.to_owned()))
            .collect();
        let ours: BTreeSet<String> = image.imports().into_iter().map(|import| import.name).collect();
        assert_eq!(theirs, ours);
    }
}

fn every_code_byte_is_in_a_unit_or_a_gap(image: &Image<'_>) {
    let map = CodeMap::build(image);
    let mut ranges: Vec<_> = map.units().iter().flat_map(|unit| unit.ranges.clone()).collect();
    ranges.extend(map.gaps());
    ranges.sort();
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "ranges overlap");
    let covered: u64 = ranges.iter().map(|range| range.size()).sum();
    let code = |s: &&assay_binary::Section| s.kind == assay_binary::SectionKind::Code;
    assert_eq!(covered, image.sections().iter().filter(code).map(|s| s.size).sum::<u64>());
}

#[test]
fn c_program_agrees_with_binutils() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = build(dir.path(), "cc", "t.c", C_SOURCE, &["-O2"]) else { return };
    compare_with_binutils(&path);
    let data = std::fs::read(&path).unwrap();
    let image = Image::parse(&data).unwrap();
    every_code_byte_is_in_a_unit_or_a_gap(&image);
    assert!(image.debug_id().is_some());
    assert!(matches!(image.toolchain().unwrap().name.as_str(), "gcc" | "clang"));
    let map = CodeMap::build(&image);
    let names: Vec<&str> = map.units().iter().map(|unit| unit.name.as_str()).collect();
    assert!(names.contains(&"puts@plt"), "{names:?}");
    let main = map.units().iter().find(|unit| unit.name == "main").unwrap();
    assert_eq!(image.symbol_at(Address(main.entry.0 + 1)), Some(("main", 1)));
    assert_eq!(image.loader().needed, ["libc.so.6"]);
}

#[test]
fn a_cold_part_belongs_to_its_function() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = build(dir.path(), "gcc", "t.c", C_SOURCE, &["-O2"]) else { return };
    let data = std::fs::read(&path).unwrap();
    let image = Image::parse(&data).unwrap();
    let map = CodeMap::build(&image);
    let cold: Vec<_> = image.symbols().iter().filter(|symbol| symbol.name.ends_with(".cold")).collect();
    assert!(!cold.is_empty(), "the program was to have a cold part");
    for symbol in cold {
        let unit = &map.units()[map.unit_at(symbol.address.0).unwrap()];
        assert_eq!(unit.name, symbol.name.trim_end_matches(".cold"));
        assert!(unit.ranges.len() > 1);
        assert!(unit.entries.iter().all(|entry| entry.address != symbol.address));
    }
}

#[test]
fn rust_program_agrees_with_binutils() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = build(dir.path(), "rustc", "t.rs", RUST_SOURCE, &["-O"]) else { return };
    compare_with_binutils(&path);
    let data = std::fs::read(&path).unwrap();
    let image = Image::parse(&data).unwrap();
    every_code_byte_is_in_a_unit_or_a_gap(&image);
    let toolchain = image.toolchain().unwrap();
    assert_eq!(toolchain.name, "rustc");
    assert!(toolchain.version.starts_with("1."), "{toolchain:?}");
    let with_table = image.unwind().fdes().iter().filter_map(|fde| Some((fde, fde.lsda?)));
    let mut read = 0;
    for (fde, address) in with_table {
        assay_binary::Lsda::read(&image, address, fde.range.start).unwrap();
        assert!(!image.unwind().rules(fde).unwrap().is_empty());
        read += 1;
    }
    assert!(read > 10);
}

/// A stripped program has its functions from its frame descriptions, at the places of its symbols.
#[test]
fn a_stripped_program_keeps_its_functions() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = build(dir.path(), "gcc", "t.c", C_SOURCE, &["-O2"]) else { return };
    let full = std::fs::read(&path).unwrap();
    let image = Image::parse(&full).unwrap();
    let map = CodeMap::build(&image);
    let entry = |name: &str| map.units().iter().find(|unit| unit.name == name).unwrap().entry;
    let expected: Vec<Address> = ["main", "pick", "work", "fail"].map(entry).to_vec();
    tool("strip", &[], &path).unwrap();
    let bare = std::fs::read(&path).unwrap();
    let image = Image::parse(&bare).unwrap();
    assert!(image.section(".symtab").is_none());
    every_code_byte_is_in_a_unit_or_a_gap(&image);
    let map = CodeMap::build(&image);
    for address in expected {
        let unit = &map.units()[map.unit_at(address.0).expect("a function is in a unit")];
        assert_eq!(unit.entry, address);
        assert_eq!(unit.name, format!("sub_{:x}", address.0));
    }
    let gaps: u64 = map.gaps().iter().map(|gap| gap.size()).sum();
    let units: u64 = map.units().iter().map(assay_binary::Unit::size).sum();
    assert!(gaps < units, "{gaps} bytes in gaps, {units} in units");
    let starts: BTreeSet<u64> =
        map.units().iter().flat_map(|unit| unit.entries.iter().map(|entry| entry.address.0)).collect();
    for fde in image.unwind().fdes().iter().filter(|fde| !fde.signal_frame) {
        let unit = map.unit_at(fde.range.start.0).map(|index| &map.units()[index]);
        let stub = unit.is_some_and(|unit| unit.kind != UnitKind::Function);
        assert!(stub || starts.contains(&fde.range.start.0), "{:?}", fde.range);
    }
}
