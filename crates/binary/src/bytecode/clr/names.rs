//! Names of types and members, and signatures as texts (ECMA-335 II.23.2).

use std::cell::Cell;
use std::collections::HashMap;

use super::tables::{Compressed, Tables, Token};

/// Types nest in signatures and declarations; deeper ones are cut with a mark.
const MAX_DEPTH: usize = 24;
/// Longest text made of one signature.
const MAX_TEXT_BYTES: usize = 1 << 14;

pub(super) struct Names<'data> {
    pub tables: Tables<'data>,
    /// The enclosing type of a nested one.
    outer: HashMap<u32, u32>,
    /// The type that declares each method and field, as the first rows of each type.
    methods_of: Vec<(u32, u32)>,
    fields_of: Vec<(u32, u32)>,
    /// How many types may still be spelled: types that contain each other would never end.
    types_left: Cell<u32>,
}

/// Most types that the signatures of one module spell.
const MAX_TYPES: u32 = 50_000_000;

impl<'data> Names<'data> {
    pub(super) fn new(tables: Tables<'data>) -> Self {
        let outer =
            (1..=tables.rows(0x29)).map(|row| (tables.field(0x29, row, 0), tables.field(0x29, row, 1)));
        let outer = outer.collect();
        let first = |column| {
            let mut rows: Vec<(u32, u32)> =
                (1..=tables.rows(0x02)).map(|row| (tables.field(0x02, row, column), row)).collect();
            rows.sort_unstable();
            rows
        };
        let (fields_of, methods_of) = (first(4), first(5));
        Self { tables, outer, methods_of, fields_of, types_left: Cell::new(MAX_TYPES) }
    }

    fn plain(&self, table: u8, row: u32, column: usize) -> String {
        String::from_utf8_lossy(self.tables.text(table, row, column)).into_owned()
    }

    fn owner(list: &[(u32, u32)], row: u32) -> u32 {
        let after = list.partition_point(|(first, _)| *first <= row);
        after.checked_sub(1).and_then(|at| list.get(at)).map_or(0, |(_, owner)| *owner)
    }

    /// A defined type, with the types around it.
    pub(super) fn type_definition(&self, row: u32) -> String {
        let mut parts = Vec::new();
        let mut row = row;
        for _ in 0..MAX_DEPTH {
            let (name, space) = (self.plain(0x02, row, 1), self.plain(0x02, row, 2));
            parts.push(if space.is_empty() { name } else { format!("{space}.{name}") });
            match self.outer.get(&row) {
                Some(&outer) => row = outer,
                None => break,
            }
        }
        parts.reverse();
        without_guid(&parts.join("/"))
    }

    fn type_reference(&self, row: u32, depth: usize) -> String {
        let (name, space) = (self.plain(0x01, row, 1), self.plain(0x01, row, 2));
        let name = if space.is_empty() { name } else { format!("{space}.{name}") };
        let scope = self.tables.coded(0x01, row, 0);
        match scope.table {
            0x23 => format!("[{}]{name}", self.plain(0x23, scope.row, 6)),
            0x1a => format!("[.module {}]{name}", self.plain(0x1a, scope.row, 0)),
            0x01 if depth < MAX_DEPTH => format!("{}/{name}", self.type_reference(scope.row, depth + 1)),
            _ => name,
        }
    }

