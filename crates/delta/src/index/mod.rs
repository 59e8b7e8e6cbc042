//! The index of one artifact: an exact hash per function and object, and who refers to whom.

mod file;
mod identity;
mod normalise;

use assay_binary::{Address, Toolchain, UnitKind};
use assay_evidence::Sha256;

use crate::error::DeltaError;
use crate::program::Program;

pub(crate) use normalise::hash_unit;

/// The version of everything that goes into a hash, the decoder included. Hashes of two versions
/// are never compared.
pub const NORMALISER_VERSION: u32 = 1;

/// One function of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedFunction {
    /// Its name, as the file spells it.
    pub name: String,
    /// Its entry.
    pub address: Address,
    /// Its size in bytes, split-off parts included.
    pub size: u64,
    /// The exact hash over its decoded instructions with resolved operands (tier T1).
    pub hash: Sha256,
    /// One number per instruction, for what a change weighs.
    pub instructions: Vec<u32>,
}

/// One named data object of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedObject {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// Its size in bytes.
    pub size: u64,
    /// The hash over its bytes with pointers resolved (tier TD).
    pub hash: Sha256,
}

/// What is known of one artifact after lifting it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub(crate) artifact: Sha256,
    pub(crate) debug_id: Option<String>,
    pub(crate) toolchain: Option<Toolchain>,
    pub(crate) functions: Vec<IndexedFunction>,
    pub(crate) objects: Vec<IndexedObject>,
    /// From a node to the nodes it refers to; functions are numbered first, objects after them.
    pub(crate) edges: Vec<(u32, u32)>,
}

impl Index {
    /// Lifts a binary and hashes what it holds.
    ///
    /// # Errors
    /// [`DeltaError::Binary`] where the reader refuses the file.
    pub fn build(bytes: &[u8]) -> Result<Self, DeltaError> {
        let program = Program::read(bytes)?;
        let functions: Vec<usize> = (0..program.map.units().len())
            .filter(|&unit| program.map.units()[unit].kind == UnitKind::Function)
            .collect();
        let nodes = identity::Nodes::new(&program, &functions);
        let mut index = Self {
            artifact: Sha256::of(bytes),
            debug_id: program.image.debug_id().map(|id| id.0.clone()),
            toolchain: program.image.toolchain().cloned(),
            functions: Vec::with_capacity(functions.len()),
            objects: Vec::new(),
            edges: Vec::new(),
        };
        for (node, &unit) in functions.iter().enumerate() {
            let lifted = normalise::lift(&program, unit, Some(&nodes));
            index.edges.extend(lifted.edges.iter().map(|&to| (node as u32, to)));
            index.functions.push(IndexedFunction {
                name: program.map.units()[unit].name.clone(),
                address: program.map.units()[unit].entry,
                size: program.map.units()[unit].size(),
                hash: lifted.hash,
                instructions: lifted.instructions,
            });
        }
        nodes.objects(&program, &mut index);
        index.edges.sort_unstable();
        index.edges.dedup();
        Ok(index)
    }

    /// The digest of the artifact.
    pub fn artifact(&self) -> Sha256 {
        self.artifact
    }

    /// The compiler that made it.
    pub fn toolchain(&self) -> Option<&Toolchain> {
        self.toolchain.as_ref()
    }

    /// Its functions by address.
    pub fn functions(&self) -> &[IndexedFunction] {
        &self.functions
    }

    /// Its named data objects by address.
    pub fn objects(&self) -> &[IndexedObject] {
        &self.objects
    }

    /// The static reference graph: from node to node, functions numbered first, objects after them.
    pub fn edges(&self) -> &[(u32, u32)] {
        &self.edges
    }
}
