//! The module around a function: what lies at an address, and what that means without the address.
//!
//! A text is its bytes, an import its name and provider, an unnamed constant its contents with pointers
//! followed. Functions, named objects and variables are not described by their names, which a stripped
//! file has lost and a rebuilt one may spell otherwise: they are [`Target`]s, and a comparison of two
//! files decides whether the targets correspond.

use assay_binary::{Architecture, Module, ModuleImport, Region, SectionKind, Slot, SlotTarget};
use assay_evidence::Sha256;

use super::code::{Body, Convention, Register};
use super::hash::{NumberMap, hash};
use super::{aarch64, noise, x86};
use crate::limits::{MAX_CONSTANT_BYTES, MAX_POINTER_DEPTH, MAX_TEXT_BYTES};

/// What a reference leads to that has no contents of its own to be told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A function, by its number in the index.
    Function(u32),
    /// A named object, by its number in the index.
    Object(u32),
    /// Writable memory without a name, by its address.
    Variable(u64),
}

/// What an address means.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Everything a run could observe of it.
    pub exact: [u8; 16],
    /// The same without build noise (see `noise.rs`).
    pub meaning: [u8; 16],
    /// What it leads to.
    pub targets: Vec<Target>,
    /// The hash of the text that stands there, without noise.
    pub text: Option<u64>,
    /// The hash of the name of what is imported.
    pub import: Option<u64>,
    /// Whether the text is the path of a source file.
    pub is_source_path: bool,
    /// The hash of its meaning.
    content: u64,
}

impl Named {
    /// What it is, for a sketch.
    pub fn word(&self) -> Option<u64> {
        Some(self.import.or(self.text).unwrap_or(self.content))
    }
}

/// A module prepared for lifting.
pub(crate) struct World<'m, 'data> {
    pub module: &'m Module<'data>,
    entries: NumberMap<u64, u32>,
    ranges: Vec<(u64, u64, u32)>,
    objects: Vec<(u64, u64, u32)>,
    /// Addresses that anything refers to, sorted; empty until [`World::set_points`].
    points: Vec<u64>,
    pointer: u64,
    absolute: bool,
    counted_texts: bool,
    slots_in_code: bool,
    /// What every function of the file means to those who name it.
    function: Named,
}

impl<'m, 'data> World<'m, 'data> {
    pub fn new(module: &'m Module<'data>) -> Self {
        let mut entries = NumberMap::default();
        let mut ranges = Vec::new();
        for (number, function) in (0u32..).zip(&module.functions) {
            entries.entry(function.address.0).or_insert(number);
            let of = |&(start, size): &(assay_binary::Address, u64)| {
                (start.0, start.0.saturating_add(size), number)
            };
            ranges.extend(function.ranges.iter().map(of));
        }
        ranges.sort_unstable();
        let mut objects: Vec<(u64, u64, u32)> = Vec::new();
        for (number, object) in (0u32..).zip(&module.objects) {
            if objects.last().is_none_or(|last| last.1 <= object.address.0) {
                objects.push((object.address.0, object.address.0.saturating_add(object.size), number));
            }
        }
        let lowest = module.regions.iter().map(|region| region.address.0).filter(|&at| at > 0).min();
        let in_code = |slot: &Slot| {
            module.region_at(slot.address.0).is_some_and(|region| region.kind == SectionKind::Code)
        };
        let machine = matches!(module.architecture, Architecture::X86_64 | Architecture::X86);
        let slots_in_code = module.slots.iter().any(in_code);
        let absolute =
            machine && lowest.is_some_and(|at| (0x1_0000..0x8000_0000).contains(&at)) && !slots_in_code;
        let counted = |name: &str| matches!(name, "rustc" | "go" | "swift" | "nim" | "zig");
        let mut world = Self {
            module,
            entries,
            ranges,
            objects,
            points: Vec::new(),
            pointer: if module.architecture == Architecture::X86 { 4 } else { 8 },
            absolute,
            counted_texts: module.toolchains.iter().any(|toolchain| counted(&toolchain.name)),
            slots_in_code,
            function: Named::default(),
        };
        let mut description = Description::new(&world);
        description.part("function", &[]);
        world.function = description.finish();
        world
    }

    /// `code` are the addresses that runs of functions name.
    pub fn set_points(&mut self, code: Vec<Vec<u64>>) {
        let slots = self.module.slots.len() + self.module.objects.len();
        let mut points: Vec<u64> = Vec::with_capacity(code.iter().map(Vec::len).sum::<usize>() + slots);
        code.into_iter().for_each(|found| points.extend(found));
        points.extend(self.module.slots.iter().filter_map(|slot| match slot.target {
            SlotTarget::Address(target) => Some(target),
            _ => None,
        }));
        points.extend(self.module.objects.iter().map(|object| object.address.0));
        points.sort_unstable();
        points.dedup();
        points.shrink_to_fit();
        self.points = points;
    }

