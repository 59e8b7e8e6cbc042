//! The functions that `.eh_frame` describes (LSB Core, section 10.6), for every address size.

use gimli::{BaseAddresses, CieOrFde, EhFrame, EndianSlice, RunTimeEndian, UnwindSection as _};

use super::raw::RawFile;
use crate::native::Seed;
use crate::{BinaryError, FunctionEvidence, Module, limits};

/// Adds one seed for each description; what cannot be read is a warning and ends the table there.
pub(super) fn read(
    file: &RawFile<'_>,
    module: &mut Module<'_>,
    seeds: &mut Vec<Seed>,
) -> Result<(), BinaryError> {
    let Some((address, bytes)) = table(file) else { return Ok(()) };
    let endian = if file.bytes.little { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let mut frame = EhFrame::from(EndianSlice::new(bytes, endian));
    frame.set_address_size(file.word());
    let text = file.section(".text").map_or(0, |section| section.address);
    let bases = BaseAddresses::default().set_eh_frame(address).set_text(text);
    match collect(&frame, &bases, seeds) {
        Ok(()) => {}
        Err(gimli::Error::TooManyRegisterRules) => BinaryError::bound("frames", 1, 0)?,
        Err(error) => module.warnings.push(format!(".eh_frame: {error}")),
    }
    Ok(())
}

/// The section, or what `PT_GNU_EH_FRAME` leads to where there are no sections.
fn table<'data>(file: &RawFile<'data>) -> Option<(u64, &'data [u8])> {
    if let Some(section) = file.section(".eh_frame") {
        return Some((section.address, section.bytes));
    }
    let header = file.programs.iter().find(|program| program.kind == object::elf::PT_GNU_EH_FRAME.0)?;
    let bytes = file.bytes.slice(header.offset, header.file_size)?;
    let endian = if file.bytes.little { RunTimeEndian::Little } else { RunTimeEndian::Big };
    let bases = BaseAddresses::default().set_eh_frame_hdr(header.address);
    let parsed = gimli::EhFrameHdr::new(bytes, endian).parse(&bases, file.word()).ok()?;
    let address = parsed.eh_frame_ptr().pointer();
    let end = file.programs.iter().find_map(|program| {
        let end = program.address.checked_add(program.file_size)?;
        (program.kind == 1 && (program.address..end).contains(&address)).then_some(end)
    })?;
    Some((address, file.at_address(address, end - address)?))
}

fn collect(
    frame: &EhFrame<EndianSlice<'_, RunTimeEndian>>,
    bases: &BaseAddresses,
    seeds: &mut Vec<Seed>,
) -> gimli::Result<()> {
    let mut entries = frame.entries(bases);
    let mut count = 0;
    while let Some(entry) = entries.next()? {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|section, bases, offset| section.cie_from_offset(bases, offset))?;
        if fde.initial_address() != 0 {
            seeds.push(Seed::unnamed(fde.initial_address(), fde.len(), FunctionEvidence::EhFrame));
        }
        count += 1;
        if count >= limits::MAX_FDES {
            break;
        }
    }
    Ok(())
}
