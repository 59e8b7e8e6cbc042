//! The dynamic table and the relocations, found the way the loader finds them.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::ProgramHeader as _;

use super::{File, symbols};
use crate::{Address, BinaryError, Image, Loader, Relocation, RelocationKind, Relro, Tls, limits};

const WORD: u64 = 8;
const RELA_BYTES: u64 = 24;

/// The tags that say where the loader's tables lie, and how large they are.
#[derive(Default)]
struct Tables {
    rela: (u64, u64),
    /// How many of the first the loader takes to be relative without looking.
    relative: u64,
    jmprel: (u64, u64),
    relr: (u64, u64),
    preinit: (u64, u64),
    init: (u64, u64),
    fini: (u64, u64),
    symbols: Option<u64>,
    strings: Option<(u64, u64)>,
    versions: Option<u64>,
}

pub(crate) fn read(file: &File<'_>, image: &mut Image<'_>) -> Result<(), BinaryError> {
    let mut loader = Loader::default();
    read_programs(file, image, &mut loader)?;
    let entries = entries(file, image)?;
    let mut tables = Tables::default();
    let mut strings = Vec::new();
    for &(tag, value) in &entries {
        take_entry(tag, value, &mut loader, &mut tables, &mut strings)?;
    }
    check_tables(file, &tables)?;
    for (tag, offset) in strings {
        let text = string(image, tables.strings, offset)?;
        match tag {
            1 => loader.needed.push(text),
            14 => loader.soname = Some(text),
            15 => loader.rpath = Some(text),
            _ => loader.runpath = Some(text),
        }
    }
    let array = |(address, size): (u64, u64)| (size > 0).then_some((Address(address), size));
    loader.preinit_array = array(tables.preinit);
    loader.init_array = array(tables.init);
    loader.fini_array = array(tables.fini);
    image.relocations = relocations(image, &tables)?;
    image.loader = loader;
    Ok(())
}

fn read_programs(file: &File<'_>, image: &Image<'_>, loader: &mut Loader) -> Result<(), BinaryError> {
    for program in file.programs {
        let (address, size) = (program.p_vaddr(LE), program.p_memsz(LE));
        match program.p_type(LE).0 {
            3 => {
                let bytes = program.data(LE, file.data).unwrap_or_default();
                let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
                BinaryError::bound("interpreter path", text.len(), limits::MAX_NAME_BYTES)?;
                loader.interpreter = Some(String::from_utf8_lossy(text).into_owned());
            }
            7 => {
                loader.tls = Some(Tls {
                    address: Address(address),
                    file_size: program.p_filesz(LE),
                    memory_size: size,
                    align: program.p_align(LE),
                });
            }
            0x6474_e551 => loader.stack_flags = Some(program.p_flags(LE).0),
            0x6474_e552 => loader.relro = Some(Relro { address: Address(address), size }),
            0x6474_e553 => {
                let size = usize::try_from(program.p_filesz(LE)).unwrap_or(usize::MAX);
                loader.properties = image.bytes(address, size).unwrap_or_default().to_vec();
            }
            _ => {}
        }
    }
    Ok(())
}

fn entries(file: &File<'_>, image: &Image<'_>) -> Result<Vec<(u64, u64)>, BinaryError> {
    let Some(program) = file.programs.iter().find(|p| p.p_type(LE).0 == elf::PT_DYNAMIC.0) else {
        return Ok(Vec::new());
    };
    let bytes = table(image, "dynamic table", (program.p_vaddr(LE), program.p_filesz(LE)))?;
    BinaryError::bound("dynamic entry count", bytes.len() / 16, limits::MAX_DYNAMIC_ENTRIES)?;
    let words = bytes.chunks_exact(16).map(|entry| (word(entry, 0), word(entry, 8)));
    Ok(words.take_while(|&(tag, _)| tag != 0).collect())
}

fn take_entry(
    tag: u64,
    value: u64,
    loader: &mut Loader,
    tables: &mut Tables,
    strings: &mut Vec<(u64, u64)>,
) -> Result<(), BinaryError> {
    match tag {
        1 | 14 | 15 | 29 => strings.push((tag, value)),
        2 => tables.jmprel.1 = value,
        5 => tables.strings.get_or_insert_default().0 = value,
        6 => tables.symbols = Some(value),
        7 => tables.rela.0 = value,
        8 => tables.rela.1 = value,
        10 => tables.strings.get_or_insert_default().1 = value,
        12 => loader.init = Some(Address(value)),
        13 => loader.fini = Some(Address(value)),
        16 | 22 | 24 => loader.legacy_flags.push(tag),
        17 | 18 => return Err(BinaryError::malformed("dynamic table", "REL relocations on x86-64")),
        20 if value != 7 => return Err(BinaryError::malformed("dynamic table", "DT_PLTREL is not RELA")),
        3 => loader.plt_got = Some(Address(value)),
        9 | 11 if value != 24 => {
            return Err(BinaryError::malformed("dynamic table", "an entry size is not 24"));
        }
        37 if value != 8 => return Err(BinaryError::malformed("dynamic table", "DT_RELRENT is not 8")),
        23 => tables.jmprel.0 = value,
        25 => tables.init.0 = value,
        26 => tables.fini.0 = value,
        27 => tables.init.1 = value,
        28 => tables.fini.1 = value,
        30 => loader.flags = value,
        32 => tables.preinit.0 = value,
        33 => tables.preinit.1 = value,
        35 => tables.relr.1 = value,
        36 => tables.relr.0 = value,
        0x6fff_fff9 => tables.relative = value,
        0x6fff_fff0 => tables.versions = Some(value),
        0x6fff_fffb => loader.flags_1 = value,
        // DT_HASH, RELAENT, SYMENT, PLTREL, DEBUG, RELRENT, GNU_HASH, VERDEF(NUM),
        // VERNEED(NUM): places and sizes of what is compared by its contents.
        4 | 9 | 11 | 20 | 21 | 37 | 0x6fff_fef5 | 0x6fff_fffc..=0x6fff_ffff => {}
        _ => loader.unknown_tags.push((tag, value)),
    }
    Ok(())
}

