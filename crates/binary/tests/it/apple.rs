//! Mach-O against LLVM's tools.

use std::collections::BTreeSet;

use assay_binary::{Architecture, FunctionEvidence, Module, SlotTarget};

use crate::fixtures::{fixture, path};
use crate::modules::{object_file, run};

#[test]
fn mach_o_objects() {
    let arguments = |target: &'static str| ["-O1", "-c", "-fcommon", target];
    object_file("clang", "llvm-nm-14", &arguments("--target=x86_64-apple-macos12"), Architecture::X86_64);
    object_file("clang", "llvm-nm-14", &arguments("--target=arm64-apple-macos12"), Architecture::Aarch64);
}

/// Opcodes (Zig's linker) and chained fixups (LLD's) say the same of one source: what `apple.c` writes.
#[test]
fn slots_and_stubs_of_libraries_are_what_the_source_says() {
    for name in ["zig-x86_64.dylib", "zig-aarch64.dylib", "chained.dylib"] {
        let data = fixture(name);
        let module = Module::parse(&data).unwrap();
        let object = |name: &str| module.objects.iter().find(|object| object.name == name).unwrap().address;
        let target = |name: &str| &module.slot_at(object(name).0).unwrap().target;
        assert_eq!(target("_pointer"), &SlotTarget::Address(object("_table").0), "{name}");
        assert!(
            matches!(target("_allocate"), SlotTarget::Import(import, 0) if import.name == "_malloc"),
            "{name}"
        );
        assert!(module.stubs.iter().any(|(.., import)| import.name == "_getpid"), "{name}");
        let text = run("llvm-nm-14", &["--defined-only"], &path(name)).unwrap_or_default();
        let code = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.len() == 3 && matches!(fields[1], "t" | "T")).then(|| fields[2].to_owned())
        };
        let theirs: BTreeSet<String> = text.lines().filter_map(code).collect();
        let ours: BTreeSet<String> = module.functions.iter().flat_map(|f| f.names.clone()).collect();
        assert!(theirs.is_empty() || theirs == ours, "{name}: {theirs:?} {ours:?}");
    }
}

#[test]
fn a_stripped_library_has_its_function_starts() {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("bare.dylib");
    let arguments = ["--strip-all", "-o", bare.to_str().unwrap()];
    if run("llvm-strip-14", &arguments, &path("chained.dylib")).is_none() {
        return;
    }
    let (full, bare) = (fixture("chained.dylib"), std::fs::read(bare).unwrap());
    let (full, bare) = (Module::parse(&full).unwrap(), Module::parse(&bare).unwrap());
    let starts = |module: &Module<'_>| -> Vec<u64> { module.functions.iter().map(|f| f.address.0).collect() };
    assert_eq!(starts(&full), starts(&bare));
    assert!(bare.functions.iter().all(|f| f.evidence == FunctionEvidence::FunctionStarts));
    assert!(!bare.functions.iter().any(|f| f.names.iter().any(|name| name == "_hidden")));
}
