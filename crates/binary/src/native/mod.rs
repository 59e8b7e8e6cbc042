//! Machine code of every container format: memory, functions, stubs, slots.

pub(crate) mod elf;
mod functions;
mod go;
pub(crate) mod link;
pub(crate) mod macho;
pub(crate) mod pe;
mod sweep;

pub(crate) use functions::{Part, delimit};
pub(crate) use go::read_pclntab;

use crate::{
    Architecture, DebugId, FunctionEvidence, Module, ModuleFormat, ModuleImport, Region, SlotTarget, limits,
    toolchain,
};

/// Something that says where a function starts, before starts are brought together.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub address: u64,
    /// Zero where the evidence does not say.
    pub size: u64,
    pub name: Option<String>,
    /// Which of several names of one address is best: global 0, weak 1, local 2.
    pub rank: u8,
    pub evidence: FunctionEvidence,
}

impl Seed {
    pub(crate) fn unnamed(address: u64, size: u64, evidence: FunctionEvidence) -> Self {
        Self { address, size, name: None, rank: 2, evidence }
    }
}

/// A module of which nothing is known yet.
pub(crate) fn empty<'data>(format: ModuleFormat, architecture: Architecture) -> Module<'data> {
    Module {
        format,
        architecture,
        variant: None,
        debug_id: None,
        toolchains: Vec::new(),
        regions: Vec::new(),
        functions: Vec::new(),
        objects: Vec::new(),
        slots: Vec::new(),
        stubs: Vec::new(),
        methods: Vec::new(),
        gaps: Vec::new(),
        overlaps: Vec::new(),
        padding: 0,
        warnings: Vec::new(),
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> DebugId {
    DebugId(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Leaves out, with a warning, the regions from the one on with which all together show more bytes than
/// [`limits::MAX_SHARING`] allows.
pub(crate) fn bound_sharing(module: &mut Module<'_>) {
    let range = |region: &Region<'_>| region.bytes.as_ptr_range();
    let shown = || module.regions.iter().filter(|region| !region.bytes.is_empty());
    let first = shown().map(|region| range(region).start).min();
    let last = shown().map(|region| range(region).end).max();
    let span = first.zip(last).map_or(0, |(first, last)| last.addr() - first.addr());
    let mut left = span.saturating_mul(limits::MAX_SHARING);
    let mut dropped = Vec::new();
    module.regions.retain(|region| {
        let fits = region.bytes.len() <= left;
        match fits {
            true => left -= region.bytes.len(),
            false => dropped
                .push(format!("section `{}` is past the bound on bytes shown several times", region.name)),
        }
        fits
    });
    module.warnings.append(&mut dropped);
}

/// By address; what contradicts an earlier region is left out with a warning.
pub(crate) fn sort_regions(module: &mut Module<'_>) {
    module.regions.sort_by_key(|region| region.address);
    let mut end = 0u64;
    let mut dropped = Vec::new();
    module.regions.retain(|region| {
        let fits = region.address.0 >= end
            && region.address.0.checked_add(region.size).is_some()
            && region.size <= limits::MAX_ADDRESS;
        if fits {
            end = region.end();
        } else {
            dropped.push(format!("section `{}` contradicts another one's place", region.name));
        }
        fits
    });
    module.warnings.append(&mut dropped);
    bound_sharing(module);
}

/// Adds the languages whose runtimes show in the finished module.
fn name_languages(module: &mut Module<'_>) {
    let mut found = std::mem::take(&mut module.toolchains);
    found.extend(toolchain::go_build_info(module));
    found.extend(toolchain::identify_symbols(module, &found));
    toolchain::sort(&mut found);
    module.toolchains = found;
}

/// Slots and stubs repeat the names of imports, which may share the bytes of one long name, so that their
/// total is bounded by a multiple of the file.
pub(crate) struct NameLimit {
    left: usize,
}

const NAME_BYTES_PER_FILE_BYTE: usize = 32;
const NAME_BYTES_FREE: usize = 1 << 20;
const MAX_NAME_BYTES: usize = 1 << 30;

impl NameLimit {
    pub(crate) fn new(file_bytes: usize) -> Self {
        let left = file_bytes.saturating_mul(NAME_BYTES_PER_FILE_BYTE).saturating_add(NAME_BYTES_FREE);
        Self { left: left.min(MAX_NAME_BYTES) }
    }

    /// Whether one more may be kept.
    pub(crate) fn import(&mut self, import: &ModuleImport) -> bool {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.take(import.name.len() + length(&import.version) + length(&import.provider))
    }

    /// The same for what a slot refers to.
    pub(crate) fn target(&mut self, target: &SlotTarget) -> bool {
        match target {
            SlotTarget::Address(_) => self.take(0),
            SlotTarget::Import(import, _) => self.import(import),
            SlotTarget::Other(text) => self.take(text.len()),
        }
    }

    /// The same for one name.
    pub(crate) fn text(&mut self, name: &str) -> bool {
        self.take(name.len())
    }

    /// A name of an object file's table; empty past the limit.
    pub(crate) fn name(&mut self, bytes: &[u8]) -> String {
        if self.take(bytes.len()) { String::from_utf8_lossy(bytes).into_owned() } else { String::new() }
    }

    /// Every one costs something of its own.
    fn take(&mut self, bytes: usize) -> bool {
        let kept = self.left.checked_sub(bytes + 16);
        self.left = kept.unwrap_or(0);
        kept.is_some()
    }
}

/// What is said where the limit was reached.
pub(crate) const NAMES_CUT: &str = "the names of imports are too long in all; the rest is left out";