/// The tables that section headers name must be the ones the loader uses.
fn check_tables(file: &File<'_>, tables: &Tables) -> Result<(), BinaryError> {
    let named = symbols::table_addresses(file, elf::SHT_DYNSYM);
    let versions = symbols::table_addresses(file, elf::SHT_GNU_VERSYM).map(|(address, _)| address);
    let used = tables.symbols.map(|address| (address, tables.strings.unwrap_or_default().0));
    if named != used || versions != tables.versions {
        return Err(BinaryError::malformed("dynamic symbols", "section headers and dynamic table disagree"));
    }
    Ok(())
}

fn string(image: &Image<'_>, strings: Option<(u64, u64)>, offset: u64) -> Result<String, BinaryError> {
    let bytes = table(image, "dynamic strings", strings.unwrap_or_default())?;
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let end = rest.iter().take(limits::MAX_NAME_BYTES).position(|&byte| byte == 0);
    let end = end.ok_or_else(|| BinaryError::malformed("dynamic strings", "a string does not end"))?;
    Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn table<'data>(
    image: &Image<'data>,
    what: &'static str,
    (address, size): (u64, u64),
) -> Result<&'data [u8], BinaryError> {
    if size == 0 {
        return Ok(&[]);
    }
    let bytes = usize::try_from(size).ok().and_then(|size| image.bytes(address, size));
    bytes.ok_or_else(|| {
        BinaryError::malformed(what, format!("{size} bytes at {address:#x} are not in the file"))
    })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let slot = bytes.get(at..at + 8).and_then(|slot| slot.try_into().ok());
    u64::from_le_bytes(slot.expect("the caller cut the entry to its size"))
}

fn relocations(image: &Image<'_>, tables: &Tables) -> Result<Vec<Relocation>, BinaryError> {
    let mut relocations = Vec::new();
    for place in [tables.rela, tables.jmprel] {
        let bytes = table(image, "relocations", place)?;
        BinaryError::bound("relocation count", bytes.len() / RELA_BYTES as usize, limits::MAX_RELOCATIONS)?;
        relocations.extend(bytes.chunks_exact(RELA_BYTES as usize).map(rela));
    }
    let relative = usize::try_from(tables.relative).unwrap_or(usize::MAX);
    if relocations.iter().take(relative).any(|relocation| relocation.kind != RelocationKind::Relative) {
        return Err(BinaryError::malformed("relocations", "DT_RELACOUNT counts others than relative ones"));
    }
    packed(image, table(image, "packed relocations", tables.relr)?, &mut relocations)?;
    relocations.retain(|relocation| relocation.kind != RelocationKind::Other(0));
    if let Some(bad) = relocations.iter().find(|r| r.symbol as usize >= image.dynamic_symbols.len().max(1)) {
        return Err(BinaryError::malformed("relocations", format!("no symbol {}", bad.symbol)));
    }
    relocations.sort_by_key(|relocation| relocation.address);
    Ok(relocations)
}

fn rela(entry: &[u8]) -> Relocation {
    let info = word(entry, 8);
    Relocation {
        address: Address(word(entry, 0)),
        kind: RelocationKind::from_raw(info as u32),
        symbol: (info >> 32) as u32,
        addend: word(entry, 16) as i64,
    }
}

/// `DT_RELR`: an even word is an address, an odd one a bitmap of the 63 slots that follow.
fn packed(image: &Image<'_>, bytes: &[u8], out: &mut Vec<Relocation>) -> Result<(), BinaryError> {
    let mut next = 0u64;
    for entry in bytes.chunks_exact(WORD as usize).map(|entry| word(entry, 0)) {
        BinaryError::bound("relocation count", out.len(), limits::MAX_RELOCATIONS)?;
        if entry & 1 == 0 {
            out.push(relative_in_place(image, entry)?);
            next = entry.wrapping_add(WORD);
            continue;
        }
        for bit in (1..64).filter(|bit| entry >> bit & 1 == 1) {
            out.push(relative_in_place(image, next.wrapping_add((bit - 1) * WORD))?);
        }
        next = next.wrapping_add(63 * WORD);
    }
    Ok(())
}

fn relative_in_place(image: &Image<'_>, address: u64) -> Result<Relocation, BinaryError> {
    let slot = image.bytes(address, WORD as usize);
    let slot =
        slot.ok_or_else(|| BinaryError::malformed("packed relocations", format!("no slot at {address:#x}")))?;
    let addend = word(slot, 0) as i64;
    Ok(Relocation { address: Address(address), kind: RelocationKind::Relative, symbol: 0, addend })
}
