//! Load commands and tables of a Mach-O file of either word size.

use object::Endianness;
use object::macho::{self, MachHeader32, MachHeader64};
use object::read::macho::{
    LoadCommandVariant as Command, MachHeader, Nlist as _, Section as _, Segment as _,
};

use crate::bytes::Bytes;
use crate::elf::NameBudget;
use crate::{BinaryError, limits};

pub(super) struct RawSection<'data> {
    pub segment: String,
    pub name: String,
    pub address: u64,
    pub size: u64,
    pub flags: u32,
    /// `reserved1` and `reserved2`.
    pub reserved: (u32, u32),
    pub bytes: &'data [u8],
    /// File offset and count of the relocations of object files.
    pub relocations: (u32, u32),
}

impl RawSection<'_> {
    pub(super) fn kind(&self) -> u32 {
        self.flags & 0xff
    }
}

pub(super) struct RawSymbol<'data> {
    pub name: &'data [u8],
    pub kind: u8,
    pub description: u16,
    pub value: u64,
}

impl RawSymbol<'_> {
    /// In a section, and not for a debugger.
    pub(super) fn is_defined(&self) -> bool {
        self.kind & 0xe0 == 0 && self.kind & 0x0e == 0x0e
    }
}

pub(super) struct Segment {
    pub address: u64,
    pub offset: u64,
    pub file_size: u64,
}

pub(super) struct RawFile<'data> {
    pub bytes: Bytes<'data>,
    pub endian: Endianness,
    pub is_64: bool,
    pub cpu: u32,
    pub kind: u32,
    /// Where the file's header is meant to lie.
    pub base: u64,
    pub segments: Vec<Segment>,
    pub sections: Vec<RawSection<'data>>,
    pub symbols: Vec<RawSymbol<'data>>,
    pub indirect: Vec<u32>,
    pub libraries: Vec<String>,
    pub uuid: Option<[u8; 16]>,
    pub entry: Option<u64>,
    pub starts: Vec<u64>,
    /// Platform and versions, in words.
    pub build: Option<String>,
    pub dyld_info: Option<&'data macho::DyldInfoCommand<Endianness>>,
    pub chained: Option<&'data macho::LinkeditDataCommand<Endianness>>,
    pub warnings: Vec<String>,
}

pub(super) fn load(data: &[u8]) -> Result<RawFile<'_>, BinaryError> {
    match data.first_chunk::<4>() {
        Some([0xce, 0xfa, 0xed, 0xfe] | [0xfe, 0xed, 0xfa, 0xce]) => read::<MachHeader32<Endianness>>(data),
        _ => read::<MachHeader64<Endianness>>(data),
    }
}

fn read<'data, Mach>(data: &'data [u8]) -> Result<RawFile<'data>, BinaryError>
where
    Mach: MachHeader<Endian = Endianness>,
{
    let bad = |error: object::read::Error| BinaryError::malformed("Mach-O header", error);
    let header = Mach::parse(data, 0).map_err(bad)?;
    let endian = header.endian().map_err(bad)?;
    let mut file = RawFile {
        bytes: Bytes { data, little: endian == Endianness::Little },
        endian,
        is_64: header.is_type_64(),
        cpu: header.cputype(endian).0,
        kind: header.filetype(endian).0,
        base: 0,
        segments: Vec::new(),
        sections: Vec::new(),
        symbols: Vec::new(),
        indirect: Vec::new(),
        libraries: Vec::new(),
        uuid: None,
        entry: None,
        starts: Vec::new(),
        build: None,
        dyld_info: None,
        chained: None,
        warnings: Vec::new(),
    };
    let mut names = NameBudget::new(data.len());
    let mut starts = None;
    let mut entry = None;
    let mut commands = header.load_commands(endian, data, 0).map_err(bad)?;
    loop {
        let command = match commands.next() {
            Ok(Some(command)) => command,
            Ok(None) => break,
            Err(error) => {
                file.warnings.push(format!("load commands: {error}"));
                break;
            }
        };
        match command.variant() {
            Ok(Command::Segment32(segment, sections)) => {
                segment_of::<MachHeader32<Endianness>>(&mut file, segment, sections, &mut names)?;
            }
            Ok(Command::Segment64(segment, sections)) => {
                segment_of::<MachHeader64<Endianness>>(&mut file, segment, sections, &mut names)?;
            }
            Ok(Command::Symtab(table)) => symbols::<Mach>(&mut file, table)?,
            Ok(Command::Dysymtab(table)) => {
                let indirect = table.indirect_symbols(endian, data);
                file.indirect =
                    indirect.map(|list| list.iter().map(|s| s.get(endian).0).collect()).unwrap_or_default();
            }
            Ok(Command::Dylib(library)) => {
                let name = command.string(endian, library.dylib.name).unwrap_or_default();
                file.libraries.push(names.take(name)?);
            }
            Ok(Command::Uuid(uuid)) => file.uuid = Some(uuid.uuid),
            Ok(Command::EntryPoint(point)) => entry = Some(point.entryoff.get(endian)),
            Ok(Command::BuildVersion(build, _)) => {
                let version = |v: u32| format!("{}.{}.{}", v >> 16, v >> 8 & 0xff, v & 0xff);
                let platform = platform(build.platform.get(endian).0);
                let minimum = version(build.minos.get(endian).0);
                file.build = Some(format!("{platform} {minimum}, SDK {}", version(build.sdk.get(endian).0)));
            }
            Ok(Command::DyldInfo(info)) => file.dyld_info = Some(info),
            Ok(Command::LinkeditData(linked)) => match linked.cmd.get(endian) {
                macho::LC_FUNCTION_STARTS => starts = Some(linked),
                macho::LC_DYLD_CHAINED_FIXUPS => file.chained = Some(linked),
                _ => {}
            },
            _ => {}
        }
    }
    file.base = file.segments.iter().find(|s| s.offset == 0 && s.file_size > 0).map_or(0, |s| s.address);
    file.entry = entry.map(|offset| file.base.wrapping_add(offset));
    if let Some(Ok(starts)) = starts.map(|starts| starts.function_starts(endian, data, file.base)) {
        file.starts = starts.map_while(Result::ok).take(limits::MAX_SYMBOLS).collect();
    }
    Ok(file)
}

