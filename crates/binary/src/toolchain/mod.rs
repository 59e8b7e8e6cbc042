//! Which compiler made a binary, and how that is known.

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use serde::{Deserialize, Serialize};

pub(crate) mod rich;
mod runtime;

pub(crate) use runtime::{go_build_info, identify_symbols};

use crate::{Image, limits};

/// What the toolchain was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolchainEvidence {
    /// The ELF section `.comment`, or the same text in another section.
    Comment,
    /// `DW_AT_producer` of a compilation unit.
    DwarfProducer,
    /// The Rich header that Microsoft's linker writes.
    RichHeader,
    /// Go's build information.
    GoBuildInfo,
    /// Symbols that only one runtime has.
    RuntimeSymbols,
    /// The version of a Java class file.
    ClassVersion,
    /// An annotation or attribute that only one compiler writes.
    CompilerAttribute,
    /// The metadata of a .NET assembly.
    CliMetadata,
    /// The section `producers` of a WebAssembly module.
    WasmProducers,
}

/// One compiler that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toolchain {
    /// What people call it, in lower case: `rustc`, `clang`, `gcc`, `go`, `msvc`.
    pub name: String,
    /// Its version as it writes it; empty where it does not.
    pub version: String,
    /// Where that was read.
    pub evidence: ToolchainEvidence,
}

/// Every Rust binary links C start-up files, and every Clang binary GCC's: the more specific wins.
const PREFERENCE: [&str; 15] = [
    "rustc",
    "zig",
    "ldc",
    "ghc",
    "gnat",
    "gfortran",
    "gdc",
    "gm2",
    "fpc",
    "go",
    "nim",
    "emscripten",
    "mingw",
    "clang",
    "gcc",
];
/// Most different toolchains named for one module.
const MAX_TOOLCHAINS: usize = 16;
const MAX_COMMENT_BYTES: usize = 1 << 16;
const MAX_VERSION_CHARS: usize = 200;

pub(crate) fn identify(image: &Image<'_>) -> Option<Toolchain> {
    let section =
        |name: &str| image.section(name).map(|section| image.section_bytes(section)).unwrap_or_default();
    identify_sections(&section, true).into_iter().next()
}

/// Identifies by what the sections of those names hold; a section that is not there is empty. The main
/// part's compiler comes first.
pub(crate) fn identify_sections<'data>(
    section: &dyn Fn(&str) -> &'data [u8],
    little: bool,
) -> Vec<Toolchain> {
    let mut found = from_comment(section(".comment"));
    found.extend(from_dwarf(section, little));
    sort(&mut found);
    found
}

/// By preference; of one compiler the first evidence stays.
pub(crate) fn sort(found: &mut Vec<Toolchain>) {
    let rank = |toolchain: &Toolchain| {
        PREFERENCE.iter().position(|name| *name == toolchain.name).unwrap_or(PREFERENCE.len())
    };
    found.sort_by_key(rank);
    let mut kept: Vec<Toolchain> = Vec::new();
    for toolchain in found.drain(..) {
        let known = |other: &Toolchain| {
            other.name == toolchain.name
                && (other.version == toolchain.version || toolchain.version.is_empty())
        };
        if kept.len() < MAX_TOOLCHAINS && !kept.iter().any(known) {
            kept.push(toolchain);
        }
    }
    *found = kept;
}

pub(crate) fn from_comment(bytes: &[u8]) -> Vec<Toolchain> {
    let bytes = &bytes[..bytes.len().min(MAX_COMMENT_BYTES)];
    let texts = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    texts.filter_map(|text| recognise(&text, ToolchainEvidence::Comment)).collect()
}

