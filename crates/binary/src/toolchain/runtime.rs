//! Runtimes that show themselves: Go's build information, and symbols that only one language has.

use super::{Toolchain, ToolchainEvidence};
use crate::bytes::Bytes;
use crate::{Module, SlotTarget};

/// What Go's linker puts before the version, on a boundary of 16 bytes (`debug/buildinfo`).
const BUILD_INFO: &[u8] = b"\xff Go buildinf:";
const ALIGN: usize = 16;
const MAX_VERSION_BYTES: u64 = 128;
/// The build information stands in front of what the section holds; farther in it is not looked for.
const MAX_SEARCH_BYTES: usize = 1 << 20;

/// The version that Go's linker wrote: behind pointers before Go 1.18, in place since then.
pub(crate) fn go_build_info(module: &Module<'_>) -> Option<Toolchain> {
    let regions = module.regions.iter().filter(|region| {
        region.name.ends_with("go.buildinfo")
            || region.name.ends_with("__go_buildinfo")
            || region.name == ".data"
    });
    for region in regions {
        let bytes = &region.bytes[..region.bytes.len().min(MAX_SEARCH_BYTES)];
        let places = (0..bytes.len().saturating_sub(32)).step_by(ALIGN);
        for at in places.filter(|&at| bytes[at..].starts_with(BUILD_INFO)) {
            let info = Bytes::little(&bytes[at..]);
            let version = if info.u8(15)? & 2 != 0 { inline(info, 32) } else { pointed(module, info) };
            if let Some(version) =
                version.filter(|version| version.starts_with("go") || version.starts_with("devel"))
            {
                let evidence = ToolchainEvidence::GoBuildInfo;
                return Some(Toolchain { name: "go".to_owned(), version, evidence });
            }
        }
    }
    None
}

/// A length in base 128, then the text.
fn inline(info: Bytes<'_>, at: u64) -> Option<String> {
    let first = info.u8(at)?;
    let (length, start) = match first < 0x80 {
        true => (u64::from(first), at + 1),
        false => (u64::from(first & 0x7f) | u64::from(info.u8(at + 1)?) << 7, at + 2),
    };
    let text = info.slice(start, length.min(MAX_VERSION_BYTES))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A pointer to a pointer and a length.
fn pointed(module: &Module<'_>, info: Bytes<'_>) -> Option<String> {
    let width = info.u8(14)?;
    let little = info.u8(15)? & 1 == 0;
    let word = |at: u64| {
        if let Some(crate::Slot { target: SlotTarget::Address(address), .. }) = module.slot_at(at) {
            return Some(*address);
        }
        Bytes { data: module.bytes(at, width.into())?, little }.word(0, width)
    };
    let header = Bytes { data: info.data, little }.word(16, width)?;
    let (text, length) = (word(header)?, word(header.checked_add(width.into())?)?);
    let text = module.bytes(text, length.min(MAX_VERSION_BYTES))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// A symbol, exact or (with a star) by its start, that only this runtime has.
const MARKS: [(&str, &str); 23] = [
    ("rustc", "rust_eh_personality"),
    ("rustc", "__rust_alloc"),
    ("rustc", "_RNv*"),
    ("ghc", "stg_ap_*"),
    ("ghc", "base_GHC*"),
    ("ghc", "stg_upd_frame_info"),
    ("ocaml", "caml_startup__*"),
    ("ocaml", "caml_call_gc"),
    ("ocaml", "caml_c_call"),
    ("ocaml", "caml_curry*"),
    ("ocaml", "camlStdlib*"),
    ("gnat", "__gnat_*"),
    ("gnat", "ada__*"),
    ("gfortran", "_gfortran_*"),
    ("gdc or ldc", "_d_dso_registry"),
    ("gdc or ldc", "_d_run_main"),
    ("gdc or ldc", "_d_arraybounds*"),
    ("nim", "NimMain"),
    ("nim", "nimFrame"),
    ("nim", "raiseIndexError2"),
    ("fpc", "FPC_*"),
    ("fpc", "fpc_*"),
    ("go", "runtime.morestack_noctxt"),
];
/// Most names that are looked at.
const MAX_NAMES: usize = 200_000;

/// Names languages by their runtimes; a front end of GCC or LLVM that leaves only its back end's comment
/// gets that version.
pub(crate) fn identify_symbols(module: &Module<'_>, known: &[Toolchain]) -> Vec<Toolchain> {
    let functions = module.functions.iter().flat_map(|function| function.names.iter().map(String::as_str));
    let objects = module.objects.iter().map(|object| object.name.as_str());
    let slots = module.slots.iter().filter_map(|slot| match &slot.target {
        SlotTarget::Import(import, _) => Some(import.name.as_str()),
        _ => None,
    });
    let version_of = |name: &str| known.iter().find(|t| t.name == name).map(|t| t.version.clone());
    let mut found: Vec<Toolchain> = Vec::new();
    for name in functions.chain(objects).chain(slots).take(MAX_NAMES) {
        let mark = MARKS.iter().find(|(_, mark)| match mark.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *mark,
        });
        let Some((language, _)) = mark else { continue };
        let (language, version) = match *language {
            "gnat" | "gfortran" => (*language, version_of("gcc")),
            "gdc or ldc" if version_of("ldc").is_some() => continue,
            "gdc or ldc" if version_of("gcc").is_some() => ("gdc", version_of("gcc")),
            "gdc or ldc" => ("ldc", None),
            language => (language, None),
        };
        let said = |toolchain: &&Toolchain| toolchain.name == language;
        if known.iter().find(said).is_none() && found.iter().find(said).is_none() {
            found.push(Toolchain {
                name: language.to_owned(),
                version: version.unwrap_or_default(),
                evidence: ToolchainEvidence::RuntimeSymbols,
            });
        }
    }
    found
}