    /// The next address after `address` that anything refers to.
    pub fn next_point(&self, address: u64) -> u64 {
        let after = self.points.partition_point(|&point| point <= address);
        self.points.get(after).copied().unwrap_or(u64::MAX)
    }

    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    pub fn function_at(&self, address: u64) -> Option<u32> {
        let after = self.ranges.partition_point(|&(start, ..)| start <= address);
        let (_, end, number) = *self.ranges.get(after.checked_sub(1)?)?;
        (address < end).then_some(number)
    }

    pub fn entry_at(&self, address: u64) -> Option<u32> {
        self.entries.get(&address).copied()
    }

    /// The function that starts at `address`, and what that means to those who name it.
    pub fn known_function(&self, address: u64) -> Option<(u32, &Named)> {
        let number = self.entry_at(address).filter(|_| self.import_in_code(address).is_none())?;
        Some((number, &self.function))
    }

    /// Whether the code of this architecture is decoded at all.
    pub fn is_lifted(&self) -> bool {
        matches!(self.module.architecture, Architecture::X86_64 | Architecture::X86 | Architecture::Aarch64)
    }

    pub fn convention(&self) -> Convention {
        match (&self.module.architecture, self.module.format) {
            (Architecture::Aarch64, _) => aarch64::CONVENTION,
            (Architecture::X86, _) => x86::STACKED,
            (_, assay_binary::ModuleFormat::Pe) => x86::WINDOWS,
            _ => x86::SYSTEM_V,
        }
    }

    /// Decodes a function, range by range.
    pub fn decode(&self, function: u32, body: &mut Body) {
        body.clear();
        for &(start, size) in &self.module.functions[function as usize].ranges {
            let bytes = self.module.bytes(start.0, size).unwrap_or_default();
            match self.module.architecture {
                Architecture::Aarch64 => {
                    aarch64::decode(bytes, start.0, |at| x86::Surroundings::field(self, at, 4), body);
                }
                Architecture::X86 => x86::decode(bytes, start.0, 32, self, body),
                Architecture::X86_64 => x86::decode(bytes, start.0, 64, self, body),
                _ => {}
            }
        }
        body.finish();
    }

    /// The import that a relocation puts into an instruction; it is named by the field's own address
    /// (see `Surroundings::field`).
    pub fn import_in_code(&self, address: u64) -> Option<(&ModuleImport, i64)> {
        if !self.slots_in_code {
            return None;
        }
        match &self.module.slot_at(address)?.target {
            SlotTarget::Import(import, addend) => {
                let region = self.module.region_at(address)?;
                (region.kind == SectionKind::Code).then_some((import, *addend))
            }
            _ => None,
        }
    }

    /// Adds the data addresses that a function names.
    pub fn data_points(&self, function: u32, points: &mut Vec<u64>) {
        let mut add = |address: u64| {
            if self.function_at(address).is_none() {
                points.push(address);
            }
        };
        for &(start, size) in &self.module.functions[function as usize].ranges {
            let bytes = self.module.bytes(start.0, size).unwrap_or_default();
            match self.module.architecture {
                Architecture::X86_64 => x86::data_references(bytes, start.0, 64, self, &mut add),
                Architecture::X86 => x86::data_references(bytes, start.0, 32, self, &mut add),
                Architecture::Aarch64 => {
                    let field = |at| x86::Surroundings::field(self, at, 4);
                    aarch64::data_references(bytes, start.0, field, &mut add);
                }
                _ => {}
            }
        }
    }

    fn object_at(&self, address: u64) -> Option<(u32, u64)> {
        let after = self.objects.partition_point(|&(start, ..)| start <= address);
        let (start, end, number) = *self.objects.get(after.checked_sub(1)?)?;
        (address < end).then_some((number, address - start))
    }

    /// What the memory at `address` means, of which `size` bytes are used, or an unknown number.
    pub fn name(&self, address: u64, size: Option<u64>) -> Named {
        let mut description = Description::new(self);
        description.reference(address, size, MAX_POINTER_DEPTH);
        description.finish()
    }

    /// The contents of a named object.
    pub fn contents(&self, address: u64, size: u64) -> Named {
        let mut description = Description::new(self);
        description.memory(address, size, MAX_POINTER_DEPTH);
        description.finish()
    }
}

