//! Mach-O: executables, libraries and object files, and universal files of several of them.

mod commands;
mod fixups;
mod objects;

use std::borrow::Cow;

use object::macho;

use self::commands::{RawFile, RawSection};
use super::{Seed, delimit, empty, hexadecimal, read_pclntab};
use crate::bytes::Bytes;
use crate::elf::NameBudget;
use crate::{
    Address, Architecture, BinaryError, DataSymbol, FunctionEvidence, Module, ModuleFormat, ModuleImport,
    Region, SectionKind,
};

/// Most slices of one universal file.
const MAX_SLICES: usize = 64;

/// The bytes of each slice of a universal file, in the file's order.
pub(crate) fn slices(data: &[u8]) -> Result<Vec<&[u8]>, BinaryError> {
    let bytes = Bytes { data, little: false };
    let short = || BinaryError::malformed("universal header", "a slice lies beyond the end of the file");
    let wide = bytes.u32(0).ok_or_else(short)? == macho::FAT_MAGIC_64;
    let count = bytes.u32(4).ok_or_else(short)? as usize;
    BinaryError::bound("slice count", count, MAX_SLICES)?;
    let slice = |index: usize| match wide {
        true => {
            let at = 8 + index as u64 * 32;
            bytes.slice(bytes.u64(at + 8)?, bytes.u64(at + 16)?)
        }
        false => {
            let at = 8 + index as u64 * 20;
            bytes.slice(bytes.u32(at + 8)?.into(), bytes.u32(at + 12)?.into())
        }
    };
    (0..count).map(|index| slice(index).ok_or_else(short)).collect()
}

pub(crate) fn read(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    let mut file = commands::load(data)?;
    let mut module = empty(ModuleFormat::MachO, architecture(&file));
    module.variant = variant(&file);
    module.debug_id = file.uuid.map(|uuid| hexadecimal(&uuid));
    module.warnings.append(&mut file.warnings);
    regions(&file, &mut module);
    let mut seeds = Vec::new();
    if file.kind == macho::MH_OBJECT.0 {
        objects::link(&file, &mut module);
    } else {
        fixups::read(&file, &mut module);
        stubs(&file, &mut module);
    }
    symbols(&file, &mut module, &mut seeds)?;
    starts(&file, &mut seeds);
    for region in module.regions.iter().filter(|region| region.name.ends_with("gopclntab")) {
        seeds.extend(read_pclntab(&module, region.address.0, &region.bytes));
    }
    delimit(&mut module, seeds, &[]);
    module.toolchains = toolchains(&file);
    super::name_languages(&mut module);
    Ok(module)
}

fn architecture(file: &RawFile<'_>) -> Architecture {
    let name = match file.cpu {
        0x0100_0007 => return Architecture::X86_64,
        7 => return Architecture::X86,
        0x0100_000c => return Architecture::Aarch64,
        0x0200_000c => "arm64_32",
        12 => "arm",
        18 => "powerpc",
        0x0100_0012 => "powerpc64",
        other => return Architecture::Other(format!("machine {other:#x}")),
    };
    Architecture::Other(name.to_owned())
}

fn variant(file: &RawFile<'_>) -> Option<String> {
    let kind = match file.kind {
        1 => "relocatable",
        2 => "executable",
        6 => "dylib",
        7 => "dynamic linker",
        8 => "bundle",
        10 => "debug symbols",
        11 => "kernel extension",
        _ => "other",
    };
    let build = file.build.as_ref().map_or_else(String::new, |build| format!(" for {build}"));
    Some(format!("{kind}{build}"))
}

fn regions<'data>(file: &RawFile<'data>, module: &mut Module<'data>) {
    for section in file.sections.iter().filter(|section| section.size > 0 && !section.is_debug()) {
        let zeroed = matches!(section.kind(), 1 | 12 | 18);
        let kind = match section.flags & 0x8000_0400 != 0 {
            _ if zeroed => SectionKind::Zeroed,
            true => SectionKind::Code,
            false => SectionKind::Data,
        };
        let constant = matches!(section.segment.as_str(), "__TEXT" | "__DATA_CONST" | "__AUTH_CONST");
        module.regions.push(Region {
            name: section.name.clone(),
            kind,
            writable: !constant,
            address: Address(section.address),
            size: section.size,
            bytes: Cow::Borrowed(section.bytes),
        });
    }
    super::sort_regions(module);
}

