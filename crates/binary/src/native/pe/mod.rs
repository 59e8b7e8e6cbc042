//! Portable Executable images (Microsoft PE format specification).

mod coff;
mod headers;
mod imports;
mod unwind;

pub(crate) use coff::{is_object, read_object};

use std::borrow::Cow;

pub(crate) use self::headers::Image;
use self::headers::{Directory, RawSection};
use super::{Seed, delimit, empty, read_pclntab};
use crate::bytecode::clr;
use crate::bytes::Bytes;
use crate::{
    Address, Architecture, BinaryError, DebugId, FunctionEvidence, Module, ModuleFormat, Region, SectionKind,
    Slot, SlotTarget, limits, toolchain,
};

/// How far from the end of read-only data the marks of compilers are looked for.
const MAX_MARK_BYTES: usize = 1 << 16;

pub(crate) fn read(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    let image = headers::load(data)?;
    if clr::is_assembly(&image) {
        return clr::read(&image);
    }
    let mut module = empty(ModuleFormat::Pe, architecture(image.machine));
    module.variant = Some(variant(&image).to_owned());
    module.debug_id = debug_id(&image);
    regions(&image, &mut module);
    let mut seeds = Vec::new();
    imports::read(&image, &mut module);
    base_relocations(&image, &mut module);
    module.slots.sort_by_key(|slot| slot.address);
    module.slots.dedup_by_key(|slot| slot.address);
    let parts = unwind::read(&image, &module, &mut seeds);
    imports::stubs(&mut module, &seeds);
    exports(&image, &module, &mut seeds);
    entries(&image, &module, &mut seeds);
    coff::image_symbols(&image, &mut module, &mut seeds)?;
    go_functions(&module, &mut seeds);
    module.toolchains = toolchains(&image);
    delimit(&mut module, seeds, &parts);
    super::name_languages(&mut module);
    Ok(module)
}

pub(super) fn architecture(machine: u16) -> Architecture {
    let name = match machine {
        0x8664 => return Architecture::X86_64,
        0x14c => return Architecture::X86,
        0xaa64 | 0xa641 | 0xa64e => return Architecture::Aarch64,
        0x1c0 | 0x1c2 | 0x1c4 => "arm",
        0x200 => "ia64",
        0x5032 => "riscv32",
        0x5064 => "riscv64",
        0x6264 => "loongarch64",
        0xebc => "efi bytecode",
        other => return Architecture::Other(format!("machine {other:#x}")),
    };
    Architecture::Other(name.to_owned())
}

fn variant(image: &Image<'_>) -> &'static str {
    match (image.subsystem, image.characteristics & 0x2000 != 0) {
        (1, _) => "driver",
        (10..=13, _) => "UEFI application or driver",
        (_, true) => "dynamic-link library",
        (3, false) => "console executable",
        (_, false) => "executable",
    }
}

fn regions<'data>(image: &Image<'data>, module: &mut Module<'data>) {
    for section in image.sections.iter().filter(|section| section.is_loaded()) {
        let kind = match section.flags {
            flags if flags & 0x2000_0020 != 0 => SectionKind::Code,
            _ if section.bytes.is_empty() => SectionKind::Zeroed,
            _ => SectionKind::Data,
        };
        module.regions.push(Region {
            name: section.name.clone(),
            kind,
            writable: section.flags & 0x8000_0000 != 0,
            address: Address(image.base.wrapping_add(section.address.into())),
            size: section.size.into(),
            bytes: Cow::Borrowed(section.bytes),
        });
    }
    super::sort_regions(module);
}

/// CodeView's PDB 7.0 record: GUID in its printed order, then the age, as symbol servers spell it.
fn debug_id(image: &Image<'_>) -> Option<DebugId> {
    let directory = image.directory(Directory::Debug)?;
    for row in 0..u64::from(directory.1 / 28).min(64) {
        let entry = Bytes::little(image.memory(directory.0.checked_add(row as u32 * 28)?, 28)?);
        if entry.u32(12)? != 2 {
            continue;
        }
        let record = image.bytes.slice(entry.u32(24)?.into(), entry.u32(16)?.into())?;
        let record = Bytes::little(record);
        if record.slice(0, 4)? == b"RSDS" {
            let (one, two, three) = (record.u32(4)?, record.u16(8)?, record.u16(10)?);
            let rest: String = record.slice(12, 8)?.iter().map(|byte| format!("{byte:02X}")).collect();
            return Some(DebugId(format!("{one:08X}{two:04X}{three:04X}{rest}{:X}", record.u32(20)?)));
        }
    }
    None
}

fn base_relocations(image: &Image<'_>, module: &mut Module<'_>) {
    let Some((address, size)) = image.directory(Directory::BaseRelocation) else { return };
    let Some(table) = image.memory(address, size) else {
        module.warnings.push("base relocations are not in the file".to_owned());
        return;
    };
    let table = Bytes::little(table);
    let mut at = 0u64;
    while let (Some(page), Some(length)) = (table.u32(at), table.u32(at + 4)) {
        if length < 8 {
            break;
        }
        for index in 0..u64::from((length - 8) / 2) {
            let Some(entry) = table.u16(at + 8 + index * 2) else { break };
            let width = match entry >> 12 {
                3 => 4,
                10 => 8,
                _ => continue,
            };
            let place = image.base.wrapping_add(u64::from(page)).wrapping_add(u64::from(entry & 0xfff));
            let value = module.bytes(place, u64::from(width));
            let value = value.and_then(|data| Bytes::little(data).word(0, width));
            let target = value.map(SlotTarget::Address);
            module.slots.extend(target.map(|target| Slot { address: Address(place), width, target }));
        }
        at += u64::from(length);
        if module.slots.len() > limits::MAX_RELOCATIONS {
            break;
        }
    }
}

