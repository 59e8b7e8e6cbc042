//! Segments and sections: what is where in memory.

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{ProgramHeader as _, SectionHeader as _};

use super::File;
use crate::{Address, BinaryError, Section, SectionKind, Segment, limits};

pub(crate) fn segments(file: &File<'_>) -> Result<Vec<Segment>, BinaryError> {
    let mut segments = Vec::new();
    for program in file.programs.iter().filter(|p| p.p_type(LE).0 == elf::PT_LOAD.0) {
        let (address, memory_size) = (program.p_vaddr(LE), program.p_memsz(LE));
        check_range("segment", address, memory_size)?;
        let range = file_range("segment", file.data.len(), program.p_offset(LE), program.p_filesz(LE))?;
        if range.len() as u64 > memory_size {
            return Err(BinaryError::malformed("segment", "more bytes in the file than in memory"));
        }
        segments.push(Segment {
            address: Address(address),
            memory_size,
            file: range,
            flags: program.p_flags(LE).0,
            align: program.p_align(LE),
        });
    }
    segments.retain(|segment| segment.memory_size > 0);
    segments.sort_by_key(|segment| segment.address);
    let overlap = |pair: &[Segment]| pair[0].address.0 + pair[0].memory_size > pair[1].address.0;
    if segments.windows(2).any(overlap) {
        return Err(BinaryError::malformed("segments", "two of them overlap"));
    }
    Ok(segments)
}

/// The sections, and the indexes of those in memory by address.
pub(crate) fn sections(
    file: &File<'_>,
    segments: &[Segment],
) -> Result<(Vec<Section>, Vec<usize>), BinaryError> {
    let mut sections = Vec::with_capacity(file.sections.len());
    let mut names = super::symbols::NameBudget::new(file.data.len());
    for header in file.sections.iter() {
        let name = file.sections.section_name(LE, header).unwrap_or_default();
        let section = section(file, header, names.take(name)?)?;
        check_place(&section, segments)?;
        sections.push(section);
    }
    let mut by_address: Vec<usize> = (0..sections.len()).filter(|&i| in_memory(&sections[i])).collect();
    by_address.sort_by_key(|&i| sections[i].address);
    if by_address.windows(2).any(|pair| sections[pair[0]].end() > sections[pair[1]].address.0) {
        return Err(BinaryError::malformed("sections", "two of them overlap in memory"));
    }
    Ok((sections, by_address))
}

fn in_memory(section: &Section) -> bool {
    let tls_zeros = section.tls && section.kind == SectionKind::Zeroed;
    section.kind != SectionKind::NotLoaded && section.size > 0 && !tls_zeros
}

fn section(file: &File<'_>, header: &elf::SectionHeader64<LE>, name: String) -> Result<Section, BinaryError> {
    let flags = header.sh_flags(LE).0;
    let no_bits = header.sh_type(LE).0 == elf::SHT_NOBITS.0;
    let loaded = flags & elf::SHF_ALLOC.0 != 0;
    let kind = match (loaded, no_bits) {
        (false, _) => SectionKind::NotLoaded,
        (true, true) => SectionKind::Zeroed,
        (true, false) if flags & elf::SHF_EXECINSTR.0 != 0 => SectionKind::Code,
        (true, false) => SectionKind::Data,
    };
    let range = if no_bits || header.sh_type(LE).0 == elf::SHT_NULL.0 {
        0..0
    } else {
        file_range("section", file.data.len(), header.sh_offset(LE), header.sh_size(LE))?
    };
    if loaded {
        check_range("section", header.sh_addr(LE), header.sh_size(LE))?;
    }
    Ok(Section {
        name,
        kind,
        writable: flags & elf::SHF_WRITE.0 != 0,
        tls: flags & elf::SHF_TLS.0 != 0,
        address: Address(if loaded { header.sh_addr(LE) } else { 0 }),
        size: header.sh_size(LE),
        file: range,
        entry_size: header.sh_entsize(LE),
    })
}

/// A loaded section must show the same bytes as the segment the loader maps there.
fn check_place(section: &Section, segments: &[Segment]) -> Result<(), BinaryError> {
    if !in_memory(section) {
        return Ok(());
    }
    let start = section.address.0;
    let index = segments.partition_point(|segment| segment.address.0 <= start);
    let segment = index.checked_sub(1).and_then(|i| segments.get(i));
    let agrees = segment.is_some_and(|segment| {
        let offset = start - segment.address.0;
        let inside = offset.checked_add(section.size).is_some_and(|end| end <= segment.memory_size);
        let same_bytes = match section.kind {
            SectionKind::Zeroed => offset >= segment.file.len() as u64,
            _ => {
                segment.file.start as u64 + offset == section.file.start as u64
                    && offset + section.size <= segment.file.len() as u64
            }
        };
        let code_is_mapped_so = section.kind != SectionKind::Code || segment.flags & elf::PF_X.0 != 0;
        inside && same_bytes && code_is_mapped_so
    });
    if agrees {
        return Ok(());
    }
    Err(BinaryError::malformed("section", format!("`{}` is not where the loader maps it", section.name)))
}

fn check_range(what: &'static str, address: u64, size: u64) -> Result<(), BinaryError> {
    match address.checked_add(size) {
        Some(end) if end <= limits::MAX_ADDRESS => Ok(()),
        _ => {
            Err(BinaryError::malformed(what, format!("{size} bytes at {address:#x} leave the address space")))
        }
    }
}

fn file_range(what: &'static str, len: usize, offset: u64, size: u64) -> Result<Range<usize>, BinaryError> {
    let end = offset.checked_add(size).filter(|&end| end <= len as u64);
    let (Ok(start), Some(Ok(end))) = (usize::try_from(offset), end.map(usize::try_from)) else {
        return Err(BinaryError::malformed(what, format!("{size} bytes at {offset:#x} leave the file")));
    };
    Ok(start..end)
}
