//! `.eh_frame`: which code unwinds how (LSB Core, section 10.6), through gimli.

use std::collections::HashSet;

use gimli::{BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, UnwindSection};

use crate::{Address, BinaryError, CodeRange, Image, limits};

type Slice<'data> = EndianSlice<'data, LittleEndian>;
type FullFde<'data> = gimli::FrameDescriptionEntry<Slice<'data>>;

/// One frame description entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fde {
    /// The code it describes.
    pub range: CodeRange,
    /// Its exception table in `.gcc_except_table`.
    pub lsda: Option<Address>,
    /// The personality routine: its address, or the slot that holds it.
    pub personality: Option<Address>,
    /// Whether `personality` is the slot.
    pub personality_is_slot: bool,
    /// Whether the frame is a signal trampoline's.
    pub signal_frame: bool,
    offset: usize,
}

/// The unwind table of one image.
#[derive(Clone, Debug, Default)]
pub struct Unwind<'data> {
    section: &'data [u8],
    address: u64,
    fdes: Vec<Fde>,
    complete: bool,
}

impl<'data> Unwind<'data> {
    /// Reads `.eh_frame`; what is wrong with it is a warning, and ends the table there.
    pub(crate) fn read(image: &Image<'data>) -> Result<(Self, Vec<String>), BinaryError> {
        let Some(section) = image.section(".eh_frame") else {
            return Ok((Self { complete: true, ..Self::default() }, Vec::new()));
        };
        let mut unwind = Self {
            section: image.section_bytes(section),
            address: section.address.0,
            fdes: Vec::new(),
            complete: false,
        };
        let mut warnings = Vec::new();
        match unwind.collect() {
            Ok(fdes) => {
                unwind.fdes = fdes;
                unwind.complete = unwind.is_indexed_truly(image).unwrap_or(false);
                if !unwind.complete {
                    warnings.push(".eh_frame_hdr does not say what .eh_frame holds".to_owned());
                }
            }
            Err(error) => warnings.push(format!(".eh_frame: {error}")),
        }
        BinaryError::bound("frame description count", unwind.fdes.len(), limits::MAX_FDES)?;
        unwind.fdes.sort_by_key(|fde| fde.range);
        Ok((unwind, warnings))
    }

    fn frame(&self) -> (EhFrame<Slice<'data>>, BaseAddresses) {
        let bases = BaseAddresses::default().set_eh_frame(self.address);
        (EhFrame::new(self.section, LittleEndian), bases)
    }

    fn collect(&self) -> gimli::Result<Vec<Fde>> {
        let (frame, bases) = self.frame();
        let mut entries = frame.entries(&bases);
        let mut fdes = Vec::new();
        while let Some(entry) = entries.next()? {
            let CieOrFde::Fde(partial) = entry else { continue };
            let offset = partial.offset();
            let fde = partial.parse(|section, bases, offset| section.cie_from_offset(bases, offset))?;
            fdes.push(describe(&fde, offset));
            if fdes.len() > limits::MAX_FDES {
                break;
            }
        }
        Ok(fdes)
    }

    /// Whether `.eh_frame_hdr`, which unwinders search, leads to exactly these entries.
    fn is_indexed_truly(&self, image: &Image<'data>) -> gimli::Result<bool> {
        let Some(section) = image.section(".eh_frame_hdr") else { return Ok(true) };
        let bases = BaseAddresses::default().set_eh_frame(self.address).set_eh_frame_hdr(section.address.0);
        let header = EhFrameHdr::new(image.section_bytes(section), LittleEndian).parse(&bases, 8)?;
        if header.eh_frame_ptr().pointer() != self.address {
            return Ok(false);
        }
        let Some(table) = header.table() else { return Ok(true) };
        let known: HashSet<(u64, u64)> =
            self.fdes.iter().map(|fde| (fde.range.start.0, self.address + fde.offset as u64)).collect();
        let mut rows = table.iter(&bases);
        let mut count = 0;
        while let Some((start, entry)) = rows.next()? {
            count += 1;
            if !known.contains(&(start.pointer(), entry.pointer())) {
                return Ok(false);
            }
        }
        Ok(count == known.len())
    }

    /// The entries, by address.
    pub fn fdes(&self) -> &[Fde] {
        &self.fdes
    }

    /// Whether the whole section could be read.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The entries that start within `range`.
    pub fn fdes_in(&self, range: CodeRange) -> &[Fde] {
        let from = self.fdes.partition_point(|fde| fde.range.start < range.start);
        let to = self.fdes.partition_point(|fde| fde.range.start < range.end);
        self.fdes.get(from..to).unwrap_or_default()
    }

    /// The rules of one entry in a form free of addresses: its CIE's factors and instructions, then
    /// its own. Code advances stay in bytes.
    ///
    /// # Errors
    /// [`BinaryError::Malformed`] where the instructions cannot be decoded.
    pub fn rules(&self, fde: &Fde) -> Result<Vec<String>, BinaryError> {
        self.read_rules(fde).map_err(|error| BinaryError::malformed("unwind rules", error))
    }

    fn read_rules(&self, fde: &Fde) -> gimli::Result<Vec<String>> {
        let (frame, bases) = self.frame();
        let get =
            |section: &EhFrame<_>, bases: &BaseAddresses, offset| section.cie_from_offset(bases, offset);
        let full = frame.fde_from_offset(&bases, gimli::EhFrameOffset(fde.offset), get)?;
        let cie = full.cie();
        let mut rules = vec![format!(
            "cie v{} code {} data {} return {} encoding {:?}",
            cie.version(),
            cie.code_alignment_factor(),
            cie.data_alignment_factor(),
            cie.return_address_register().0,
            cie.lsda_encoding(),
        )];
        let mut instructions = cie.instructions(&frame, &bases);
        while let Some(instruction) = instructions.next()? {
            rules.extend(rule(&frame, &instruction)?);
        }
        rules.push("fde".to_owned());
        let mut instructions = full.instructions(&frame, &bases);
        while let Some(instruction) = instructions.next()? {
            rules.extend(rule(&frame, &instruction)?);
        }
        Ok(rules)
    }
}

/// An expression is an offset into the section, so its bytes stand for it; padding says nothing.
fn rule(
    frame: &EhFrame<Slice<'_>>,
    instruction: &gimli::CallFrameInstruction<usize>,
) -> gimli::Result<Option<String>> {
    use gimli::CallFrameInstruction::{DefCfaExpression, Expression, Nop, ValExpression};
    Ok(Some(match instruction {
        Nop => return Ok(None),
        DefCfaExpression { expression } => format!("cfa {:02x?}", expression.get(frame)?.0.slice()),
        Expression { register, expression } => {
            format!("{} at {:02x?}", register.0, expression.get(frame)?.0.slice())
        }
        ValExpression { register, expression } => {
            format!("{} is {:02x?}", register.0, expression.get(frame)?.0.slice())
        }
        other => format!("{other:?}"),
    }))
}

fn describe(fde: &FullFde<'_>, offset: usize) -> Fde {
    let start = fde.initial_address();
    let personality = fde.personality();
    Fde {
        range: CodeRange { start: Address(start), end: Address(start.saturating_add(fde.len())) },
        lsda: fde.lsda().map(|pointer| Address(pointer.pointer())),
        personality: personality.map(|pointer| Address(pointer.pointer())),
        personality_is_slot: matches!(personality, Some(gimli::Pointer::Indirect(_))),
        signal_frame: fde.is_signal_trampoline(),
        offset,
    }
}
