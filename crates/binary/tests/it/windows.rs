//! PE and COFF against binutils and LLVM's tools.

use std::collections::BTreeSet;
use std::path::Path;

use assay_binary::{Architecture, FunctionEvidence, Module, ModuleFormat, SlotTarget};

use crate::basics::C_SOURCE;
use crate::fixtures::{fixture, path};
use crate::modules::{compile, every_code_byte_is_accounted_for, object_file, run};

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// Imports as objdump prints them: (slot's library, name).
fn imports(objdump: &str, path: &Path) -> Option<BTreeSet<(String, String)>> {
    let text = run(objdump, &["-p"], path)?;
    let mut library = String::new();
    let mut found = BTreeSet::new();
    let mut rows = false;
    for line in text.lines() {
        if let Some((_, name)) = line.split_once("DLL Name: ") {
            name.trim().clone_into(&mut library);
        } else if line.trim_start().starts_with("vma:") {
            rows = true;
        } else if line.starts_with("The Function Table") || line.starts_with("PE File Base") {
            break;
        } else if line.trim().is_empty() {
            rows = false;
        } else if rows && !library.is_empty() {
            let name = line.split_whitespace().nth(2).or(line.split_whitespace().last());
            found.extend(name.map(|name| (library.clone(), name.to_owned())));
        }
    }
    Some(found)
}

fn program(tool: &str, prefix: &str, architecture: Architecture) {
    let dir = tempfile::tempdir().unwrap();
    let Some(data) = compile(dir.path(), tool, "t.c", C_SOURCE, &["-O2"]) else { return };
    let path = if dir.path().join("program.exe").exists() { "program.exe" } else { "program" };
    let path = dir.path().join(path);
    let module = Module::parse(&data).unwrap();
    assert_eq!((module.format, &module.architecture), (ModuleFormat::Pe, &architecture));
    assert_eq!(module.variant.as_deref(), Some("console executable"));
    assert!(module.warnings.is_empty(), "{:?}", module.warnings);
    every_code_byte_is_accounted_for(&module);
    let nm = run(&format!("{prefix}-nm"), &[], &path).unwrap();
    let typed: BTreeSet<&str> = nm
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.len() == 3 && fields[1] == "T").then(|| fields[2])
        })
        .collect();
    let mut ours: BTreeSet<&str> =
        module.functions.iter().flat_map(|f| f.names.iter().map(String::as_str)).collect();
    // What is only a jump to an import is a stub under the import's name.
    ours.extend(module.stubs.iter().map(|(.., import)| import.name.as_str()));
    let prefix_of = if architecture == Architecture::X86 { "_" } else { "" };
    let missing: Vec<&&str> = typed
        .iter()
        .filter(|name| !ours.contains(**name) && !ours.contains(name.strip_prefix(prefix_of).unwrap_or(name)))
        .collect();
    assert!(typed.len() > 30 && missing.is_empty(), "{} of {}: {missing:?}", missing.len(), typed.len());
    for name in ["pick", "work", "main"] {
        let name = format!("{prefix_of}{name}");
        assert!(ours.contains(name.as_str()), "{name}");
    }
    let theirs = imports(&format!("{prefix}-objdump"), &path).unwrap();
    let mine: BTreeSet<(String, String)> = module
        .slots
        .iter()
        .filter_map(|slot| match &slot.target {
            SlotTarget::Import(import, 0) => Some((import.provider.clone()?, import.name.clone())),
            _ => None,
        })
        .collect();
    assert!(theirs.len() > 20);
    assert_eq!(mine, theirs);
    if architecture == Architecture::X86_64 {
        let text = run(&format!("{prefix}-objdump"), &["-p"], &path).unwrap();
        let rows = text.split("The Function Table").nth(1).unwrap_or_default();
        let starts: BTreeSet<u64> = rows
            .lines()
            .filter_map(|line| hexadecimal(line.split_once(":\t")?.1.split_whitespace().next()?))
            .collect();
        let ranges: BTreeSet<u64> =
            module.functions.iter().flat_map(|f| f.ranges.iter().map(|range| range.0.0)).collect();
        assert!(starts.len() > 30, "{}", starts.len());
        let lost: Vec<_> = starts.difference(&ranges).collect();
        assert!(lost.is_empty(), "{lost:x?}");
        let stripped = dir.path().join("bare.exe");
        run(&format!("{prefix}-strip"), &["-o", stripped.to_str().unwrap()], &path).unwrap();
        let data = std::fs::read(stripped).unwrap();
        let module = Module::parse(&data).unwrap();
        every_code_byte_is_accounted_for(&module);
        let bare: BTreeSet<u64> = module.functions.iter().map(|f| f.address.0).collect();
        assert!(starts.iter().all(|start| bare.contains(start)));
        assert!(module.functions.iter().any(|f| f.evidence == FunctionEvidence::Pdata));
    }
}

