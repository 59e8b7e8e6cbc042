//! The code of one method: instructions with their operands looked up, handlers as facts.

use super::opcodes::{Form, OPCODES};
use super::pool::typed;
use super::{Class, Member, method};
use crate::bytecode::TextBudget;
use crate::bytes::Bytes;
use crate::{BinaryError, BytecodeInstruction, BytecodeOperand as Operand, Method};

/// Longest code of one method, in bytes (JVMS 4.7.3).
const MAX_CODE_BYTES: u64 = 65_535;
const WIDE: u8 = 0xc4;

pub(super) fn read(
    bytes: Bytes<'_>,
    class: &Class<'_>,
    member: &Member<'_>,
    budget: &mut TextBudget,
    warnings: &mut Vec<String>,
) -> Result<Method, BinaryError> {
    let name = format!("{}.{}{}", class.name, member.name, typed(&member.descriptor));
    budget.take(name.len())?;
    let mut facts = vec![format!("flags {:#06x}", member.flags)];
    let Some(code) = member.attributes.iter().find(|attribute| attribute.name == "Code") else {
        return Ok(method(name, (0, 0), Vec::new(), facts));
    };
    let attribute = Bytes { data: code.data, little: bytes.little };
    let length = u64::from(attribute.u32(4).unwrap_or(0));
    let Some(data) = attribute.slice(8, length).filter(|_| length <= MAX_CODE_BYTES) else {
        warnings.push(format!("{name}: its code is cut off"));
        return Ok(method(name, (0, 0), Vec::new(), facts));
    };
    let mut decoder = Decoder { code: Bytes { data, little: false }, class, budget, jumps: Vec::new() };
    let (mut instructions, rest) = decoder.all()?;
    if rest < length {
        warnings.push(format!("{name}: no instruction at {rest}"));
    }
    let jumps = std::mem::take(&mut decoder.jumps);
    resolve(&mut instructions, jumps);
    facts.extend(handlers(attribute, 8 + length, class, &instructions));
    for fact in &facts {
        budget.take(fact.len())?;
    }
    Ok(method(name, (code.offset + 8, length), instructions, facts))
}

struct Decoder<'file, 'data> {
    code: Bytes<'data>,
    class: &'file Class<'data>,
    budget: &'file mut TextBudget,
    /// Operands that are places in the code: (instruction, operand, byte offset).
    jumps: Vec<(usize, usize, i64)>,
}

impl Decoder<'_, '_> {
    /// All instructions, and how far the code could be read.
    fn all(&mut self) -> Result<(Vec<BytecodeInstruction>, u64), BinaryError> {
        let mut instructions = Vec::new();
        let mut at = 0;
        while at < self.code.data.len() as u64 {
            let jumps = self.jumps.len();
            let Some((operation, operands, end)) = self.one(at, instructions.len()) else {
                self.jumps.truncate(jumps);
                break;
            };
            for operand in &operands {
                match operand {
                    Operand::Text(text) => self.budget.take(text.len())?,
                    Operand::Member(text) => self.budget.take(text.len())?,
                    _ => {}
                }
            }
            instructions.push(BytecodeInstruction { operation, operands, offset: at as u32 });
            at = end;
        }
        Ok((instructions, at))
    }

    fn one(&mut self, at: u64, index: usize) -> Option<(&'static str, Vec<Operand>, u64)> {
        let opcode = self.code.u8(at)?;
        let (operation, form) = *OPCODES.get(usize::from(opcode))?;
        let signed = |at| self.code.u16(at).map(|value| i64::from(value as i16));
        let byte = |at| self.code.u8(at).map(|value| i64::from(value as i8));
        let number = |value: i64| vec![Operand::Number(value)];
        let (operands, length) = match form {
            Form::None => (Vec::new(), 1),
            Form::Byte => (number(byte(at + 1)?), 2),
            Form::Short => (number(signed(at + 1)?), 3),
            Form::Local | Form::ArrayType => (number(self.code.u8(at + 1)?.into()), 2),
            Form::NarrowConstant => (vec![self.constant(self.code.u8(at + 1)?.into())], 2),
            Form::Constant => (vec![self.constant(self.code.u16(at + 1)?)], 3),
            Form::Increment => {
                (vec![Operand::Number(self.code.u8(at + 1)?.into()), Operand::Number(byte(at + 2)?)], 3)
            }
            Form::Jump => {
                let target = at as i64 + signed(at + 1)?;
                self.jumps.push((index, 0, target));
                (number(target), 3)
            }
            Form::WideJump => {
                let target = at as i64 + i64::from(self.code.u32(at + 1)? as i32);
                self.jumps.push((index, 0, target));
                (number(target), 5)
            }
            Form::Interface => (vec![self.constant(self.code.u16(at + 1)?)], 5),
            Form::Dynamic => (self.dynamic(self.code.u16(at + 1)?), 5),
            Form::Dimensions => {
                let count = Operand::Number(self.code.u8(at + 3)?.into());
                (vec![self.constant(self.code.u16(at + 1)?), count], 4)
            }
            Form::Wide => return self.wide(at),
            Form::TableSwitch | Form::LookupSwitch => {
                let (operands, end) = self.switch(form, at, index)?;
                return Some((operation, operands, end));
            }
        };
        Some((operation, operands, at + length))
    }

