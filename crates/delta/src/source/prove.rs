//! The check itself: files, names, tokens and what the run asked for.

use std::collections::{BTreeMap, BTreeSet};

use assay_evidence::Sha256;

use super::bodies::{Functions, functions, text, words};
use super::lines::compare;
use super::{
    FilePair, Function, Language, SOURCE_NORMALISER_VERSION, SameBy, SourceAssumption, SourceProof,
    SourceReason, SourceRefusal, SourceRun, SourceTree, TreeEntry, javascript, python,
};

/// Most reasons that are told.
const MAX_REFUSALS: usize = 64;

const COMPARED: [&str; 6] = [
    "opened_files",
    "every_byte_but_bodies_that_did_not_run",
    "what_is_seen_of_these",
    "names_looked_up",
    "names_an_import_could_find",
    "introspection_positions_sizes_and_clocks",
];

const ASSUMPTIONS: [SourceAssumption; 5] = [
    SourceAssumption::SameCapsuleAndRunner,
    SourceAssumption::AddressesNotObserved,
    SourceAssumption::CollectionTimeNotObserved,
    SourceAssumption::CoverageNotTampered,
    SourceAssumption::MessagesQuoteNoFunction,
];

/// What of the files is taken for granted, where the files are all that is compared.
const ASSUMPTIONS_OF_FILES: [SourceAssumption; 2] =
    [SourceAssumption::SameCapsuleAndRunner, SourceAssumption::CoverageNotTampered];
const COMPARED_FILES: [&str; 3] = ["opened_files", "files_looked_up", "listed_directories"];

/// How much two trees may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRule {
    /// In what the run neither opened nor looked up nor listed. That is seen by the runner from outside,
    /// system call by system call; what was looked up, in the replay that takes the coverage.
    Files,
    /// Besides, in the bodies of functions that did not run. It rests on coverage that is taken within the
    /// program's process.
    Functions,
}

/// Tries to prove that the run on `a` is the run that `b` would make in its place.
///
/// # Errors
/// Every reason found why it is not proven, sorted, at most 64.
pub fn prove_source(
    (digest_a, a): (Sha256, &SourceTree),
    (digest_b, b): (Sha256, &SourceTree),
    run: &SourceRun,
    rule: SourceRule,
) -> Result<SourceProof, Vec<SourceRefusal>> {
    let mut prover = Prover { a, b, run, rule, files: Vec::new(), refusals: BTreeSet::new(), moved: false };
    let unseen = prover.names();
    let changed = prover.opened();
    prover.untouched(&changed);
    if rule == SourceRule::Functions && !changed.is_empty() {
        prover.asked(&changed);
    }
    if !prover.refusals.is_empty() {
        return Err(prover.refusals.into_iter().take(MAX_REFUSALS).collect());
    }
    Ok(SourceProof {
        baseline: digest_a,
        candidate: digest_b,
        language: run.language,
        runtime_version: run.version.clone(),
        source_normaliser_version: SOURCE_NORMALISER_VERSION,
        files: prover.files,
        unseen_paths: unseen,
        compared: match rule {
            SourceRule::Files => COMPARED_FILES.map(str::to_owned).to_vec(),
            SourceRule::Functions => COMPARED.map(str::to_owned).to_vec(),
        },
        assumptions: match rule {
            SourceRule::Files => ASSUMPTIONS_OF_FILES.to_vec(),
            SourceRule::Functions => ASSUMPTIONS.to_vec(),
        },
    })
}

/// A path's beginnings, each as its words say, the whole path last: `/p/a`, `/p` for `/p/a/..`.
fn steps(path: &str) -> Vec<String> {
    let (mut at, mut all) = (Vec::new(), Vec::new());
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => drop(at.pop()),
            part => at.push(part),
        }
        all.push(format!("/{}", at.join("/")));
    }
    all
}

struct Prover<'a> {
    a: &'a SourceTree,
    b: &'a SourceTree,
    run: &'a SourceRun,
    rule: SourceRule,
    files: Vec<FilePair>,
    refusals: BTreeSet<SourceRefusal>,
    /// Whether executed code stands on other lines.
    moved: bool,
}

impl<'a> Prover<'a> {
    fn refuse(&mut self, reason: SourceReason, place: &str, detail: impl Into<String>) {
        self.refusals.insert(SourceRefusal { reason, place: place.to_owned(), detail: detail.into() });
    }

