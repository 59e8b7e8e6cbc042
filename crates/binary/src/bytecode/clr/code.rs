//! The body of one method (ECMA-335 II.25.4).

use super::names::Names;
use super::opcodes::{self, Form};
use super::tables::Token;
use crate::bytecode::TextBudget;
use crate::bytes::Bytes;
use crate::native::pe::Image;
use crate::{Address, BinaryError, BytecodeInstruction, BytecodeOperand as Operand, Method};

/// Most clauses of one method that are read.
const MAX_CLAUSES: u32 = 1 << 16;

struct Body<'data> {
    code: Bytes<'data>,
    /// Token of the locals' signature, and whether they start as zeros.
    locals: (u32, bool),
    clauses: Vec<[u32; 6]>,
    header: u32,
}

pub(super) fn read(
    image: &Image<'_>,
    names: &Names<'_>,
    row: u32,
    budget: &mut TextBudget,
    warnings: &mut Vec<String>,
) -> Result<Method, BinaryError> {
    let tables = &names.tables;
    let name = names.method_definition(row);
    let (address, implementation, flags) =
        (tables.field(0x06, row, 0), tables.field(0x06, row, 1), tables.field(0x06, row, 2));
    let mut facts = vec![format!("flags {flags:#06x} {implementation:#06x}")];
    let mut method = Method {
        name,
        named: true,
        address: Address(u64::from(address)),
        size: 0,
        instructions: Vec::new(),
        facts: Vec::new(),
    };
    budget.take(method.name.len())?;
    // Native and runtime methods have no body here, nor have abstract ones.
    if address != 0 && implementation & 3 == 0 {
        match body(image, address) {
            Some(body) => {
                method.address = Address(u64::from(address) + u64::from(body.header));
                method.size = body.code.data.len() as u64;
                method.instructions = instructions(names, &body, budget, warnings, &method.name)?;
                if body.locals.0 != 0 {
                    let signature = names.token(Token::from_word(body.locals.0));
                    facts.push(format!("{signature}{}", if body.locals.1 { " init" } else { "" }));
                }
                facts.extend(body.clauses.iter().map(|row| clause(names, row, &method.instructions)));
            }
            None => warnings.push(format!("{}: its body is cut off", method.name)),
        }
    }
    for fact in &facts {
        budget.take(fact.len())?;
    }
    method.facts = facts;
    Ok(method)
}

fn body<'data>(image: &Image<'data>, address: u32) -> Option<Body<'data>> {
    let bytes = Bytes::little(image.rest(address)?);
    let first = bytes.u8(0)?;
    if first & 3 == 2 {
        let code = bytes.slice(1, (first >> 2).into()).map(Bytes::little)?;
        return Some(Body { code, locals: (0, false), clauses: Vec::new(), header: 1 });
    }
    let flags = bytes.u16(0)?;
    let header = u32::from(flags >> 12) * 4;
    let length = bytes.u32(4)?;
    let code = bytes.slice(header.into(), length.into()).map(Bytes::little)?;
    let clauses = match flags & 8 {
        0 => Vec::new(),
        _ => clauses(bytes, (u64::from(header) + u64::from(length)).next_multiple_of(4)),
    };
    Some(Body { code, locals: (bytes.u32(8)?, flags & 0x10 != 0), clauses, header })
}

/// The clauses as flags, try offset and length, handler offset and length, class or filter.
fn clauses(bytes: Bytes<'_>, start: u64) -> Vec<[u32; 6]> {
    let mut found = Vec::new();
    let mut at = start;
    while let Some(head) = bytes.u32(at) {
        let (kind, fat) = (head as u8, head & 0x40 != 0);
        let size = if fat { head >> 8 } else { head >> 8 & 0xff };
        let row = if fat { 24 } else { 12 };
        for index in 0..(size.saturating_sub(4) / row).min(MAX_CLAUSES) {
            let place = at + 4 + u64::from(index) * u64::from(row);
            let read = || {
                Some(match fat {
                    true => {
                        let word = |index: u64| bytes.u32(place + index * 4);
                        [word(0)?, word(1)?, word(2)?, word(3)?, word(4)?, word(5)?]
                    }
                    false => [
                        bytes.u16(place)?.into(),
                        bytes.u16(place + 2)?.into(),
                        bytes.u8(place + 4)?.into(),
                        bytes.u16(place + 5)?.into(),
                        bytes.u8(place + 7)?.into(),
                        bytes.u32(place + 8)?,
                    ],
                })
            };
            match read() {
                Some(clause) if kind & 1 == 1 => found.push(clause),
                _ => break,
            }
        }
        if kind & 0x80 == 0 || size < 4 {
            break;
        }
        at = (at + u64::from(size)).next_multiple_of(4);
    }
    found
}

