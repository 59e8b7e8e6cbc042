//! `Module` against `CodeMap`, binutils and Go's own tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_binary::{
    Architecture, CodeMap, FunctionEvidence, Image, Module, ModuleFormat, SectionKind, SlotTarget, UnitKind,
};

use crate::basics::{C_SOURCE, build};

/// What a tool prints, or none (with a line that says so) where it is not installed.
pub fn run(program: &str, args: &[&str], file: &Path) -> Option<String> {
    match Command::new(program).args(args).arg(file).output() {
        Ok(out) => Some(String::from_utf8_lossy(&out.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

/// Compiles `source`; none (with a line that says so) where the compiler is not installed.
pub fn compile(dir: &Path, tool: &str, file: &str, source: &str, args: &[&str]) -> Option<Vec<u8>> {
    let path: PathBuf = build(dir, tool, file, source, args)?;
    Some(std::fs::read(path).unwrap())
}

/// Every executable byte is in a function, a stub, a gap or padding, and only overlaps are in two.
pub fn every_code_byte_is_accounted_for(module: &Module<'_>) {
    let code: u64 = module.regions.iter().filter(|r| r.kind == SectionKind::Code).map(|r| r.size).sum();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for function in &module.functions {
        ranges.extend(function.ranges.iter().map(|(start, size)| (start.0, start.0 + size)));
    }
    ranges.extend(module.stubs.iter().map(|(start, size, _)| (start.0, start.0 + size)));
    ranges.extend(module.gaps.iter().map(|(start, size)| (start.0, start.0 + size)));
    ranges.sort_unstable();
    let (mut covered, mut end) = (0, 0);
    for (start, stop) in ranges {
        covered += stop.saturating_sub(start.max(end));
        end = end.max(stop);
    }
    assert_eq!(covered + module.padding, code);
    assert!(module.functions.windows(2).all(|pair| pair[0].address < pair[1].address));
    assert!(module.slots.windows(2).all(|pair| pair[0].address < pair[1].address));
    assert!(module.regions.windows(2).all(|pair| pair[0].end() <= pair[1].address.0));
}

fn agrees_with_code_map(data: &[u8]) {
    let (image, module) = (Image::parse(data).unwrap(), Module::parse(data).unwrap());
    assert_eq!((module.format, &module.architecture), (ModuleFormat::Elf, &Architecture::X86_64));
    assert_eq!(module.debug_id.as_ref(), image.debug_id());
    assert!(module.warnings.is_empty(), "{:?}", module.warnings);
    every_code_byte_is_accounted_for(&module);
    let map = CodeMap::build(&image);
    let units: Vec<_> = map.units().iter().filter(|unit| unit.kind == UnitKind::Function).collect();
    let theirs: BTreeMap<u64, &Vec<String>> = units
        .iter()
        .flat_map(|unit| unit.entries.iter().map(|entry| (entry.address.0, &entry.names)))
        .filter(|(_, names)| names.iter().all(|name| name != "_init" && name != "_fini" && name != "_start"))
        .collect();
    let ours: BTreeMap<u64, &Vec<String>> = module
        .functions
        .iter()
        .filter(|function| function.evidence <= FunctionEvidence::UnsizedSymbol && !function.names.is_empty())
        .map(|function| (function.address.0, &function.names))
        .collect();
    for (address, names) in &theirs {
        assert_eq!(ours.get(address), Some(names), "{address:#x}");
    }
    let known: BTreeSet<u64> =
        units.iter().flat_map(|u| u.entries.iter().map(|entry| entry.address.0)).collect();
    for (address, names) in &ours {
        assert!(known.contains(address), "{address:#x} {names:?} is no entry of the code map");
    }
    let stubs: BTreeSet<(u64, String)> = map
        .units()
        .iter()
        .filter(|unit| matches!(unit.kind, UnitKind::Stub { .. }))
        .map(|unit| (unit.entry.0, unit.name.trim_end_matches("@plt").to_owned()))
        .collect();
    let mine: BTreeSet<(u64, String)> = module
        .stubs
        .iter()
        .filter(|(.., import)| import.name != "@plt")
        .map(|(start, _, import)| (start.0, import.name.clone()))
        .collect();
    assert_eq!(stubs, mine);
}

#[test]
fn functions_of_this_program_agree_with_the_code_map() {
    let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    agrees_with_code_map(&data);
    let module = Module::parse(&data).unwrap();
    assert!(module.functions.len() > 1000);
    assert_eq!(module.toolchains[0].name, "rustc");
}

#[test]
fn functions_of_a_c_program_agree_with_the_code_map() {
    let dir = tempfile::tempdir().unwrap();
    let Some(data) = compile(dir.path(), "gcc", "t.c", C_SOURCE, &["-O2"]) else { return };
    agrees_with_code_map(&data);
    let module = Module::parse(&data).unwrap();
    let names = |name: &str| module.functions.iter().find(|f| f.names.iter().any(|n| n == name));
    assert!(names("pick.cold").is_none());
    assert_eq!(names("pick").unwrap().ranges.len(), 2, "the cold part belongs to its parent");
    assert!(module.stubs.iter().any(|(.., import)| import.name == "puts"
        && import.provider.as_deref() == Some("libc.so.6")
        && import.version.as_deref() == Some("GLIBC_2.2.5")));
}

/// Frame descriptions, counted by readelf, are the functions of a stripped program.
#[test]
fn stripped_programs_have_their_frames_functions() {
    let mut checked = 0;
    for path in ["/usr/bin/gdb", "/usr/bin/python3", "/usr/bin/git", "/bin/bash", "/usr/bin/openssl"] {
        let path = Path::new(path);
        let Ok(data) = std::fs::read(path) else { continue };
        let Ok(module) = Module::parse(&data) else { panic!("{path:?}") };
        if module.architecture != Architecture::X86_64 {
            continue;
        }
        every_code_byte_is_accounted_for(&module);
        let Some(text) = run("readelf", &["--debug-dump=frames-interp", "-W"], path) else { return };
        let start = |line: &str| {
            let (_, range) = line.split_once("pc=")?;
            u64::from_str_radix(range.split("..").next()?, 16).ok()
        };
        let theirs: BTreeSet<u64> = text.lines().filter(|l| l.contains(" FDE ")).filter_map(start).collect();
        let stub = |address: u64| module.stub_at(address).is_some();
        let ours: BTreeSet<u64> = module.functions.iter().map(|function| function.address.0).collect();
        let missing: Vec<_> = theirs.iter().filter(|&&at| !ours.contains(&at) && !stub(at)).collect();
        let gaps: u64 = module.gaps.iter().map(|(_, size)| size).sum();
        let code: u64 = module.regions.iter().filter(|r| r.kind == SectionKind::Code).map(|r| r.size).sum();
        println!(
            "{path:?}: {} of {} frames, {} functions, gaps {gaps} of {code}",
            theirs.len() - missing.len(),
            theirs.len(),
            ours.len()
        );
        assert!(missing.len() * 1000 <= theirs.len(), "{path:?}: {missing:x?}");
        assert!(gaps * 50 <= code, "{path:?}: {gaps} of {code} bytes are in gaps");
        checked += 1;
    }
    assert!(checked > 0, "no stripped program on this machine");
}

fn nm_functions(tool: &str, path: &Path) -> Option<BTreeSet<String>> {
    let text = run(tool, &["--defined-only"], path)?;
    let name = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let kind = fields.next()?;
        matches!(kind, "t" | "T" | "W" | "i").then(|| fields.next().map(str::to_owned)).flatten()
    };
    // COFF names its sections in the same table.
    Some(
        text.lines()
            .filter_map(name)
            .filter(|name| !name.starts_with('.') && !name.starts_with("ltmp"))
            .collect(),
    )
}

/// Functions, imports and the slots of calls in an object file, for one compiler.
pub fn object_file(tool: &str, nm: &str, args: &[&str], architecture: Architecture) {
    let dir = tempfile::tempdir().unwrap();
    let source = "extern int outside(int); extern int there; int table[4] = {1, 2, 3, 4}; int common;\n\
        static int inner(int x) __attribute__((noinline));\n\
        static int inner(int x) { return outside(x) + table[x & 3]; }\n\
        int (*pointer)(int) = inner;\n\
        int outer(int x) { return inner(x + 1) + there + common; }\n";
    let Some(data) = compile(dir.path(), tool, "t.c", source, args) else { return };
    let module = Module::parse(&data).unwrap();
    assert_eq!(
        (&module.architecture, module.variant.as_deref().map(|v| v.starts_with("relocatable"))),
        (&architecture, Some(true))
    );
    assert!(module.warnings.is_empty(), "{:?}", module.warnings);
    every_code_byte_is_accounted_for(&module);
    let ours: BTreeSet<String> = module.functions.iter().flat_map(|f| f.names.clone()).collect();
    assert_eq!(Some(ours), nm_functions(nm, &dir.path().join("program")));
    // Mach-O and 32-bit COFF put an underscore before C's names.
    let plain = |name: &str| name.strip_prefix('_').unwrap_or(name).to_owned();
    let find =
        |name: &str| module.functions.iter().find(|f| f.names.iter().any(|n| plain(n) == name)).unwrap();
    let (inner, outer) = (find("inner"), find("outer"));
    let slots = |function: &assay_binary::Function| {
        let (start, size) = function.ranges[0];
        module.slots_in(start.0, start.0 + size).iter().map(|slot| slot.target.clone()).collect::<Vec<_>>()
    };
    let imports =
        |target: &SlotTarget| matches!(target, SlotTarget::Import(i, 0) if plain(&i.name) == "outside");
    assert!(slots(inner).iter().any(imports), "{:?}", slots(inner));
    let table = module.objects.iter().find(|object| plain(&object.name) == "table").unwrap();
    assert!(slots(inner).contains(&SlotTarget::Address(table.address.0)), "{:?}", slots(inner));
    let pointer = module.objects.iter().find(|object| plain(&object.name) == "pointer").unwrap();
    let value = module.slot_at(pointer.address.0).unwrap();
    assert_eq!(value.target, SlotTarget::Address(inner.address.0));
    // `there` is reached directly or through a slot that the linker makes.
    let there = slots(outer).into_iter().any(|target| match target {
        SlotTarget::Import(import, 0) => plain(&import.name) == "there",
        SlotTarget::Address(slot) => module.slot_at(slot).is_some_and(
            |slot| matches!(&slot.target, SlotTarget::Import(import, 0) if plain(&import.name) == "there"),
        ),
        _ => false,
    });
    assert!(there, "{:?}", slots(outer));
}

#[test]
fn object_files_of_three_architectures() {
    object_file("gcc", "nm", &["-O1", "-c", "-fcommon"], Architecture::X86_64);
    object_file("gcc", "nm", &["-O1", "-c", "-fcommon", "-mcmodel=large", "-fno-pic"], Architecture::X86_64);
    object_file("gcc", "nm", &["-O1", "-c", "-m32", "-fcommon", "-fno-pic"], Architecture::X86);
    let aarch64 = "aarch64-linux-gnu-gcc";
    object_file(aarch64, "aarch64-linux-gnu-nm", &["-O1", "-c", "-fcommon"], Architecture::Aarch64);
    object_file(aarch64, "aarch64-linux-gnu-nm", &["-O1", "-c", "-fno-pic"], Architecture::Aarch64);
}

/// Stubs of linked programs, against what objdump calls them.
#[test]
fn stubs_of_other_architectures_agree_with_objdump() {
    let cases = [
        ("gcc", "objdump", &["-O2", "-Wl,-z,now"][..]),
        ("gcc", "objdump", &["-O2", "-Wl,-z,lazy", "-fcf-protection"]),
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objdump", &["-O2"]),
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-objdump", &["-O2", "-mbranch-protection=standard"]),
    ];
    for (tool, objdump, args) in cases {
        let dir = tempfile::tempdir().unwrap();
        let Some(data) = compile(dir.path(), tool, "t.c", C_SOURCE, args) else { continue };
        let module = Module::parse(&data).unwrap();
        every_code_byte_is_accounted_for(&module);
        let Some(text) = run(objdump, &["-d"], &dir.path().join("program")) else { continue };
        let label = |line: &str| {
            let (address, rest) = line.split_once(" <")?;
            let name = rest.strip_suffix("@plt>:")?;
            Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
        };
        let theirs: BTreeSet<(u64, String)> = text.lines().filter_map(label).collect();
        let ours: BTreeSet<(u64, String)> = module
            .stubs
            .iter()
            .filter(|(.., import)| import.name != "@plt")
            .map(|(start, _, import)| (start.0, import.name.clone()))
            .collect();
        assert!(theirs.len() >= 3, "{tool} {args:?}: {theirs:?}");
        assert_eq!(theirs, ours, "{tool} {args:?}");
    }
}

/// A 32-bit library made without a C library: its stubs go through `ebx`.
#[test]
fn stubs_of_a_32_bit_library() {
    let dir = tempfile::tempdir().unwrap();
    let source = "extern int far(int); extern int other(int); int near(int x) { return far(x) + other(x); }";
    let args = ["-m32", "-fPIC", "-shared", "-nostdlib", "-O1"];
    let Some(data) = compile(dir.path(), "gcc", "t.c", source, &args) else { return };
    let module = Module::parse(&data).unwrap();
    every_code_byte_is_accounted_for(&module);
    let names: BTreeSet<&str> = module.stubs.iter().map(|(.., import)| import.name.as_str()).collect();
    assert!(names.is_superset(&BTreeSet::from(["far", "other"])), "{names:?}");
}

/// Go's table survives stripping; Go's own `nm` says from the unstripped program what it must hold.
#[test]
fn a_stripped_go_program_keeps_its_functions() {
    let dir = tempfile::tempdir().unwrap();
    let source = "package main\nimport \"fmt\"\n//go:noinline\nfunc pick(x int) int { return x * 3 }\n\
        func main() { fmt.Println(pick(14)) }\n";
    std::fs::write(dir.path().join("t.go"), source).unwrap();
    for mode in ["exe", "pie"] {
        let go = |output: &str, flags: &str| {
            let mut command = Command::new("go");
            command
                .current_dir(&dir)
                .env("GOFLAGS", "")
                .env("CGO_ENABLED", "0")
                .env("GOCACHE", dir.path().join("c"));
            let mode = format!("-buildmode={mode}");
            command.args(["build", &mode, "-ldflags", flags, "-o", output, "t.go"]).status()
        };
        let Ok(status) = go("full", "") else {
            eprintln!("skipped: go is not installed");
            return;
        };
        assert!(status.success() && go("bare", "-s -w").unwrap().success());
        let text = Command::new("go").args(["tool", "nm"]).arg(dir.path().join("full")).output().unwrap();
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let code = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let mark = matches!(fields.get(2), Some(&"runtime.text" | &"runtime.etext"));
            let code = fields.len() == 3 && matches!(fields[1], "T" | "t") && !mark;
            code.then(|| u64::from_str_radix(fields[0], 16).unwrap())
        };
        let theirs: BTreeSet<u64> = text.lines().filter_map(code).collect();
        let data = std::fs::read(dir.path().join("bare")).unwrap();
        let module = Module::parse(&data).unwrap();
        every_code_byte_is_accounted_for(&module);
        let from_table = module.functions.iter().filter(|f| f.evidence == FunctionEvidence::Pclntab);
        let ours: BTreeSet<u64> = from_table.map(|f| f.address.0).collect();
        let missing: Vec<_> = theirs.difference(&ours).collect();
        assert!(ours.len() > 1000 && missing.is_empty(), "{mode}: {} of {}", missing.len(), theirs.len());
        // The address is right, not only the name: `main.pick` multiplies by three.
        let pick = module.functions.iter().find(|f| f.names == ["main.pick"]).unwrap();
        let code = module.bytes(pick.address.0, 4).unwrap();
        assert_eq!(code, [0x48, 0x8d, 0x04, 0x40], "lea rax, [rax+rax*2]");
    }
}