    /// Refuses what only one of the trees has where the run could see that; how many paths it could not.
    fn names(&mut self) -> u64 {
        let (shapes_a, shapes_b) = (shapes(self.a), shapes(self.b));
        let all: BTreeSet<&String> = shapes_a.keys().chain(shapes_b.keys()).collect();
        let differing: Vec<&String> =
            all.into_iter().filter(|path| shapes_a.get(*path) != shapes_b.get(*path)).collect();
        let links = shapes_a.values().chain(shapes_b.values()).any(|shape| matches!(shape, Shape::Link(_)));
        for path in &differing {
            if let Some(how) = self.seen(path, links) {
                self.refuse(SourceReason::FileSetDiffers, path, how);
            }
        }
        differing.len() as u64
    }

    /// Refuses every difference in what the run opened, looked up or listed, but for what is compared closer.
    fn untouched(&mut self, changed: &[&str]) {
        let closer = self.rule == SourceRule::Functions;
        for path in changed.iter().filter(|_| !closer) {
            self.refuse(SourceReason::SourceDiffers, path, "it was opened, and its bytes differ");
        }
        let (shapes_a, shapes_b) = (shapes(self.a), shapes(self.b));
        let names: BTreeSet<&str> = shapes_a.keys().chain(shapes_b.keys()).map(String::as_str).collect();
        let links = shapes_a.values().chain(shapes_b.values()).any(|shape| matches!(shape, Shape::Link(_)));
        let looked_at = || self.run.looked_up.iter().chain(&self.run.opened);
        // What is on the way to a path decides too: a name that is missing, or that is no directory.
        let traversed: BTreeSet<String> = looked_at().flat_map(|path| steps(path)).collect();
        let full = looked_at().filter_map(|path| steps(path).pop());
        let reached: BTreeSet<String> = full.chain(looked_at().cloned()).collect();
        for path in names {
            let same_name = shapes_a.get(path) == shapes_b.get(path);
            let compared = closer && changed.contains(&path);
            if same_name && (compared || bytes(self.a, path) == bytes(self.b, path)) {
                continue;
            }
            let inside = |path: &str| match path {
                "" => self.run.root.clone(),
                path => format!("{}/{path}", self.run.root),
            };
            let touched = |path: &str| reached.contains(&inside(path));
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            // A listing numbers and orders what is in a directory; links lead anywhere by other names.
            let on_a_way = traversed.contains(&inside(path));
            if links || touched(path) || !same_name && (on_a_way || touched(folder)) {
                self.refuse(SourceReason::FileSetDiffers, path, "it, or where it lies, was looked at");
            }
        }
    }

    /// How the run could see that a path is there, or what it is.
    fn seen(&self, path: &str, links: bool) -> Option<String> {
        let inside = format!("{}/{path}", self.run.root);
        if self.run.looked_up.contains(&inside) || self.run.opened.contains(&inside) {
            return Some("it was looked up".to_owned());
        }
        // A name may be reached by another way; where there are links nobody knows all ways.
        let name = path.rsplit('/').next().unwrap_or(path);
        if links && self.run.looked_up.iter().any(|looked| looked.rsplit('/').next() == Some(name)) {
            return Some("its name was looked up, and the tree has links".to_owned());
        }
        match self.run.language {
            Language::Python => {
                let stem = name.split('.').next().unwrap_or(name);
                if self.run.imports.iter().any(|import| import.rsplit('.').next() == Some(stem)) {
                    return Some(format!("a module `{stem}` was looked for"));
                }
                let lists = self.run.uses.iter().find(|used| {
                    used.what.starts_with("list ")
                        || matches!(used.what.as_str(), "audit os.scandir" | "audit glob.glob")
                });
                lists.map(|used| format!("{} lists directories", used.path))
            }
            Language::JavaScript => {
                javascript::lists(self.run).then(|| "the program lists directories".to_owned())
            }
        }
    }

