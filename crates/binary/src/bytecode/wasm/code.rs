//! The body of one function (core specification 5.4, 5.5.13).

use super::opcodes::{self, Form};
use super::reader::Reader;
use super::sections::{Contents, value_type};
use crate::bytecode::TextBudget;
use crate::{Address, BinaryError, BytecodeInstruction, BytecodeOperand as Operand, Method};

/// Most nested blocks of one function.
const MAX_DEPTH: usize = 1 << 16;

pub(super) fn read(
    contents: &Contents<'_>,
    index: usize,
    budget: &mut TextBudget,
    warnings: &mut Vec<String>,
) -> Result<Method, BinaryError> {
    let (body, start) = contents.bodies[index];
    let number = (contents.imports.len() + index) as u32;
    let name = contents.function_name(number);
    let signature = contents.functions.get(index).map(|&kind| contents.signature(kind)).unwrap_or_default();
    let mut facts = vec![format!("signature {signature}")];
    let mut reader = Reader::new(body);
    facts.extend(locals(&mut reader).flatten());
    let code = reader.at;
    budget.take(name.len() + facts.iter().map(String::len).sum::<usize>())?;
    let mut decoder = Decoder {
        contents,
        reader,
        code,
        instructions: Vec::new(),
        open: vec![Open { kind: Block::Function, start: 0, waiting: Vec::new() }],
    };
    decoder.all(budget, warnings, &name)?;
    Ok(Method {
        named: contents.names.contains_key(&number),
        name,
        address: Address(start + code as u64),
        size: (body.len() - code) as u64,
        instructions: decoder.instructions,
        facts,
    })
}

/// The declared locals as one fact.
fn locals(reader: &mut Reader<'_>) -> Option<Option<String>> {
    let groups = reader.count()?;
    let mut texts = Vec::new();
    for _ in 0..groups {
        let (count, kind) = (reader.u32()?, value_type(reader.byte()?));
        texts.push(format!("{count} {kind}"));
    }
    Some((!texts.is_empty()).then(|| format!("locals {}", texts.join(", "))))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Function,
    Loop,
    Other,
}

struct Open {
    kind: Block,
    /// The number of the instruction that opened it.
    start: u32,
    /// Operands that wait for its end: (instruction, operand).
    waiting: Vec<(usize, usize)>,
}

struct Decoder<'file, 'data> {
    contents: &'file Contents<'data>,
    reader: Reader<'data>,
    /// Where the code starts in the body.
    code: usize,
    instructions: Vec<BytecodeInstruction>,
    open: Vec<Open>,
}

impl Decoder<'_, '_> {
    fn all(
        &mut self,
        budget: &mut TextBudget,
        warnings: &mut Vec<String>,
        name: &str,
    ) -> Result<(), BinaryError> {
        while !self.reader.is_empty() && !self.open.is_empty() {
            let offset = self.reader.at - self.code;
            let Some((operation, operands)) = self.one() else {
                warnings.push(format!("{name}: no instruction at {offset}"));
                break;
            };
            for operand in &operands {
                if let Operand::Member(text) = operand {
                    budget.take(text.len())?;
                }
            }
            BinaryError::bound("block depth", self.open.len(), MAX_DEPTH)?;
            self.instructions.push(BytecodeInstruction { operation, operands, offset: offset as u32 });
        }
        Ok(())
    }

    fn one(&mut self) -> Option<(&'static str, Vec<Operand>)> {
        let first = u32::from(self.reader.byte()?);
        let (operation, form) = match first {
            0xfc => opcodes::bulk(self.reader.u32()?)?,
            0xfd => opcodes::vector(self.reader.u32()?)?,
            0xfe => opcodes::atomic(self.reader.u32()?)?,
            _ => opcodes::plain(first)?,
        };
        if operation == "end" || operation == "delegate" {
            self.close();
        }
        let operands = self.operands(operation, form)?;
        Some((operation, operands))
    }

