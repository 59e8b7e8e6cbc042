//! ELF, 64-bit little-endian x86-64 (System V gABI; AMD64 supplement).

mod dynamic;
mod memory;
mod symbols;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionTable};

pub(crate) use symbols::{NameBudget, symbol_at};

use crate::{Address, Arch, BinaryError, DebugId, Format, Image, Unwind, limits, toolchain};

pub(crate) type Header = FileHeader64<LE>;
pub(crate) type ProgramHeader = elf::ProgramHeader64<LE>;

/// Longest build id that is kept, in bytes; linkers write 8 to 32.
const MAX_BUILD_ID_BYTES: usize = 64;

/// The pieces every part of the reader needs.
pub(crate) struct File<'data> {
    pub data: &'data [u8],
    pub header: &'data Header,
    pub programs: &'data [ProgramHeader],
    pub sections: SectionTable<'data, Header>,
}

pub(crate) fn parse(data: &[u8]) -> Result<Image<'_>, BinaryError> {
    check_machine(data)?;
    let file = open(data)?;
    let segments = memory::segments(&file)?;
    let (sections, by_address) = memory::sections(&file, &segments)?;
    let mut image = Image {
        data,
        format: Format::Elf,
        arch: Arch::X86_64,
        position_independent: file.header.e_type(LE).0 == elf::ET_DYN.0,
        entry: Address(file.header.e_entry(LE)),
        debug_id: None,
        toolchain: None,
        sections,
        by_address,
        segments,
        symbols: Vec::new(),
        dynamic_symbols: Vec::new(),
        relocations: Vec::new(),
        loader: Default::default(),
        unwind: Unwind::default(),
        warnings: Vec::new(),
    };
    image.dynamic_symbols = symbols::dynamic(&file)?;
    image.symbols = symbols::full(&file, &image.dynamic_symbols)?;
    dynamic::read(&file, &mut image)?;
    image.debug_id = build_id(&file);
    image.toolchain = toolchain::identify(&image);
    let (unwind, warnings) = Unwind::read(&image)?;
    image.unwind = unwind;
    image.warnings.extend(warnings);
    Ok(image)
}

/// Names what is recognised but not read, before anything else is looked at.
fn check_machine(data: &[u8]) -> Result<(), BinaryError> {
    let too_short = || BinaryError::malformed("ELF header", "the file ends within it");
    let ident = data.get(..16).ok_or_else(too_short)?;
    let word = |at: usize| data.get(at..at + 2).map(|b| [b[0], b[1]]).ok_or_else(too_short);
    let little = ident[5] == 1;
    let read = |bytes| if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let (kind, machine) = (read(word(16)?), read(word(18)?));
    if (ident[4], little, machine) != (2, true, elf::EM_X86_64.0) {
        let bits = if ident[4] == 2 { 64 } else { 32 };
        let order = if little { "little" } else { "big" };
        let arch = format!("{} ({bits} bits, {order}-endian)", machine_name(machine));
        return Err(BinaryError::UnsupportedArch { format: "ELF", arch });
    }
    match kind {
        kind if kind == elf::ET_EXEC.0 || kind == elf::ET_DYN.0 => Ok(()),
        kind if kind == elf::ET_REL.0 => Err(BinaryError::UnsupportedFormat { format: "an ELF object file" }),
        kind if kind == elf::ET_CORE.0 => Err(BinaryError::UnsupportedFormat { format: "an ELF core dump" }),
        other => Err(BinaryError::malformed("ELF header", format!("file type {other}"))),
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "x86".into(),
        8 => "MIPS".into(),
        20 | 21 => "PowerPC".into(),
        22 => "S/390".into(),
        40 => "Arm".into(),
        62 => "x86-64".into(),
        183 => "AArch64".into(),
        243 => "RISC-V".into(),
        258 => "LoongArch".into(),
        other => format!("machine {other}"),
    }
}

fn open(data: &[u8]) -> Result<File<'_>, BinaryError> {
    let bad = |error: object::read::Error| BinaryError::malformed("ELF headers", error);
    let header = Header::parse(data).map_err(bad)?;
    let programs = header.program_headers(LE, data).map_err(bad)?;
    BinaryError::bound("program header count", programs.len(), limits::MAX_SEGMENTS)?;
    let sections = header.sections(LE, data).map_err(bad)?;
    BinaryError::bound("section count", sections.len(), limits::MAX_SECTIONS)?;
    for kind in [
        elf::PT_INTERP,
        elf::PT_DYNAMIC,
        elf::PT_TLS,
        elf::PT_GNU_STACK,
        elf::PT_GNU_RELRO,
        elf::PT_GNU_EH_FRAME,
    ] {
        if programs.iter().filter(|program| program.p_type(LE) == kind).count() > 1 {
            let detail = format!("two of type {:#x}, of which loaders take different ones", kind.0);
            return Err(BinaryError::malformed("program headers", detail));
        }
    }
    Ok(File { data, header, programs, sections })
}

fn build_id(file: &File<'_>) -> Option<DebugId> {
    for program in file.programs {
        let Ok(Some(mut notes)) = program.notes(LE, file.data) else { continue };
        while let Ok(Some(note)) = notes.next() {
            let id = note.desc();
            let is_build_id = note.name() == b"GNU" && note.n_type(LE).0 == 3;
            if is_build_id && !id.is_empty() && id.len() <= MAX_BUILD_ID_BYTES {
                return Some(DebugId(id.iter().map(|byte| format!("{byte:02x}")).collect()));
            }
        }
    }
    None
}
