//! What other modules provide: the import address table, delayed imports, and the thunks to both.

use super::headers::{Directory, Image};
use crate::bytes::Bytes;
use crate::native::sweep::bitness;
use crate::native::{NameLimit, Seed};
use crate::{Address, Architecture, Module, ModuleImport, SectionKind, Slot, SlotTarget};

/// Most libraries of one table, and most names of one library.
const MAX_LIBRARIES: u32 = 4096;
const MAX_NAMES: u32 = 1 << 16;

pub(super) fn read(image: &Image<'_>, module: &mut Module<'_>) {
    let mut limit = NameLimit::new(image.bytes.data.len());
    if let Some((start, _)) = image.directory(Directory::Import) {
        for index in 0..MAX_LIBRARIES {
            let entry = start.checked_add(index * 20).and_then(|at| image.memory(at, 20)).map(Bytes::little);
            let Some(entry) = entry else { break };
            let field = |at| entry.u32(at).unwrap_or(0);
            let (names, library, slots) = (field(0), field(12), field(16));
            if library == 0 || slots == 0 {
                break;
            }
            let names = if names == 0 { slots } else { names };
            list(image, module, &mut limit, image.text(library), (names, slots));
        }
    }
    if let Some((start, _)) = image.directory(Directory::DelayImport) {
        for index in 0..MAX_LIBRARIES {
            let entry = start.checked_add(index * 32).and_then(|at| image.memory(at, 32)).map(Bytes::little);
            let Some(entry) = entry else { break };
            let field = |at| entry.u32(at).unwrap_or(0);
            // The oldest linkers wrote addresses instead of offsets.
            let offset =
                |at| if field(0) & 1 == 1 { field(at) } else { field(at).wrapping_sub(image.base as u32) };
            if field(4) == 0 {
                break;
            }
            list(image, module, &mut limit, image.text(offset(4)), (offset(16), offset(12)));
        }
    }
}

fn list(
    image: &Image<'_>,
    module: &mut Module<'_>,
    limit: &mut NameLimit,
    library: Option<String>,
    (names, slots): (u32, u32),
) {
    let word = image.word();
    for index in 0..MAX_NAMES {
        let at = |table: u32| table.checked_add(index.checked_mul(word.into())?);
        let value = at(names).and_then(|at| image.memory(at, word.into()));
        let value = value.and_then(|data| Bytes::little(data).word(0, word));
        let (Some(value), Some(slot)) = (value.filter(|&value| value != 0), at(slots)) else { break };
        let name = match value >> (word * 8 - 1) {
            1 => Some(format!("#{}", value & 0xffff)),
            _ => image.text((value as u32).wrapping_add(2)),
        };
        let Some(name) = name else { break };
        let import = ModuleImport { name, version: None, provider: library.clone() };
        if !limit.import(&import) {
            break;
        }
        let address = Address(image.base.wrapping_add(slot.into()));
        module.slots.push(Slot { address, width: word, target: SlotTarget::Import(Box::new(import), 0) });
    }
}

/// A jump through an import's slot that stands alone: import thunks have no unwind information, and
/// jumps out of real functions carry a prefix (`48 FF 25`) or stand behind other code.
pub(super) fn stubs(module: &mut Module<'_>, unwound: &[Seed]) {
    let mut covered: Vec<(u64, u64)> = unwound.iter().map(|seed| (seed.address, seed.size)).collect();
    covered.sort_unstable();
    let is_covered = |address: u64| {
        let after = covered.partition_point(|(start, _)| *start < address);
        after.checked_sub(1).is_some_and(|at| address - covered[at].0 < covered[at].1)
    };
    let mut found = Vec::new();
    let bytes: usize = module.regions.iter().map(|region| region.bytes.len()).sum();
    let mut limit = NameLimit::new(bytes);
    for region in module.regions.iter().filter(|region| region.kind == SectionKind::Code) {
        let candidates = match module.architecture {
            Architecture::Aarch64 => aarch64(region.address.0, &region.bytes),
            _ => x86(module, region.address.0, &region.bytes),
        };
        for (start, size, slot) in candidates {
            let import = module.slot_at(slot).map(|slot| &slot.target);
            if let (Some(SlotTarget::Import(import, 0)), false) = (import, is_covered(start))
                && limit.import(import)
            {
                found.push((Address(start), size, ModuleImport::clone(import)));
            }
        }
    }
    found.sort_by_key(|(start, ..)| *start);
    module.stubs = found;
}

const X86_STUB_BYTES: u64 = 6;

fn x86(module: &Module<'_>, address: u64, code: &[u8]) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    let mut last_end = 0;
    let Some(bits) = bitness(&module.architecture) else { return found };
    for at in (0..code.len().saturating_sub(5)).filter(|&at| code[at] == 0xff && code[at + 1] == 0x25) {
        let Some(value) = Bytes::little(code).u32(at as u64 + 2) else { break };
        let start = address + at as u64;
        let slot = match bits {
            64 => (start + X86_STUB_BYTES).wrapping_add_signed(i64::from(value as i32)),
            _ => value.into(),
        };
        let alone = at == 0 || start == last_end || matches!(code[at - 1], 0x90 | 0xcc | 0xc3 | 0);
        if alone {
            found.push((start, X86_STUB_BYTES, slot));
            last_end = start + X86_STUB_BYTES;
        }
    }
    found
}

/// `adrp x16, page; ldr x16, [x16, #low]; br x16`.
fn aarch64(address: u64, code: &[u8]) -> Vec<(u64, u64, u64)> {
    let words: Vec<u32> = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let mut found = Vec::new();
    for (index, window) in words.windows(3).enumerate() {
        let &[page, load, jump] = window else { continue };
        let shape = page & 0x9f00_001f == 0x9000_0010 && load & 0xffc0_03ff == 0xf940_0210;
        if shape && jump == 0xd61f_0200 {
            let start = address + index as u64 * 4;
            let pages = i64::from((page << 8) as i32 >> 13) << 2 | i64::from(page >> 29 & 3);
            let base = (start & !0xfff).wrapping_add_signed(pages << 12);
            found.push((start, 12, base.wrapping_add(u64::from(load >> 10 & 0xfff) * 8)));
        }
    }
    found
}
