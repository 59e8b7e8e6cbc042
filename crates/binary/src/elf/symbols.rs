//! The two symbol tables.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{SectionHeader as _, Sym as _};

use super::File;
use crate::{Address, BinaryError, DynamicSymbol, Symbol, SymbolBinding, SymbolKind, limits};

/// Names may share bytes of the string table, so their total is bounded by a multiple of the file.
const NAME_BYTES_PER_FILE_BYTE: usize = 4;
const NAME_BYTES_FREE: usize = 1 << 16;

/// Bounds one name and the sum of them.
pub(crate) struct NameBudget {
    left: usize,
}

impl NameBudget {
    pub(crate) fn new(file_bytes: usize) -> Self {
        Self { left: file_bytes.saturating_mul(NAME_BYTES_PER_FILE_BYTE).saturating_add(NAME_BYTES_FREE) }
    }

    pub(crate) fn take(&mut self, name: &[u8]) -> Result<String, BinaryError> {
        BinaryError::bound("name length", name.len(), limits::MAX_NAME_BYTES)?;
        BinaryError::bound("total of all names", name.len(), self.left)?;
        self.left -= name.len();
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}

fn kind(symbol: &elf::Sym64<LE>) -> Option<SymbolKind> {
    match symbol.st_type().0 {
        0 => Some(SymbolKind::Untyped),
        1 | 5 => Some(SymbolKind::Object),
        2 => Some(SymbolKind::Function),
        6 => Some(SymbolKind::Tls),
        10 => Some(SymbolKind::IndirectFunction),
        _ => None,
    }
}

fn binding(symbol: &elf::Sym64<LE>) -> SymbolBinding {
    match symbol.st_bind().0 {
        0 => SymbolBinding::Local,
        2 => SymbolBinding::Weak,
        _ => SymbolBinding::Global,
    }
}

/// The dynamic table, index by index; an entry of a kind that means nothing here stays, untyped.
pub(crate) fn dynamic(file: &File<'_>) -> Result<Vec<DynamicSymbol>, BinaryError> {
    let bad = |error: object::read::Error| BinaryError::malformed("dynamic symbols", error);
    let table = file.sections.symbols(LE, file.data, elf::SHT_DYNSYM).map_err(bad)?;
    BinaryError::bound("dynamic symbol count", table.len(), limits::MAX_SYMBOLS)?;
    let versions = file.sections.versions(LE, file.data).map_err(bad)?.unwrap_or_default();
    let mut names = NameBudget::new(file.data.len());
    let mut symbols = Vec::with_capacity(table.len());
    for (index, symbol) in table.enumerate() {
        let version = match versions.is_empty() || index.0 == 0 {
            true => None,
            false => versions.version(versions.version_index(LE, index).index()).map_err(bad)?,
        };
        symbols.push(DynamicSymbol {
            name: names.take(table.symbol_name(LE, symbol).map_err(bad)?)?,
            version: version.map(|v| names.take(v.name())).transpose()?,
            library: version.and_then(|v| v.file()).map(|f| names.take(f)).transpose()?,
            defined: !symbol.is_undefined(LE),
            address: Address(symbol.st_value(LE)),
            size: symbol.st_size(LE),
            kind: kind(symbol).unwrap_or(SymbolKind::Untyped),
            binding: binding(symbol),
            other: symbol.st_other().0,
        });
    }
    Ok(symbols)
}

/// The full table by address, or what the dynamic one defines where the full one was stripped.
pub(crate) fn full(file: &File<'_>, dynamic: &[DynamicSymbol]) -> Result<Vec<Symbol>, BinaryError> {
    let bad = |error: object::read::Error| BinaryError::malformed("symbols", error);
    let table = file.sections.symbols(LE, file.data, elf::SHT_SYMTAB).map_err(bad)?;
    BinaryError::bound("symbol count", table.len(), limits::MAX_SYMBOLS)?;
    let mut names = NameBudget::new(file.data.len());
    let mut symbols = Vec::with_capacity(table.len());
    for symbol in table.iter() {
        let Some(kind) = kind(symbol) else { continue };
        let section = symbol.st_shndx(LE).0;
        let placed = section != elf::SHN_UNDEF.0 && section != elf::SHN_ABS.0;
        if !placed || symbol.st_name(LE) == 0 {
            continue;
        }
        symbols.push(Symbol {
            name: names.take(table.symbol_name(LE, symbol).map_err(bad)?)?,
            address: Address(symbol.st_value(LE)),
            size: symbol.st_size(LE),
            kind,
            binding: binding(symbol),
        });
    }
    if table.is_empty() {
        symbols.extend(dynamic.iter().filter(|s| s.defined).map(from_dynamic));
    }
    symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
    Ok(symbols)
}

fn from_dynamic(symbol: &DynamicSymbol) -> Symbol {
    Symbol {
        name: symbol.name.clone(),
        address: symbol.address,
        size: symbol.size,
        kind: symbol.kind,
        binding: symbol.binding,
    }
}

/// How many earlier symbols are looked at for one that still covers the address.
const MAX_LOOK_BACK: usize = 64;

/// The symbol that covers `address`, or else the nearest one before it that has no size.
pub(crate) fn symbol_at(symbols: &[Symbol], address: Address) -> Option<&Symbol> {
    let end = symbols.partition_point(|symbol| symbol.address <= address);
    let before = || symbols[..end].iter().rev().take(MAX_LOOK_BACK).filter(|s| s.kind != SymbolKind::Tls);
    let covers = |symbol: &&Symbol| address.0 - symbol.address.0 < symbol.size;
    let is_code =
        |symbol: &&Symbol| matches!(symbol.kind, SymbolKind::Function | SymbolKind::IndirectFunction);
    before()
        .filter(covers)
        .find(is_code)
        .or_else(|| before().find(covers))
        .or_else(|| before().find(|symbol| symbol.size == 0))
}

/// The address of the section that a header of this type describes, and of the strings it links to.
pub(crate) fn table_addresses(file: &File<'_>, kind: elf::SectionType) -> Option<(u64, u64)> {
    let header = file.sections.iter().find(|header| header.sh_type(LE) == kind)?;
    let strings = file.sections.section(header.link(LE)).ok()?;
    Some((header.sh_addr(LE), strings.sh_addr(LE)))
}
