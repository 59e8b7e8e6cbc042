//! What dyld fills in: chained fixups, or the opcodes of older linkers, as slots.

use object::macho::BindDylib;
use object::read::macho::{Bind, Fixup};

use super::commands::RawFile;
use super::library;
use crate::native::NameLimit;
use crate::{Address, Module, ModuleImport, Slot, SlotTarget, limits};

pub(super) fn read(file: &RawFile<'_>, module: &mut Module<'_>) {
    let mut slots = Vec::new();
    if let Err(error) = chained(file, &mut slots) {
        module.warnings.push(format!("chained fixups: {error}"));
    }
    if let Err(error) = opcodes(file, module, &mut slots) {
        module.warnings.push(format!("bind and rebase opcodes: {error}"));
    }
    if file.bytes.data.len() < slots.len() {
        module.warnings.push("more fixups than the file has bytes".to_owned());
    }
    slots.sort_by_key(|slot: &Slot| slot.address);
    slots.dedup_by_key(|slot| slot.address);
    module.slots = slots;
}

/// Adds a slot while the names of all of them stay within the limit.
fn push(slots: &mut Vec<Slot>, limit: &mut NameLimit, slot: Slot) {
    if limit.target(&slot.target) {
        slots.push(slot);
    }
}

fn import(file: &RawFile<'_>, name: &[u8], ordinal: BindDylib) -> ModuleImport {
    let provider = library(file, ordinal.0);
    ModuleImport { name: String::from_utf8_lossy(name).into_owned(), version: None, provider }
}

fn opcodes(file: &RawFile<'_>, module: &Module<'_>, slots: &mut Vec<Slot>) -> object::read::Result<()> {
    let Some(info) = file.dyld_info else { return Ok(()) };
    let (endian, data) = (file.endian, file.bytes.data);
    // Every slot has its bytes in the file.
    let most = data.len() / 4;
    let width = if file.is_64 { 8 } else { 4 };
    let mut limit = NameLimit::new(data.len());
    let place = |segment: u8, offset: u64| {
        file.segments.get(usize::from(segment)).map(|segment| segment.address.wrapping_add(offset))
    };
    let bound = |bind: &Bind<'_>, slots: &mut Vec<Slot>, limit: &mut NameLimit| {
        let target = SlotTarget::Import(Box::new(import(file, bind.symbol, bind.dylib)), bind.addend);
        let place = place(bind.segment_index, bind.segment_offset);
        if let Some(at) = place {
            push(slots, limit, Slot { address: Address(at), width, target });
        }
    };
    // The first of several that fill one slot stays: strong binds before lazy ones before rebases.
    for bind in info.binds(endian, data, width)?.take(most) {
        bound(&bind?, slots, &mut limit);
    }
    for bind in info.lazy_binds(endian, data, width)?.take(most) {
        bound(&bind?, slots, &mut limit);
    }
    for bind in info.weak_binds(endian, data, width)?.take(most) {
        bound(&bind?, slots, &mut limit);
    }
    for rebase in info.rebases(endian, data, width)?.take(most) {
        let rebase = rebase?;
        let Some(at) = place(rebase.segment_index, rebase.segment_offset) else { continue };
        let value = module
            .bytes(at, width.into())
            .and_then(|bytes| crate::bytes::Bytes { data: bytes, little: file.bytes.little }.word(0, width));
        let target = value.map(SlotTarget::Address);
        slots.extend(target.map(|target| Slot { address: Address(at), width, target }));
    }
    Ok(())
}

fn chained(file: &RawFile<'_>, slots: &mut Vec<Slot>) -> object::read::Result<()> {
    let Some(command) = file.chained else { return Ok(()) };
    let (endian, data) = (file.endian, file.bytes.data);
    // Every slot has its bytes in the file.
    let most = data.len() / 4;
    let fixups = command.chained_fixups(endian, data)?;
    let mut limit = NameLimit::new(data.len());
    let mut imports = Vec::new();
    for found in fixups.imports(endian)?.take(limits::MAX_SYMBOLS) {
        let found = found?;
        let import = import(file, found.name, found.dylib);
        if !limit.import(&import) {
            break;
        }
        imports.push((import, found.addend));
    }
    for segment in fixups.segments(endian)? {
        let segment = segment?;
        let Some(known) = file.segments.get(segment.index() as usize) else { continue };
        let bytes = file.bytes.slice(known.offset, known.file_size).unwrap_or_default();
        for fixup in segment.fixups(endian, file.base, bytes).take(most) {
            let (offset, fixup) = fixup?;
            let target = match fixup {
                Fixup::Rebase(rebase) => SlotTarget::Address(file.base.wrapping_add(rebase.target_offset)),
                Fixup::Bind(bind) => match imports.get(bind.ordinal as usize) {
                    Some((import, addend)) => {
                        SlotTarget::Import(Box::new(import.clone()), addend.wrapping_add(bind.addend.into()))
                    }
                    None => continue,
                },
                _ => continue,
            };
            let address = Address(known.address.wrapping_add(offset));
            let slot = Slot { address, width: if file.is_64 { 8 } else { 4 }, target };
            push(slots, &mut limit, slot);
        }
    }
    Ok(())
}
