//! Go's table of functions, which survives stripping (`runtime/symtab.go`, `cmd/link/internal/ld/pcln.go`).

use super::Seed;
use crate::bytes::Bytes;
use crate::{FunctionEvidence, Module, limits};

/// What the linker writes first; the layout follows from it.
const MAGIC_1_2: u32 = 0xffff_fffb;
const MAGIC_1_16: u32 = 0xffff_fffa;
const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;

/// Where the pieces of one table lie, as offsets in it.
struct Layout {
    count: u64,
    /// The first address of Go's code, for the layouts that count from it.
    text: Option<u64>,
    names: u64,
    functions: u64,
    /// What the offsets of function descriptions count from.
    descriptions: u64,
    pointer: u8,
}

/// Whether a table of this kind starts here, with either byte order.
pub(crate) fn is_pclntab(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<8>() else { return false };
    let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let known = |magic| matches!(magic, MAGIC_1_2 | MAGIC_1_16 | MAGIC_1_18 | MAGIC_1_20);
    let shape =
        header[4] == 0 && header[5] == 0 && matches!(header[6], 1 | 2 | 4) && matches!(header[7], 4 | 8);
    shape && (known(magic) || known(magic.swap_bytes()))
}

/// Reads the functions of the table at `address`.
pub(crate) fn read_pclntab(module: &Module<'_>, address: u64, table: &[u8]) -> Vec<Seed> {
    if !is_pclntab(table) {
        return Vec::new();
    }
    let bytes = Bytes { data: table, little: table[0] >= 0xf0 };
    layout(module, address, bytes).and_then(|layout| read(bytes, &layout)).unwrap_or_default()
}

fn layout(module: &Module<'_>, address: u64, bytes: Bytes<'_>) -> Option<Layout> {
    let pointer = bytes.u8(7)?;
    let field = |index: u64| bytes.word(8 + index * u64::from(pointer), pointer);
    let count = field(0)?;
    match bytes.u32(0)? {
        MAGIC_1_2 => {
            let functions = 8 + u64::from(pointer);
            Some(Layout { count, text: None, names: 0, functions, descriptions: 0, pointer })
        }
        MAGIC_1_16 => {
            let functions = field(6)?;
            Some(Layout { count, text: None, names: field(2)?, functions, descriptions: functions, pointer })
        }
        _ => {
            let functions = field(7)?;
            let text = text_start(module, address + 8 + 2 * u64::from(pointer), field(2)?);
            Some(Layout {
                count,
                text: Some(text),
                names: field(3)?,
                functions,
                descriptions: functions,
                pointer,
            })
        }
    }
}

/// In position-independent programs the word is a slot; since Go 1.26 it is zero and the code section
/// itself says where the text starts.
fn text_start(module: &Module<'_>, slot: u64, written: u64) -> u64 {
    if let Some(crate::Slot { target: crate::SlotTarget::Address(target), .. }) = module.slot_at(slot) {
        return *target;
    }
    if written != 0 {
        return written;
    }
    let text = module.regions.iter().find(|region| matches!(region.name.as_str(), ".text" | "__text"));
    text.map_or(0, |region| region.address.0)
}

fn read(bytes: Bytes<'_>, layout: &Layout) -> Option<Vec<Seed>> {
    let width = if layout.text.is_some() { 4 } else { layout.pointer };
    let row = u64::from(width) * 2;
    let room = (bytes.data.len() as u64).checked_sub(layout.functions)? / row;
    let count = layout.count.min(room).min(limits::MAX_SYMBOLS as u64);
    let text = layout.text.unwrap_or(0);
    let mut seeds = Vec::new();
    for index in 0..count {
        let at = layout.functions + index * row;
        let start = bytes.word(at, width)?;
        let next = bytes.word(at + row, width).unwrap_or(start);
        let description = layout.descriptions.checked_add(bytes.word(at + u64::from(width), width)?)?;
        seeds.push(Seed {
            address: text.wrapping_add(start),
            size: next.saturating_sub(start),
            name: name(bytes, layout, description),
            rank: 0,
            evidence: FunctionEvidence::Pclntab,
        });
    }
    Some(seeds)
}

/// A description starts with the entry (as wide as in the table), then the name's offset.
fn name(bytes: Bytes<'_>, layout: &Layout, description: u64) -> Option<String> {
    let width = if layout.text.is_some() { 4 } else { layout.pointer };
    let offset = bytes.u32(description.checked_add(u64::from(width))?)?;
    let name = bytes.until_zero(layout.names.checked_add(u64::from(offset))?, limits::MAX_NAME_BYTES)?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}
