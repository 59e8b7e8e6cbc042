//! The metadata tables (ECMA-335 II.22, II.24.2.6): column widths and rows.

use crate::bytes::Bytes;
use crate::{BinaryError, limits};

/// The kind of one column.
#[derive(Clone, Copy)]
enum Column {
    Fixed(u8),
    String,
    Guid,
    Blob,
    Index(u8),
    Coded(u8, &'static [u8]),
}

use Column::{Blob, Coded, Fixed, Guid, Index, String as Text};

const NO_TABLE: u8 = 0xff;
const TYPE_DEF_OR_REF: Column = Coded(2, &[0x02, 0x01, 0x1b]);
const HAS_CONSTANT: Column = Coded(2, &[0x04, 0x08, 0x17]);
const HAS_ATTRIBUTE: Column = Coded(
    5,
    &[
        0x06, 0x04, 0x01, 0x02, 0x08, 0x09, 0x0a, 0x00, 0x0e, 0x17, 0x14, 0x11, 0x1a, 0x1b, 0x20, 0x23, 0x26,
        0x27, 0x28, 0x2a, 0x2c, 0x2b,
    ],
);
const MEMBER_PARENT: Column = Coded(3, &[0x02, 0x01, 0x1a, 0x06, 0x1b]);
const METHOD: Column = Coded(1, &[0x06, 0x0a]);
const IMPLEMENTATION: Column = Coded(2, &[0x26, 0x23, 0x27]);
const ATTRIBUTE_TYPE: Column = Coded(3, &[NO_TABLE, NO_TABLE, 0x06, 0x0a, NO_TABLE]);
const SCOPE: Column = Coded(2, &[0x00, 0x1a, 0x23, 0x01]);

/// The columns of every table, by its number.
const COLUMNS: [&[Column]; 0x2d] = [
    &[Fixed(2), Text, Guid, Guid, Guid],
    &[SCOPE, Text, Text],
    &[Fixed(4), Text, Text, TYPE_DEF_OR_REF, Index(0x04), Index(0x06)],
    &[Index(0x04)],
    &[Fixed(2), Text, Blob],
    &[Index(0x06)],
    &[Fixed(4), Fixed(2), Fixed(2), Text, Blob, Index(0x08)],
    &[Index(0x08)],
    &[Fixed(2), Fixed(2), Text],
    &[Index(0x02), TYPE_DEF_OR_REF],
    &[MEMBER_PARENT, Text, Blob],
    &[Fixed(2), HAS_CONSTANT, Blob],
    &[HAS_ATTRIBUTE, ATTRIBUTE_TYPE, Blob],
    &[Coded(1, &[0x04, 0x08]), Blob],
    &[Fixed(2), Coded(2, &[0x02, 0x06, 0x20]), Blob],
    &[Fixed(2), Fixed(4), Index(0x02)],
    &[Fixed(4), Index(0x04)],
    &[Blob],
    &[Index(0x02), Index(0x14)],
    &[Index(0x14)],
    &[Fixed(2), Text, TYPE_DEF_OR_REF],
    &[Index(0x02), Index(0x17)],
    &[Index(0x17)],
    &[Fixed(2), Text, Blob],
    &[Fixed(2), Index(0x06), Coded(1, &[0x14, 0x17])],
    &[Index(0x02), METHOD, METHOD],
    &[Text],
    &[Blob],
    &[Fixed(2), Coded(1, &[0x04, 0x06]), Text, Index(0x1a)],
    &[Fixed(4), Index(0x04)],
    &[Fixed(4), Fixed(4)],
    &[Fixed(4)],
    &[Fixed(4), Fixed(2), Fixed(2), Fixed(2), Fixed(2), Fixed(4), Blob, Text, Text],
    &[Fixed(4)],
    &[Fixed(4), Fixed(4), Fixed(4)],
    &[Fixed(2), Fixed(2), Fixed(2), Fixed(2), Fixed(4), Blob, Text, Text, Blob],
    &[Fixed(4), Index(0x23)],
    &[Fixed(4), Fixed(4), Fixed(4), Index(0x23)],
    &[Fixed(4), Text, Blob],
    &[Fixed(4), Fixed(4), Text, Text, IMPLEMENTATION],
    &[Fixed(4), Fixed(4), Text, IMPLEMENTATION],
    &[Index(0x02), Index(0x02)],
    &[Fixed(2), Fixed(2), Coded(1, &[0x02, 0x06]), Text],
    &[METHOD, Blob],
    &[Index(0x2a), TYPE_DEF_OR_REF],
];

/// A row of some table; row numbers start at one and zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token {
    pub table: u8,
    pub row: u32,
}