    /// `wide` makes the next instruction's local two bytes; it is that instruction.
    fn wide(&self, at: u64) -> Option<(&'static str, Vec<Operand>, u64)> {
        let opcode = self.code.u8(at + 1).filter(|&opcode| opcode != WIDE)?;
        let (operation, form) = *OPCODES.get(usize::from(opcode))?;
        let local = Operand::Number(self.code.u16(at + 2)?.into());
        match form {
            Form::Local => Some((operation, vec![local], at + 4)),
            Form::Increment => {
                let by = Operand::Number(i64::from(self.code.u16(at + 4)? as i16));
                Some((operation, vec![local, by], at + 6))
            }
            _ => None,
        }
    }

    /// The default target, then case and target in turn.
    fn switch(&mut self, form: Form, at: u64, index: usize) -> Option<(Vec<Operand>, u64)> {
        let word = |at: u64| self.code.u32(at).map(|value| i64::from(value as i32));
        let base = (at + 4) & !3;
        let mut targets = vec![(None, word(base)?)];
        let end = match form {
            Form::TableSwitch => {
                let (low, high) = (word(base + 4)?, word(base + 8)?);
                let count = u64::try_from(high.checked_sub(low)?).ok()?.checked_add(1)?;
                for case in 0..count {
                    targets.push((Some(low + case as i64), word(base + 12 + case * 4)?));
                }
                base + 12 + count * 4
            }
            _ => {
                let count = u64::try_from(word(base + 4)?).ok()?;
                for case in 0..count {
                    targets.push((Some(word(base + 8 + case * 8)?), word(base + 12 + case * 8)?));
                }
                base + 8 + count * 8
            }
        };
        let mut operands = Vec::new();
        for (case, offset) in targets {
            operands.extend(case.map(Operand::Number));
            self.jumps.push((index, operands.len(), at as i64 + offset));
            operands.push(Operand::Number(at as i64 + offset));
        }
        Some((operands, end))
    }

    /// A method of this very class is a number, everything else its contents.
    fn constant(&self, index: u16) -> Operand {
        let own = self.class.pool.member(index).filter(|member| member.owner == self.class.name);
        let own = own.and_then(|member| self.class.methods.get(&(member.name, member.descriptor)));
        own.map_or_else(|| self.class.pool.operand(index), |&number| Operand::Method(number))
    }

    /// A dynamic call: its name and type, the bootstrap method, and what that is given.
    fn dynamic(&self, index: u16) -> Vec<Operand> {
        let Some((bootstrap, name, descriptor)) = self.class.pool.dynamic(index) else { return Vec::new() };
        let mut operands = vec![Operand::Member(format!("{name}{}", typed(&descriptor)))];
        if let Some((handle, arguments)) = self.class.bootstraps.get(usize::from(bootstrap)) {
            operands.push(self.class.pool.operand(*handle));
            operands.extend(arguments.iter().map(|&argument| self.argument(argument)));
        }
        operands
    }

    fn argument(&self, index: u16) -> Operand {
        let handle = self.class.pool.handle(index).filter(|(_, member)| member.owner == self.class.name);
        let own = handle.and_then(|(_, member)| self.class.methods.get(&(member.name, member.descriptor)));
        own.map_or_else(|| self.class.pool.operand(index), |&number| Operand::Method(number))
    }
}

/// Byte offsets become instruction numbers; one that starts no instruction stays a number.
fn resolve(instructions: &mut [BytecodeInstruction], jumps: Vec<(usize, usize, i64)>) {
    for (instruction, operand, target) in jumps {
        if let Some(number) = number_at(instructions, target) {
            instructions[instruction].operands[operand] = Operand::Here(number);
        }
    }
}

fn number_at(instructions: &[BytecodeInstruction], offset: i64) -> Option<u32> {
    let offset = u32::try_from(offset).ok()?;
    let found = instructions.binary_search_by_key(&offset, |instruction| instruction.offset);
    found.ok().map(|number| number as u32)
}

/// The exception table, in its order: it is searched from the top.
fn handlers(attribute: Bytes<'_>, at: u64, class: &Class<'_>, code: &[BytecodeInstruction]) -> Vec<String> {
    let count = attribute.u16(at).unwrap_or(0);
    let place = |offset: u16| {
        number_at(code, offset.into()).map_or_else(|| "end".to_owned(), |number| number.to_string())
    };
    let row = |index: u64| {
        let at = at + 2 + index * 8;
        let field = |field: u64| attribute.u16(at + field * 2);
        let kind = match field(3)? {
            0 => "anything".to_owned(),
            index => class.pool.class(index),
        };
        Some(format!("{}..{} catch {kind} at {}", place(field(0)?), place(field(1)?), place(field(2)?)))
    };
    (0..u64::from(count)).map_while(row).collect()
}
