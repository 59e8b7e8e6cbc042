//! .NET assemblies: CLI metadata and the Common Intermediate Language (ECMA-335).

mod code;
mod names;
mod opcodes;
mod tables;

use std::collections::HashMap;

use self::names::Names;
use super::TextBudget;
use crate::bytes::Bytes;
use crate::native::empty;
use crate::native::pe::Image;
use crate::{
    Architecture, BinaryError, DebugId, Method, Module, ModuleFormat, Toolchain, ToolchainEvidence, limits,
};

/// The header that makes an image an assembly.
const HEADER_BYTES: u32 = 72;
/// The section of a PE image's optional header: linker version that Roslyn writes.
const ROSLYN_LINKER: u8 = 48;

/// Whether the image has a CLI header.
pub(crate) fn is_assembly(image: &Image<'_>) -> bool {
    header(image).is_some()
}

fn header<'data>(image: &Image<'data>) -> Option<Bytes<'data>> {
    let (address, _) = image.clr()?;
    image.memory(address, HEADER_BYTES).map(Bytes::little)
}

pub(crate) fn read<'data>(image: &Image<'data>) -> Result<Module<'data>, BinaryError> {
    let bad = || BinaryError::malformed("CLI header", "it or its metadata is not in the file");
    let header = header(image).ok_or_else(bad)?;
    let (address, size) = (header.u32(8).ok_or_else(bad)?, header.u32(12).ok_or_else(bad)?);
    let names = Names::new(tables::read(image.memory(address, size).ok_or_else(bad)?)?);
    let mut module = empty(ModuleFormat::Clr, Architecture::Cil);
    module.variant = Some(variant(header).to_owned());
    module.debug_id = names.tables.guid(0x00, 1, 2).map(|id| guid(&id));
    module.toolchains = toolchains(image, &names);
    let mut budget = TextBudget::new(image.bytes.data.len());
    let count = names.tables.rows(0x06);
    BinaryError::bound("method count", count as usize, limits::MAX_SYMBOLS)?;
    for row in 1..=count {
        let read = code::read(image, &names, row, &mut budget, &mut module.warnings)?;
        module.methods.push(read);
    }
    let constants = constants(&names);
    for row in 1..=names.tables.rows(0x02) {
        let declared = declaration(&names, &constants, row);
        budget.take(declared.name.len() + declared.facts.iter().map(String::len).sum::<usize>())?;
        module.methods.push(declared);
    }
    Ok(module)
}

/// A type's own declaration: what it extends and implements, and its fields.
fn declaration(names: &Names<'_>, constants: &HashMap<u32, String>, row: u32) -> Method {
    let tables = &names.tables;
    let flags = tables.field(0x02, row, 0);
    let mut facts = vec![format!("flags {flags:#010x}")];
    let parent = tables.coded(0x02, row, 3);
    if parent.row != 0 {
        facts.push(format!("extends {}", names.type_name(parent, 0)));
    }
    let own = (1..=tables.rows(0x09).min(MAX_INTERFACES)).filter(|&at| tables.field(0x09, at, 0) == row);
    facts.extend(own.map(|at| format!("implements {}", names.type_name(tables.coded(0x09, at, 1), 0))));
    let first = tables.field(0x02, row, 4);
    let last = match row < tables.rows(0x02) {
        true => tables.field(0x02, row + 1, 4),
        false => tables.rows(0x04) + 1,
    };
    for field in first.max(1)..last.min(tables.rows(0x04) + 1) {
        let name = String::from_utf8_lossy(tables.text(0x04, field, 1));
        let signature = names.signature(tables.blob(0x04, field, 2));
        let value = constants.get(&field).map(String::as_str).unwrap_or_default();
        facts.push(format!("field {:#06x} {name}{signature}{value}", tables.field(0x04, field, 0)));
    }
    Method {
        name: format!("type {}", names.type_definition(row)),
        named: true,
        address: crate::Address(0),
        size: 0,
        instructions: Vec::new(),
        facts,
    }
}

