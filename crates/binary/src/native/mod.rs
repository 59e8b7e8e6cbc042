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

use crate::{Architecture, DebugId, FunctionEvidence, Module, ModuleFormat, limits, toolchain};

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
}

/// Adds the languages whose runtimes show in the finished module.
fn name_languages(module: &mut Module<'_>) {
    let mut found = std::mem::take(&mut module.toolchains);
    found.extend(toolchain::go_build_info(module));
    found.extend(toolchain::identify_symbols(module, &found));
    toolchain::sort(&mut found);
    module.toolchains = found;
}