fn platform(number: u32) -> String {
    match number {
        1 => "macOS".to_owned(),
        2 => "iOS".to_owned(),
        3 => "tvOS".to_owned(),
        4 => "watchOS".to_owned(),
        6 => "Mac Catalyst".to_owned(),
        7 => "iOS Simulator".to_owned(),
        11 => "visionOS".to_owned(),
        other => format!("platform {other}"),
    }
}

fn segment_of<'data, Mach>(
    file: &mut RawFile<'data>,
    segment: &'data Mach::Segment,
    sections: &'data [u8],
    names: &mut NameBudget,
) -> Result<(), BinaryError>
where
    Mach: MachHeader<Endian = Endianness>,
{
    let (endian, data) = (file.endian, file.bytes.data);
    BinaryError::bound("segment count", file.segments.len() + 1, limits::MAX_SEGMENTS)?;
    file.segments.push(Segment {
        address: segment.vmaddr(endian).into(),
        offset: segment.fileoff(endian).into(),
        file_size: segment.filesize(endian).into(),
    });
    let Ok(sections) = segment.sections(endian, sections) else {
        file.warnings.push("a segment's sections are cut off".to_owned());
        return Ok(());
    };
    BinaryError::bound("section count", file.sections.len() + sections.len(), limits::MAX_SECTIONS)?;
    for section in sections {
        file.sections.push(RawSection {
            segment: names.take(section.segment_name())?,
            name: names.take(section.name())?,
            address: section.addr(endian).into(),
            size: section.size(endian).into(),
            flags: section.flags(endian).0,
            reserved: (section.reserved1(endian), section.reserved2(endian)),
            bytes: section.data(endian, data, section.offset(endian).into()).unwrap_or_default(),
            relocations: (section.reloff(endian), section.nreloc(endian)),
        });
    }
    Ok(())
}

fn symbols<'data, Mach>(
    file: &mut RawFile<'data>,
    table: &'data macho::SymtabCommand<Endianness>,
) -> Result<(), BinaryError>
where
    Mach: MachHeader<Endian = Endianness>,
{
    let endian = file.endian;
    let Ok(symbols) = table.symbols::<Mach, _>(endian, file.bytes.data) else {
        file.warnings.push("the symbol table lies beyond the end of the file".to_owned());
        return Ok(());
    };
    BinaryError::bound("symbol count", symbols.len(), limits::MAX_SYMBOLS)?;
    file.symbols = symbols
        .iter()
        .map(|symbol| RawSymbol {
            name: symbol.name(endian, symbols.strings()).unwrap_or_default(),
            kind: symbol.n_type().0,
            description: symbol.n_desc(endian).0,
            value: symbol.n_value(endian).into(),
        })
        .collect();
    Ok(())
}