    /// The name of a type, whatever table it stands in.
    pub(super) fn type_name(&self, token: Token, depth: usize) -> String {
        match token.table {
            0x02 => self.type_definition(token.row),
            0x01 => self.type_reference(token.row, depth),
            0x1b => {
                let mut blob = Compressed { bytes: self.tables.blob(0x1b, token.row, 0) };
                self.type_text(&mut blob, depth + 1).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// A method that this module defines.
    pub(super) fn method_definition(&self, row: u32) -> String {
        let owner = self.type_definition(Self::owner(&self.methods_of, row));
        let signature = self.signature(self.tables.blob(0x06, row, 4));
        format!("{owner}::{}{signature}", self.plain(0x06, row, 3))
    }

    fn field_definition(&self, row: u32) -> String {
        let owner = self.type_definition(Self::owner(&self.fields_of, row));
        format!("{owner}::{}{}", self.plain(0x04, row, 1), self.signature(self.tables.blob(0x04, row, 2)))
    }

    fn member_reference(&self, row: u32) -> String {
        let parent = self.tables.coded(0x0a, row, 0);
        let owner = match parent.table {
            0x1a => format!("[.module {}]", self.plain(0x1a, parent.row, 0)),
            0x06 => self.method_definition(parent.row),
            _ => self.type_name(parent, 0),
        };
        format!("{owner}::{}{}", self.plain(0x0a, row, 1), self.signature(self.tables.blob(0x0a, row, 2)))
    }

    /// What a token in code refers to, by name and signature.
    pub(super) fn token(&self, token: Token) -> String {
        match token.table {
            0x01 | 0x02 | 0x1b => self.type_name(token, 0),
            0x04 => self.field_definition(token.row),
            0x06 => self.method_definition(token.row),
            0x0a => self.member_reference(token.row),
            0x11 => self.signature(self.tables.blob(0x11, token.row, 0)),
            0x2b => {
                let method = self.tables.coded(0x2b, token.row, 0);
                let method = if method.table == 0x2b { String::new() } else { self.token(method) };
                let mut blob = Compressed { bytes: self.tables.blob(0x2b, token.row, 1) };
                format!("{method}<{}>", self.arguments(&mut blob).unwrap_or_default())
            }
            table => format!("token {table:#04x}:{}", token.row),
        }
    }

    /// The arguments of a generic method: a mark, a count, types.
    fn arguments(&self, blob: &mut Compressed<'_>) -> Option<String> {
        blob.byte()?;
        self.types(blob, 1)
    }

    fn types(&self, blob: &mut Compressed<'_>, depth: usize) -> Option<String> {
        let count = blob.number()?;
        let mut text = String::new();
        for index in 0..count {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&self.type_text(blob, depth)?);
            if text.len() > MAX_TEXT_BYTES {
                return None;
            }
        }
        Some(text)
    }

    /// A method's, field's, property's or locals' signature.
    pub(super) fn signature(&self, blob: &[u8]) -> String {
        self.read_signature(&mut Compressed { bytes: blob }, 0).unwrap_or_else(|| "(?)".to_owned())
    }

    fn read_signature(&self, blob: &mut Compressed<'_>, depth: usize) -> Option<String> {
        let convention = blob.byte()?;
        match convention & 0x0f {
            6 => return Some(format!(":{}", self.type_text(blob, depth)?)),
            7 => return Some(format!("locals({})", self.types(blob, depth)?)),
            0x0a => return Some(format!("<{}>", self.types(blob, depth)?)),
            _ => {}
        }
        let generic = if convention & 0x10 != 0 { format!("`{}", blob.number()?) } else { String::new() };
        let count = blob.number()?;
        let result = self.type_text(blob, depth)?;
        let mut parameters = String::new();
        for index in 0..count {
            if index > 0 {
                parameters.push(',');
            }
            if blob.peek()? == 0x41 {
                blob.byte()?;
                parameters.push_str("...,");
            }
            parameters.push_str(&self.type_text(blob, depth)?);
            if parameters.len() > MAX_TEXT_BYTES {
                return None;
            }
        }
        let instance = if convention & 0x20 != 0 { "instance" } else { "" };
        let convention = match convention & 0x0f {
            0 => String::new(),
            5 => "vararg".to_owned(),
            other => format!("convention {other} "),
        };
        Some(format!(
            "{generic}({parameters}){result}{}{convention}",
            if instance.is_empty() { "" } else { " instance" }
        ))
    }

    fn type_text(&self, blob: &mut Compressed<'_>, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH || self.types_left.get() == 0 {
            return None;
        }
        self.types_left.set(self.types_left.get() - 1);
        let element = blob.byte()?;
        if let Some(name) = primitive(element) {
            return Some(name.to_owned());
        }
        let mut inner = |suffix: &str| Some(format!("{}{suffix}", self.type_text(blob, depth + 1)?));
        match element {
            0x0f => inner("*"),
            0x10 => inner("&"),
            0x1d => inner("[]"),
            0x45 => inner(" pinned"),
            0x11 | 0x12 => Some(self.type_name(Tables::type_token(blob.number()?), depth + 1)),
            0x13 => Some(format!("!{}", blob.number()?)),
            0x1e => Some(format!("!!{}", blob.number()?)),
            0x15 => {
                blob.byte()?;
                let name = self.type_name(Tables::type_token(blob.number()?), depth + 1);
                Some(format!("{name}<{}>", self.types(blob, depth + 1)?))
            }
            0x14 => {
                let of = self.type_text(blob, depth + 1)?;
                let rank = blob.number()?;
                // Sizes and lower bounds.
                for _ in 0..2 {
                    for _ in 0..blob.number()? {
                        blob.number()?;
                    }
                }
                Some(format!("{of}[{rank}]"))
            }
            0x1b => Some(format!("method{}", self.read_signature(blob, depth + 1)?)),
            0x1f | 0x20 => {
                let modifier = self.type_name(Tables::type_token(blob.number()?), depth + 1);
                let of = self.type_text(blob, depth + 1)?;
                Some(format!("{of} mod({modifier})"))
            }
            other => Some(format!("element {other:#04x}")),
        }
    }
}

fn primitive(element: u8) -> Option<&'static str> {
    Some(match element {
        0x01 => "void",
        0x02 => "bool",
        0x03 => "char",
        0x04 => "int8",
        0x05 => "uint8",
        0x06 => "int16",
        0x07 => "uint16",
        0x08 => "int32",
        0x09 => "uint32",
        0x0a => "int64",
        0x0b => "uint64",
        0x0c => "float32",
        0x0d => "float64",
        0x0e => "string",
        0x16 => "typedref",
        0x18 => "native int",
        0x19 => "native uint",
        0x1c => "object",
        _ => return None,
    })
}

/// Older compilers put the module's version id into the name of their own data class.
fn without_guid(name: &str) -> String {
    match name.split_once("<PrivateImplementationDetails>{") {
        Some((before, rest)) => {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            format!("{before}<PrivateImplementationDetails>{after}")
        }
        None => name.to_owned(),
    }
}
