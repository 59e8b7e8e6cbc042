//! Carry-over of interpreted programs: the proof at source level.
//!
//! [`SourceRule::Files`] is what the pipeline acts on: everything that the run looked at is the same byte
//! by byte. What follows is the argument of [`SourceRule::Functions`], which is measured only; holes that a
//! review found in it are in `docs/carry-over.md`.
//!
//! # The argument
//! A is the tree that was run and B another tree for its place; the runtime, its libraries, command,
//! environment and every other file are the same bytes. A run can differ only from where it first gets
//! something else from B than from A: the bytes of a file that it opens, a name that it looks up or finds
//! in a listing, or a size. So every file that was opened is there in both; where its bytes differ it is a
//! source that the runtime compiled, and its token stream (`lex.rs`) is the same in the module's own code
//! and in every function that was executed. A function that was not executed is only created: what can be
//! seen of it then (name, parameters, defaults, decorators, annotations, documentation, whether it is a
//! generator) is the same, and its body is free. Names that are only in one of the trees were neither looked
//! up nor could an import have found them.
//!
//! What a program can learn of a source besides what it does (line numbers, its text, its size, the time
//! that passed while it was read) is either not asked for, as the runtime's own coverage and the tokens of
//! everything executed show, or the run does not carry. What remains is named in [`SourceAssumption`].
//! Evaluated code is the same text in both runs, because what makes it is the same.

mod compiles;
mod javascript;
mod lex;
mod prove;
mod python;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use lex::MAX_SOURCE_BYTES;
pub use prove::{SourceRule, prove_source};
pub use python::is_standard;

/// The version of the normal form; proofs of another one are not compared.
pub const SOURCE_NORMALISER_VERSION: u32 = 1;

/// A language that is compared at source level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Python 3, as CPython runs it.
    Python,
    /// JavaScript, as Node.js runs it.
    #[serde(rename = "javascript")]
    JavaScript,
}

/// What lies at a path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link with its text.
    Link(String),
}

/// A package's tree, by path below its root.
pub type SourceTree = BTreeMap<String, TreeEntry>;

/// Where a function stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Its first line, the first being 1 (Python).
    Line(u32),
    /// Its UTF-16 code units (JavaScript).
    Range(u32, u32),
}

/// A function that a runtime's coverage tells about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Where it stands.
    pub place: Place,
    /// Its name; the last part where it is qualified.
    pub name: String,
    /// Whether it was executed.
    pub executed: bool,
}

/// Something that the program asked of its runtime: what, and the file and function that asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// As the runner names it.
    pub what: String,
    /// The file, where it is known.
    pub path: String,
    /// The function, where it is known.
    pub function: String,
    /// How often, where it is counted.
    pub count: u64,
}

/// A run on A, as far as the proof needs it. Paths are those inside the capsule.
#[derive(Clone, Debug)]
pub struct SourceRun {
    /// The language.
    pub language: Language,
    /// The runtime's version.
    pub version: String,
    /// Where the tree lies.
    pub root: String,
    /// Executed functions by file.
    pub functions: BTreeMap<String, BTreeSet<Function>>,
    /// What was asked of the runtime.
    pub uses: Vec<Use>,
    /// Names of modules that were looked for (Python).
    pub imports: BTreeSet<String>,
    /// Paths that were looked up.
    pub looked_up: BTreeSet<String>,
    /// Files that were opened.
    pub opened: BTreeSet<String>,
    /// Executed sources outside the tree, the program's own script among them: the same in both runs.
    pub outside: BTreeMap<String, Vec<u8>>,
}

/// Why a run does not carry over at source level. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceReason {
    /// A source cannot be read without doubt.
    SourceUnreadable,
    /// A function that was executed is in no source that was read.
    ExecutedCodeUnknown,
    /// An executed function's tokens differ.
    SourceDiffers,
    /// A module's own code differs: its statements, their order, a signature, a class body.
    ModuleCodeDiffers,
    /// What can be seen of a function that was not executed differs.
    SignatureDiffers,
    /// A file that was opened is not there.
    OpenedFileMissing,
    /// A file that was opened and is no source has other bytes.
    DataDiffers,
    /// An extension module has other bytes.
    NativeModuleDiffers,
    /// The trees have other names, where the run could see it.
    FileSetDiffers,
    /// The program asked for line numbers, stacks or the text of its sources.
    Introspection,
    /// The program read its own source.
    SourceReadAsData,
    /// The program asked for sizes or times of files.
    SizesObserved,
    /// The program read a clock: a source of another size may take another number of events to read.
    ClockRead,
    /// A finaliser may run when memory is reclaimed.
    FinalisersRun,
    /// The program made another realm, worker or process.
    OtherRealm,
    /// A body that was not executed may not compile, or may be compiled with a warning.
    MayNotCompile,
}

impl std::fmt::Display for SourceReason {
    /// The stable code, as in JSON: `source_differs`.
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
pub struct SourceRefusal {
    /// The stable code.
    pub reason: SourceReason,
    /// The file, and the function of it.
    pub place: String,
    /// What a person wants to know besides.
    pub detail: String,
}

impl std::fmt::Display for SourceRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: {}", self.reason, self.place, self.detail)
    }
}

/// What a proof at source level takes for granted; each is tested by replaying mutants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceAssumption {
    /// The run is deterministic given its capsule, and everything else in the capsule is the same.
    SameCapsuleAndRunner,
    /// The run does not depend on the addresses of its objects. The observed replay moved them, and
    /// showed the same.
    AddressesNotObserved,
    /// The run does not depend on when the runtime reclaims memory or compiles code.
    CollectionTimeNotObserved,
    /// Timers of the run are further apart than reading its sources takes.
    TimersFarApart,
    /// The program does not tamper with its runtime's coverage.
    CoverageNotTampered,
    /// What runs while the interpreter is torn down ran before.
    TeardownRunsNothingNew,
    /// Bodies that were not executed compile in B without a warning, past what is checked.
    UnexecutedBodiesCompile,
}

/// How a file that was opened compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameBy {
    /// The same bytes.
    Bytes,
    /// The same tokens in everything that was executed.
    Tokens,
    /// The same fields that Node's resolver reads (`package.json`).
    ResolverFields,
}

/// One file that was opened, and its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilePair {
    /// Its path below the root.
    pub path: String,
    /// Its digest in A.
    pub baseline: Sha256,
    /// Its digest in B.
    pub candidate: Sha256,
    /// How they compare.
    pub same_by: SameBy,
    /// Executed functions that were compared, by name and digest of their tokens.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub functions: Vec<(String, Sha256)>,
    /// Bodies that were not executed and differ.
    pub free_bodies: u64,
}

/// The body of a `deltaProof` statement at source level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceProof {
    /// A's artifact.
    pub baseline: Sha256,
    /// B's artifact.
    pub candidate: Sha256,
    /// The language.
    pub language: Language,
    /// The runtime's version.
    pub runtime_version: String,
    /// The version of the normal form.
    pub source_normaliser_version: u32,
    /// Every file of the tree that was opened, sorted by path.
    pub files: Vec<FilePair>,
    /// Paths that only one of the trees has, which the run could not see.
    pub unseen_paths: u64,
    /// What was compared.
    pub compared: Vec<String>,
    /// What is taken for granted.
    pub assumptions: Vec<SourceAssumption>,
}
