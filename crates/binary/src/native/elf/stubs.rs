//! The procedure linkage table: which stub leads where.

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};

use super::dynamic;
use super::raw::{RawFile, RawSection, RawSymbol};
use crate::native::sweep::bitness;
use crate::native::{NAMES_CUT, NameLimit};
use crate::{Address, Architecture, Module, ModuleImport, SlotTarget};

/// Every stub is as long or shorter, and starts at a multiple of its size.
const STUB_BYTES: u64 = 16;
const SHORT_STUB_BYTES: u64 = 8;

pub(super) fn read(file: &RawFile<'_>, module: &mut Module<'_>) {
    let names = dynamic::slot_names(file);
    let mut limit = NameLimit::new(file.bytes.data.len());
    let is_table = |section: &&RawSection<'_>| {
        matches!(section.name.as_str(), ".plt" | ".plt.sec" | ".plt.got" | ".iplt")
    };
    for section in file.sections.iter().filter(is_table) {
        let found = match module.architecture {
            Architecture::Aarch64 => aarch64(section),
            Architecture::X86 | Architecture::X86_64 => x86(file, module, section),
            _ => Vec::new(),
        };
        for (start, size, slot) in found {
            let import = slot.and_then(|slot| provided(file, module, &names, slot)).unwrap_or_else(header);
            if !limit.import(&import) {
                module.warnings.push(NAMES_CUT.to_owned());
                break;
            }
            module.stubs.push((Address(start), size, import));
        }
    }
    module.stubs.sort_by_key(|(start, ..)| *start);
    module.stubs.dedup_by_key(|(start, ..)| *start);
}

/// What is no stub of a function: the common part of lazy binding, which calls the loader.
fn header() -> ModuleImport {
    ModuleImport { name: "@plt".to_owned(), version: None, provider: None }
}

/// What fills the slot: an import, a function of this module under its dynamic name, or what a resolver
/// of this module chooses.
fn provided(
    file: &RawFile<'_>,
    module: &Module<'_>,
    names: &[(u64, ModuleImport)],
    slot: u64,
) -> Option<ModuleImport> {
    if let Ok(index) = names.binary_search_by_key(&slot, |(address, _)| *address) {
        return names.get(index).map(|(_, import)| import.clone());
    }
    match &module.slot_at(slot)?.target {
        SlotTarget::Import(import, 0) => Some(ModuleImport::clone(import)),
        SlotTarget::Address(resolver) => {
            let known = |symbol: &&RawSymbol<'_>| symbol.kind == 10 && symbol.value == *resolver;
            let name = file.symbols.iter().filter(known).min_by_key(|symbol| (symbol.rank(), symbol.name));
            let name = name.map_or("@ifunc".into(), |symbol| String::from_utf8_lossy(symbol.name));
            Some(ModuleImport { name: name.into_owned(), version: None, provider: None })
        }
        _ => None,
    }
}

type Stub = (u64, u64, Option<u64>);

fn x86(file: &RawFile<'_>, module: &Module<'_>, section: &RawSection<'_>) -> Vec<Stub> {
    let step = if section.entry_size == SHORT_STUB_BYTES { SHORT_STUB_BYTES } else { STUB_BYTES };
    let bits = bitness(&module.architecture).unwrap_or(64);
    let base = file.tag(3).or_else(|| Some(file.section(".got.plt")?.address)).unwrap_or(0);
    let chunks = section.bytes.chunks_exact(step as usize).enumerate();
    chunks
        .map(|(index, chunk)| {
            let at = section.address.wrapping_add(index as u64 * step);
            (at, step, x86_slot(bits, chunk, at, base))
        })
        .collect()
}

/// The slot that `jmp *slot` goes through, after `endbr` at most; `base` is what `ebx` holds in
/// position-independent 32-bit code.
fn x86_slot(bits: u32, code: &[u8], at: u64, base: u64) -> Option<u64> {
    let mut instructions = Decoder::with_ip(bits, code, at, DecoderOptions::NONE).into_iter();
    let is_mark = |mnemonic| matches!(mnemonic, Mnemonic::Endbr64 | Mnemonic::Endbr32 | Mnemonic::Nop);
    let jump = instructions.find(|instruction| !is_mark(instruction.mnemonic()))?;
    if jump.mnemonic() != Mnemonic::Jmp || jump.op0_kind() != OpKind::Memory {
        return None;
    }
    match jump.memory_base() {
        Register::RIP => Some(jump.ip_rel_memory_address()),
        Register::None => Some(jump.memory_displacement64()),
        Register::EBX => Some(base.wrapping_add(jump.memory_displacement64()) & 0xffff_ffff),
        _ => None,
    }
}

/// `adrp x16, page; ldr x17, [x16, #low]; add x16, x16, #low; br x17`, after `bti c` at most; the header
/// before them goes through the slot of the loader and is 32 bytes.
fn aarch64(section: &RawSection<'_>) -> Vec<Stub> {
    let words: Vec<u32> = section.bytes.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
    let address = |index: usize| section.address.wrapping_add(index as u64 * 4);
    let mut stubs: Vec<Stub> = Vec::new();
    let mut from = 0;
    let mut index = 0;
    while index < words.len() {
        // The unconditional `br x17` ends a stub, with whatever protects the way to it.
        if words[index] != 0xd61f_0220 && words[index] & 0xffff_f800 != 0xd71f_0800 {
            index += 1;
            continue;
        }
        index += 1;
        while words.get(index) == Some(&0xd503_201f) {
            index += 1;
        }
        let slot = aarch64_slot(&words[from..index], address(from));
        let is_header = words[from..index].contains(&0xa9bf_7bf0);
        stubs.push((address(from), (index - from) as u64 * 4, slot.filter(|_| !is_header)));
        from = index;
    }
    stubs
}

fn aarch64_slot(words: &[u32], start: u64) -> Option<u64> {
    let at = words.iter().position(|word| word & 0x9f00_001f == 0x9000_0010)?;
    let (page, load) = (words[at], *words.get(at + 1)?);
    if load & 0xffc0_03ff != 0xf940_0211 {
        return None;
    }
    let pages = i64::from((page << 8) as i32 >> 13) << 2 | i64::from(page >> 29 & 3);
    let base = (start + at as u64 * 4) & !0xfff;
    Some(base.wrapping_add_signed(pages << 12).wrapping_add(u64::from(load >> 10 & 0xfff) * 8))
}
