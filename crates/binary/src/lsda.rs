//! Exception tables of the Itanium C++ ABI (`.gcc_except_table`), which Rust uses too.

use crate::{Address, BinaryError, Image, limits};

const OMIT: u8 = 0xff;
const PC_RELATIVE: u8 = 0x10;
const INDIRECT: u8 = 0x80;

/// A reference to type information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeReference {
    /// The type's address, or the slot that holds it; zero catches everything.
    pub address: Address,
    /// Whether `address` is the slot.
    pub is_slot: bool,
}

/// One record of an action chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Positive catches, negative is an exception specification, zero a cleanup.
    pub filter: i64,
    /// The types that the filter names.
    pub types: Vec<TypeReference>,
}

/// One call site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// Its start, in bytes from the start of the function's entry.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Where unwinding lands, if it does.
    pub landing_pad: Option<Address>,
    /// What is done there, in order.
    pub actions: Vec<Action>,
}

/// The exception table of one frame description entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lsda {
    /// The call sites, in the table's order.
    pub call_sites: Vec<CallSite>,
}

impl Lsda {
    /// Reads the table at `address` of the function that starts at `function`.
    ///
    /// # Errors
    /// [`BinaryError`] where the table leaves its section, uses an encoding that compilers for
    /// x86-64 do not write, or is past a bound.
    pub fn read(image: &Image<'_>, address: Address, function: Address) -> Result<Self, BinaryError> {
        let section = image.section_at(address.0);
        let bytes = section.and_then(|section| image.bytes(address.0, (section.end() - address.0) as usize));
        let bytes = bytes.ok_or_else(|| BinaryError::malformed("exception table", "not in a section"))?;
        let mut cursor = Cursor { bytes, at: 0, address: address.0 };
        let base = match cursor.u8()? {
            OMIT => function.0,
            encoding => cursor.pointer(encoding)?.address.0,
        };
        let type_encoding = cursor.u8()?;
        let types_end = match type_encoding {
            OMIT => None,
            _ => {
                let offset = cursor.uleb()?;
                Some(cursor.at.checked_add(offset as usize).ok_or_else(too_short)?)
            }
        };
        let call_encoding = cursor.u8()?;
        let length = cursor.uleb()? as usize;
        let actions =
            cursor.at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(too_short)?;
        let table = Tables { cursor: cursor.clone(), actions, types_end, type_encoding };
        let mut call_sites = Vec::new();
        while cursor.at < actions {
            BinaryError::bound("call site count", call_sites.len(), limits::MAX_LSDA_ENTRIES)?;
            call_sites.push(table.call_site(&mut cursor, call_encoding, base)?);
        }
        Ok(Self { call_sites })
    }
}

struct Tables<'data> {
    cursor: Cursor<'data>,
    actions: usize,
    types_end: Option<usize>,
    type_encoding: u8,
}

