//! The exact identity of a unit of x86-64 code for the proof: what an address is, said without the
//! address, by the names that the file gives.

mod instruction;

use assay_binary::{Image, Relocation, RelocationKind, SymbolKind, UnitKind};
use assay_evidence::{Sha256, Sha256Stream};

use crate::limits::MAX_CONSTANT_BYTES;
use crate::program::{Program, stable_name};

const SLOT: u64 = 8;

/// A hash in the making.
pub(crate) use instruction::hash_unit;

struct Identity<'p, 'data> {
    program: &'p Program<'data>,
    hash: Sha256Stream,
}

impl<'p, 'data> Identity<'p, 'data> {
    fn new(program: &'p Program<'data>) -> Self {
        Self { program, hash: Sha256::stream() }
    }

    fn finish(self) -> Sha256 {
        self.hash.finish()
    }

    fn image(&self) -> &'p Image<'data> {
        &self.program.image
    }

    /// A tagged part: length first, so that no two sequences of parts are one sequence of bytes.
    fn part(&mut self, tag: &str, bytes: &[u8]) {
        self.hash.update(&[tag.len() as u8]);
        self.hash.update(tag.as_bytes());
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Code at `address`: the unit's name, and which entry or offset of it.
    fn code(&mut self, address: u64) {
        let program = self.program;
        let Some(index) = program.map.unit_at(address) else { return self.part("unknown code", &[]) };
        let unit = &program.map.units()[index];
        match unit.kind {
            UnitKind::Stub { slot } => match program.image.relocation_at(slot.0) {
                Some(relocation) => self.slot(relocation, 1),
                None => self.part("stub", &[]),
            },
            UnitKind::StubHeader => self.part("stub header", &[]),
            UnitKind::Function => {
                let entry = unit.entries.iter().find(|entry| entry.address.0 == address);
                let name = entry.and_then(|entry| entry.names.first()).unwrap_or(&unit.name);
                self.part(if entry.is_some() { "function" } else { "inside" }, stable_name(name).as_bytes());
            }
        }
    }

    /// Memory at `address` of which `size` bytes are used, or an unknown number.
    fn data(&mut self, address: u64, size: Option<u64>, depth: u32) {
        if let Some((name, offset)) = self.named(address) {
            self.part("object", name.as_bytes());
            return self.part("offset", &offset.to_le_bytes());
        }
        match (self.image().relocation_at(address), size) {
            (Some(relocation), Some(SLOT)) => self.slot(relocation, depth),
            (_, Some(size)) => self.memory(address, size, depth),
            (_, None) => self.constant(address, depth),
        }
    }

    /// The sized symbol that holds `address`.
    fn named(&self, address: u64) -> Option<(String, u64)> {
        let symbols = self.image().symbols();
        let end = symbols.partition_point(|symbol| symbol.address.0 <= address);
        let holds = |symbol: &&assay_binary::Symbol| {
            symbol.kind == SymbolKind::Object && address - symbol.address.0 < symbol.size
        };
        let symbol = symbols[..end].iter().rev().take(MAX_ALIASES).find(holds)?;
        Some((without_number(stable_name(&symbol.name)).to_owned(), address - symbol.address.0))
    }

    /// An unnamed constant: up to the next address anything refers to, or to the end of its string.
    fn constant(&mut self, address: u64, depth: u32) {
        let Some(section) = self.image().section_at(address) else { return self.part("nowhere", &[]) };
        let name = section.name.clone();
        let after = self.program.points.partition_point(|&point| point <= address);
        let next = self.program.points.get(after).copied().unwrap_or(u64::MAX);
        let end = next.min(section.end()).min(address + MAX_CONSTANT_BYTES);
        if section.writable && section.name != ".data.rel.ro" {
            return self.part("variable in", name.as_bytes());
        }
        if self.image().relocations_in(address, end).is_empty()
            && let Some(text) = self.image().bytes(address, (section.end() - address) as usize).and_then(text)
        {
            return self.part("text", text);
        }
        self.memory(address, end - address, depth);
    }

    /// Bytes with the slots among them resolved; zeros at the end may be padding and do not count.
    fn memory(&mut self, address: u64, size: u64, depth: u32) {
        let program = self.program;
        let mut at = address;
        for relocation in program.image.relocations_in(address, address.saturating_add(size)) {
            self.plain(at, relocation.address.0.max(at) - at);
            self.slot(relocation, depth);
            at = relocation.address.0.max(at).saturating_add(SLOT);
        }
        self.plain(at, address.saturating_add(size).max(at) - at);
    }

    fn plain(&mut self, address: u64, size: u64) {
        let bytes = self.image().bytes(address, size as usize).unwrap_or_default();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.part("bytes", &bytes[..end]);
    }

    /// What the loader puts into a slot.
    fn slot(&mut self, relocation: &Relocation, depth: u32) {
        let program = self.program;
        let symbol = program
            .image
            .dynamic_symbols()
            .get(relocation.symbol as usize)
            .filter(|_| relocation.symbol != 0);
        if let Some(symbol) = symbol {
            self.part("symbol", symbol.name.as_bytes());
            self.part("version", symbol.version.as_deref().unwrap_or_default().as_bytes());
            self.part("library", symbol.library.as_deref().unwrap_or_default().as_bytes());
            return self.part("addend", &relocation.addend.to_le_bytes());
        }
        let target = relocation.addend as u64;
        match relocation.kind {
            RelocationKind::Relative | RelocationKind::Irelative if program.is_code(target) => {
                self.code(target)
            }
            RelocationKind::Relative if depth > 0 => self.data(target, None, depth - 1),
            RelocationKind::Relative => self.part("deep", &[]),
            kind => self.part("slot", format!("{kind:?} {}", relocation.addend).as_bytes()),
        }
    }
}

/// Most symbols at or before an address that are looked through for one that holds it.
const MAX_ALIASES: usize = 16;

/// The bytes up to a NUL, where they are text.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let is_text = |byte: &u8| matches!(byte, 0x09..=0x0d | 0x20..=0x7e | 0x80..);
    (end > 0 && bytes[..end].iter().all(is_text)).then_some(&bytes[..end])
}

const MAX_TEXT: usize = 4096;

/// The name without the number that GCC gives to a function's static (`table.0`).
fn without_number(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, digits)) if !stem.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => stem,
        _ => name,
    }
}
