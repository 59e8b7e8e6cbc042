//! Java class files (JVMS chapter 4).

mod attributes;
mod code;
mod opcodes;
mod pool;

use std::collections::HashMap;

use self::attributes::Attribute;
use self::pool::{Pool, typed};
use super::TextBudget;
use crate::bytes::Bytes;
use crate::native::empty;
use crate::{Address, Architecture, BinaryError, Method, Module, ModuleFormat, Toolchain, ToolchainEvidence};

/// A method or field as the file declares it.
struct Member<'data> {
    flags: u16,
    name: String,
    descriptor: String,
    attributes: Vec<Attribute<'data>>,
}

pub(super) struct Class<'data> {
    pool: Pool<'data>,
    name: String,
    /// The methods by name and descriptor.
    methods: HashMap<(String, String), u32>,
    /// Each bootstrap method: its handle, its arguments.
    bootstraps: Vec<(u16, Vec<u16>)>,
}

/// The number of the pseudo-method that holds the class's own declaration.
const DECLARATION: u32 = 0;

pub(crate) fn read(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    let bytes = Bytes { data, little: false };
    let short = || BinaryError::malformed("class file", "the file ends within it");
    let (minor, major) = (bytes.u16(4).ok_or_else(short)?, bytes.u16(6).ok_or_else(short)?);
    let (pool, at) = Pool::read(bytes, 8)?;
    let mut budget = TextBudget::new(data.len());
    let header = |index: u64| bytes.u16(at + index * 2).ok_or_else(short);
    let (flags, name, parent) = (header(0)?, pool.class(header(1)?), pool.class(header(2)?));
    let interfaces = header(3)?;
    let mut facts = vec![format!("flags {flags:#06x}"), format!("super {parent}")];
    for index in 0..u64::from(interfaces) {
        facts.push(format!("implements {}", pool.class(header(4 + index)?)));
    }
    let at = at + 8 + u64::from(interfaces) * 2;
    let (fields, at) = members(bytes, &pool, at).ok_or_else(short)?;
    let (methods, at) = members(bytes, &pool, at).ok_or_else(short)?;
    let attributes = attributes::read(bytes, &pool, at).ok_or_else(short)?.0;
    facts.extend(fields.iter().map(|field| field_fact(&pool, field)));
    for fact in &facts {
        budget.take(fact.len())?;
    }
    let mut class = Class { pool, name, methods: HashMap::new(), bootstraps: bootstraps(&attributes) };
    for (index, method) in methods.iter().enumerate() {
        let key = (method.name.clone(), method.descriptor.clone());
        class.methods.insert(key, DECLARATION + 1 + index as u32);
    }
    let mut module = empty(ModuleFormat::JavaClass, Architecture::Jvm);
    module.variant = variant(flags, &class.name);
    module.toolchains = toolchains(&class, &attributes, (major, minor));
    let declaration = format!("class {}", class.name);
    module.methods.push(method(declaration, (0, 0), Vec::new(), facts));
    for declared in &methods {
        let read = code::read(bytes, &class, declared, &mut budget, &mut module.warnings)?;
        module.methods.push(read);
    }
    Ok(module)
}

fn method(
    name: String,
    (address, size): (u64, u64),
    instructions: Vec<crate::BytecodeInstruction>,
    facts: Vec<String>,
) -> Method {
    Method { name, named: true, address: Address(address), size, instructions, facts }
}

fn members<'data>(bytes: Bytes<'data>, pool: &Pool<'data>, at: u64) -> Option<(Vec<Member<'data>>, u64)> {
    let count = bytes.u16(at)?;
    let mut at = at + 2;
    let mut members = Vec::new();
    for _ in 0..count {
        let (flags, name, descriptor) = (bytes.u16(at)?, bytes.u16(at + 2)?, bytes.u16(at + 4)?);
        let (attributes, end) = attributes::read(bytes, pool, at + 6)?;
        at = end;
        members.push(Member { flags, name: pool.text(name), descriptor: pool.text(descriptor), attributes });
    }
    Some((members, at))
}

fn field_fact(pool: &Pool<'_>, field: &Member<'_>) -> String {
    let value = field.attributes.iter().find(|attribute| attribute.name == "ConstantValue");
    let value = value.and_then(|attribute| Bytes { data: attribute.data, little: false }.u16(0));
    let value = value.map_or_else(String::new, |index| format!(" = {:?}", pool.operand(index)));
    format!("field {:#06x} {}{}{value}", field.flags, field.name, typed(&field.descriptor))
}

fn bootstraps(attributes: &[Attribute<'_>]) -> Vec<(u16, Vec<u16>)> {
    let attribute = attributes.iter().find(|attribute| attribute.name == "BootstrapMethods");
    let Some(attribute) = attribute else { return Vec::new() };
    let bytes = Bytes { data: attribute.data, little: false };
    let mut found = Vec::new();
    let mut at = 2;
    for _ in 0..bytes.u16(0).unwrap_or(0) {
        let (Some(handle), Some(count)) = (bytes.u16(at), bytes.u16(at + 2)) else { break };
        let arguments = (0..u64::from(count)).map_while(|index| bytes.u16(at + 4 + index * 2)).collect();
        found.push((handle, arguments));
        at += 4 + u64::from(count) * 2;
    }
    found
}

fn variant(flags: u16, name: &str) -> Option<String> {
    let kind = match flags {
        flags if flags & 0x8000 != 0 => "module",
        flags if flags & 0x2000 != 0 => "annotation",
        flags if flags & 0x0200 != 0 => "interface",
        flags if flags & 0x4000 != 0 => "enum",
        _ => "class",
    };
    Some(format!("{kind} {name}"))
}

/// Kotlin and Scala leave an annotation or attribute of their own; Groovy classes implement its interface.
/// What says nothing else is taken for the reference compiler's.
fn toolchains(class: &Class<'_>, attributes: &[Attribute<'_>], (major, minor): (u16, u16)) -> Vec<Toolchain> {
    let mut found = Vec::new();
    let evidence = ToolchainEvidence::CompilerAttribute;
    let mut push = |name: &str, version: String| {
        found.push(Toolchain { name: name.to_owned(), version, evidence });
    };
    for annotation in attributes::annotations(&class.pool, attributes) {
        match annotation.kind.as_str() {
            "Lkotlin/Metadata;" => {
                let numbers: Vec<String> = annotation.numbers("mv").iter().map(i64::to_string).collect();
                push("kotlin", format!("metadata {}", numbers.join(".")));
            }
            "Lscala/reflect/ScalaSignature;" | "Lscala/reflect/ScalaLongSignature;" => {
                push("scala", "2".to_owned());
            }
            "Lgroovy/transform/Generated;" => push("groovy", String::new()),
            _ => {}
        }
    }
    let has = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    if has("TASTY") {
        push("scala", "3".to_owned());
    } else if has("ScalaInlineInfo") || has("ScalaSig") || has("Scala") {
        push("scala", "2".to_owned());
    }
    let target = Toolchain {
        name: "javac".to_owned(),
        version: format!("{} (class file {major}.{minor})", i32::from(major) - 44),
        evidence: ToolchainEvidence::ClassVersion,
    };
    let source = attributes.iter().find(|attribute| attribute.name == "SourceFile");
    let source = source.and_then(|attribute| Bytes { data: attribute.data, little: false }.u16(0));
    let java = source.is_none_or(|index| class.pool.bytes(index).ends_with(b".java"));
    found.dedup_by(|a, b| a.name == b.name);
    if found.is_empty() && java {
        found.push(target);
    }
    found
}
