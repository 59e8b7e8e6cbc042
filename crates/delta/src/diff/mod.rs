//! What differs between two artifacts, for people: matched, judged by hash, said in words.

mod changes;
mod correspond;
mod counts;
mod evidence;
mod explain;
mod figures;
mod graph;
mod matching;
mod names;
mod objects;
mod probability;
mod queues;
mod setting;
mod similarity;
mod weights;

use assay_binary::{Address, Module};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::lift::SOURCE_POSITIONS;

pub use evidence::{FIGURE_NAMES, FIGURES, PairEvidence, evidence};
pub use explain::{Explanation, Row, explain};
pub use graph::{ChangeGraph, GraphEdge, GraphNode, GraphRole, change_graph};
pub use probability::{EntropyBasis, Weight, entropy_basis, has_weights, logistic, probability};

/// One function or object in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionEntry {
    /// Its name.
    pub name: String,
    /// Where it is in A, if it is there.
    pub address_a: Option<Address>,
    /// Where it is in B, if it is there.
    pub address_b: Option<Address>,
    /// Why it is in this list.
    pub why: String,
    /// What differs, in words; only where the two files were at hand.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub details: Vec<String>,
}

/// What happened to the functions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionChanges {
    /// How many are the same in both under one name; the moved and the affected are among them.
    pub unchanged: u64,
    /// Those whose own body differs in meaning.
    pub changed: Vec<FunctionEntry>,
    /// Those whose body is the same, but that reach something changed.
    pub affected: Vec<FunctionEntry>,
    /// Those only in B.
    pub added: Vec<FunctionEntry>,
    /// Those only in A.
    pub removed: Vec<FunctionEntry>,
    /// Those unchanged, but in another order among the others.
    pub moved: Vec<FunctionEntry>,
    /// Those whose body is the same under another name.
    pub renamed: Vec<FunctionEntry>,
}

/// What happened to the named data objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataChanges {
    /// Those whose initial contents differ.
    pub changed: Vec<FunctionEntry>,
    /// Those only in B.
    pub added: Vec<FunctionEntry>,
    /// Those only in A.
    pub removed: Vec<FunctionEntry>,
}

/// The difference between two artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// The functions.
    pub functions: FunctionChanges,
    /// The named data.
    pub data: DataChanges,
    /// The noise that was set aside.
    pub ignored: Vec<String>,
    /// Bits per changed instruction.
    ///
    /// An instruction of a changed function in B counts as changed where A's version of that
    /// function does not have it (as a multiset). It carries -log2 of its share among all
    /// instructions of B, operands resolved: a rare one says more than a common one. The figure is
    /// the mean; without a changed instruction it is 0.
    pub delta_information: f64,
    /// Uncertainty, in bits, that a function changed in meaning, weighted by instructions.
    ///
    /// An exact match is certain and contributes 0. Of a function whose code differs the probability that
    /// its meaning does is asked of weights (`probability.rs`). None are in use as long as none hold on
    /// projects they were not fitted on: then either is as likely, it contributes the maximum of 1 bit, and
    /// the figure is the share of B's instructions that stand in changed functions.
    pub delta_entropy: f64,
}

/// What the hashes leave out.
const ALWAYS_IGNORED: [&str; 7] = [
    "addresses and displacements",
    "alignment and padding",
    "encodings and branch lengths",
    "link order",
    "numbers of local statics and promoted symbols, hashes in mangled names",
    "layout of PLT, GOT and jump tables",
    "relocation choices",
];

/// Two indexes put beside each other.
struct Comparison<'d> {
    a: &'d Index,
    b: &'d Index,
    functions: matching::Matching,
    objects: objects::Objects,
}

impl<'d> Comparison<'d> {
    fn of(a: &'d Index, b: &'d Index) -> Self {
        Self { a, b, functions: matching::functions(a, b), objects: objects::Objects::of(a, b) }
    }

    fn changes(&self) -> changes::Changes<'d> {
        let (a, b) = (self.a, self.b);
        let correspondence = correspond::Correspondence::of(a, b, &self.functions, &self.objects);
        changes::Changes::of(a, b, &self.functions, &self.objects, &correspondence)
    }

    fn delta(&self) -> Delta {
        let (a, b) = (self.a, self.b);
        let changes = self.changes();
        let (delta_information, delta_entropy) =
            figures::figures(self, &changes.changed_pairs(), changes.same_instructions());
        let mut ignored: Vec<String> = ALWAYS_IGNORED.map(str::to_owned).to_vec();
        if a.about.debug_id != b.about.debug_id {
            ignored.push("build id".to_owned());
        }
        if changes.noisy > 0 {
            ignored.push(format!("{SOURCE_POSITIONS} ({} places)", changes.noisy));
        }
        Delta {
            functions: changes.functions(),
            data: changes.data(),
            ignored,
            delta_information,
            delta_entropy,
        }
    }
}

/// Compares two indexes.
///
/// Functions are matched with and without names. A pair is unchanged where the instructions are equal
/// at T1, build noise set aside, and what they refer to corresponds under the matching.
pub fn diff(a: &Index, b: &Index) -> Delta {
    Comparison::of(a, b).delta()
}

/// Which functions a delta is about, by their numbers in the indexes.
pub(crate) struct Pairing {
    pub changed: Vec<(usize, usize)>,
    pub added: Vec<usize>,
    pub removed: Vec<usize>,
}

/// The functions that are not the same in two indexes.
pub(crate) fn pairing(a: &Index, b: &Index) -> Pairing {
    Comparison::of(a, b).changes().pairing()
}

/// Compares two files: [`diff`] of their indexes, and for each changed function what differs in words.
///
/// # Errors
/// [`DeltaError`](crate::DeltaError) where a reader refuses one of the files.
pub fn diff_files(a: &[u8], b: &[u8]) -> Result<Delta, crate::DeltaError> {
    let (module_a, module_b) = (Module::parse(a)?, Module::parse(b)?);
    let (index_a, index_b) = (Index::of(&module_a, Sha256::of(a)), Index::of(&module_b, Sha256::of(b)));
    Ok(diff_modules(&module_a, &module_b, &index_a, &index_b))
}

/// The same of modules that were read and lifted already.
pub fn diff_modules(a: &Module<'_>, b: &Module<'_>, index_a: &Index, index_b: &Index) -> Delta {
    let comparison = Comparison::of(index_a, index_b);
    let mut delta = comparison.delta();
    let names = explain::shared_names(index_a, index_b, &comparison.functions);
    explain::details(a, b, names, &mut delta);
    delta
}
