//! ELF of every architecture, as a [`Module`] (System V gABI).

mod dynamic;
mod frames;
mod raw;
mod relocatable;
mod relocations;
mod stubs;

use std::borrow::Cow;

use object::elf;

use self::raw::{RawFile, RawSection, RawSymbol};
use super::{Seed, delimit, empty, hexadecimal, read_pclntab, sort_regions};
use crate::elf::NameBudget;
use crate::{
    Address, Architecture, BinaryError, DataSymbol, FunctionEvidence, Module, ModuleFormat, Region,
    SectionKind,
};

/// Longest build id that is kept, in bytes; linkers write 8 to 32.
const MAX_BUILD_ID_BYTES: usize = 64;

pub(crate) fn read(data: &[u8]) -> Result<Module<'_>, BinaryError> {
    let mut file = raw::load(data)?;
    let mut module = empty(ModuleFormat::Elf, architecture(&file));
    module.variant = variant(&file);
    module.debug_id = build_id(&file);
    module.warnings.append(&mut file.warnings);
    let mut seeds = Vec::new();
    if file.kind == elf::ET_REL.0 {
        relocatable::place(&mut file);
        regions_of_sections(&file, &mut module);
        relocatable::apply(&file, &mut module);
    } else {
        regions(&file, &mut module);
        dynamic::read(&file, &mut module, &mut seeds);
        stubs::read(&file, &mut module);
        frames::read(&file, &mut module, &mut seeds)?;
    }
    module.toolchains = toolchains(&file, &module.architecture);
    symbols(&file, &mut module, &mut seeds)?;
    go_functions(&module, &mut seeds);
    delimit(&mut module, seeds, &[]);
    super::name_languages(&mut module);
    Ok(module)
}

fn architecture(file: &RawFile<'_>) -> Architecture {
    let name = match (file.machine, file.is_64, file.bytes.little) {
        (62, ..) => return Architecture::X86_64,
        (3, ..) => return Architecture::X86,
        (183, _, true) => return Architecture::Aarch64,
        (183, ..) => "aarch64_be",
        (8, true, true) => "mips64el",
        (8, true, false) => "mips64",
        (8, false, true) => "mipsel",
        (8, false, false) => "mips",
        (20, ..) => "powerpc",
        (21, _, true) => "powerpc64le",
        (21, ..) => "powerpc64",
        (22, true, _) => "s390x",
        (22, ..) => "s390",
        (40, _, true) => "arm",
        (40, ..) => "armeb",
        (243, true, _) => "riscv64",
        (243, ..) => "riscv32",
        (258, ..) => "loongarch64",
        (2, ..) => "sparc",
        (43, ..) => "sparc64",
        (42, ..) => "sh",
        (15, ..) => "hppa",
        (4, ..) => "m68k",
        (0x9026, ..) => "alpha",
        (50, ..) => "ia64",
        (83, ..) => "avr",
        (94, ..) => "xtensa",
        (247, ..) => "bpf",
        (other, ..) => return Architecture::Other(format!("machine {other}")),
    };
    Architecture::Other(name.to_owned())
}

fn variant(file: &RawFile<'_>) -> Option<String> {
    let has_interpreter = file.programs.iter().any(|program| program.kind == elf::PT_INTERP.0);
    let kernel_module = file.section(".modinfo").is_some();
    let name = match file.kind {
        kind if kind == elf::ET_REL.0 && kernel_module => "kernel module",
        kind if kind == elf::ET_REL.0 => "relocatable",
        kind if kind == elf::ET_EXEC.0 => "executable",
        _ if has_interpreter || file.is_pie() => "position-independent executable",
        _ => "shared library",
    };
    let narrow = file.machine == 62 && !file.is_64;
    Some(if narrow { format!("x32 {name}") } else { name.to_owned() })
}

fn build_id(file: &RawFile<'_>) -> Option<crate::DebugId> {
    let segments = file.programs.iter().filter(|program| program.kind == elf::PT_NOTE.0);
    let segments = segments.filter_map(|program| file.bytes.slice(program.offset, program.file_size));
    let sections = file.sections.iter().filter(|section| section.kind == elf::SHT_NOTE.0).map(|s| s.bytes);
    segments.chain(sections).find_map(|notes| build_id_note(file, notes))
}

fn build_id_note(file: &RawFile<'_>, notes: &[u8]) -> Option<crate::DebugId> {
    let bytes = crate::bytes::Bytes { data: notes, little: file.bytes.little };
    let round = |size: u32| u64::from(size).next_multiple_of(4);
    let mut at = 0;
    loop {
        let (name_size, size, kind) = (bytes.u32(at)?, bytes.u32(at + 4)?, bytes.u32(at + 8)?);
        let description = at + 12 + round(name_size);
        if kind == 3 && bytes.slice(at + 12, 4) == Some(b"GNU\0") {
            let id = bytes.slice(description, u64::from(size))?;
            return (!id.is_empty() && id.len() <= MAX_BUILD_ID_BYTES).then(|| hexadecimal(id));
        }
        at = description + round(size);
    }
}

fn regions<'data>(file: &RawFile<'data>, module: &mut Module<'data>) {
    regions_of_sections(file, module);
    if module.regions.is_empty() {
        regions_of_segments(file, module);
    }
}

