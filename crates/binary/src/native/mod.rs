//! Machine code of every container format: memory, functions, stubs, slots.

pub(crate) mod elf;
mod functions;
mod go;
mod sweep;

pub(crate) use functions::delimit;
pub(crate) use go::read_pclntab;

use crate::{Architecture, DebugId, FunctionEvidence, Module, ModuleFormat};

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
