//! Carry-over: the proof that a run recorded on A is the run that B would make.
//!
//! # The argument
//! The proof is one mapping from A's code units and memory onto B's, built from what executed code
//! forces: the entry and the initialisers correspond, and wherever a corresponding instruction, slot
//! or unwind entry names an address in A, B's counterpart names an address, and the two are made to
//! correspond. The mapping must be a function and injective, on units and on bytes. Executed units
//! must be equal instruction by instruction with the same lengths; memory that is reached must be
//! equal byte by byte, and slot by slot where the loader relocates it.
//!
//! By induction over executed instructions a deterministic run under the [`Assumption`]s then is the
//! same run up to the mapping: each step executes a unit whose counterpart is equal, reads bytes
//! that are equal or addresses that correspond, and so writes, branches and calls correspondingly. A
//! unit that was not executed is only a name for an address: its body is free. Code outside every
//! unit traps while recording, so the executed set misses nothing.
//!
//! # Extent
//! A memory operand reaches exactly its own size. An address that is formed reaches the whole piece
//! (`pieces.rs`) it lies in, the one it may be the end of, and every piece that starts within
//! [`REACH_BYTES`](crate::limits::REACH_BYTES) after it, because loops are given bases before their
//! object. An address that is passed on whole, as the argument of a call or as a result, is a pointer of
//! the language and no biased base: it reaches its own piece only. So does one in an unnamed constant
//! that nothing else refers to: compilers emit no constant without a user, so that it is the one meant.
//! Unnamed constants are divided by who uses them (`anonymous.rs`).

mod bindings;
mod callees;
mod code;
mod contents;
mod flow;
mod loader;
mod memory;
mod names;
mod reach;
mod simulate;
mod unwind;

use assay_binary::{Address, DebugId};
use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::hash_unit;
use crate::index::NORMALISER_VERSION;
use crate::program::Program;

/// Which of A's code the recorded run executed.
#[derive(Clone, Copy, Debug)]
pub enum Executed<'a> {
    /// Everything: no run is known.
    All,
    /// The units that hold these addresses. Breakpoints on every
    /// [`Entry`](assay_binary::Entry) of every unit and traps in the gaps see them all; a split-off
    /// part runs with its unit. What the loader calls before the first breakpoint can be hit
    /// (resolvers of indirect functions) is added here, but not what a resolver calls.
    Units(&'a [Address]),
}

/// Why a run does not carry over. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// One of the files is no binary that is read.
    Unreadable,
    /// The full symbol table is missing, so units and objects are unknown.
    NoSymbols,
    /// Absolute addresses cannot be told from numbers.
    PositionDependent,
    /// The loader would write into code.
    TextRelocations,
    /// Executable memory holds something that is not code.
    ExecutableData,
    /// Two relocations share a slot, or one cuts an object's edge.
    RelocationsOverlap,
    /// A relocation of a kind that is not modelled.
    UnmodelledRelocation,
    /// An executed address is in no unit.
    ExecutedCodeUnknown,
    /// An executed function has no counterpart.
    ExecutedFunctionMissing,
    /// An executed function's own instructions differ.
    FunctionChanged,
    /// A reference leads elsewhere.
    ReferenceDiffers,
    /// A reference leads to nothing that is known.
    UnresolvedReference,
    /// An executed function jumps to where its tables do not say.
    UnresolvedIndirectJump,
    /// An executed function reads code as data.
    CodeReadAsData,
    /// Executed bytes cannot be decoded.
    UndecodableBytes,
    /// An executed function runs on into what follows it.
    FallsThrough,
    /// A jump table leads elsewhere.
    JumpTableDiffers,
    /// Memory that executed code reaches differs.
    DataDiffers,
    /// Executed code reaches memory whose meaning is not modelled.
    UnmodelledData,
    /// The correspondence is not one to one.
    MappingConflict,
    /// How an executed function unwinds differs.
    UnwindDiffers,
    /// Initialisers or finalisers differ in number, order or target.
    InitialisersDiffer,
    /// Imports differ.
    ImportsDiffer,
    /// Exports differ.
    ExportsDiffer,
    /// The libraries or the way they are found differ.
    LibrariesDiffer,
    /// Flags of the loader, the stack or the processor differ.
    FlagsDiffer,
    /// Thread-local memory differs.
    TlsDiffers,
    /// The loader would make other system calls for the segments.
    SegmentsDiffer,
    /// Things whose address is taken stand in another order.
    OrderMayBeObserved,
    /// Things whose address is taken stand elsewhere, and executed code may hash addresses.
    AddressesMayBeHashed,
    /// Executed code calls what tells a program about its own image.
    OwnImageMayBeObserved,
    /// The check would take longer than its bound.
    TooComplex,
}