impl x86::Surroundings for World<'_, '_> {
    fn field(&self, address: u64, width: u64) -> Option<u64> {
        if !self.slots_in_code {
            return None;
        }
        let slot = self.module.slots_in(address, address + width).first()?;
        match &slot.target {
            SlotTarget::Address(target) => Some(*target),
            // An import inside an instruction is named by the slot's own address.
            SlotTarget::Import(..) | SlotTarget::Other(_) => Some(slot.address.0),
        }
    }

    fn knows_fields(&self) -> bool {
        self.slots_in_code || self.absolute
    }

    fn is_address(&self, number: u64) -> bool {
        self.absolute
            && number > 0
            && self.module.region_at(number).is_some_and(|region| match region.kind {
                SectionKind::Code => self.entries.contains_key(&number),
                SectionKind::Data | SectionKind::Zeroed => true,
                SectionKind::NotLoaded => false,
            })
    }

    fn program_counter_thunk(&self, target: u64) -> Option<Register> {
        match *self.module.bytes(target, 4)? {
            [0x8b, form, 0x24, 0xc3] if form & 0xc7 == 0x04 => Some(form >> 3 & 7),
            _ => None,
        }
    }
}

/// What an address means, in the making.
struct Description<'w, 'm, 'data> {
    world: &'w World<'m, 'data>,
    exact: Vec<u8>,
    /// The same without noise, once there was some.
    meaning: Option<Vec<u8>>,
    named: Named,
}

impl<'w, 'm, 'data> Description<'w, 'm, 'data> {
    fn new(world: &'w World<'m, 'data>) -> Self {
        Self { world, exact: Vec::new(), meaning: None, named: Named::default() }
    }

    fn finish(mut self) -> Named {
        self.named.exact = short(&self.exact);
        self.named.meaning = self.meaning.as_deref().map_or(self.named.exact, short);
        self.named.content = hash(&self.named.meaning);
        self.named
    }

    /// A tagged part: length first, so that no two sequences of parts are one sequence of bytes.
    fn part(&mut self, tag: &str, bytes: &[u8]) {
        put_part(&mut self.exact, tag, bytes);
        if let Some(out) = &mut self.meaning {
            put_part(out, tag, bytes);
        }
    }

    fn parts(&mut self, tag: &str, exact: &[u8], meaning: &[u8]) {
        if exact != meaning && self.meaning.is_none() {
            self.meaning = Some(self.exact.clone());
        }
        put_part(&mut self.exact, tag, exact);
        if let Some(out) = &mut self.meaning {
            put_part(out, tag, meaning);
        }
    }

    fn target(&mut self, target: Target) {
        self.named.targets.push(target);
    }

    fn import(&mut self, import: &ModuleImport, addend: i64) {
        self.part("import", import.name.as_bytes());
        self.part("version", import.version.as_deref().unwrap_or_default().as_bytes());
        self.part("addend", &addend.to_le_bytes());
        self.named.import.get_or_insert(hash(import.name.as_bytes()));
    }

    fn reference(&mut self, address: u64, size: Option<u64>, depth: u32) {
        let world = self.world;
        if let Some(import) = world.module.stub_at(address) {
            return self.import(import, 0);
        }
        if let Some((import, addend)) = world.import_in_code(address) {
            return self.import(import, addend);
        }
        if self.code(address) {
            return;
        }
        let Some(region) = world.module.region_at(address) else {
            return self.part("nowhere", &[]);
        };
        if region.kind == SectionKind::Code {
            return self.bytes(address, size.unwrap_or(1));
        }
        let whole = size.is_none_or(|size| size == world.pointer);
        if let Some(slot) = world.module.slot_at(address).filter(|_| whole && is_table_of_addresses(region)) {
            return self.slot(slot, None, depth);
        }
        self.data(region, address, size, depth);
    }

    fn code(&mut self, address: u64) -> bool {
        if let Some(number) = self.world.entry_at(address) {
            self.part("function", &[]);
            self.target(Target::Function(number));
            return true;
        }
        if let Some(number) = self.world.function_at(address) {
            self.part("inside", &[]);
            self.target(Target::Function(number));
            return true;
        }
        false
    }

    fn data(&mut self, region: &Region<'_>, address: u64, size: Option<u64>, depth: u32) {
        let world = self.world;
        let loaded = size.filter(|&size| size <= world.pointer);
        let text = if region.writable || loaded.is_some() { None } else { self.text_at(region, address) };
        if let Some(text) = text {
            return self.text(&text);
        }
        if let Some((number, offset)) = world.object_at(address) {
            self.part("object", &offset.to_le_bytes());
            return self.target(Target::Object(number));
        }
        if region.writable {
            self.part("variable", region.name.as_bytes());
            return self.target(Target::Variable(address));
        }
        let end = world.next_point(address).min(region.end()).min(address.saturating_add(MAX_CONSTANT_BYTES));
        let size = size.unwrap_or(end.saturating_sub(address));
        self.memory(address, size, depth);
    }

