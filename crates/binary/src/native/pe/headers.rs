//! The headers of an image.

use crate::bytes::Bytes;
use crate::{BinaryError, limits};

#[derive(Clone, Copy)]
pub(crate) enum Directory {
    Export = 0,
    Import = 1,
    Exception = 3,
    BaseRelocation = 5,
    Debug = 6,
    Tls = 9,
    LoadConfig = 10,
    DelayImport = 13,
    Clr = 14,
}

pub(crate) struct RawSection<'data> {
    pub name: String,
    pub flags: u32,
    /// Counted from the image's base.
    pub address: u32,
    pub size: u32,
    pub bytes: &'data [u8],
}

pub(crate) struct Image<'data> {
    pub bytes: Bytes<'data>,
    pub machine: u16,
    pub characteristics: u16,
    pub subsystem: u16,
    pub is_64: bool,
    pub linker: (u8, u8),
    pub base: u64,
    pub entry: u32,
    pub sections: Vec<RawSection<'data>>,
    directories: Vec<(u32, u32)>,
    /// Where the COFF symbols lie in the file, and how many there are.
    pub symbols: (u32, u32),
    /// Where the new header lies.
    pub header: u32,
}

impl<'data> Image<'data> {
    pub(crate) fn word(&self) -> u8 {
        if self.is_64 { 8 } else { 4 }
    }

    /// A directory's place and size, where it has one.
    pub(crate) fn directory(&self, directory: Directory) -> Option<(u32, u32)> {
        self.directories
            .get(directory as usize)
            .copied()
            .filter(|(address, size)| *address != 0 && *size != 0)
    }

    /// The directory of the CLI header.
    pub(crate) fn clr(&self) -> Option<(u32, u32)> {
        self.directory(Directory::Clr)
    }

    /// The file's bytes of so much memory, counted from the base.
    pub(crate) fn memory(&self, address: u32, size: u32) -> Option<&'data [u8]> {
        let section = self.sections.iter().find(|section| {
            address.checked_sub(section.address).is_some_and(|offset| (offset as usize) < section.bytes.len())
        })?;
        Bytes::little(section.bytes).slice((address - section.address).into(), size.into())
    }

    /// All of a section's bytes from an address on.
    pub(crate) fn rest(&self, address: u32) -> Option<&'data [u8]> {
        let section = self.sections.iter().find(|section| {
            address.checked_sub(section.address).is_some_and(|offset| (offset as usize) < section.bytes.len())
        })?;
        section.bytes.get((address - section.address) as usize..)
    }

    pub(crate) fn text(&self, address: u32) -> Option<String> {
        let bytes = Bytes::little(self.rest(address)?).until_zero(0, limits::MAX_NAME_BYTES)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn section(&self, name: &str) -> Option<&RawSection<'data>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

pub(crate) fn load(data: &[u8]) -> Result<Image<'_>, BinaryError> {
    let bytes = Bytes::little(data);
    let short = || BinaryError::malformed("PE headers", "the file ends within them");
    let header = bytes.u32(0x3c).ok_or_else(short)?;
    if bytes.slice(header.into(), 4) != Some(b"PE\0\0") {
        return Err(BinaryError::UnsupportedFormat { format: "a DOS program" });
    }
    read(bytes, header).ok_or_else(short)
}

fn read(bytes: Bytes<'_>, header: u32) -> Option<Image<'_>> {
    let coff = u64::from(header) + 4;
    let optional = coff + 20;
    let optional_size = u64::from(bytes.u16(coff + 16)?);
    let is_64 = bytes.u16(optional)? == 0x20b;
    let (base, directories) = match is_64 {
        true => (bytes.u64(optional + 24)?, 108),
        false => (bytes.u32(optional + 28)?.into(), 92),
    };
    let count = bytes.u32(optional + directories)?.min(16);
    let directory = |index: u64| {
        let at = optional + directories + 4 + index * 8;
        (at + 8 <= optional + optional_size).then(|| Some((bytes.u32(at)?, bytes.u32(at + 4)?))).flatten()
    };
    let mut image = Image {
        bytes,
        machine: bytes.u16(coff)?,
        characteristics: bytes.u16(coff + 18)?,
        subsystem: bytes.u16(optional + 68)?,
        is_64,
        linker: (bytes.u8(optional + 2)?, bytes.u8(optional + 3)?),
        base,
        entry: bytes.u32(optional + 16)?,
        sections: Vec::new(),
        directories: (0..u64::from(count)).map_while(directory).collect(),
        symbols: (bytes.u32(coff + 8)?, bytes.u32(coff + 12)?),
        header,
    };
    let sections = bytes.u16(coff + 2)?;
    image.sections =
        (0..u64::from(sections)).filter_map(|i| section(&image, optional + optional_size + i * 40)).collect();
    Some(image)
}

fn section<'data>(image: &Image<'data>, at: u64) -> Option<RawSection<'data>> {
    let bytes = image.bytes;
    let (virtual_size, raw_size) = (bytes.u32(at + 8)?, bytes.u32(at + 16)?);
    let size = if virtual_size == 0 { raw_size } else { virtual_size };
    let raw = u64::from(bytes.u32(at + 20)?);
    let available = (bytes.data.len() as u64).saturating_sub(raw).min(raw_size.min(size).into());
    Some(RawSection {
        name: section_name(bytes, bytes.slice(at, 8)?, image.symbols),
        flags: bytes.u32(at + 36)?,
        address: bytes.u32(at + 12)?,
        size,
        bytes: bytes.slice(raw, available).unwrap_or_default(),
    })
}

/// Eight bytes, or a place in the string table behind the symbols (`/123`).
pub(super) fn section_name(bytes: Bytes<'_>, name: &[u8], symbols: (u32, u32)) -> String {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let text = String::from_utf8_lossy(&name[..end]).into_owned();
    let long = text.strip_prefix('/').and_then(|digits| digits.parse::<u32>().ok());
    let strings = u64::from(symbols.0) + u64::from(symbols.1) * 18;
    let long = long
        .filter(|_| symbols.0 != 0)
        .and_then(|offset| bytes.until_zero(strings + u64::from(offset), limits::MAX_NAME_BYTES));
    long.map_or(text, |name| String::from_utf8_lossy(name).into_owned())
}