fn is_in_memory(section: &RawSection<'_>) -> bool {
    let tls_zeros = section.flags & elf::SHF_TLS.0 != 0 && section.kind == elf::SHT_NOBITS.0;
    section.flags & elf::SHF_ALLOC.0 != 0 && section.size > 0 && !tls_zeros
}

/// Memory as the sections divide it.
fn regions_of_sections<'data>(file: &RawFile<'data>, module: &mut Module<'data>) {
    for section in file.sections.iter().filter(|section| is_in_memory(section)) {
        let kind = match section.kind {
            kind if kind == elf::SHT_NOBITS.0 => SectionKind::Zeroed,
            _ if section.flags & elf::SHF_EXECINSTR.0 != 0 => SectionKind::Code,
            _ => SectionKind::Data,
        };
        let end = section.address.saturating_add(section.size);
        module.regions.push(Region {
            name: section.name.clone(),
            kind,
            writable: section.flags & elf::SHF_WRITE.0 != 0 && !file.is_read_only_later(section.address, end),
            address: Address(section.address),
            size: section.size,
            bytes: Cow::Borrowed(section.bytes),
        });
    }
    sort_regions(module);
}

/// Memory as the loader maps it, for files without section headers.
fn regions_of_segments<'data>(file: &RawFile<'data>, module: &mut Module<'data>) {
    for (index, program) in file.programs.iter().enumerate().filter(|(_, p)| p.kind == elf::PT_LOAD.0) {
        let available = (file.bytes.data.len() as u64).saturating_sub(program.offset);
        let bytes = file.bytes.slice(program.offset, program.file_size.min(available)).unwrap_or_default();
        let code = program.flags & elf::PF_X.0 != 0;
        module.regions.push(Region {
            name: format!("segment {index}"),
            kind: if code { SectionKind::Code } else { SectionKind::Data },
            writable: program.flags & elf::PF_W.0 != 0,
            address: Address(program.address),
            size: program.memory_size,
            bytes: Cow::Borrowed(bytes),
        });
    }
    sort_regions(module);
}

fn symbols(file: &RawFile<'_>, module: &mut Module<'_>, seeds: &mut Vec<Seed>) -> Result<(), BinaryError> {
    let mut names = NameBudget::new(file.bytes.data.len().saturating_mul(2));
    for symbol in file.symbols.iter().chain(&file.dynamic_symbols) {
        let Some(address) = file.address_of(symbol) else { continue };
        if symbol.name.is_empty() || is_mapping_symbol(symbol.name) {
            continue;
        }
        if is_function(file, module, symbol, address) {
            let name = Some(names.take(symbol.name)?);
            let evidence = match symbol.size {
                0 => FunctionEvidence::UnsizedSymbol,
                _ => FunctionEvidence::Symbol,
            };
            seeds.push(Seed { address, size: symbol.size, name, rank: symbol.rank(), evidence });
        } else if symbol.is_data() && symbol.size > 0 && module.region_at(address).is_some() {
            let name = names.take(symbol.name)?;
            module.objects.push(DataSymbol { name, address: Address(address), size: symbol.size });
        }
    }
    module.objects.sort_by(|a, b| (a.address, a.size, &a.name).cmp(&(b.address, b.size, &b.name)));
    module.objects.dedup();
    Ok(())
}

/// Typed as code, or a label that assembly forgot to type: sized, or global in a code section and not
/// one of the marks that linkers set.
fn is_function(file: &RawFile<'_>, module: &Module<'_>, symbol: &RawSymbol<'_>, address: u64) -> bool {
    match symbol.kind {
        2 | 10 => true,
        0 if symbol.size > 0 => module.region_at(address).is_some_and(|r| r.kind == SectionKind::Code),
        0 => {
            let mark = symbol.name.starts_with(b"__start_")
                || symbol.name.starts_with(b".L")
                || symbol.name.ends_with(b"end")
                || symbol.name.ends_with(b"_begin")
                || symbol.name.ends_with(b"text");
            let global = symbol.rank() < 2 && !mark && file.kind != elf::ET_EXEC.0;
            global && module.region_at(address).is_some_and(|region| region.kind == SectionKind::Code)
        }
        _ => false,
    }
}

/// `$x`, `$d` and their like say what the bytes are, not whose.
fn is_mapping_symbol(name: &[u8]) -> bool {
    matches!(name, [b'$', b'a' | b'd' | b't' | b'x', rest @ ..] if rest.is_empty() || rest[0] == b'.' || rest[0] == b'r')
}

fn go_functions(module: &Module<'_>, seeds: &mut Vec<Seed>) {
    for region in module.regions.iter().filter(|region| region.name.ends_with("gopclntab")) {
        seeds.extend(read_pclntab(module, region.address.0, &region.bytes));
    }
}

fn toolchains(file: &RawFile<'_>, architecture: &Architecture) -> Vec<crate::Toolchain> {
    let information = relocatable::relocated(file, architecture, ".debug_info");
    let offsets = relocatable::relocated(file, architecture, ".debug_str_offsets");
    let section = |name: &str| match name {
        ".debug_info" => information.as_ref(),
        ".debug_str_offsets" => offsets.as_ref(),
        _ => file.section(name).map(|section| section.bytes).unwrap_or_default(),
    };
    crate::toolchain::identify_sections(&section, file.bytes.little)
}