impl std::fmt::Display for Reason {
    /// The stable code, as in JSON: `function_changed`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, letter) in format!("{self:?}").chars().enumerate() {
            if letter.is_ascii_uppercase() && index > 0 {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// One reason, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The stable code.
    pub reason: Reason,
    /// Function and address in A, or the part of the file.
    pub place: String,
    /// What a person wants to know besides.
    pub detail: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: {}", self.reason, self.place, self.detail)
    }
}

/// What the proof takes for granted; each is tested by replaying mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assumption {
    /// The program has no undefined behaviour in the run.
    NoUndefinedBehaviour,
    /// The run does not depend on the numbers its addresses are.
    AddressesNotObserved,
    /// The run does not depend on distances or the order of what the mapping moved.
    OrderNotObserved,
    /// The run does not read its own file, headers, symbols or code.
    OwnImageNotObserved,
    /// The run is deterministic given its capsule, and everything else in the capsule is the same.
    SameCapsuleAndRunner,
    /// A symbol's size is its object's size.
    SymbolSizesAreTrue,
    /// An address that code forms is of the object it lies in or ends, or of one that starts at
    /// most [`REACH_BYTES`](crate::limits::REACH_BYTES) after it.
    AddressesAreNearTheirObject,
    /// rustc's panic location records are objects of their own.
    PanicLocationRecordsAreSeparateObjects,
    /// In a run of unnamed constants another one begins at an address that nobody refers to who refers
    /// to anything before it in the run, and after a text with its zero where another text is referred
    /// to.
    AnonymousConstantsEndWhereOthersBegin,
    /// An unnamed constant that one address of one function alone refers to is what that address means.
    UnnamedConstantsHaveUsers,
    /// A distance between two objects is stored only in jump tables and 32-bit lookup tables that
    /// the reading function forms the address of.
    DistancesOnlyInTables,
    /// A function whose last instruction is a call does not return from it.
    FinalCallsDoNotReturn,
}

const ASSUMPTIONS: [Assumption; 12] = [
    Assumption::NoUndefinedBehaviour,
    Assumption::AddressesNotObserved,
    Assumption::OrderNotObserved,
    Assumption::OwnImageNotObserved,
    Assumption::SameCapsuleAndRunner,
    Assumption::SymbolSizesAreTrue,
    Assumption::AddressesAreNearTheirObject,
    Assumption::PanicLocationRecordsAreSeparateObjects,
    Assumption::AnonymousConstantsEndWhereOthersBegin,
    Assumption::UnnamedConstantsHaveUsers,
    Assumption::DistancesOnlyInTables,
    Assumption::FinalCallsDoNotReturn,
];

/// What is compared besides executed functions and the data they reach.
const COMPARED: [&str; 12] = [
    "executed_functions",
    "reached_data",
    "references",
    "unwind_and_exception_tables",
    "initialisers_and_finalisers",
    "indirect_function_resolvers",
    "imports",
    "exports",
    "libraries",
    "thread_local_template",
    "loader_flags",
    "segment_shape",
];

/// One of the two files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The digest of the file.
    pub sha256: Sha256,
    /// Its build id, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub debug_id: Option<DebugId>,
}

/// One executed function and its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionPair {
    /// Its name in A.
    pub name: String,
    /// Its entry in A.
    pub address_a: Address,
    /// Its entry in B.
    pub address_b: Address,
    /// Its exact hash, the same in both.
    pub hash: Sha256,
}

/// One range of memory that the run may reach, and its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataPair {
    /// Where it lies in A.
    pub address_a: Address,
    /// Where it lies in B.
    pub address_b: Address,
    /// Its size in bytes.
    pub size: u64,
}

/// The body of a `deltaProof` statement: every verdict of a run that executed only `executed` on A
/// holds on B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeltaProof {
    /// A: the file the run was recorded on.
    pub baseline: Artifact,
    /// B: the file it is carried to.
    pub candidate: Artifact,
    /// The version of the normaliser that made the hashes.
    pub normaliser_version: u32,
    /// The executed functions, by address in A.
    pub executed: Vec<FunctionPair>,
    /// How many functions that were not executed are referred to and correspond.
    pub referenced_functions: u64,
    /// The memory that corresponds, by address in A; ranges do not touch.
    pub data: Vec<DataPair>,
    /// What was compared.
    pub compared: Vec<String>,
    /// What is taken for granted.
    pub assumptions: Vec<Assumption>,
}

/// Tries to prove that a run which executed `executed` on `a` is the run `b` would make.
///
/// # Errors
/// Every reason found why it is not proven, sorted, at most
/// [`MAX_REFUSALS`](crate::limits::MAX_REFUSALS).
pub fn prove(a: &[u8], b: &[u8], executed: Executed<'_>) -> Result<DeltaProof, Vec<Refusal>> {
    Prover::read(a, b)?.prove(executed)
}

