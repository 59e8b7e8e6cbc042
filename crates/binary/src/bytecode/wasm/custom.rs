//! Custom sections: names, producers, identity.

use super::reader::Reader;
use super::sections::Contents;
use crate::native::hexadecimal;
use crate::{Module, Toolchain, ToolchainEvidence, toolchain};

/// Longest identity that is kept, in bytes.
const MAX_BUILD_ID_BYTES: usize = 64;

pub(super) fn read(body: &[u8], contents: &mut Contents<'_>, module: &mut Module<'_>) -> Option<()> {
    let mut reader = Reader::new(body);
    match reader.name()?.as_str() {
        "name" => names(&mut reader, contents),
        "producers" => producers(&mut reader, module),
        "build_id" => {
            let id = reader.sized()?;
            let fits = !id.is_empty() && id.len() <= MAX_BUILD_ID_BYTES;
            module.debug_id = fits.then(|| hexadecimal(id));
            Some(())
        }
        "linking" => {
            contents.linking = true;
            Some(())
        }
        _ => Some(()),
    }
}

/// Function names (subsection 1) come before those of exports.
fn names(reader: &mut Reader<'_>, contents: &mut Contents<'_>) -> Option<()> {
    while !reader.is_empty() {
        let kind = reader.byte()?;
        let mut body = Reader::new(reader.sized()?);
        if kind == 1 {
            for _ in 0..body.count()? {
                let index = body.u32()?;
                let name = body.name()?;
                contents.names.insert(index, name);
            }
        } else if kind == 7 {
            for _ in 0..body.count()? {
                let index = body.u32()? as usize;
                let name = body.name()?;
                if let Some(global) = contents.globals.get_mut(index) {
                    global.name.get_or_insert(name);
                }
            }
        }
    }
    Some(())
}

/// Fields `language`, `processed-by` and `sdk`, each a list of names with versions.
fn producers(reader: &mut Reader<'_>, module: &mut Module<'_>) -> Option<()> {
    let mut found = Vec::new();
    for _ in 0..reader.count()? {
        let field = reader.name()?;
        for _ in 0..reader.count()? {
            let (name, version) = (reader.name()?, reader.name()?);
            if field == "language" {
                continue;
            }
            let name = match name.as_str() {
                clang if clang.ends_with("clang") => "clang".to_owned(),
                other => other.to_lowercase(),
            };
            let version = version.chars().take(200).collect();
            found.push(Toolchain { name, version, evidence: ToolchainEvidence::WasmProducers });
        }
    }
    module.toolchains.extend(found);
    Some(())
}

/// What Emscripten's runtime exports so that its JavaScript can work the stack, or imports from it.
const STACK: [&str; 3] = ["stackSave", "stackAlloc", "stackRestore"];

/// Emscripten leaves no name of its own in `producers`; its runtime shows it.
pub(super) fn name_toolchains(contents: &Contents<'_>, module: &mut Module<'_>) {
    let exports = |name: &str| {
        contents.names.values().any(|known| known == name || known.strip_prefix("_emscripten_") == Some(name))
    };
    let imports =
        contents.imports.iter().any(|(name, _)| name.contains(".emscripten_") || name.contains(".invoke_i"));
    if imports || STACK.iter().all(|name| exports(name)) {
        let evidence = ToolchainEvidence::RuntimeSymbols;
        module.toolchains.push(Toolchain { name: "emscripten".to_owned(), version: String::new(), evidence });
    }
    toolchain::sort(&mut module.toolchains);
}
