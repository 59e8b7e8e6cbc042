//! Instructions as a person reads them.

use std::collections::HashMap;

use assay_binary::{Architecture, BytecodeOperand, Method, Module};

use super::code::{Body, Flow, Instruction, Reference};
use super::hash::hash;
use super::world::{Target, World};

/// One instruction of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub address: u64,
    /// Two lines of two listings that have one shape are the same instruction, numbers and names
    /// included.
    pub shape: u64,
    pub text: String,
    /// What it calls, by name.
    pub call: Option<String>,
    /// The text it names.
    pub literal: Option<String>,
    /// The numbers it has.
    pub numbers: Vec<i64>,
    /// The offsets from pointers at which it reads or writes, the frame excepted.
    pub fields: Vec<i64>,
    /// Whether it is a conditional branch.
    pub branch: bool,
    /// The hash of the unnamed constant data it names.
    pub data: Option<u64>,
}

impl Line {
    /// The number it loads is the line of a source file.
    pub fn set_noise_aside(&mut self) {
        self.numbers.clear();
        self.shape = 0;
    }
}

/// The listing of one function.
pub(crate) fn lines(world: &World<'_, '_>, function: u32, names: &HashMap<u64, String>) -> Vec<Line> {
    let mut body = Body::default();
    world.decode(function, &mut body);
    body.code.iter().map(|instruction| line(world, &body, instruction, names)).collect()
}

fn line(world: &World<'_, '_>, body: &Body, instruction: &Instruction, names: &HashMap<u64, String>) -> Line {
    let operation = disassembled(world, instruction);
    let Words { words, call, literal, data } = referred(world, body, instruction, names);
    let text = match &words {
        Some(words) if matches!(instruction.reference, Some(Reference::Branch(_))) => {
            format!("{} {words}", operation.split_whitespace().next().unwrap_or_default())
        }
        Some(words) => format!("{operation}  ; {words}"),
        None => operation,
    };
    let mut shape = instruction.exact.bytes().to_vec();
    shape.extend_from_slice(words.unwrap_or_default().as_bytes());
    Line {
        address: instruction.address,
        shape: hash(&shape),
        text,
        call: call.filter(|_| matches!(instruction.flow, Flow::Call | Flow::ComputedCall | Flow::Jump)),
        literal,
        numbers: numbers(instruction),
        fields: fields(instruction, world.convention().frame),
        branch: instruction.flow == Flow::Conditional,
        data,
    }
}

fn fields(instruction: &Instruction, frame: &[u8]) -> Vec<i64> {
    use super::code::{Effect, Operand};
    let of = |operand: &Operand| match operand {
        Operand::Memory(memory) | Operand::Effective(memory) => {
            let base = memory.base.filter(|base| !frame.contains(base));
            base.and(Some(memory.displacement)).filter(|&offset| offset != 0)
        }
        _ => None,
    };
    match &instruction.effect {
        Effect::Set { to, from, .. } => {
            let mut fields: Vec<i64> = [to, &from[0], &from[1]].into_iter().filter_map(of).collect();
            fields.dedup();
            fields
        }
        Effect::Compare { from, .. } | Effect::CompareAndBranch { from, .. } => {
            from.iter().filter_map(of).collect()
        }
        Effect::Push(operand) => of(operand).into_iter().collect(),
        Effect::Pair { first, .. } => [&first.0, &first.1].into_iter().filter_map(of).collect(),
        _ => Vec::new(),
    }
}