#[test]
fn programs_of_mingw_agree_with_binutils() {
    program("x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32", Architecture::X86_64);
    program("i686-w64-mingw32-gcc", "i686-w64-mingw32", Architecture::X86);
}

#[test]
fn coff_objects() {
    let clang = |target: &'static str| ["-O1", "-c", "-fcommon", "-fno-pic", target];
    object_file("x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-nm", &["-O1", "-c"], Architecture::X86_64);
    object_file("i686-w64-mingw32-gcc", "i686-w64-mingw32-nm", &["-O1", "-c"], Architecture::X86);
    object_file("clang", "llvm-nm-14", &clang("--target=x86_64-pc-windows-msvc"), Architecture::X86_64);
    object_file("clang", "llvm-nm-14", &clang("--target=aarch64-pc-windows-msvc"), Architecture::Aarch64);
    object_file("clang", "llvm-nm-14", &clang("--target=i686-pc-windows-msvc"), Architecture::X86);
}

/// A 32-bit program without symbols and unwind tables has only its code: calls, pointers, boundaries.
#[test]
fn a_program_without_any_table_shows_its_functions() {
    let dir = tempfile::tempdir().unwrap();
    let Some(data) = compile(dir.path(), "i686-w64-mingw32-gcc", "t.c", C_SOURCE, &["-O2"]) else { return };
    let known =
        |module: &Module<'_>| -> BTreeSet<u64> { module.functions.iter().map(|f| f.address.0).collect() };
    let named = Module::parse(&data).unwrap();
    let expected: BTreeSet<u64> =
        named.functions.iter().filter(|f| !f.names.is_empty()).map(|f| f.address.0).collect();
    let bare = dir.path().join("bare.exe");
    run("i686-w64-mingw32-strip", &["-o", bare.to_str().unwrap()], &dir.path().join("program.exe")).unwrap();
    let data = std::fs::read(bare).unwrap();
    let module = Module::parse(&data).unwrap();
    assert!(module.functions.iter().all(|f| f.names.is_empty()));
    every_code_byte_is_accounted_for(&module);
    let found = known(&module);
    let right = found.intersection(&expected).count();
    let (recall, precision) = (right as f64 / expected.len() as f64, right as f64 / found.len() as f64);
    println!(
        "{} functions, {} found: recall {recall:.3}, precision {precision:.3}",
        expected.len(),
        found.len()
    );
    assert!(expected.len() > 60 && recall >= 0.9 && precision >= 0.85);
}

/// The identity that symbol servers look a PDB up by, the imports and the unwind table of two
/// architectures, as LLVM's reader has them.
#[test]
fn programs_of_lld_agree_with_readobj() {
    for name in ["lld-x86_64.exe", "lld-aarch64.exe"] {
        let data = fixture(name);
        let module = Module::parse(&data).unwrap();
        let options = ["--coff-debug-directory", "--coff-imports", "--unwind"];
        let Some(text) = run("llvm-readobj-14", &options, &path(name)) else { return };
        let field = |name: &str| {
            let values = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
            values.map(str::to_owned).collect::<Vec<String>>()
        };
        let id: String = field("PDBGUID")[0].chars().filter(char::is_ascii_hexdigit).collect();
        // This version of the tool prints the bytes in the file's order; a GUID starts with numbers.
        let swapped = |range: std::ops::Range<usize>| -> String {
            range.step_by(2).rev().map(|at| &id[at..at + 2]).collect()
        };
        let id = format!(
            "{}{}{}{}{}",
            swapped(0..8),
            swapped(8..12),
            swapped(12..16),
            &id[16..],
            field("PDBAge")[0]
        );
        assert_eq!(module.debug_id.as_ref().unwrap().0, id);
        let theirs: BTreeSet<String> =
            field("Symbol").iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect();
        let ours: BTreeSet<String> = module.stubs.iter().map(|(.., import)| import.name.clone()).collect();
        assert_eq!(ours, BTreeSet::from(["ExitProcess".to_owned(), "GetTickCount".to_owned()]));
        assert!(ours.is_subset(&theirs), "{theirs:?}");
        // `pointer` in the source holds the address of `table`, at the start of the data.
        let data = module.regions.iter().find(|region| region.name == ".data").unwrap();
        let pointers: Vec<_> =
            module.slots_in(data.address.0, data.end()).iter().map(|s| &s.target).collect();
        assert_eq!(pointers, [&SlotTarget::Address(data.address.0)]);
        assert!(module.functions.iter().any(|f| f.names == ["pick"]));
    }
}