/// The values of constant fields: the element type and the bytes.
fn constants(names: &Names<'_>) -> HashMap<u32, String> {
    let tables = &names.tables;
    let rows = (1..=tables.rows(0x0b)).map(|row| (tables.coded(0x0b, row, 1), row));
    let fields = rows.filter(|(parent, _)| parent.table == 0x04);
    fields
        .map(|(parent, row)| {
            let bytes: String = tables.blob(0x0b, row, 2).iter().map(|byte| format!("{byte:02x}")).collect();
            (parent.row, format!(" = {:#04x} {bytes}", tables.field(0x0b, row, 0)))
        })
        .collect()
}

/// Interfaces are looked for by every type; a table longer than this is looked at no further.
const MAX_INTERFACES: u32 = 1 << 12;

fn variant(header: Bytes<'_>) -> &'static str {
    let flags = header.u32(16).unwrap_or(0);
    let native = header.u32(64).unwrap_or(0) != 0;
    match (native, flags & 1 != 0) {
        (true, _) => "ReadyToRun",
        (false, false) => "mixed mode",
        (false, true) if flags & 2 != 0 => "32 bits required",
        (false, true) => "IL only",
    }
}

/// As .NET prints it.
fn guid(id: &[u8; 16]) -> DebugId {
    let bytes = Bytes::little(id);
    let rest: String = id[8..].iter().map(|byte| format!("{byte:02x}")).collect();
    let (one, two, three) = (bytes.u32(0).unwrap_or(0), bytes.u16(4).unwrap_or(0), bytes.u16(6).unwrap_or(0));
    DebugId(format!("{one:08x}-{two:04x}-{three:04x}-{}-{}", &rest[..4], &rest[4..]))
}

/// Roslyn writes its own linker version, and attributes that Mono's compiler does not write.
fn toolchains(image: &Image<'_>, names: &Names<'_>) -> Vec<Toolchain> {
    let tables = &names.tables;
    let (mut relaxed, mut framework, mut fsharp) = (false, None, false);
    for row in 1..=tables.rows(0x0c) {
        let parent = tables.coded(0x0c, row, 0);
        if parent.table != 0x20 {
            continue;
        }
        let name = names.token(tables.coded(0x0c, row, 1));
        relaxed |= name.contains("CompilationRelaxationsAttribute");
        fsharp |= name.contains("FSharpInterfaceDataVersionAttribute");
        if name.contains("TargetFrameworkAttribute") {
            framework = attribute_text(tables.blob(0x0c, row, 2));
        }
    }
    let roslyn = image.linker.0 == ROSLYN_LINKER;
    let name = match (fsharp, roslyn, relaxed) {
        (true, ..) => "fsharp",
        (_, true, _) => "roslyn",
        (_, _, true) => "csc",
        _ => "mcs",
    };
    let runtime = (1..=tables.rows(0x23)).find_map(|row| {
        let name = tables.text(0x23, row, 6);
        let known =
            matches!(name, b"mscorlib" | b"System.Runtime" | b"System.Private.CoreLib" | b"netstandard");
        known.then(|| {
            let version: Vec<String> =
                (0..4).map(|column| tables.field(0x23, row, column).to_string()).collect();
            format!("{} {}", String::from_utf8_lossy(name), version.join("."))
        })
    });
    let target = framework.or(runtime).map_or_else(String::new, |target| format!("targets {target}"));
    vec![Toolchain { name: name.to_owned(), version: target, evidence: ToolchainEvidence::CliMetadata }]
}

/// The first argument of an attribute, where it is a text (II.23.3).
fn attribute_text(blob: &[u8]) -> Option<String> {
    let mut value = tables::Compressed { bytes: blob.strip_prefix(&[1, 0])? };
    let length = value.number()?;
    let text = value.bytes.get(..length as usize)?;
    Some(String::from_utf8_lossy(text).into_owned())
}
