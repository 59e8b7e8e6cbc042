//! WebAssembly modules (core specification 5.5).

mod code;
mod custom;
mod opcodes;
mod reader;
mod sections;

use std::borrow::Cow;

use self::reader::Reader;
use self::sections::Contents;
use super::TextBudget;
use crate::native::{empty, sort_regions};
use crate::{Address, Architecture, BinaryError, Method, Module, ModuleFormat, Region, SectionKind, limits};

/// The version word of a core module; components have another.
const CORE: [u8; 4] = [1, 0, 0, 0];

pub(crate) fn read(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    if data.get(4..8) != Some(&CORE) {
        return Err(BinaryError::UnsupportedFormat { format: "a WebAssembly component or another version" });
    }
    let mut module = empty(ModuleFormat::Wasm, Architecture::Wasm);
    let mut contents = Contents::default();
    let mut reader = Reader { data, at: 8 };
    while !reader.is_empty() {
        let section = || BinaryError::malformed("WebAssembly section", "it is cut off");
        let number = reader.byte().ok_or_else(section)?;
        let body = reader.sized().ok_or_else(section)?;
        let start = (reader.at - body.len()) as u64;
        let read = match number {
            0 => custom::read(body, &mut contents, &mut module),
            10 => contents.code(body, start),
            _ => contents.section(number, body),
        };
        if read.is_none() {
            module.warnings.push(format!("section {number} could not be read to its end"));
        }
    }
    BinaryError::bound("method count", contents.bodies.len(), limits::MAX_SYMBOLS)?;
    if contents.linking {
        module.variant = Some("relocatable".to_owned());
    }
    custom::name_toolchains(&contents, &mut module);
    let mut budget = TextBudget::new(data.len());
    for index in 0..contents.bodies.len() {
        let method = code::read(&contents, index, &mut budget, &mut module.warnings)?;
        module.methods.push(method);
    }
    let facts = contents.facts(&mut budget)?;
    module.methods.push(Method {
        name: "module".to_owned(),
        named: true,
        address: Address(0),
        size: 0,
        instructions: Vec::new(),
        facts,
    });
    for (index, (address, bytes)) in contents.data.iter().enumerate() {
        module.regions.push(Region {
            name: format!("data {index}"),
            kind: SectionKind::Data,
            writable: true,
            address: Address(*address),
            size: bytes.len() as u64,
            bytes: Cow::Borrowed(bytes),
        });
    }
    module.regions.retain(|region| region.size > 0);
    sort_regions(&mut module);
    Ok(module)
}
