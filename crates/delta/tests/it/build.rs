//! Builds small programs; a missing tool skips the test by name.

use std::path::Path;
use std::process::Command;

use assay_binary::{Address, CodeMap, Image, UnitKind};

/// One built program: its bytes.
pub fn build(tool: &str, files: &[(&str, &str)], args: &[&str]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool);
    command.current_dir(dir.path()).args(args);
    for (name, source) in files {
        std::fs::write(dir.path().join(name), source).unwrap();
        command.arg(name);
    }
    match command.arg("-o").arg("program").output() {
        Ok(out) => {
            assert!(out.status.success(), "{tool}: {}", String::from_utf8_lossy(&out.stderr));
            Some(std::fs::read(dir.path().join(Path::new("program"))).unwrap())
        }
        Err(error) => {
            eprintln!("skipped: {tool}: {error}");
            None
        }
    }
}

pub fn c(source: &str) -> Option<Vec<u8>> {
    build("cc", &[("t.c", source)], &["-O2"])
}

pub fn rust(source: &str) -> Option<Vec<u8>> {
    build("rustc", &[("t.rs", source)], &["-O", "--edition=2021", "-Cdebuginfo=0"])
}

/// The entries of all functions whose name holds none of `but`.
pub fn all_but(bytes: &[u8], but: &[&str]) -> Vec<Address> {
    let image = Image::parse(bytes).unwrap();
    let map = CodeMap::build(&image);
    let kept = |name: &str| !but.iter().any(|part| name.contains(part));
    let functions = map.units().iter().filter(|unit| unit.kind == UnitKind::Function && kept(&unit.name));
    functions.map(|unit| unit.entry).collect()
}

/// The entries of the functions whose name holds one of `parts`.
pub fn only(bytes: &[u8], parts: &[&str]) -> Vec<Address> {
    let image = Image::parse(bytes).unwrap();
    let map = CodeMap::build(&image);
    let found: Vec<Address> = map
        .units()
        .iter()
        .filter(|unit| parts.iter().any(|part| unit.name.contains(part)))
        .map(|unit| unit.entry)
        .collect();
    assert!(found.len() >= parts.len(), "{parts:?}");
    found
}

/// The file without its symbols, by the `strip` that belongs to the compiler.
pub fn stripped(compiler: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let strip = compiler.strip_suffix("-gcc").map_or("strip".to_owned(), |prefix| format!("{prefix}-strip"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let done = Command::new(&strip).arg(&path).output().ok()?;
    assert!(done.status.success(), "{strip}: {}", String::from_utf8_lossy(&done.stderr));
    Some(std::fs::read(&path).unwrap())
}