    /// The text at `address`: up to a NUL, or where texts carry their length elsewhere up to the next
    /// address that anything refers to.
    fn text_at(&self, region: &Region<'_>, address: u64) -> Option<Vec<u8>> {
        let world = self.world;
        let limit = region.end().min(address.saturating_add(MAX_TEXT_BYTES));
        let limit = if world.counted_texts { limit.min(world.next_point(address)) } else { limit };
        let from = usize::try_from(address - region.address.0).ok()?;
        let bytes = region.bytes.get(from..)?;
        let bytes = &bytes[..bytes.len().min((limit - address) as usize)];
        let end = match bytes.iter().position(|&byte| byte == 0) {
            Some(end) => end,
            None if world.counted_texts => bytes.len(),
            None => return None,
        };
        let text = &bytes[..end];
        let is_text = text.iter().all(|byte| matches!(byte, 0x09..=0x0d | 0x1b | 0x20..=0x7e | 0x80..));
        (end >= 2 && is_text && std::str::from_utf8(text).is_ok()).then(|| text.to_vec())
    }

    fn text(&mut self, text: &[u8]) {
        let plain = noise::without(text);
        self.parts("text", text, &plain);
        self.named.is_source_path |= noise::is_source_path(text);
        self.named.text.get_or_insert(hash(&plain));
    }

    /// Bytes with the slots among them resolved; zeros at the end may be padding and do not count.
    fn memory(&mut self, address: u64, size: u64, depth: u32) {
        let world = self.world;
        let end = address.saturating_add(size);
        let location = noise::location(world.module, address, size);
        let mut at = address;
        for slot in world.module.slots_in(address, end) {
            let start = slot.address.0.max(at);
            self.plain(at, start - at, location);
            let counted = world.module.bytes(start + world.pointer, 8).map(number);
            self.slot(slot, counted.filter(|_| world.counted_texts), depth);
            at = start.saturating_add(u64::from(slot.width));
        }
        self.plain(at, end.saturating_sub(at), location);
    }

    /// Line and column of a source location are noise.
    fn plain(&mut self, address: u64, size: u64, location: Option<(u64, u64)>) {
        let Some((from, to)) = location.filter(|&(from, to)| from >= address && to <= address + size) else {
            return self.bytes(address, size);
        };
        self.bytes(address, from - address);
        let position = self.world.module.bytes(from, to - from).unwrap_or_default().to_vec();
        self.parts("source position", &position, &[]);
        self.bytes(to, address + size - to);
    }

    fn bytes(&mut self, address: u64, size: u64) {
        let module = self.world.module;
        let held = module.region_at(address).map_or(0, |region| {
            let offset = address - region.address.0;
            (region.bytes.len() as u64).saturating_sub(offset).min(size)
        });
        let bytes = module.bytes(address, held).unwrap_or_default();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let kept = bytes[..end].to_vec();
        self.part("bytes", &kept);
    }

    /// What a slot holds; `counted` is the number after it, where texts carry their length there.
    fn slot(&mut self, slot: &Slot, counted: Option<u64>, depth: u32) {
        match &slot.target {
            SlotTarget::Import(import, addend) => self.import(import, *addend),
            SlotTarget::Other(words) => self.part("slot", words.as_bytes()),
            SlotTarget::Address(target) => {
                if self.world.module.stub_at(*target).is_none() && self.code(*target) {
                    return;
                }
                let text = counted
                    .filter(|length| (1..=MAX_TEXT_BYTES).contains(length))
                    .and_then(|length| self.world.module.bytes(*target, length))
                    .filter(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')))
                    .map(<[u8]>::to_vec);
                match text {
                    Some(text) => self.text(&text),
                    None if depth > 0 => self.reference(*target, None, depth - 1),
                    None => self.part("deep", &[]),
                }
            }
        }
    }
}

fn short(bytes: &[u8]) -> [u8; 16] {
    let digest = Sha256::of(bytes);
    let mut short = [0; 16];
    short.copy_from_slice(&digest.as_bytes()[..16]);
    short
}

fn put_part(out: &mut Vec<u8>, tag: &str, bytes: &[u8]) {
    out.push(tag.len() as u8);
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Memory that holds addresses a loader put there once: reading it is reading what it points to.
fn is_table_of_addresses(region: &Region<'_>) -> bool {
    !region.writable
        || region.name.contains("got")
        || region.name.contains("symbol_ptr")
        || region.name == ".idata"
        || region.name == ".didat"
}