impl Tables<'_> {
    fn call_site(&self, cursor: &mut Cursor<'_>, encoding: u8, base: u64) -> Result<CallSite, BinaryError> {
        let start = cursor.number(encoding)?;
        let length = cursor.number(encoding)?;
        let pad = cursor.number(encoding)?;
        let action = cursor.uleb()? as usize;
        let landing_pad = (pad != 0).then(|| Address(base.wrapping_add(pad)));
        let actions = if action == 0 { Vec::new() } else { self.chain(action - 1)? };
        Ok(CallSite { start, length, landing_pad, actions })
    }

    fn chain(&self, first: usize) -> Result<Vec<Action>, BinaryError> {
        let mut at = self.actions.checked_add(first).ok_or_else(too_short)?;
        let mut actions = Vec::new();
        loop {
            BinaryError::bound("action count", actions.len(), MAX_CHAIN)?;
            let mut cursor = Cursor { at, ..self.cursor.clone() };
            let filter = cursor.sleb()?;
            let here = cursor.at;
            let next = cursor.sleb()?;
            actions.push(Action { filter, types: self.types(filter)? });
            if next == 0 {
                return Ok(actions);
            }
            at = here.checked_add_signed(next as isize).ok_or_else(too_short)?;
        }
    }

    fn types(&self, filter: i64) -> Result<Vec<TypeReference>, BinaryError> {
        let end = self.types_end;
        match (filter, end) {
            (0, _) => Ok(Vec::new()),
            (_, None) => Err(BinaryError::malformed("exception table", "an action without a type table")),
            (1.., Some(end)) => Ok(vec![self.type_at(end, filter.unsigned_abs())?]),
            (_, Some(end)) => {
                let at = end.checked_add((filter.unsigned_abs() - 1) as usize).ok_or_else(too_short)?;
                let mut cursor = Cursor { at, ..self.cursor.clone() };
                let mut types = Vec::new();
                loop {
                    BinaryError::bound("exception specification", types.len(), MAX_CHAIN)?;
                    match cursor.uleb()? {
                        0 => return Ok(types),
                        index => types.push(self.type_at(end, index)?),
                    }
                }
            }
        }
    }

    fn type_at(&self, end: usize, index: u64) -> Result<TypeReference, BinaryError> {
        let size = match self.type_encoding & 0x0f {
            0x00 | 0x04 | 0x0c => 8,
            0x03 | 0x0b => 4,
            0x02 | 0x0a => 2,
            other => {
                return Err(BinaryError::malformed("exception table", format!("type encoding {other:#x}")));
            }
        };
        let back = (index as usize).checked_mul(size).ok_or_else(too_short)?;
        let at = end.checked_sub(back).ok_or_else(too_short)?;
        Cursor { at, ..self.cursor.clone() }.pointer(self.type_encoding)
    }
}

/// Longest chain of actions: compilers write one record per enclosing handler.
const MAX_CHAIN: usize = 1024;

#[derive(Clone)]
struct Cursor<'data> {
    bytes: &'data [u8],
    at: usize,
    address: u64,
}

fn too_short() -> BinaryError {
    BinaryError::malformed("exception table", "it leaves its section")
}

impl Cursor<'_> {
    fn u8(&mut self) -> Result<u8, BinaryError> {
        let byte = *self.bytes.get(self.at).ok_or_else(too_short)?;
        self.at += 1;
        Ok(byte)
    }

    fn fixed(&mut self, size: usize) -> Result<u64, BinaryError> {
        let end = self.at.checked_add(size).ok_or_else(too_short)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(too_short)?;
        self.at = end;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn uleb(&mut self) -> Result<u64, BinaryError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BinaryError::malformed("exception table", "a number does not end"))
    }

    fn sleb(&mut self) -> Result<i64, BinaryError> {
        let mut value = 0i64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let unused = 64u32.saturating_sub(shift + 7);
                return Ok(value << unused >> unused);
            }
        }
        Err(BinaryError::malformed("exception table", "a number does not end"))
    }

    fn number(&mut self, encoding: u8) -> Result<u64, BinaryError> {
        let sign = |value: u64, bits: u32| (((value << (64 - bits)) as i64) >> (64 - bits)) as u64;
        match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.fixed(8),
            0x01 => self.uleb(),
            0x02 => self.fixed(2),
            0x03 => self.fixed(4),
            0x09 => Ok(self.sleb()? as u64),
            0x0a => Ok(sign(self.fixed(2)?, 16)),
            0x0b => Ok(sign(self.fixed(4)?, 32)),
            other => Err(BinaryError::malformed("exception table", format!("encoding {other:#x}"))),
        }
    }

    fn pointer(&mut self, encoding: u8) -> Result<TypeReference, BinaryError> {
        let here = self.address.wrapping_add(self.at as u64);
        let value = self.number(encoding)?;
        let address = match encoding & 0x70 {
            _ if value == 0 => 0,
            0 => value,
            PC_RELATIVE => here.wrapping_add(value),
            other => {
                return Err(BinaryError::malformed("exception table", format!("pointer base {other:#x}")));
            }
        };
        Ok(TypeReference { address: Address(address), is_slot: value != 0 && encoding & INDIRECT != 0 })
    }
}