    fn operands(&mut self, operation: &'static str, form: Form) -> Option<Vec<Operand>> {
        let index = |reader: &mut Reader<'_>| reader.u32().map(|value| Operand::Number(value.into()));
        Some(match form {
            Form::None => Vec::new(),
            Form::Block => {
                let kind = if operation == "loop" { Block::Loop } else { Block::Other };
                let signature = self.block_type()?;
                let start = self.instructions.len() as u32;
                self.open.push(Open { kind, start, waiting: Vec::new() });
                vec![Operand::Member(signature)]
            }
            Form::Label => vec![self.label(0)?],
            Form::LabelTable => {
                let count = self.reader.count()?;
                let mut operands = Vec::new();
                for case in 0..count {
                    operands.push(Operand::Number(case as i64));
                    operands.push(self.label(operands.len())?);
                }
                operands.push(self.label(operands.len())?);
                operands
            }
            Form::Function => vec![self.function()?],
            Form::Indirect => {
                let kind = self.reader.u32()?;
                vec![Operand::Member(self.contents.signature(kind)), index(&mut self.reader)?]
            }
            Form::Types => {
                let count = self.reader.count()?;
                let types: Option<Vec<Operand>> = (0..count)
                    .map(|_| self.reader.byte().map(|kind| Operand::Member(value_type(kind))))
                    .collect();
                types?
            }
            Form::Index => vec![index(&mut self.reader)?],
            Form::TwoIndexes => vec![index(&mut self.reader)?, index(&mut self.reader)?],
            Form::Global => {
                let number = self.reader.u32()?;
                vec![self.contents.globals.get(number as usize).map_or(
                    Operand::Number(number.into()),
                    |global| match &global.name {
                        Some(name) => Operand::Member(format!("{name} {}", global.kind)),
                        None => Operand::Member(format!("global {number} {}", global.kind)),
                    },
                )]
            }
            // The alignment is a hint that no run can observe.
            Form::Memory => self.memory()?,
            Form::MemoryLane => {
                let mut operands = self.memory()?;
                operands.push(Operand::Number(self.reader.byte()?.into()));
                operands
            }
            Form::Lane => vec![Operand::Number(self.reader.byte()?.into())],
            Form::Word | Form::Long => vec![Operand::Number(self.reader.signed()?)],
            Form::Single => {
                vec![Operand::Number(u32::from_le_bytes(self.reader.bytes(4)?.try_into().ok()?).into())]
            }
            Form::Double => {
                vec![Operand::Number(u64::from_le_bytes(self.reader.bytes(8)?.try_into().ok()?) as i64)]
            }
            Form::Vector => vec![Operand::Text(self.reader.bytes(16)?.to_vec())],
            Form::Heap => vec![Operand::Member(value_type(self.reader.byte()?))],
        })
    }

    /// The offset, and the memory where it is not the first.
    fn memory(&mut self) -> Option<Vec<Operand>> {
        let flags = self.reader.u32()?;
        let memory = if flags & 0x40 != 0 { Some(self.reader.u32()?) } else { None };
        let mut operands = vec![Operand::Number(self.reader.u32()?.into())];
        operands.extend(memory.map(|memory| Operand::Number(memory.into())));
        Some(operands)
    }

    fn function(&mut self) -> Option<Operand> {
        let index = self.reader.u32()?;
        let own = (index as usize).checked_sub(self.contents.imports.len());
        Some(match own.filter(|&own| own < self.contents.bodies.len()) {
            Some(own) => Operand::Method(own as u32),
            None => Operand::Member(self.contents.function_name(index)),
        })
    }

    fn block_type(&mut self) -> Option<String> {
        let value = self.reader.signed()?;
        Some(match value {
            -64 => String::new(),
            negative if negative < 0 => value_type((negative & 0x7f) as u8),
            index => self.contents.signature(u32::try_from(index).ok()?),
        })
    }

    /// A label is the loop's start, or the end of a block, which comes later.
    fn label(&mut self, operand: usize) -> Option<Operand> {
        let depth = self.reader.u32()? as usize;
        let block = self.open.len().checked_sub(depth + 1)?;
        let instruction = self.instructions.len();
        let open = self.open.get_mut(block)?;
        if open.kind == Block::Loop {
            return Some(Operand::Here(open.start));
        }
        open.waiting.push((instruction, operand));
        Some(Operand::Number(depth as i64))
    }

    /// At an `end`: what waits for this block leads to here.
    fn close(&mut self) {
        let here = self.instructions.len() as u32;
        for (instruction, operand) in self.open.pop().map(|open| open.waiting).unwrap_or_default() {
            if let Some(place) =
                self.instructions.get_mut(instruction).and_then(|i| i.operands.get_mut(operand))
            {
                *place = Operand::Here(here);
            }
        }
    }
}
