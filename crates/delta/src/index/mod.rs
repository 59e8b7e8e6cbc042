//! The index of one artifact: what it holds after lifting it once, in a form that is compared in
//! milliseconds.

mod closure;
mod file;

use assay_binary::{Address, Architecture, Module, ModuleFormat, Toolchain};
use assay_evidence::Sha256;

use crate::error::DeltaError;
use crate::lift::{self, Lifted, Target};

/// The version of everything that goes into a hash, the decoders included. Hashes of two versions
/// are never compared.
pub const NORMALISER_VERSION: u32 = 2;

/// A run of one of the index's arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub from: u32,
    pub length: u32,
}

impl Run {
    fn of<T>(self, array: &[T]) -> &[T] {
        let from = self.from as usize;
        array.get(from..from + self.length as usize).unwrap_or_default()
    }
}

/// The fixed part of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionRecord {
    pub address: u64,
    pub size: u64,
    pub masked: u64,
    pub exact: Sha256,
    pub meaning: Sha256,
    pub closure: Sha256,
    pub name: Run,
    pub numbers: Run,
    pub references: Run,
    pub features: Run,
    /// Bit 0: the name is the file's own. Bit 1: it calls or jumps to computed places.
    pub flags: u32,
}

/// The fixed part of a named object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRecord {
    pub address: u64,
    pub size: u64,
    pub meaning: [u8; 16],
    pub exact: [u8; 16],
    pub closure: Sha256,
    pub name: Run,
    pub references: Run,
}

const NAMED: u32 = 1;
const OPEN: u32 = 2;

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
    pub(crate) functions: Vec<FunctionRecord>,
    pub(crate) objects: Vec<ObjectRecord>,
    pub(crate) names: String,
    pub(crate) numbers: Vec<u32>,
    pub(crate) references: Vec<Target>,
    pub(crate) features: Vec<u32>,
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
        self.record.numbers.of(&self.index.numbers)
    }

    /// What it refers to inside its file, in order, repetitions included.
    pub fn references(&self) -> &'i [Target] {
        self.record.references.of(&self.index.references)
    }

    /// T2: the sorted features of its sketch.
    pub fn features(&self) -> &'i [u32] {
        self.record.features.of(&self.index.features)
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
        self.record.references.of(&self.index.references)
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
        let lifted = lift::lift(module);
        let closures = closure::closures(&lifted);
        Self::assemble(about, lifted, &closures)
    }

    fn assemble(about: About, lifted: Lifted, closures: &[Sha256]) -> Self {
        let mut index = Self {
            about,
            functions: Vec::with_capacity(lifted.functions.len()),
            objects: Vec::with_capacity(lifted.objects.len()),
            names: String::new(),
            numbers: Vec::new(),
            references: Vec::new(),
            features: Vec::new(),
        };
        let count = lifted.functions.len();
        for (function, closure) in lifted.functions.into_iter().zip(closures) {
            let record = FunctionRecord {
                address: function.address,
                size: function.size,
                masked: function.masked,
                exact: Sha256::from_bytes(function.exact),
                meaning: Sha256::from_bytes(function.meaning),
                closure: *closure,
                name: put_text(&mut index.names, &function.name),
                numbers: put(&mut index.numbers, &function.numbers),
                references: put(&mut index.references, &function.references),
                features: put(&mut index.features, &function.features),
                flags: if function.named { NAMED } else { 0 } | if function.open { OPEN } else { 0 },
            };
            index.functions.push(record);
        }
        for (object, closure) in lifted.objects.into_iter().zip(&closures[count..]) {
            let record = ObjectRecord {
                address: object.address,
                size: object.size,
                meaning: object.meaning,
                exact: object.exact,
                closure: *closure,
                name: put_text(&mut index.names, &object.name),
                references: put(&mut index.references, &object.references),
            };
            index.objects.push(record);
        }
        index
    }

    fn text(&self, run: Run) -> &str {
        self.names.get(run.from as usize..(run.from + run.length) as usize).unwrap_or_default()
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
        self.functions.iter().map(|record| IndexedFunction { index: self, record })
    }

    /// The function of that number.
    ///
    /// # Panics
    /// Where there is none.
    pub(crate) fn function(&self, number: usize) -> IndexedFunction<'_> {
        IndexedFunction { index: self, record: &self.functions[number] }
    }

    /// Its named data objects by address.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = IndexedObject<'_>> + Clone {
        self.objects.iter().map(|record| IndexedObject { index: self, record })
    }

    pub(crate) fn object(&self, number: usize) -> IndexedObject<'_> {
        IndexedObject { index: self, record: &self.objects[number] }
    }
}

fn put<T: Clone>(array: &mut Vec<T>, values: &[T]) -> Run {
    let from = array.len() as u32;
    array.extend_from_slice(values);
    Run { from, length: values.len() as u32 }
}

fn put_text(texts: &mut String, text: &str) -> Run {
    let from = texts.len() as u32;
    texts.push_str(text);
    Run { from, length: text.len() as u32 }
}
