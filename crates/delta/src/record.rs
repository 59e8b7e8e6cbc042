//! What is kept of functions and objects: records of one width, and the arrays that they point into.

use assay_evidence::Sha256;

use crate::lift::Target;

/// A run of one of the arrays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub from: u32,
    pub length: u32,
}

impl Run {
    /// What it spans.
    pub fn of<T>(self, array: &[T]) -> &[T] {
        let from = self.from as usize;
        array.get(from..from + self.length as usize).unwrap_or_default()
    }

    fn moved(self, by: usize) -> Self {
        Self { from: self.from + by as u32, ..self }
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
    /// [`NAMED`] and [`OPEN`].
    pub flags: u32,
}

/// Bit 0 of a function's flags: the name is the file's own.
pub(crate) const NAMED: u32 = 1;
/// Bit 1: it calls or jumps to computed places.
pub(crate) const OPEN: u32 = 2;

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

/// The hash that is not known yet.
pub(crate) const UNKNOWN: Sha256 = Sha256::from_bytes([0; 32]);

/// Records and what they point into.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub functions: Vec<FunctionRecord>,
    pub objects: Vec<ObjectRecord>,
    pub names: String,
    /// One number per instruction, noise left out.
    pub numbers: Vec<u32>,
    /// What functions and objects refer to, in order, repetitions included.
    pub references: Vec<Target>,
    /// T2: sorted features.
    pub features: Vec<u32>,
}

impl Records {
    /// Adds a name.
    pub fn name(&mut self, text: &str) -> Run {
        let from = self.names.len() as u32;
        self.names.push_str(text);
        Run { from, length: text.len() as u32 }
    }

    /// What `run` names.
    pub fn text(&self, run: Run) -> &str {
        self.names.get(run.from as usize..(run.from + run.length) as usize).unwrap_or_default()
    }

    /// The same in no more memory than it needs.
    pub fn fitted(mut self) -> Self {
        self.names.shrink_to_fit();
        self.numbers.shrink_to_fit();
        self.references.shrink_to_fit();
        self.features.shrink_to_fit();
        self
    }

    /// All of `parts`, one after the other; each is given back as soon as it was added.
    pub fn joined(parts: Vec<Self>) -> Self {
        let sum = |of: fn(&Self) -> usize| parts.iter().map(of).sum();
        let mut all = Self {
            functions: Vec::with_capacity(sum(|part| part.functions.len())),
            objects: Vec::with_capacity(sum(|part| part.objects.len())),
            names: String::with_capacity(sum(|part| part.names.len())),
            numbers: Vec::with_capacity(sum(|part| part.numbers.len())),
            references: Vec::with_capacity(sum(|part| part.references.len())),
            features: Vec::with_capacity(sum(|part| part.features.len())),
        };
        parts.into_iter().for_each(|part| all.append(part));
        all
    }

    fn append(&mut self, part: Self) {
        let (names, numbers) = (self.names.len(), self.numbers.len());
        let (references, features) = (self.references.len(), self.features.len());
        self.names.push_str(&part.names);
        self.numbers.extend_from_slice(&part.numbers);
        self.references.extend_from_slice(&part.references);
        self.features.extend_from_slice(&part.features);
        self.functions.extend(part.functions.into_iter().map(|function| FunctionRecord {
            name: function.name.moved(names),
            numbers: function.numbers.moved(numbers),
            references: function.references.moved(references),
            features: function.features.moved(features),
            ..function
        }));
        self.objects.extend(part.objects.into_iter().map(|object| ObjectRecord {
            name: object.name.moved(names),
            references: object.references.moved(references),
            ..object
        }));
    }
}

/// Adds values to an array.
pub(crate) fn put<T>(array: &mut Vec<T>, values: impl IntoIterator<Item = T>) -> Run {
    let from = array.len() as u32;
    array.extend(values);
    Run { from, length: array.len() as u32 - from }
}
