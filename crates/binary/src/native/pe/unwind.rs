//! `.pdata`: the functions that unwinders know (x64 and ARM64 exception handling).

use std::collections::HashMap;

use super::headers::{Directory, Image};
use crate::bytes::Bytes;
use crate::native::{Part, Seed};
use crate::{Architecture, FunctionEvidence, Module, limits};

/// Chains of unwind information are short; longer ones are cycles.
const MAX_CHAIN: usize = 32;

pub(super) fn read(image: &Image<'_>, module: &Module<'_>, seeds: &mut Vec<Seed>) -> Vec<Part> {
    let Some((start, size)) = image.directory(Directory::Exception) else { return Vec::new() };
    let Some(table) = image.memory(start, size).map(Bytes::little) else { return Vec::new() };
    match module.architecture {
        Architecture::X86_64 => x86_64(image, table, seeds),
        Architecture::Aarch64 => {
            aarch64(image, table, seeds);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn x86_64(image: &Image<'_>, table: Bytes<'_>, seeds: &mut Vec<Seed>) -> Vec<Part> {
    let rows = (table.data.len() as u64 / 12).min(limits::MAX_FDES as u64);
    let mut entries = Vec::new();
    for row in 0..rows {
        let read = || Some((table.u32(row * 12)?, table.u32(row * 12 + 4)?, table.u32(row * 12 + 8)?));
        let Some((begin, end, unwind)) = read() else { break };
        if begin != 0 && begin < end {
            entries.push((begin, end, unwind));
        }
    }
    let mut parts = Vec::new();
    let mut parents: HashMap<u32, u32> = HashMap::new();
    for &(begin, end, unwind) in &entries {
        let start = image.base.wrapping_add(begin.into());
        seeds.push(Seed::unnamed(start, (end - begin).into(), FunctionEvidence::Pdata));
        let parent = *parents.entry(unwind).or_insert_with(|| first(image, unwind).unwrap_or(0));
        if parent != 0 && parent != begin {
            parts.push(Part { start, parent: image.base.wrapping_add(parent.into()) });
        }
    }
    parts
}

/// The start of the entry that a chain ends in; none where the information is not chained.
fn first(image: &Image<'_>, unwind: u32) -> Option<u32> {
    let mut unwind = unwind;
    let mut begin = None;
    for _ in 0..MAX_CHAIN {
        // An odd value leads to another entry of the table.
        let entry = if unwind & 1 == 1 {
            unwind & !1
        } else {
            let info = Bytes::little(image.memory(unwind, 4)?);
            if info.u8(0)? >> 3 & 4 == 0 {
                return begin;
            }
            let codes = (u32::from(info.u8(2)?) + 1) & !1;
            unwind.checked_add(4 + codes * 2)?
        };
        let parent = Bytes::little(image.memory(entry, 12)?);
        begin = Some(parent.u32(0)?);
        unwind = parent.u32(8)?;
    }
    None
}

fn aarch64(image: &Image<'_>, table: Bytes<'_>, seeds: &mut Vec<Seed>) {
    for row in 0..(table.data.len() as u64 / 8).min(limits::MAX_FDES as u64) {
        let (Some(begin), Some(data)) = (table.u32(row * 8), table.u32(row * 8 + 4)) else { break };
        let words = match data & 3 {
            0 => image
                .memory(data, 4)
                .and_then(|xdata| Bytes::little(xdata).u32(0))
                .map(|word| word & 0x3_ffff),
            _ => Some(data >> 2 & 0x7ff),
        };
        let start = image.base.wrapping_add(begin.into());
        let size = u64::from(words.unwrap_or(0)) * 4;
        seeds.push(Seed::unnamed(start, size, FunctionEvidence::Pdata));
    }
}