/// `__stubs` sections: stub `n` jumps to indirect symbol `reserved1 + n`; its size is `reserved2`.
fn stubs(file: &RawFile<'_>, module: &mut Module<'_>) {
    let mut limit = super::NameLimit::new(file.bytes.data.len());
    for section in file.sections.iter().filter(|section| section.kind() == 8) {
        let size = u64::from(section.reserved.1);
        if size == 0 {
            continue;
        }
        // Every stub has its bytes in the file.
        for index in 0..section.bytes.len() as u64 / size {
            let at = u64::from(section.reserved.0) + index;
            let symbol = usize::try_from(at).ok().and_then(|at| file.indirect.get(at));
            let import = symbol
                .and_then(|&symbol| import(file, symbol as usize))
                .unwrap_or_else(|| ModuleImport { name: "@stub".to_owned(), version: None, provider: None });
            if !limit.import(&import) {
                module.warnings.push(super::NAMES_CUT.to_owned());
                break;
            }
            module.stubs.push((Address(section.address.wrapping_add(index * size)), size, import));
        }
    }
    for section in file.sections.iter().filter(|section| section.name == "__stub_helper") {
        let header = ModuleImport { name: "@stub".to_owned(), version: None, provider: None };
        module.stubs.push((Address(section.address), section.size, header));
    }
    module.stubs.sort_by_key(|(start, ..)| *start);
    module.stubs.dedup_by_key(|(start, ..)| *start);
}

/// The name of a symbol as an import; the library's ordinal stands in its description.
fn import(file: &RawFile<'_>, index: usize) -> Option<ModuleImport> {
    let symbol = file.symbols.get(index)?;
    let name = String::from_utf8_lossy(symbol.name).into_owned();
    let provider = (symbol.kind & 0x0e == 0).then(|| library(file, i32::from(symbol.description >> 8)));
    Some(ModuleImport { name, version: None, provider: provider.flatten() })
}

fn library(file: &RawFile<'_>, ordinal: i32) -> Option<String> {
    file.libraries.get(usize::try_from(ordinal).ok()?.checked_sub(1)?).cloned()
}

/// Symbols have no size: data reaches to the next symbol or the end of its section.
fn symbols(file: &RawFile<'_>, module: &mut Module<'_>, seeds: &mut Vec<Seed>) -> Result<(), BinaryError> {
    let mut names = NameBudget::new(file.bytes.data.len());
    let mut data = Vec::new();
    for symbol in file.symbols.iter().filter(|symbol| symbol.is_defined() && !symbol.name.is_empty()) {
        let Some(region) = module.region_at(symbol.value) else { continue };
        if is_local_label(symbol.name) {
            continue;
        }
        let name = names.take(symbol.name)?;
        if region.kind == SectionKind::Code {
            let rank = if symbol.kind & 1 == 1 { 0 } else { 2 };
            let evidence = FunctionEvidence::UnsizedSymbol;
            seeds.push(Seed { address: symbol.value, size: 0, name: Some(name), rank, evidence });
        } else {
            data.push((symbol.value, region.end(), name));
        }
    }
    data.sort();
    let starts: Vec<u64> = data.iter().map(|(address, ..)| *address).collect();
    for (address, end, name) in data {
        let next = starts.partition_point(|&start| start <= address);
        let size = starts.get(next).copied().unwrap_or(end).min(end) - address;
        module.objects.push(DataSymbol { name, address: Address(address), size });
    }
    module.objects.sort_by_key(|object| object.address);
    Ok(())
}

/// `ltmp0` and `L…` are the assembler's own.
fn is_local_label(name: &[u8]) -> bool {
    name.starts_with(b"ltmp") || (name.starts_with(b"L") && !name.starts_with(b"L_"))
}

fn starts(file: &RawFile<'_>, seeds: &mut Vec<Seed>) {
    seeds.extend(file.starts.iter().map(|&at| Seed::unnamed(at, 0, FunctionEvidence::FunctionStarts)));
    seeds.extend(file.entry.map(|at| Seed::unnamed(at, 0, FunctionEvidence::Entry)));
}

/// DWARF, whose sections have other names here.
fn toolchains(file: &RawFile<'_>) -> Vec<crate::Toolchain> {
    let section = |name: &str| {
        let name = format!("__{}", name.trim_start_matches('.'));
        let found = file.sections.iter().find(|section| section.name == name);
        found.map(|section| section.bytes).unwrap_or_default()
    };
    crate::toolchain::identify_sections(&section, file.bytes.little)
}

impl RawSection<'_> {
    fn is_debug(&self) -> bool {
        self.flags & 0x0200_0000 != 0 || self.segment == "__DWARF"
    }
}