fn exports(image: &Image<'_>, module: &Module<'_>, seeds: &mut Vec<Seed>) {
    let Some((start, size)) = image.directory(Directory::Export) else { return };
    let Some(table) = image.memory(start, 40).map(Bytes::little) else { return };
    let field = |at| table.u32(at).unwrap_or(0);
    let (count, names) = (field(20).min(1 << 16), field(24).min(1 << 16));
    let word = |table: u32, index: u32| {
        Bytes::little(image.memory(table.checked_add(index.checked_mul(4)?)?, 4)?).u32(0)
    };
    let mut push = |function: u32, name: Option<String>| {
        let forwarded = (start..start.saturating_add(size)).contains(&function);
        let address = image.base.wrapping_add(function.into());
        if function != 0 && !forwarded && module.region_at(address).is_some() {
            seeds.push(Seed { address, size: 0, name, rank: 0, evidence: FunctionEvidence::Export });
        }
    };
    for index in 0..count {
        if let Some(function) = word(field(28), index) {
            push(function, None);
        }
    }
    let mut limit = super::NameLimit::new(image.bytes.data.len());
    for index in 0..names {
        let Some(name) = word(field(32), index).and_then(|at| image.text(at)) else { continue };
        if !limit.text(&name) {
            break;
        }
        let ordinal = field(36).checked_add(index * 2).and_then(|at| image.memory(at, 2));
        let ordinal = ordinal.and_then(|data| Bytes::little(data).u16(0));
        if let Some(function) = ordinal.and_then(|ordinal| word(field(28), ordinal.into())) {
            push(function, Some(name));
        }
    }
}

/// The entry point, TLS callbacks, and what Control Flow Guard lists as called through pointers.
fn entries(image: &Image<'_>, module: &Module<'_>, seeds: &mut Vec<Seed>) {
    if image.entry != 0 {
        let entry = image.base.wrapping_add(image.entry.into());
        seeds.push(Seed::unnamed(entry, 0, FunctionEvidence::Entry));
    }
    let word = image.word();
    let field = |directory, index: u64| {
        let (start, size) = image.directory(directory)?;
        Bytes::little(image.memory(start, size)?).word(index, word)
    };
    let callbacks = field(Directory::Tls, 3 * u64::from(word)).unwrap_or(0);
    for index in 0..64 {
        let at = callbacks.wrapping_add(index * u64::from(word));
        let target = module.bytes(at, word.into()).and_then(|data| Bytes::little(data).word(0, word));
        let Some(target) = target.filter(|&target| target != 0) else { break };
        seeds.push(Seed::unnamed(target, 0, FunctionEvidence::Entry));
    }
    let (table, flags) = if word == 8 { (0x80, 0x90) } else { (0x50, 0x58) };
    let guarded = || {
        let (start, count) =
            (field(Directory::LoadConfig, table)?, field(Directory::LoadConfig, table + u64::from(word))?);
        let (directory, size) = image.directory(Directory::LoadConfig)?;
        let flags = Bytes::little(image.memory(directory, size)?).u32(flags)?;
        Some((start, count, 4 + u64::from(flags >> 28)))
    };
    let Some((start, count, row)) = guarded() else { return };
    for index in 0..count.min(limits::MAX_SYMBOLS as u64) {
        let entry = module.bytes(start.wrapping_add(index * row), 4);
        let Some(function) = entry.and_then(|data| Bytes::little(data).u32(0)) else { break };
        let address = image.base.wrapping_add(function.into());
        seeds.push(Seed::unnamed(address, 0, FunctionEvidence::CallTarget));
    }
}

/// The Rich header, the marks that MinGW's objects bring in their read-only data, and DWARF.
fn toolchains(image: &Image<'_>) -> Vec<crate::Toolchain> {
    let rich = object::read::pe::RichHeaderInfo::parse(image.bytes.data, image.header.into());
    let entries = rich.iter().flat_map(|rich| rich.unmasked_entries());
    let rich =
        toolchain::rich::identify(entries.map(|entry| ((entry.comp_id >> 16) as u16, entry.comp_id as u16)));
    let section = |name: &str| {
        let marks = name == ".comment";
        let name = if marks { ".rdata" } else { name };
        let bytes = image.section(name).map(|section| section.bytes).unwrap_or_default();
        // The marks come in `.rdata$zzz`, which sorts last.
        if marks { &bytes[bytes.len().saturating_sub(MAX_MARK_BYTES)..] } else { bytes }
    };
    let mut found = toolchain::identify_sections(&section, true);
    let gnu = found.iter().find(|toolchain| toolchain.name == "gcc").cloned();
    found.extend(gnu.map(|gcc| crate::Toolchain { name: "mingw".to_owned(), ..gcc }));
    found.extend(rich);
    found
}

/// Go's table has no section of its own here; it starts on a boundary of 32 bytes in read-only data.
fn go_functions(module: &Module<'_>, seeds: &mut Vec<Seed>) {
    for region in module.regions.iter().filter(|region| !region.writable) {
        for at in (0..region.bytes.len().saturating_sub(64)).step_by(32) {
            if !super::go::is_pclntab(&region.bytes[at..]) {
                continue;
            }
            let found = read_pclntab(module, region.address.0 + at as u64, &region.bytes[at..]);
            if found.len() > 1 {
                seeds.extend(found);
                return;
            }
        }
    }
}

impl RawSection<'_> {
    /// What linkers mark as discardable is debug information or relocations.
    fn is_loaded(&self) -> bool {
        self.flags & 0x0200_0000 == 0 && self.size > 0
    }
}
