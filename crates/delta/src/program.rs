//! One binary, read and divided, as both the index and the proof look at it.

use std::collections::{HashMap, HashSet};

use assay_binary::{CodeMap, Image, SectionKind, Unit, UnitKind};

use iced_x86::{Instruction, Mnemonic, Register};

use crate::anonymous::{Anchor, Anchors, Made, UNITS};
use crate::body::{Body, Reference, reference};
use crate::error::DeltaError;
use crate::pieces::Pieces;
use crate::tables::{Table, is_register_jump, tables};

/// An image with its units, jump tables and pieces.
pub(crate) struct Program<'data> {
    pub image: Image<'data>,
    pub map: CodeMap,
    pub pieces: Pieces,
    /// The jump tables of each unit.
    pub tables: Vec<Vec<Table>>,
    /// Where a jump table of any unit starts.
    pub table_bases: HashSet<u64>,
    /// The addresses that code forms or relocations point to, sorted.
    pub points: Vec<u64>,
    by_name: HashMap<String, Option<usize>>,
}

impl<'data> Program<'data> {
    pub fn read(data: &'data [u8]) -> Result<Self, DeltaError> {
        let image = Image::parse(data)?;
        let map = CodeMap::build(&image);
        let mut points: Vec<u64> = image.relocations().iter().map(|r| r.addend as u64).collect();
        points.extend(image.symbols().iter().map(|symbol| symbol.address.0));
        let mut jumps = Vec::with_capacity(map.units().len());
        let (mut anchors, mut made, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (number, unit) in map.units().iter().enumerate() {
            let body = Body::decode(&image, unit);
            jumps.push(body.instructions().any(is_register_jump));
            let user = UNITS + number as u64;
            let named = body.instructions().filter_map(|i| match reference(i)? {
                Reference::Address(target) | Reference::Memory(target, _) => Some(target),
                Reference::Branch(_) => None,
            });
            anchors.extend(named.map(|address| Anchor { address, user }));
            ends.extend(body.instructions().filter_map(|i| match reference(i)? {
                Reference::Memory(target, size) => Some(target.saturating_add(size)),
                _ => None,
            }));
            made.extend(body.ranges.iter().flat_map(|(_, list)| made_of_formed(list, user)));
        }
        points.extend(anchors.iter().map(|anchor| anchor.address));
        points.sort_unstable();
        points.dedup();
        let unit_tables = |(unit, jumps): (&Unit, &bool)| match jumps {
            true => tables(&image, &Body::decode(&image, unit), &points),
            false => Vec::new(),
        };
        let all_tables: Vec<Vec<Table>> = map.units().iter().zip(&jumps).map(unit_tables).collect();
        let flat: Vec<Table> = all_tables.iter().flatten().cloned().collect();
        let pieces = Pieces::build(&image, &flat, &points, &Anchors::new(&image, anchors, &made, ends));
        let by_name = names(&map);
        let table_bases = flat.iter().map(|table| table.base).collect();
        Ok(Self { image, map, pieces, tables: all_tables, table_bases, points, by_name })
    }

    /// The only unit of that name.
    pub fn unit_named(&self, name: &str) -> Option<usize> {
        self.by_name.get(stable_name(name)).copied().flatten()
    }

    /// Whether control can come into a unit at `address`.
    pub fn is_entry(&self, address: u64) -> bool {
        let unit = self.map.unit_at(address).map(|unit| &self.map.units()[unit]);
        unit.is_some_and(|unit| unit.entries.iter().any(|entry| entry.address.0 == address))
    }

    /// Which of these names is the import that a call of `address`, or by the slot there, calls.
    pub fn import_among(&self, address: u64, names: &[&str]) -> Option<usize> {
        let slot = match self.map.unit_at(address).map(|unit| self.map.units()[unit].kind) {
            Some(UnitKind::Stub { slot }) => slot.0,
            Some(_) => return None,
            None => address,
        };
        let symbol = self.image.relocation_at(slot).map_or(0, |relocation| relocation.symbol as usize);
        let symbol = self.image.dynamic_symbols().get(symbol).filter(|symbol| !symbol.defined)?;
        names.iter().position(|name| *name == symbol.name)
    }

    /// Whether `address` lies in a section of instructions.
    pub fn is_code(&self, address: u64) -> bool {
        self.image.section_at(address).is_some_and(|section| section.kind == SectionKind::Code)
    }
}

/// How many instructions after an address is formed another may be made of it.
const MADE_WITHIN: usize = 12;

/// The addresses that are made of formed ones by adding a constant.
fn made_of_formed(list: &[Instruction], user: u64) -> Vec<Made> {
    let mut made = Vec::new();
    for (at, formed) in list.iter().enumerate().filter(|(_, i)| i.mnemonic() == Mnemonic::Lea) {
        let Some(Reference::Address(address)) = reference(formed) else { continue };
        let register = formed.op0_register();
        let after = list[at + 1..].iter().take(MADE_WITHIN);
        let of_it = after.filter(|i| {
            i.mnemonic() == Mnemonic::Lea && i.memory_base() == register && i.memory_index() == Register::None
        });
        let with = |i: &Instruction| address.wrapping_add(i.memory_displacement64());
        made.extend(of_it.map(|i| Made { formed: address, made: with(i), user }));
    }
    made
}

fn names(map: &CodeMap) -> HashMap<String, Option<usize>> {
    let mut names = HashMap::new();
    for (index, unit) in map.units().iter().enumerate().filter(|(_, unit)| unit.kind == UnitKind::Function) {
        let known = names.entry(stable_name(&unit.name).to_owned()).or_insert(Some(index));
        if *known != Some(index) {
            *known = None;
        }
    }
    names
}

/// The name without the number that LLVM gives to a symbol it promoted (`.llvm.123`).
pub(crate) fn stable_name(name: &str) -> &str {
    match name.rsplit_once(".llvm.") {
        Some((stable, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => stable,
        _ => name,
    }
}