fn numbers(instruction: &Instruction) -> Vec<i64> {
    use super::code::{Effect, Operand};
    let of = |operand: &Operand| match operand {
        Operand::Number(number) => Some(*number),
        _ => None,
    };
    match &instruction.effect {
        Effect::Set { from, .. } | Effect::Compare { from, .. } | Effect::CompareAndBranch { from, .. } => {
            from.iter().filter_map(of).collect()
        }
        Effect::Push(operand) => of(operand).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// What the address that an instruction names is called.
#[derive(Default)]
struct Words {
    words: Option<String>,
    call: Option<String>,
    literal: Option<String>,
    data: Option<u64>,
}

impl Words {
    fn called(name: String) -> Self {
        Self { words: Some(name.clone()), call: Some(name), ..Self::default() }
    }

    fn of(words: String) -> Self {
        Self { words: Some(words), ..Self::default() }
    }
}

fn referred(
    world: &World<'_, '_>,
    body: &Body,
    instruction: &Instruction,
    names: &HashMap<u64, String>,
) -> Words {
    let Some(target) = instruction.named_address() else { return Words::default() };
    let module = world.module;
    let import = world.import_in_code(target).map(|(import, _)| import).or_else(|| module.stub_at(target));
    let through = module.slot_at(target).and_then(|slot| match &slot.target {
        assay_binary::SlotTarget::Import(import, _) => Some(&**import),
        _ => None,
    });
    if let Some(import) = import.or(through) {
        return Words::called(import.name.clone());
    }
    if let Some(number) = body.number_at(target) {
        return Words::of(format!("@{number}"));
    }
    if let Some(number) = world.function_at(target) {
        let address = module.functions[number as usize].address.0;
        return Words::called(names.get(&address).cloned().unwrap_or_else(|| function_name(module, number)));
    }
    if let Some(text) = c_string(module, target) {
        return Words { literal: Some(text.clone()), ..Words::of(format!("{text:?}")) };
    }
    let named = world.name(target, None);
    let object = named.targets.iter().find_map(|target| match target {
        Target::Object(number) => module.objects.get(*number as usize).map(|object| object.name.clone()),
        _ => None,
    });
    let section = module.region_at(target).map_or("nowhere", |region| region.name.as_str());
    match object {
        Some(name) => Words::of(name),
        None if named.targets.is_empty() => {
            let content = hash(&named.meaning);
            Words { data: Some(content), ..Words::of(format!("({section} #{:08x})", content as u32)) }
        }
        None => Words::of(format!("({section})")),
    }
}

fn function_name(module: &Module<'_>, number: u32) -> String {
    let function = &module.functions[number as usize];
    function.names.first().cloned().unwrap_or_else(|| format!("sub_{:x}", function.address.0))
}

const MAX_SHOWN: u64 = 80;

fn c_string(module: &Module<'_>, address: u64) -> Option<String> {
    let region = module.region_at(address).filter(|region| !region.writable)?;
    let length = (region.address.0 + region.bytes.len() as u64).checked_sub(address)?.min(MAX_SHOWN);
    let bytes = module.bytes(address, length)?;
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (text.len() >= 2 && !text.chars().any(|c| c.is_control() && !c.is_whitespace())).then(|| text.to_owned())
}

fn disassembled(world: &World<'_, '_>, instruction: &Instruction) -> String {
    let module = world.module;
    let Some(bytes) = module.bytes(instruction.address, u64::from(instruction.length)) else {
        return "(not in the file)".to_owned();
    };
    match (&module.architecture, bytes) {
        (Architecture::Aarch64, &[a, b, c, d]) => {
            let word = u32::from_le_bytes([a, b, c, d]);
            let decoded = disarm64::decoder_full::decode(word);
            let text = decoded.map_or_else(|| format!(".inst {word:#010x}"), |decoded| decoded.to_string());
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        (architecture, bytes) => {
            let bits = if *architecture == Architecture::X86 { 32 } else { 64 };
            x86(bytes, bits, instruction.address)
        }
    }
}

fn x86(bytes: &[u8], bits: u32, address: u64) -> String {
    let mut decoder = iced_x86::Decoder::with_ip(bits, bytes, address, iced_x86::DecoderOptions::NONE);
    let mut text = String::new();
    iced_x86::FastFormatter::new().format(&decoder.decode(), &mut text);
    text
}

/// The listing of a method of bytecode.
pub(crate) fn bytecode(module: &Module<'_>, method: &Method) -> Vec<Line> {
    let line = |instruction: &assay_binary::BytecodeInstruction| {
        let mut text = instruction.operation.to_owned();
        let (mut call, mut literal, mut numbers) = (None, None, Vec::new());
        for operand in &instruction.operands {
            let words = match operand {
                BytecodeOperand::Number(number) => {
                    numbers.push(*number);
                    number.to_string()
                }
                BytecodeOperand::Text(bytes) => {
                    let shown = String::from_utf8_lossy(bytes).into_owned();
                    let words = format!("{shown:?}");
                    literal = Some(shown);
                    words
                }
                BytecodeOperand::Member(name) => {
                    call = Some(name.clone());
                    name.clone()
                }
                BytecodeOperand::Method(number) => {
                    let name = module.methods.get(*number as usize).map(|method| method.name.clone());
                    call.clone_from(&name);
                    name.unwrap_or_default()
                }
                BytecodeOperand::Here(number) => format!("@{number}"),
            };
            text.push(' ');
            text.push_str(&words);
        }
        let is_call =
            ["invoke", "call", "newobj"].iter().any(|start| instruction.operation.starts_with(start));
        Line {
            address: method.address.0 + u64::from(instruction.offset),
            shape: hash(text.as_bytes()),
            text,
            call: call.filter(|_| is_call),
            literal,
            numbers,
            fields: Vec::new(),
            branch: instruction.operation.starts_with("if") || instruction.operation.starts_with("br_if"),
            data: None,
        }
    };
    method.instructions.iter().map(line).collect()
}