/// Understands one comment or producer: `rustc version 1.95.0 (...)`, `clang LLVM (rustc version ...)`,
/// `GCC: (Debian 12.2.0-14) 12.2.0`, `GNU C17 12.2.0 -O2`, `Debian clang version 14.0.6`.
fn recognise(text: &str, evidence: ToolchainEvidence) -> Option<Toolchain> {
    let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest.trim());
    let word = |rest: &str| rest.split([' ', ',', ';']).next().unwrap_or_default().to_owned();
    let (name, version) = if let Some(rest) = after("rustc version ") {
        ("rustc", rustc_version(rest).to_owned())
    } else if let Some(rest) = after("zig version ").or_else(|| text.strip_prefix("zig ")) {
        ("zig", word(rest))
    } else if let Some(rest) = after("ldc version ").or_else(|| after("LDC ")) {
        ("ldc", word(rest))
    } else if let Some(rest) = after("clang version ") {
        ("clang", rest.to_owned())
    } else if let Some(rest) = after("GCC: ") {
        ("gcc", rest.rsplit(')').next().unwrap_or(rest).trim().to_owned())
    } else if let Some(rest) = text.strip_prefix("GNU ") {
        (gnu_language(rest), rest.split(' ').find(|word| is_version(word)).unwrap_or(rest).to_owned())
    } else if let Some(rest) = text.strip_prefix("Go cmd/compile ") {
        ("go", word(rest))
    } else if let Some(rest) = after("GHC ").or_else(|| after("Glasgow Haskell Compilation System ")) {
        ("ghc", rest.to_owned())
    } else if let Some(rest) = after("Free Pascal ").or_else(|| text.strip_prefix("FPC ")) {
        ("fpc", word(rest))
    } else {
        return None;
    };
    let version = version.chars().take(MAX_VERSION_CHARS).collect();
    Some(Toolchain { name: name.to_owned(), version, evidence })
}

/// The front end that GCC names in `GNU Ada 12.2.0`, `GNU Fortran2008 12.2.0`, `GNU C17 12.2.0`.
fn gnu_language(producer: &str) -> &'static str {
    match producer {
        text if text.starts_with("Ada") => "gnat",
        text if text.starts_with("Fortran") => "gfortran",
        text if text.starts_with("D ") => "gdc",
        text if text.starts_with("Go ") => "gccgo",
        text if text.starts_with("Modula-2") => "gm2",
        _ => "gcc",
    }
}

fn is_version(word: &str) -> bool {
    word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit())
}

/// Cuts the parenthesis that encloses the whole phrase, and keeps the version's own.
fn rustc_version(rest: &str) -> &str {
    match rest.strip_suffix(')') {
        Some(cut) if !cut.contains('(') => cut,
        _ => rest,
    }
}

fn from_dwarf<'data>(section: &dyn Fn(&str) -> &'data [u8], little: bool) -> Vec<Toolchain> {
    let endian = if little { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let load = |id: SectionId| Ok::<_, gimli::Error>(EndianSlice::new(section(id.name()), endian));
    let Ok(dwarf) = gimli::Dwarf::load(load) else { return Vec::new() };
    let mut units = dwarf.units();
    let mut found = Vec::new();
    for _ in 0..limits::MAX_PRODUCER_UNITS {
        let Ok(Some(header)) = units.next() else { break };
        found.extend(
            producer(&dwarf, header).and_then(|text| recognise(&text, ToolchainEvidence::DwarfProducer)),
        );
    }
    found
}

type Slice<'data> = EndianSlice<'data, RunTimeEndian>;

fn producer(dwarf: &gimli::Dwarf<Slice<'_>>, header: gimli::UnitHeader<Slice<'_>>) -> Option<String> {
    let unit = dwarf.unit(header).ok()?;
    let mut entries = unit.entries();
    let root = entries.next_dfs().ok()??;
    let value = root.attr_value(gimli::DW_AT_producer)?;
    Some(dwarf.attr_string(&unit, value).ok()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_producers() {
        let cases = [
            ("rustc version 1.95.0 (59807616e 2026-04-14)", "rustc", "1.95.0 (59807616e 2026-04-14)"),
            ("clang LLVM (rustc version 1.79.0)", "rustc", "1.79.0"),
            ("GCC: (Debian 12.2.0-14+deb12u1) 12.2.0", "gcc", "12.2.0"),
            ("GNU C17 12.2.0 -mtune=generic", "gcc", "12.2.0"),
            ("Debian clang version 14.0.6", "clang", "14.0.6"),
            ("GNU Ada 12.2.0 -O2 -mtune=generic", "gnat", "12.2.0"),
            ("GNU Fortran2008 12.2.0 -O2", "gfortran", "12.2.0"),
            ("GNU D 12.2.0 -O2", "gdc", "12.2.0"),
            ("LDC 1.30.0 (LLVM 14.0.6)", "ldc", "1.30.0"),
            ("Go cmd/compile go1.19.8; regabi", "go", "go1.19.8"),
        ];
        for (text, name, version) in cases {
            let found = recognise(text, ToolchainEvidence::Comment).expect(text);
            assert_eq!((found.name.as_str(), found.version.as_str()), (name, version));
        }
        assert_eq!(recognise("Linker: LLD 21.1.8", ToolchainEvidence::Comment), None);
    }
}
