//! The sections of a module, kept as far as code refers to them.

use super::reader::Reader;
use crate::BinaryError;
use crate::bytecode::TextBudget;

/// Something imported or exported, by module and name.
#[derive(Clone, Debug)]
pub(super) struct Global {
    pub name: Option<String>,
    pub kind: String,
}

#[derive(Default)]
pub(super) struct Contents<'data> {
    /// Signatures.
    pub types: Vec<String>,
    /// The imported functions as `module.name` with their type.
    pub imports: Vec<(String, u32)>,
    /// The type of each function that the module defines.
    pub functions: Vec<u32>,
    pub globals: Vec<Global>,
    /// The body of each function and where it lies in the file.
    pub bodies: Vec<(&'data [u8], u64)>,
    /// Names of functions by their index, imports counted: from the name section, or exports.
    pub names: std::collections::HashMap<u32, String>,
    /// Active data with a constant place.
    pub data: Vec<(u64, &'data [u8])>,
    /// Memories, tables, exports, elements and the start function, in words.
    declared: Vec<String>,
    /// Element segments: what they fill, and with which functions.
    elements: Vec<(String, Vec<u32>)>,
    start: Option<u32>,
    /// Whether it is an object file.
    pub linking: bool,
}

pub(super) fn value_type(byte: u8) -> String {
    match byte {
        0x7f => "i32".to_owned(),
        0x7e => "i64".to_owned(),
        0x7d => "f32".to_owned(),
        0x7c => "f64".to_owned(),
        0x7b => "v128".to_owned(),
        0x70 => "funcref".to_owned(),
        0x6f => "externref".to_owned(),
        0x69 => "exnref".to_owned(),
        other => format!("type {other:#04x}"),
    }
}

fn value_types(reader: &mut Reader<'_>) -> Option<String> {
    let count = reader.count()?;
    let types: Option<Vec<String>> = (0..count).map(|_| reader.byte().map(value_type)).collect();
    Some(types?.join(","))
}

fn limits(reader: &mut Reader<'_>) -> Option<String> {
    let flags = reader.byte()?;
    let first = reader.u32()?;
    let last = if flags & 1 == 1 { format!("..{}", reader.u32()?) } else { String::new() };
    Some(format!("{first}{last}{}", if flags & 2 == 2 { " shared" } else { "" }))
}

fn global_type(reader: &mut Reader<'_>) -> Option<String> {
    let kind = value_type(reader.byte()?);
    Some(if reader.byte()? == 1 { format!("mut {kind}") } else { kind })
}

/// A constant expression: the number it gives, where it is one, and itself in words.
fn constant(reader: &mut Reader<'_>) -> Option<(Option<i64>, String)> {
    let (mut value, mut words) = (None, Vec::new());
    loop {
        match reader.byte()? {
            0x0b => return Some((value, words.join(" "))),
            0x41 | 0x42 => {
                let number = reader.signed()?;
                value = if words.is_empty() { Some(number) } else { None };
                words.push(number.to_string());
            }
            0x43 => words.push(format!("{:02x?}", reader.bytes(4)?)),
            0x44 => words.push(format!("{:02x?}", reader.bytes(8)?)),
            0x23 => words.push(format!("global {}", reader.u32()?)),
            0xd0 => words.push(format!("null {}", value_type(reader.byte()?))),
            0xd2 => words.push(format!("function {}", reader.u32()?)),
            0x6a | 0x7c => words.push("add".to_owned()),
            0x6b | 0x7d => words.push("subtract".to_owned()),
            0x6c | 0x7e => words.push("multiply".to_owned()),
            0xfd => {
                reader.u32()?;
                words.push(format!("{:02x?}", reader.bytes(16)?));
            }
            _ => return None,
        }
    }
}

impl<'data> Contents<'data> {
    pub(super) fn section(&mut self, number: u8, body: &'data [u8]) -> Option<()> {
        let mut reader = Reader::new(body);
        if number == 8 {
            self.start = Some(reader.u32()?);
            return Some(());
        }
        if number == 12 {
            return Some(());
        }
        for _ in 0..reader.count()? {
            match number {
                1 => self.kind(&mut reader)?,
                2 => self.import(&mut reader)?,
                3 => self.functions.push(reader.u32()?),
                4 => {
                    let kind = value_type(reader.byte()?);
                    self.declared.push(format!("table {kind} {}", limits(&mut reader)?));
                }
                5 => self.declared.push(format!("memory {}", limits(&mut reader)?)),
                6 => {
                    let kind = global_type(&mut reader)?;
                    let (_, value) = constant(&mut reader)?;
                    // The first value of the stack pointer is layout and says nothing.
                    self.declared.push(format!("global {kind} = {value}"));
                    self.globals.push(Global { name: None, kind });
                }
                7 => self.export(&mut reader)?,
                9 => self.element(&mut reader)?,
                11 => self.segment(&mut reader)?,
                13 => {
                    reader.byte()?;
                    let kind = reader.u32()?;
                    self.declared.push(format!("tag {}", self.signature(kind)));
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn kind(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        if reader.byte()? != 0x60 {
            return None;
        }
        let parameters = value_types(reader)?;
        let results = value_types(reader)?;
        self.types.push(format!("({parameters})->({results})"));
        Some(())
    }

    fn import(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let name = format!("{}.{}", reader.name()?, reader.name()?);
        match reader.byte()? {
            0 => self.imports.push((name, reader.u32()?)),
            1 => {
                let kind = value_type(reader.byte()?);
                self.declared.push(format!("import table {name} {kind} {}", limits(reader)?));
            }
            2 => self.declared.push(format!("import memory {name} {}", limits(reader)?)),
            3 => {
                let kind = global_type(reader)?;
                self.globals.push(Global { name: Some(name), kind });
            }
            4 => {
                reader.byte()?;
                self.declared.push(format!("import tag {name} {}", reader.u32()?));
            }
            _ => return None,
        }
        Some(())
    }

    fn export(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let name = reader.name()?;
        let (kind, index) = (reader.byte()?, reader.u32()?);
        let what = ["function", "table", "memory", "global", "tag"].get(usize::from(kind))?;
        if kind == 0 {
            self.names.entry(index).or_insert_with(|| name.clone());
        } else if let (3, Some(global)) = (kind, self.globals.get_mut(index as usize)) {
            global.name.get_or_insert_with(|| name.clone());
        }
        self.declared.push(format!("export {what} {name}"));
        Some(())
    }

    /// The eight forms of element segments (5.5.12).
    fn element(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let flags = reader.u32()?;
        let table = if flags & 1 == 0 && flags & 2 != 0 { reader.u32()? } else { 0 };
        let place = match flags & 1 {
            0 => format!("table {table} at {}", constant(reader)?.1),
            _ if flags & 2 != 0 => "declared".to_owned(),
            _ => "passive".to_owned(),
        };
        if flags & 3 != 0 {
            reader.byte()?;
        }
        let mut functions = Vec::new();
        for _ in 0..reader.count()? {
            if flags & 4 == 0 {
                functions.push(reader.u32()?);
            } else {
                let (_, words) = constant(reader)?;
                let function = words.strip_prefix("function ").and_then(|text| text.parse().ok());
                functions.push(function.unwrap_or(u32::MAX));
            }
        }
        self.elements.push((place, functions));
        Some(())
    }

    fn segment(&mut self, reader: &mut Reader<'data>) -> Option<()> {
        let flags = reader.u32()?;
        if flags == 2 {
            reader.u32()?;
        }
        let place = if flags == 1 { None } else { constant(reader)?.0 };
        let bytes = reader.sized()?;
        if let Some(place) = place {
            self.data.push((u64::from(place as u32), bytes));
        }
        Some(())
    }

    pub(super) fn code(&mut self, body: &'data [u8], start: u64) -> Option<()> {
        let mut reader = Reader::new(body);
        for _ in 0..reader.count()? {
            let code = reader.sized()?;
            self.bodies.push((code, start + (reader.at - code.len()) as u64));
        }
        Some(())
    }

    pub(super) fn signature(&self, index: u32) -> String {
        self.types.get(index as usize).cloned().unwrap_or_else(|| format!("type {index}"))
    }

    /// A function by its index, imports counted: its name, or its number among all.
    pub(super) fn function_name(&self, index: u32) -> String {
        match self.imports.get(index as usize) {
            Some((name, kind)) => format!("{name}{}", self.signature(*kind)),
            None => self.names.get(&index).cloned().unwrap_or_else(|| format!("func[{index}]")),
        }
    }

    pub(super) fn facts(&self, budget: &mut TextBudget) -> Result<Vec<String>, BinaryError> {
        let mut facts = self.declared.clone();
        facts.extend(self.start.map(|start| format!("start {}", self.function_name(start))));
        for (place, functions) in &self.elements {
            let mut fact = format!("elements {place}:");
            for name in functions.iter().map(|&index| self.function_name(index)) {
                budget.take(name.len() + 1)?;
                fact.push(' ');
                fact.push_str(&name);
            }
            facts.push(fact);
        }
        Ok(facts)
    }
}