    /// Compares what was opened; the paths whose bytes differ.
    fn opened(&mut self) -> Vec<&'a str> {
        let root = format!("{}/", self.run.root);
        let mut changed = Vec::new();
        for inside in &self.run.opened {
            let Some(path) = inside.strip_prefix(&root) else { continue };
            let (Some(bytes_a), Some(bytes_b)) = (bytes(self.a, path), bytes(self.b, path)) else {
                // A directory that was opened to be listed is no file; its names are compared.
                if !is_directory(self.a, path) || !is_directory(self.b, path) {
                    self.refuse(SourceReason::OpenedFileMissing, path, "it is not in both trees");
                }
                continue;
            };
            if bytes_a == bytes_b {
                self.pair(path, bytes_a, bytes_b, SameBy::Bytes, Vec::new(), false);
            } else {
                changed.push(path);
                if self.rule == SourceRule::Functions {
                    self.changed(path, inside, bytes_a, bytes_b);
                }
            }
        }
        changed
    }

    fn pair(
        &mut self,
        path: &str,
        bytes_a: &[u8],
        bytes_b: &[u8],
        same_by: SameBy,
        free_bodies: Vec<String>,
        moved: bool,
    ) {
        let (baseline, candidate) = (Sha256::of(bytes_a), Sha256::of(bytes_b));
        self.files.push(FilePair { path: path.to_owned(), baseline, candidate, same_by, free_bodies, moved });
    }

    fn changed(&mut self, path: &str, inside: &str, bytes_a: &[u8], bytes_b: &[u8]) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_native = name.ends_with(".so") || name.ends_with(".node") || name.contains(".so.");
        if self.run.functions.contains_key(inside) {
            self.source(path, inside, bytes_a, bytes_b);
        } else if is_native {
            self.refuse(SourceReason::NativeModuleDiffers, path, "an extension module");
        } else if name == "package.json" && self.is_only_resolved() {
            let same = javascript::resolver_fields(bytes_a).zip(javascript::resolver_fields(bytes_b));
            if same.is_some_and(|(a, b)| a == b) {
                self.pair(path, bytes_a, bytes_b, SameBy::ResolverFields, Vec::new(), false);
            } else {
                self.refuse(SourceReason::DataDiffers, path, "fields that the resolver reads differ");
            }
        } else {
            self.refuse(SourceReason::DataDiffers, path, "it was opened and no code of it ran");
        }
    }

    fn is_only_resolved(&self) -> bool {
        self.run.language == Language::JavaScript
            && !javascript::loads_json(self.run)
            && !javascript::reads_files(self.run)
    }

    fn source(&mut self, path: &str, inside: &str, bytes_a: &[u8], bytes_b: &[u8]) {
        let language = self.run.language;
        let (a, b) = match (text(bytes_a, language), text(bytes_b, language)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(why), _) | (_, Err(why)) => {
                return self.refuse(SourceReason::SourceUnreadable, path, why.to_string());
            }
        };
        let Some(covered) = self.run.functions.get(inside) else { return };
        let began = |function: &Function| function.executed && function.name == "<module>";
        if language == Language::Python && !covered.iter().any(began) {
            return self.refuse(SourceReason::ExecutedCodeUnknown, path, "its own code was not seen to run");
        }
        let functions = match functions(a, language, covered) {
            Ok(functions) => functions,
            Err(why) => return self.refuse(SourceReason::SourceUnreadable, path, why.to_string()),
        };
        match compare(a, b, &functions) {
            Err((reason, detail)) => self.refuse(reason, path, detail),
            Ok(compared) => {
                self.moved |= compared.moved;
                self.pair(path, bytes_a, bytes_b, SameBy::Executed, compared.changed, compared.moved);
            }
        }
        self.watched(path, inside);
        if language == Language::Python && self.compiled_beside(path) {
            self.refuse(SourceReason::DataDiffers, path, "its compiled form was read or written");
        }
    }

    /// Refuses what was asked of a source beyond what its loader makes, as the runner counted.
    fn watched(&mut self, path: &str, inside: &str) {
        let Some(watched) = self.run.watched.get(inside) else {
            return self.refuse(SourceReason::ExecutedCodeUnknown, path, "the runner lost count");
        };
        let is_script = self.run.script.as_deref() == Some(inside);
        let (opens, stats) = match self.run.language {
            Language::Python => python::loads(is_script),
            Language::JavaScript => (1, u64::MAX),
        };
        if watched.opens > opens {
            let detail =
                format!("it was opened {} times, and its loader opens it {opens} times", watched.opens);
            self.refuse(SourceReason::SourceReadAsData, path, detail);
        }
        if watched.stats > stats {
            let detail = format!("it was asked for {} times, by its loader {stats} times", watched.stats);
            self.refuse(SourceReason::SizesObserved, path, detail);
        }
        // V8 stamps the coverage that the observer takes by the same call as its dates: those are found by
        // words and by what ran inside Node.
        let is_observers =
            |clock: &String| self.run.language == Language::JavaScript && clock == "gettimeofday";
        for clock in watched.clocks.iter().filter(|clock| !is_observers(clock)) {
            self.refuse(SourceReason::ClockRead, path, format!("{clock} behind its first opening"));
        }
    }

    /// Whether the compiled form of a Python source was opened.
    fn compiled_beside(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = name.strip_suffix(".py").unwrap_or(name);
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let prefix = format!("{}/{folder}__pycache__/{stem}.", self.run.root);
        let beside = format!("{}/{folder}{stem}.pyc", self.run.root);
        let mut after = self.run.opened.range(prefix.clone()..);
        self.run.opened.contains(&beside) || after.next().is_some_and(|first| first.starts_with(&prefix))
    }

    /// What the run asked for that a source of other bytes would answer otherwise.
    fn asked(&mut self, changed: &[&str]) {
        let found = match self.run.language {
            Language::Python => python::refusals(self.run, changed, self.moved),
            Language::JavaScript => javascript::refusals(self.run, self.moved),
        };
        self.refusals.extend(found);
        for (inside, covered) in &self.run.functions {
            let relative = inside.strip_prefix(&format!("{}/", self.run.root));
            let own = relative.and_then(|path| bytes(self.a, path));
            let Some(bytes) = own.or_else(|| self.run.outside.get(inside).map(Vec::as_slice)) else {
                let standard = python::is_standard(inside, self.run.library.as_deref());
                let runtimes = inside.starts_with("node:") || standard || inside.starts_with('<');
                if !runtimes {
                    self.refuse(SourceReason::SourceUnreadable, inside, "what it asks for is not known");
                }
                continue;
            };
            let Ok(source) = text(bytes, self.run.language) else {
                self.refuse(SourceReason::SourceUnreadable, inside, "what it asks for is not known");
                continue;
            };
            // Where its functions are not found, all of the source counts.
            let functions = functions(source, self.run.language, covered).ok();
            self.asks(inside, source, functions.as_ref());
        }
    }

    /// Refuses words in whatever may have run that lead to positions, texts or times.
    fn asks(&mut self, path: &str, source: &str, functions: Option<&Functions>) {
        let idle = functions.map(|functions| functions.idle.as_slice()).unwrap_or_default();
        let mut at = 0;
        let ends =
            idle.iter().map(|idle| (idle.lines.start, idle.lines.end)).chain([(source.len(), source.len())]);
        for (end, next) in ends {
            let piece = &source[at..end];
            let commented = |line: &&str| !line.trim_start().starts_with('#');
            let whole;
            let piece = match self.run.language {
                Language::Python => {
                    whole = piece.split('\n').filter(commented).collect::<Vec<_>>().join("\n");
                    whole.as_str()
                }
                Language::JavaScript => piece,
            };
            for word in words(piece) {
                let reason = match self.run.language {
                    Language::Python => python::of_word(word, piece, self.moved),
                    Language::JavaScript => javascript::of_word(word, piece, self.moved),
                };
                if let Some(reason) = reason {
                    self.refuse(reason, path, word);
                }
            }
            at = next;
        }
    }
}