impl Token {
    pub(super) fn from_word(word: u32) -> Self {
        Self { table: (word >> 24) as u8, row: word & 0x00ff_ffff }
    }
}

struct Table {
    start: u64,
    rows: u32,
    row_bytes: u64,
    /// Where each column starts, and its width.
    columns: Vec<(u64, u8)>,
}

pub(super) struct Tables<'data> {
    bytes: Bytes<'data>,
    tables: Vec<Table>,
    strings: Bytes<'data>,
    blobs: Bytes<'data>,
    guids: Bytes<'data>,
    texts: Bytes<'data>,
}

/// Reads the metadata root.
pub(super) fn read(metadata: &[u8]) -> Result<Tables<'_>, BinaryError> {
    let bad = || BinaryError::malformed("CLI metadata", "its root or tables are cut off");
    root(metadata).ok_or_else(bad)
}

fn root(metadata: &[u8]) -> Option<Tables<'_>> {
    let bytes = Bytes::little(metadata);
    (bytes.slice(0, 4)? == b"BSJB").then_some(())?;
    let mut at = 16 + u64::from(bytes.u32(12)?);
    let count = bytes.u16(at + 2)?;
    at += 4;
    let empty = Bytes::little(&[]);
    let (mut tables, mut strings, mut blobs, mut guids, mut texts) = (empty, empty, empty, empty, empty);
    for _ in 0..count {
        let stream = bytes.slice(bytes.u32(at)?.into(), bytes.u32(at + 4)?.into()).map(Bytes::little)?;
        let name = bytes.until_zero(at + 8, 32)?;
        match name {
            b"#~" | b"#-" => tables = stream,
            b"#Strings" => strings = stream,
            b"#Blob" => blobs = stream,
            b"#GUID" => guids = stream,
            b"#US" => texts = stream,
            _ => {}
        }
        at += 8 + (name.len() as u64 + 1).next_multiple_of(4);
    }
    let layout = layout(tables)?;
    Some(Tables { bytes: tables, tables: layout, strings, blobs, guids, texts })
}

fn layout(bytes: Bytes<'_>) -> Option<Vec<Table>> {
    let (heaps, valid) = (bytes.u8(6)?, bytes.u64(8)?);
    let mut at = 24;
    let mut rows = [0u32; 64];
    for (table, rows) in rows.iter_mut().enumerate().filter(|(table, _)| valid >> table & 1 == 1) {
        let _ = table;
        *rows = bytes.u32(at)?;
        at += 4;
    }
    if heaps & 0x40 != 0 {
        at += 4;
    }
    let heap = |bit: u8| if heaps & bit != 0 { 4 } else { 2 };
    let width = |column: &Column| match column {
        Fixed(width) => *width,
        Text => heap(1),
        Guid => heap(2),
        Blob => heap(4),
        Index(table) => {
            if rows[usize::from(*table)] < 1 << 16 {
                2
            } else {
                4
            }
        }
        Coded(bits, tables) => {
            let largest = tables.iter().filter(|&&t| t != NO_TABLE).map(|&t| rows[usize::from(t)]).max();
            if largest.unwrap_or(0) < 1 << (16 - bits) { 2 } else { 4 }
        }
    };
    let mut tables = Vec::new();
    for (table, columns) in COLUMNS.iter().enumerate() {
        let mut offset = 0;
        let columns: Vec<(u64, u8)> = columns
            .iter()
            .map(|column| {
                let place = (offset, width(column));
                offset += u64::from(width(column));
                place
            })
            .collect();
        let count = rows[table].min(limits::MAX_SYMBOLS as u32);
        tables.push(Table { start: at, rows: count, row_bytes: offset, columns });
        at += offset * u64::from(rows[table]);
    }
    // A table that claims more than there is would only be walked in vain.
    for table in &mut tables {
        let room = (bytes.data.len() as u64).saturating_sub(table.start) / table.row_bytes;
        table.rows = table.rows.min(u32::try_from(room).unwrap_or(u32::MAX));
    }
    Some(tables)
}