/// Two files, read and divided once for the proofs of many runs: reading them is most of what one proof
/// takes.
pub struct Prover<'data> {
    programs: [Program<'data>; 2],
    artifacts: [Artifact; 2],
    one_file: bool,
}

impl<'data> Prover<'data> {
    /// Reads both files.
    ///
    /// # Errors
    /// [`Reason::Unreadable`] of one of them.
    pub fn read(a: &'data [u8], b: &'data [u8]) -> Result<Self, Vec<Refusal>> {
        let read = |bytes, which: &str| {
            Program::read(bytes).map_err(|error| {
                vec![Refusal {
                    reason: Reason::Unreadable,
                    place: which.to_owned(),
                    detail: describe(&error),
                }]
            })
        };
        let programs = [read(a, "baseline")?, read(b, "candidate")?];
        let artifact = |bytes: &[u8], program: &Program<'_>| Artifact {
            sha256: Sha256::of(bytes),
            debug_id: program.image.debug_id().cloned(),
        };
        let artifacts = [artifact(a, &programs[0]), artifact(b, &programs[1])];
        Ok(Self { programs, artifacts, one_file: a == b })
    }

    /// As [`prove`], of the two files.
    ///
    /// # Errors
    /// As there.
    pub fn prove(&self, executed: Executed<'_>) -> Result<DeltaProof, Vec<Refusal>> {
        let [program_a, program_b] = &self.programs;
        let mapping = simulate::run(program_a, program_b, self.one_file, executed)?;
        let pair = |&(unit_a, unit_b): &(usize, usize)| {
            let unit = &program_a.map.units()[unit_a];
            FunctionPair {
                name: unit.name.clone(),
                address_a: unit.entry,
                address_b: program_b.map.units()[unit_b].entry,
                hash: hash_unit(program_a, unit_a),
            }
        };
        let [baseline, candidate] = self.artifacts.clone();
        Ok(DeltaProof {
            baseline,
            candidate,
            normaliser_version: NORMALISER_VERSION,
            executed: mapping.executed.iter().map(pair).collect(),
            referenced_functions: mapping.referenced,
            data: mapping.data,
            compared: COMPARED.map(str::to_owned).to_vec(),
            assumptions: ASSUMPTIONS.to_vec(),
        })
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What checking a proof found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// Executed functions that are unchanged.
    pub functions_unchanged: u64,
    /// Bytes of memory that correspond.
    pub data_bytes: u64,
}

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckError {
    /// The file is not the one the proof is about.
    #[error("{which} is {found}, the proof is about {expected}")]
    OtherFile {
        /// `baseline` or `candidate`.
        which: &'static str,
        /// The file's digest.
        found: Sha256,
        /// The proof's.
        expected: Sha256,
    },
    /// The proof was made by another version of the normaliser.
    #[error("the proof is of normaliser version {found}, this program has {expected}")]
    OtherVersion {
        /// The proof's version.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The two files do not give this proof.
    #[error("the proof cannot be derived from the two files")]
    NotDerivable {
        /// Why.
        refusals: Vec<Refusal>,
    },
    /// The two files give another proof.
    #[error("the proof says {what} otherwise than the two files")]
    Differs {
        /// The part that differs.
        what: &'static str,
    },
}

/// Derives the proof again from the two files alone and compares every word of it.
///
/// A proof holds for the executed functions it lists; whether a run executed more than those is for
/// the caller to compare with the witness's coverage.
///
/// # Errors
/// [`CheckError`]: the files are others, the version is another, or the proof does not follow.
pub fn check(proof: &DeltaProof, a: &[u8], b: &[u8]) -> Result<CheckReport, CheckError> {
    for (which, bytes, artifact) in [("baseline", a, &proof.baseline), ("candidate", b, &proof.candidate)] {
        let found = Sha256::of(bytes);
        if found != artifact.sha256 {
            return Err(CheckError::OtherFile { which, found, expected: artifact.sha256 });
        }
    }
    if proof.normaliser_version != NORMALISER_VERSION {
        return Err(CheckError::OtherVersion {
            found: proof.normaliser_version,
            expected: NORMALISER_VERSION,
        });
    }
    let executed: Vec<Address> = proof.executed.iter().map(|pair| pair.address_a).collect();
    let again =
        prove(a, b, Executed::Units(&executed)).map_err(|refusals| CheckError::NotDerivable { refusals })?;
    let differs = |what| Err(CheckError::Differs { what });
    match () {
        () if again.executed != proof.executed => differs("executed functions"),
        () if again.data != proof.data => differs("data"),
        () if again.assumptions != proof.assumptions => differs("assumptions"),
        () if again != *proof => differs("something"),
        () => Ok(CheckReport {
            functions_unchanged: again.executed.len() as u64,
            data_bytes: again.data.iter().map(|pair| pair.size).sum(),
        }),
    }
}
