//! Carry-over of interpreted programs: the proof at source level.
//!
//! # The argument
//! A is the tree that was run and B another tree for its place; the runtime, its libraries, command,
//! environment and every other file are the same bytes. A run can differ only from where it first gets
//! something else from B than from A: the bytes of a file that it opens, a name that it looks up or finds
//! in a listing, or a size. So every file that was opened is there in both; where its bytes differ it is a
//! source that the runtime compiled.
//!
//! *What may differ in it.* Whole lines in the interior of functions that were not executed, as the runtime's
//! own coverage says, nothing in them executed either ([`bodies`]). Every other byte is the same: all code
//! that ran, comments, blank lines, signatures, decorators, the line of an opening and of a closing brace. No
//! line that holds a byte of executed code differs, and the column of nothing changes ([`lines`]).
//!
//! *What the rest can see of such a function without calling it* is what its compiler makes of it. Both texts
//! are recognised by a small grammar ([`subset`]): they compile, without a warning, and leave the compiler
//! in the state in which they found it. Documentation, whether it is a generator, whether it asks for its
//! class, directives and captured variables are the same. Python's functions within functions, whose names
//! change the cells of executed code, are never free.
//!
//! *Its bytes and its size* are asked for by the loader only: the runner counts from outside how often each
//! file was opened and its status answered, by whatever name, and the loader does so a known number of times.
//!
//! *Its code or text can be asked for*: attributes that lead to a code object are reported by CPython's audit
//! hooks, V8's `toString` by the observer; words that lead there in any code that may have run, native
//! modules, and options of the runtime that are not known refuse the run.
//!
//! *Positions.* Columns never change. Where lines do, because a body has more or fewer of them, a run
//! that shows a stack, a warning or an uncaught exception, or names an attribute that holds a line, is
//! refused.
//!
//! *Time.* Virtual time counts events, and reading or compiling another text may take another number of
//! them: a run that reads a clock or sets a timer is refused. The runner sees every clock but the monotonic
//! one, which runtimes read for themselves; that one is found by what was called, and by words. Memory is not compared; what is taken for
//! granted of it is in [`SourceAssumption`], and perturbed replays of every witness test it.
//!
//! [`SourceRule::Files`] asks for less trust: everything that the run looked at is the same byte by byte.

mod bodies;
mod javascript;
mod lines;
mod prove;
mod python;
mod subset;

use std::collections::{BTreeMap, BTreeSet};

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bodies::MAX_SOURCE_BYTES;
pub use prove::{SourceRule, prove_source};
pub use python::is_standard;

/// The version of the normal form; proofs of another one are not compared.
pub const SOURCE_NORMALISER_VERSION: u32 = 2;

/// The lines of a source, as bytes, that may differ by [`SourceRule::Functions`]: interiors of functions that
/// did not run. None where it is not read.
pub fn idle_lines(
    source: &[u8],
    language: Language,
    covered: &BTreeSet<Function>,
) -> Vec<std::ops::Range<usize>> {
    let found = bodies::text(source, language).and_then(|text| bodies::functions(text, language, covered));
    found.map(|found| found.idle.into_iter().map(|idle| idle.lines).collect()).unwrap_or_default()
}

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

/// What the runner saw of a file, call by call, whoever in the process asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// How often it was opened.
    pub opens: u64,
    /// How often its size and times were answered.
    pub stats: u64,
    /// Calls behind its first opening that have to do with time.
    pub clocks: Vec<String>,
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
    /// What the runner saw of every file that was opened; of a file that is not in it nothing is known.
    pub watched: BTreeMap<String, Watched>,
    /// The program's own script, where it is named by its path.
    pub script: Option<String>,
    /// The folder of the runtime's own library, where there is no doubt (Python).
    pub library: Option<String>,
}

/// Why a run does not carry over at source level. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceReason {
    /// A source cannot be read without doubt.
    SourceUnreadable,
    /// A module's own code was not seen to run.
    ExecutedCodeUnknown,
    /// A line differs that is in no body of a function that did not run.
    SourceDiffers,
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
    /// A body that was not executed is not recognised: it may not compile, or with a warning.
    MayNotCompile,
    /// Native code was loaded, which may look at functions without being seen.
    NativeCode,
    /// The runtime has a version or was given an option that is not known.
    RuntimeUnknown,
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
    /// The run does not depend on the addresses of its objects, nor on which of two equal texts is the same
    /// object. The observed replay moved them, and showed the same.
    AddressesNotObserved,
    /// The run does not depend on when the runtime reclaims memory or compiles code.
    CollectionTimeNotObserved,
    /// The program does not tamper with its runtime's coverage, nor do otherwise because it is observed.
    CoverageNotTampered,
    /// No message of an error that V8 makes itself quotes the text of a function that did not run (it does so
    /// where one is extended, frozen or iterated over by mistake).
    MessagesQuoteNoFunction,
}

/// How a file that was opened compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameBy {
    /// The same bytes.
    Bytes,
    /// The same bytes, but for bodies of functions that were not executed.
    Executed,
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
    /// Functions that were not executed and whose bodies differ, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub free_bodies: Vec<String>,
    /// Whether code that was executed stands on other lines.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub moved: bool,
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