impl<'data> Tables<'data> {
    pub(super) fn rows(&self, table: u8) -> u32 {
        self.tables.get(usize::from(table)).map_or(0, |table| table.rows)
    }

    /// One field; zero where there is no such row.
    pub(super) fn field(&self, table: u8, row: u32, column: usize) -> u32 {
        let read = || {
            let known = self.tables.get(usize::from(table))?;
            let row = row.checked_sub(1).filter(|&row| row < known.rows)?;
            let (offset, width) = *known.columns.get(column)?;
            self.bytes.word(known.start + u64::from(row) * known.row_bytes + offset, width)
        };
        read().unwrap_or(0) as u32
    }

    /// A field that refers to one of several tables.
    pub(super) fn coded(&self, table: u8, row: u32, column: usize) -> Token {
        let Some(Coded(bits, tables)) = COLUMNS[usize::from(table)].get(column) else {
            return Token { table: NO_TABLE, row: 0 };
        };
        let value = self.field(table, row, column);
        let target = tables.get((value & ((1 << bits) - 1)) as usize).copied().unwrap_or(NO_TABLE);
        Token { table: target, row: value >> bits }
    }

    /// The same for a number that stands in a signature.
    pub(super) fn type_token(value: u32) -> Token {
        let table = [0x02, 0x01, 0x1b, NO_TABLE][(value & 3) as usize];
        Token { table, row: value >> 2 }
    }

    pub(super) fn text(&self, table: u8, row: u32, column: usize) -> &'data [u8] {
        let at = self.field(table, row, column);
        self.strings.until_zero(at.into(), limits::MAX_NAME_BYTES).unwrap_or_default()
    }

    pub(super) fn blob(&self, table: u8, row: u32, column: usize) -> &'data [u8] {
        heap_bytes(self.blobs, self.field(table, row, column)).unwrap_or_default()
    }

    pub(super) fn guid(&self, table: u8, row: u32, column: usize) -> Option<[u8; 16]> {
        let index = u64::from(self.field(table, row, column)).checked_sub(1)?;
        self.guids.array(index * 16)
    }

    /// A string constant, as UTF-8 where it is text.
    pub(super) fn string(&self, at: u32) -> Vec<u8> {
        let bytes = heap_bytes(self.texts, at).unwrap_or_default();
        let units = bytes.as_chunks::<2>().0.iter().map(|&unit| u16::from_le_bytes(unit));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map_or_else(|_| bytes.to_vec(), String::into_bytes)
    }
}

/// A length in one, two or four bytes, then as many bytes (II.24.2.4).
fn heap_bytes(heap: Bytes<'_>, at: u32) -> Option<&[u8]> {
    let mut reader = Compressed { bytes: heap.data.get(at as usize..)? };
    let length = reader.number()?;
    reader.bytes.get(..length as usize)
}

/// Numbers as blobs hold them (II.23.2).
pub(super) struct Compressed<'data> {
    pub bytes: &'data [u8],
}

impl Compressed<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        let first = u32::from(self.byte()?);
        if first & 0x80 == 0 {
            return Some(first);
        }
        let second = u32::from(self.byte()?);
        if first & 0x40 == 0 {
            return Some((first & 0x3f) << 8 | second);
        }
        let (third, fourth) = (u32::from(self.byte()?), u32::from(self.byte()?));
        Some((first & 0x1f) << 24 | second << 16 | third << 8 | fourth)
    }
}
