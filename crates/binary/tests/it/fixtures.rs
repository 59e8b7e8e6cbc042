//! The committed fixtures: which toolchain made each, and what hostile versions of them do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use assay_binary::{Architecture, Module, ModuleFormat, ToolchainEvidence};

use crate::modules::every_code_byte_is_accounted_for;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bin")
}

pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn all() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// What `make.sh` ran, by the versions that the README records: (file, toolchain, start of the version).
const MADE_BY: [(&str, &str, &str); 22] = [
    ("gcc.o", "gcc", "12.2.0"),
    ("clang.o", "clang", "14.0.6"),
    ("clang-aarch64.o", "clang", "14.0.6"),
    ("clang.wasm", "clang", "14.0.6"),
    ("rustc.o", "rustc", "1.95.0"),
    ("rustc.wasm", "rustc", "1.97.0-nightly"),
    ("zig.o", "zig", "0.17.1"),
    ("ghc.o", "ghc", "9.0.2"),
    ("ocaml.o", "ocaml", ""),
    ("gfortran.o", "gfortran", "12.2.0"),
    ("gnat.o", "gnat", "12.2.0"),
    ("gdc.o", "gdc", "12.2.0"),
    ("ldc.o", "ldc", "1.30.0"),
    ("fpc.o", "fpc", ""),
    ("nim.o", "nim", ""),
    ("emscripten.wasm", "emscripten", ""),
    ("javac.class", "javac", "17"),
    ("kotlin.class", "kotlin", "metadata 1.1.15"),
    ("scala.class", "scala", "2"),
    ("mcs.exe", "mcs", "targets mscorlib 4.0.0.0"),
    ("mingw.exe", "mingw", "12"),
    ("mingw32.exe", "mingw", "12"),
];

#[test]
fn every_toolchain_is_named() {
    let mut names = std::collections::BTreeSet::new();
    for (file, name, version) in MADE_BY {
        let data = fixture(file);
        let module = Module::parse(&data).unwrap();
        let first = module.toolchains.first().unwrap_or_else(|| panic!("{file}: no toolchain"));
        assert_eq!(first.name, name, "{file}: {:?}", module.toolchains);
        assert!(first.version.starts_with(version), "{file}: {first:?}");
        names.insert(name);
    }
    println!("{} toolchains: {names:?}", names.len());
    assert!(names.len() >= 18);
}

/// A Go program carries its runtime, which is too much for a fixture.
#[test]
fn a_go_program_is_named_by_its_build_information() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.go"), "package main\nfunc main() { println(1) }\n").unwrap();
    let mut command = std::process::Command::new("go");
    command.current_dir(&dir).env("GOFLAGS", "").env("CGO_ENABLED", "0").env("GOCACHE", dir.path().join("c"));
    let Ok(output) = command.args(["build", "-ldflags=-s -w", "-o", "t", "t.go"]).output() else {
        eprintln!("skipped: go is not installed");
        return;
    };
    assert!(output.status.success());
    let said = std::process::Command::new("go").args(["env", "GOVERSION"]).output().unwrap();
    let data = std::fs::read(dir.path().join("t")).unwrap();
    let module = Module::parse(&data).unwrap();
    assert_eq!(module.toolchains[0].name, "go");
    assert_eq!(module.toolchains[0].version, String::from_utf8_lossy(&said.stdout).trim());
    assert_eq!(module.toolchains[0].evidence, ToolchainEvidence::GoBuildInfo);
}

#[test]
fn every_fixture_is_read_without_a_warning() {
    for (name, data) in all() {
        for module in Module::parse_all(&data).unwrap_or_else(|error| panic!("{name}: {error}")) {
            assert!(module.warnings.is_empty(), "{name}: {:?}", module.warnings);
            every_code_byte_is_accounted_for(&module);
            assert!(!module.functions.is_empty() || !module.methods.is_empty(), "{name}");
            let native = matches!(module.format, ModuleFormat::Elf | ModuleFormat::Pe | ModuleFormat::MachO);
            assert_eq!(native, module.methods.is_empty(), "{name}");
            assert!(!matches!(module.architecture, Architecture::Other(_)), "{name}");
        }
    }
}

#[test]
fn a_universal_file_is_a_module_for_each_slice() {
    let data = fixture("universal.dylib");
    let modules = Module::parse_all(&data).unwrap();
    let architectures: Vec<&Architecture> = modules.iter().map(|module| &module.architecture).collect();
    assert_eq!(architectures, [&Architecture::X86_64, &Architecture::Aarch64]);
    for (module, name) in modules.iter().zip(["zig-x86_64.dylib", "zig-aarch64.dylib"]) {
        let thin = fixture(name);
        let thin = Module::parse(&thin).unwrap();
        assert_eq!(module.debug_id, thin.debug_id);
        assert_eq!(module.functions, thin.functions);
        assert_eq!(module.slots, thin.slots);
    }
}

/// One hostile file may not take longer than this, debug build and shared machine included.
const LONGEST: Duration = Duration::from_secs(10);

fn try_all(name: &str, data: &[u8]) {
    let start = Instant::now();
    if let Ok(modules) = Module::parse_all(data) {
        for module in modules {
            every_code_byte_is_accounted_for(&module);
        }
    }
    assert!(start.elapsed() < LONGEST, "{name}: {:?}", start.elapsed());
}

#[test]
fn truncated_fixtures_are_refused_or_read_in_part() {
    for (name, data) in all() {
        let step = (data.len() / 400).max(1);
        for length in (0..data.len()).step_by(step) {
            try_all(&name, &data[..length]);
        }
    }
}

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// Single bytes, and words that are likely to be offsets and counts.
#[test]
fn damaged_fixtures_are_refused_or_read_in_part() {
    let mut random = Random(0x00a5_5a17);
    for (name, data) in all() {
        for round in 0..600 {
            let mut copy = data.clone();
            for _ in 0..1 + random.below(6) {
                let near_the_start = round % 2 == 0;
                let at = random.below(if near_the_start { copy.len().min(1024) } else { copy.len() });
                match random.below(4) {
                    0 => copy[at] = 0xff,
                    1 => copy[at] = 0,
                    2 => copy[at] ^= 1 << random.below(8),
                    _ => {
                        let value = [0u32, u32::MAX, 0x7fff_ffff, 0x8000_0000, 1 << 24][random.below(5)];
                        let end = (at + 4).min(copy.len());
                        copy[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
                    }
                }
            }
            try_all(&format!("{name} round {round}"), &copy);
        }
    }
}
