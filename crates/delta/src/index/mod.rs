//! The index of one artifact: what it holds after lifting it once, in a form that is compared in
//! milliseconds.

mod closure;
mod file;

use assay_binary::{Address, Architecture, Module, ModuleFormat, Toolchain};
use assay_evidence::Sha256;

use crate::error::DeltaError;
use crate::lift::{self, Target};
use crate::record::{FunctionRecord, NAMED, OPEN, ObjectRecord, Records, Run};

/// The version of everything that goes into a hash, the decoders included. Hashes of two versions
/// are never compared.
pub const NORMALISER_VERSION: u32 = 3;

/// What an index says of its artifact.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The digest of the file.
    pub artifact: Sha256,
    /// The container format.
    pub format: ModuleFormat,
    /// What executes it.
    pub architecture: Architecture,
    /// What is special about it, in words.
    pub variant: Option<String>,
    /// The build's own identity.
    pub debug_id: Option<String>,
    /// The toolchains that took part, the main part's first.
    pub toolchains: Vec<Toolchain>,
    /// Executable bytes that no function holds.
    pub gap_bytes: u64,
    /// Executable bytes that two functions claim.
    pub overlap_bytes: u64,
    /// Bytes that only fill.
    pub padding_bytes: u64,
    /// Whether the instructions were understood; otherwise functions are compared as bytes.
    pub lifted: bool,
    /// What could not be read.
    pub warnings: Vec<String>,
}

/// What is known of one artifact after lifting it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub(crate) about: About,
    pub(crate) records: Records,
}

/// One function of an index.
#[derive(Clone, Copy, Debug)]
pub struct IndexedFunction<'i> {
    index: &'i Index,
    record: &'i FunctionRecord,
}

impl<'i> IndexedFunction<'i> {
    /// Its name as the file spells it; `sub_` and its address where the file has none.
    pub fn name(&self) -> &'i str {
        self.index.text(self.record.name)
    }

    /// Whether the name is the file's own.
    pub fn is_named(&self) -> bool {
        self.record.flags & NAMED != 0
    }

    /// Whether it calls or jumps to computed places, so that its closure is not all it may reach.
    pub fn is_open(&self) -> bool {
        self.record.flags & OPEN != 0
    }

    /// Its entry.
    pub fn address(&self) -> Address {
        Address(self.record.address)
    }

    /// Its size in bytes, split-off parts included.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// T0: a filter over operations, registers and numbers alone; never a verdict.
    pub fn masked(&self) -> u64 {
        self.record.masked
    }

    /// T1: its decoded instructions with texts, constants and imports by content, everything that a run
    /// can observe included. What it refers to inside the file is compared by [`diff`](crate::diff).
    pub fn exact(&self) -> Sha256 {
        self.record.exact
    }

    /// T1 without build noise: what a person is shown as a change differs here.
    pub fn meaning(&self) -> Sha256 {
        self.record.meaning
    }

    /// T3: its own T1 and that of everything it reaches.
    pub fn closure(&self) -> Sha256 {
        self.record.closure
    }

    /// How many instructions it has.
    pub fn instructions(&self) -> usize {
        self.record.numbers.length as usize
    }

    pub(crate) fn numbers(&self) -> &'i [u32] {
        self.record.numbers.of(&self.index.records.numbers)
    }

    /// What it refers to inside its file, in order, repetitions included.
    pub fn references(&self) -> &'i [Target] {
        self.record.references.of(&self.index.records.references)
    }

    /// T2: the sorted features of its sketch.
    pub fn features(&self) -> &'i [u32] {
        self.record.features.of(&self.index.records.features)
    }
}

/// One named data object of an index.
#[derive(Clone, Copy, Debug)]
pub struct IndexedObject<'i> {
    index: &'i Index,
    record: &'i ObjectRecord,
}

impl<'i> IndexedObject<'i> {
    /// Its name.
    pub fn name(&self) -> &'i str {
        self.index.text(self.record.name)
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address(self.record.address)
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    pub(crate) fn meaning(&self) -> &'i [u8; 16] {
        &self.record.meaning
    }

    /// TD: its contents with pointers followed, as far as they lead to no function or other object.
    pub fn exact(&self) -> &'i [u8; 16] {
        &self.record.exact
    }

    pub(crate) fn references(&self) -> &'i [Target] {
        self.record.references.of(&self.index.records.references)
    }
}

impl Index {
    /// Reads a binary, lifts it and hashes what it holds.
    ///
    /// # Errors
    /// [`DeltaError::Binary`] where the reader refuses the file.
    pub fn build(bytes: &[u8]) -> Result<Self, DeltaError> {
        let module = Module::parse(bytes)?;
        Ok(Self::of(&module, Sha256::of(bytes)))
    }

    /// Lifts a module that was read; `artifact` is the digest of its file.
    pub fn of(module: &Module<'_>, artifact: Sha256) -> Self {
        let sum = |ranges: &[(Address, u64)]| ranges.iter().map(|&(_, size)| size).sum();
        let lifted_at_all = !matches!(module.architecture, Architecture::Other(_));
        let mut warnings = module.warnings.clone();
        if let Architecture::Other(name) = &module.architecture {
            warnings.push(format!("the code of {name} is not lifted: functions are compared as bytes"));
        }
        let about = About {
            artifact,
            format: module.format,
            architecture: module.architecture.clone(),
            variant: module.variant.clone(),
            debug_id: module.debug_id.as_ref().map(|id| id.0.clone()),
            toolchains: module.toolchains.clone(),
            gap_bytes: sum(&module.gaps),
            overlap_bytes: sum(&module.overlaps),
            padding_bytes: module.padding,
            lifted: lifted_at_all,
            warnings,
        };
        let mut records = lift::lift(module);
        closure::close(&mut records);
        Self { about, records }
    }

    fn text(&self, run: Run) -> &str {
        self.records.text(run)
    }

    /// What it says of its artifact.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The digest of the artifact.
    pub fn artifact(&self) -> Sha256 {
        self.about.artifact
    }

    /// The compiler that made the main part.
    pub fn toolchain(&self) -> Option<&Toolchain> {
        self.about.toolchains.first()
    }

    /// Its functions by address.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = IndexedFunction<'_>> + Clone {
        self.records.functions.iter().map(|record| IndexedFunction { index: self, record })
    }

    /// The function of that number.
    ///
    /// # Panics
    /// Where there is none.
    pub(crate) fn function(&self, number: usize) -> IndexedFunction<'_> {
        IndexedFunction { index: self, record: &self.records.functions[number] }
    }

    /// Its named data objects by address.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = IndexedObject<'_>> + Clone {
        self.records.objects.iter().map(|record| IndexedObject { index: self, record })
    }

    pub(crate) fn object(&self, number: usize) -> IndexedObject<'_> {
        IndexedObject { index: self, record: &self.records.objects[number] }
    }
}
