//! The binaries inside a file, a directory, a package, an image or a universal Mach-O.

use std::path::{Path, PathBuf};

use assay_archive::Limits;
use assay_binary::Module;

use super::MAX_BINARY;
use crate::commands::read_input;
use crate::error::{CliError, chain};

/// One binary and where it was found.
pub(super) struct Found {
    /// Its path: in a directory relative to it, in a package with `!/` between containers.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Most files of one directory tree.
const MAX_FILES: usize = 1_000_000;

/// Whether a path names one plain binary, so that no search is needed.
pub(super) fn is_single(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 512];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    let is_plain = |start: &[u8]| assay_archive::recognise(start).is_none() && !is_universal(start);
    path.is_file() && read.is_ok_and(|length| is_plain(&start[..length]))
}

/// A universal Mach-O counts its slices where a Java class, with the same magic, has its version.
fn is_universal(start: &[u8]) -> bool {
    start.starts_with(&[0xca, 0xfe, 0xba, 0xbe])
        && start.get(4..8).is_some_and(|count| count < [0, 0, 0, 40].as_slice())
}

/// Every binary inside, by path.
pub(super) fn binaries(path: &Path) -> Result<Vec<Found>, CliError> {
    let mut found = Vec::new();
    if path.is_dir() {
        for file in files(path)? {
            let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().into_owned();
            walk(&file, &name, &mut found)?;
        }
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        walk(path, &name, &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(file: &Path, name: &str, found: &mut Vec<Found>) -> Result<(), CliError> {
    let bytes = read_input(file, MAX_BINARY)?;
    let mut keep =
        |path: &str, bytes: &[u8]| match Module::slices(bytes) {
            Ok(slices) if slices.len() > 1 => found.extend((1..).zip(slices).map(|(number, slice)| Found {
                path: format!("{path}!/slice {number}"),
                bytes: slice.to_vec(),
            })),
            _ if is_binary(bytes) => found.push(Found { path: path.to_owned(), bytes: bytes.to_vec() }),
            _ => {}
        };
    assay_archive::walk(name, &bytes, &Limits::default(), &mut keep).map_err(|error| {
        let message = format!("{}: {}", file.display(), chain(&error));
        CliError::refused("package_refused", message, "unpack it and name the folder instead")
    })?;
    Ok(())
}

/// By its first bytes: ELF, PE, Mach-O, Java class, WebAssembly.
fn is_binary(bytes: &[u8]) -> bool {
    let by_magic = bytes.starts_with(b"\x7fELF")
        || bytes.starts_with(b"MZ")
        || bytes.starts_with(b"\0asm")
        || [[0xfe, 0xed, 0xfa], [0xca, 0xfe, 0xba]].iter().any(|magic| bytes.starts_with(magic))
        || bytes.get(1..4) == Some(&[0xfa, 0xed, 0xfe]);
    by_magic || (bytes.len() > 20 && bytes.len() < 64 << 20 && is_object(bytes))
}

/// A COFF object has no magic but its machine number; only a file that is read is one.
fn is_object(bytes: &[u8]) -> bool {
    let machine = u16::from_le_bytes([bytes[0], bytes[1]]);
    matches!(machine, 0x8664 | 0x14c | 0xaa64) && Module::parse(bytes).is_ok()
}

/// The regular files below a folder; links are not followed.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| CliError::file(&folder, &error))? {
            let entry = entry.map_err(|error| CliError::file(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| CliError::file(&entry.path(), &error))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
            if found.len() > MAX_FILES {
                let message = format!("{}: more than {MAX_FILES} files", folder.display());
                return Err(CliError::refused("package_refused", message, "name a smaller folder"));
            }
        }
    }
    found.sort();
    Ok(found)
}