/// What a path is, without a file's bytes.
#[derive(Debug, PartialEq, Eq)]
enum Shape<'a> {
    Directory,
    File { executable: bool },
    Link(&'a str),
}

/// Every path of a tree, directories that only files name included.
fn shapes(tree: &SourceTree) -> BTreeMap<String, Shape<'_>> {
    let mut all = BTreeMap::new();
    for (path, entry) in tree {
        for (at, _) in path.match_indices('/') {
            all.entry(path[..at].to_owned()).or_insert(Shape::Directory);
        }
        let shape = match entry {
            TreeEntry::Directory => Shape::Directory,
            TreeEntry::File { executable, .. } => Shape::File { executable: *executable },
            TreeEntry::Link(target) => Shape::Link(target),
        };
        all.insert(path.clone(), shape);
    }
    all
}

fn bytes<'t>(tree: &'t SourceTree, path: &str) -> Option<&'t [u8]> {
    match tree.get(path)? {
        TreeEntry::File { bytes, .. } => Some(bytes),
        _ => None,
    }
}

fn is_directory(tree: &SourceTree, path: &str) -> bool {
    let below = format!("{path}/");
    matches!(tree.get(path), Some(TreeEntry::Directory))
        || tree.range(below.clone()..).next().is_some_and(|(first, _)| first.starts_with(&below))
}