fn clause(names: &Names<'_>, row: &[u32; 6], code: &[BytecodeInstruction]) -> String {
    let place =
        |offset: u32| number_at(code, offset).map_or_else(|| "end".to_owned(), |number| number.to_string());
    let [flags, from, length, handler, size, last] = *row;
    let kind = match flags {
        0 => format!("catch {}", names.token(Token::from_word(last))),
        1 => format!("filter {}", place(last)),
        2 => "finally".to_owned(),
        4 => "fault".to_owned(),
        other => format!("clause {other}"),
    };
    let (end, handler_end) = (from.saturating_add(length), handler.saturating_add(size));
    format!("{}..{} {kind} at {}..{}", place(from), place(end), place(handler), place(handler_end))
}

fn number_at(code: &[BytecodeInstruction], offset: u32) -> Option<u32> {
    code.binary_search_by_key(&offset, |instruction| instruction.offset).ok().map(|number| number as u32)
}

fn instructions(
    names: &Names<'_>,
    body: &Body<'_>,
    budget: &mut TextBudget,
    warnings: &mut Vec<String>,
    name: &str,
) -> Result<Vec<BytecodeInstruction>, BinaryError> {
    let mut found: Vec<BytecodeInstruction> = Vec::new();
    let mut jumps = Vec::new();
    let mut at = 0u64;
    let length = body.code.data.len() as u64;
    while at < length {
        let Some((operation, operands, targets, end)) = one(names, body.code, at) else {
            warnings.push(format!("{name}: no instruction at {at}"));
            break;
        };
        for operand in &operands {
            match operand {
                Operand::Text(text) => budget.take(text.len())?,
                Operand::Member(text) => budget.take(text.len())?,
                _ => {}
            }
        }
        jumps.extend(targets.into_iter().map(|(operand, target)| (found.len(), operand, target)));
        found.push(BytecodeInstruction { operation, operands, offset: at as u32 });
        at = end;
    }
    for (instruction, operand, target) in jumps {
        if let Some(number) = u32::try_from(target).ok().and_then(|target| number_at(&found, target)) {
            found[instruction].operands[operand] = Operand::Here(number);
        }
    }
    Ok(found)
}

/// Operation, operands, the operands that are places, and where the next instruction starts.
type Decoded = (&'static str, Vec<Operand>, Vec<(usize, i64)>, u64);

fn one(names: &Names<'_>, code: Bytes<'_>, at: u64) -> Option<Decoded> {
    let first = code.u8(at)?;
    let ((operation, form), next) = match first {
        0xfe => (opcodes::long(code.u8(at + 1)?)?, at + 2),
        _ => (opcodes::short(first)?, at + 1),
    };
    let number = |value: i64| vec![Operand::Number(value)];
    let (operands, end) = match form {
        Form::None => (Vec::new(), next),
        Form::Variable => (number(code.u8(next)?.into()), next + 1),
        Form::WideVariable => (number(code.u16(next)?.into()), next + 2),
        Form::Byte => (number(i64::from(code.u8(next)? as i8)), next + 1),
        Form::Word => (number(i64::from(code.u32(next)? as i32)), next + 4),
        Form::Single => (number(code.u32(next)?.into()), next + 4),
        Form::Long | Form::Double => (number(code.u64(next)? as i64), next + 8),
        Form::Token => (vec![token(names, Token::from_word(code.u32(next)?))], next + 4),
        Form::String => (vec![Operand::Text(names.tables.string(code.u32(next)? & 0x00ff_ffff))], next + 4),
        Form::Jump => {
            let target = next as i64 + 1 + i64::from(code.u8(next)? as i8);
            return Some((operation, number(target), vec![(0, target)], next + 1));
        }
        Form::WideJump => {
            let target = next as i64 + 4 + i64::from(code.u32(next)? as i32);
            return Some((operation, number(target), vec![(0, target)], next + 4));
        }
        Form::Switch => {
            let count = u64::from(code.u32(next)?);
            let end = next.checked_add(4)?.checked_add(count.checked_mul(4)?)?;
            code.slice(next, end - next)?;
            let target = |index: u64| Some(end as i64 + i64::from(code.u32(next + 4 + index * 4)? as i32));
            let targets: Vec<i64> = (0..count).map_while(target).collect();
            let mut operands = Vec::new();
            let mut places = Vec::new();
            for (case, target) in targets.into_iter().enumerate() {
                operands.push(Operand::Number(case as i64));
                places.push((operands.len(), target));
                operands.push(Operand::Number(target));
            }
            return Some((operation, operands, places, end));
        }
    };
    Some((operation, operands, Vec::new(), end))
}

fn token(names: &Names<'_>, token: Token) -> Operand {
    match token.table {
        0x06 if (1..=names.tables.rows(0x06)).contains(&token.row) => Operand::Method(token.row - 1),
        _ => Operand::Member(names.token(token)),
    }
}
