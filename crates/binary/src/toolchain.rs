//! Which compiler made a binary, and how that is known.

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use serde::{Deserialize, Serialize};

use crate::{Image, limits};

/// What the toolchain was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolchainEvidence {
    /// The ELF section `.comment`.
    Comment,
    /// `DW_AT_producer` of a compilation unit.
    DwarfProducer,
}

/// The compiler of a binary's main part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toolchain {
    /// `rustc`, `clang`, `gcc`, or the producer's own first word.
    pub name: String,
    /// Its version as it writes it.
    pub version: String,
    /// Where that was read.
    pub evidence: ToolchainEvidence,
}

/// Every Rust binary links C start-up files, and every Clang binary GCC's: the more specific wins.
const PREFERENCE: [&str; 4] = ["rustc", "clang", "gcc", "ghc"];
const MAX_COMMENT_BYTES: usize = 1 << 16;
const MAX_VERSION_CHARS: usize = 200;

pub(crate) fn identify(image: &Image<'_>) -> Option<Toolchain> {
    let section =
        |name: &str| image.section(name).map(|section| image.section_bytes(section)).unwrap_or_default();
    identify_sections(&section, true)
}

/// Identifies by what the sections of those names hold; a section that is not there is empty.
pub(crate) fn identify_sections<'data>(
    section: &dyn Fn(&str) -> &'data [u8],
    little: bool,
) -> Option<Toolchain> {
    from_comment(section(".comment")).or_else(|| from_dwarf(section, little))
}

fn from_comment(bytes: &[u8]) -> Option<Toolchain> {
    let bytes = bytes.get(..bytes.len().min(MAX_COMMENT_BYTES))?;
    let texts = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    pick(texts.filter_map(|text| recognise(&text, ToolchainEvidence::Comment)).collect())
}

fn pick(found: Vec<Toolchain>) -> Option<Toolchain> {
    let rank = |toolchain: &Toolchain| {
        PREFERENCE.iter().position(|name| *name == toolchain.name).unwrap_or(PREFERENCE.len())
    };
    found.into_iter().min_by_key(rank)
}

/// Understands one comment or producer: `rustc version 1.95.0 (...)`, `clang LLVM (rustc version ...)`,
/// `GCC: (Debian 12.2.0-14) 12.2.0`, `GNU C17 12.2.0 -O2`, `Debian clang version 14.0.6`.
fn recognise(text: &str, evidence: ToolchainEvidence) -> Option<Toolchain> {
    let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest.trim());
    let (name, version) = if let Some(rest) = after("rustc version ") {
        ("rustc", rustc_version(rest))
    } else if let Some(rest) = after("clang version ") {
        ("clang", rest)
    } else if let Some(rest) = after("GCC: ") {
        ("gcc", rest.rsplit(')').next().unwrap_or(rest).trim())
    } else if let Some(rest) = text.strip_prefix("GNU ") {
        ("gcc", rest.split(' ').nth(1).unwrap_or(rest))
    } else if let Some(rest) = after("GHC ") {
        ("ghc", rest)
    } else {
        return None;
    };
    let version = version.chars().take(MAX_VERSION_CHARS).collect();
    Some(Toolchain { name: name.to_owned(), version, evidence })
}

/// Cuts the parenthesis that encloses the whole phrase, and keeps the version's own.
fn rustc_version(rest: &str) -> &str {
    match rest.strip_suffix(')') {
        Some(cut) if !cut.contains('(') => cut,
        _ => rest,
    }
}

fn from_dwarf<'data>(section: &dyn Fn(&str) -> &'data [u8], little: bool) -> Option<Toolchain> {
    let endian = if little { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let load = |id: SectionId| Ok::<_, gimli::Error>(EndianSlice::new(section(id.name()), endian));
    let dwarf = gimli::Dwarf::load(load).ok()?;
    let mut units = dwarf.units();
    let mut found = Vec::new();
    for _ in 0..limits::MAX_PRODUCER_UNITS {
        let Ok(Some(header)) = units.next() else { break };
        found.extend(
            producer(&dwarf, header).and_then(|text| recognise(&text, ToolchainEvidence::DwarfProducer)),
        );
    }
    pick(found)
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
        ];
        for (text, name, version) in cases {
            let found = recognise(text, ToolchainEvidence::Comment).expect(text);
            assert_eq!((found.name.as_str(), found.version.as_str()), (name, version));
        }
        assert_eq!(recognise("Linker: LLD 21.1.8", ToolchainEvidence::Comment), None);
    }
}
