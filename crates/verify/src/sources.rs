//! Interpreted programs: what a run of one executed, and carrying it over at source level.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_delta::source::{
    Function, Language, Place, SourceRule, SourceRun, SourceTree, TreeEntry, Use, Watched, is_standard,
    prove_source,
};
use assay_evidence::{Sha256, TenantId};
use assay_witness::{
    Capsule, FileKind, Host, MapSource, ReplayRequest, RunReport, Runtime, RuntimeCoverage, SourcePlace,
    SubjectSlot, WatchedFile, runtime_coverage, runtime_of, tree,
};

use crate::carry::{CarryProof, Proven};
use crate::pipeline::Asked;
use crate::run::{SourceObservation, StoredRun};
use crate::{Verifier, VerifyError, VerifyResult, sql};

/// Replays once more under the runtime's own coverage; none where no interpreter runs.
pub(crate) fn observed(
    capsule: &Capsule,
    files: &MapSource,
    request: &ReplayRequest,
    host: &Host,
    plain: &RunReport,
) -> VerifyResult<Option<SourceObservation>> {
    if runtime_of(capsule).is_none() {
        return Ok(None);
    }
    Ok(Some(match runtime_coverage(capsule, files, request, host, plain)? {
        Ok(coverage) => SourceObservation::Covered(coverage),
        Err(uncovered) => SourceObservation::Uncovered { code: uncovered.code.to_owned() },
    }))
}

impl SourceObservation {
    /// Executed functions of the subject at `root`, as `path:name`.
    pub(crate) fn names(&self, capsule: &Capsule, root: &str) -> BTreeSet<String> {
        let Self::Covered(coverage) = self else { return BTreeSet::new() };
        let mut names = BTreeSet::new();
        for file in &coverage.files {
            let path = inside(capsule, &file.path);
            let Some(relative) = path.strip_prefix(root) else { continue };
            let executed = file.functions.iter().filter(|function| function.executed);
            names.extend(
                executed.map(|function| format!("{}:{}", relative.trim_start_matches('/'), function.name)),
            );
        }
        names
    }
}

/// A path that a runtime names, as it lies in the capsule.
fn inside(capsule: &Capsule, path: &str) -> String {
    if path.is_empty() || path.starts_with('<') {
        return path.to_owned();
    }
    let absolute =
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", capsule.working_directory) };
    capsule.resolve(&absolute).unwrap_or(absolute)
}

impl Verifier {
    /// Carries a run of an interpreted program over, or says why not.
    pub(crate) async fn carry_source(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        run: &StoredRun,
        source: &SourceObservation,
        trees: &mut Trees,
    ) -> VerifyResult<Proven> {
        let refused = |code: &str| Ok(Err(vec![code.to_owned()]));
        if run.environment != self.class()? {
            return refused("environment_differs");
        }
        if run.cut_off {
            return refused("run_was_cut_off");
        }
        let coverage = match source {
            SourceObservation::Covered(coverage) => coverage.clone(),
            SourceObservation::Uncovered { code } => return refused(code),
        };
        let ready = self.ready(tenant, &asked.witness.id).await?;
        let slot = ready.capsule.subjects.iter().find(|slot| slot.role == asked.witness.role).cloned();
        let Some(slot) = slot else { return refused("no_subject") };
        let (a, b) = (run.artifact, asked.target.digest);
        let Some([tree_a, tree_b]) = self.trees(tenant, trees, &slot).await? else {
            return refused("subject_does_not_fit");
        };
        let proven = tokio::task::spawn_blocking(move || {
            let run = source_run(&ready.capsule, &ready.files, &slot, coverage);
            let prove = |rule| prove_source((a, &tree_a), (b, &tree_b), &run, rule);
            let proven = prove(SourceRule::Files).or_else(|_| prove(SourceRule::Functions));
            let codes = |refusals: Vec<assay_delta::source::SourceRefusal>| {
                let codes: BTreeSet<String> =
                    refusals.iter().map(|refusal| sql::word(&refusal.reason)).collect();
                codes.into_iter().collect()
            };
            proven.map(|proof| Arc::new(CarryProof::Source(Box::new(proof)))).map_err(codes)
        });
        proven.await.map_err(|_| VerifyError::Stopped)
    }

    /// Both trees of a pair in a subject's place, read once for all runs that put them there.
    async fn trees(
        &self,
        tenant: &TenantId,
        trees: &mut Trees,
        slot: &SubjectSlot,
    ) -> VerifyResult<Option<[Arc<SourceTree>; 2]>> {
        // Of a slot, the tree depends on where a single file lies only.
        let place = slot.tree.is_none().then(|| slot.path.clone());
        if let Some(known) = trees.known.get(&place) {
            return Ok(known.clone());
        }
        let files = [
            self.store().blobs().local_file(tenant, &trees.pair.0).await?,
            self.store().blobs().local_file(tenant, &trees.pair.1).await?,
        ];
        let slot = slot.clone();
        let read = move || {
            let [a, b] = files.map(|file| source_tree(&file, &slot).map(Arc::new));
            Some([a?, b?])
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| VerifyError::Stopped)?;
        trees.known.insert(place, read.clone());
        Ok(read)
    }
}

/// The trees of two artifacts, by the single file's place that they were read for; none where they do
/// not fit.
pub(crate) struct Trees {
    pair: (Sha256, Sha256),
    known: BTreeMap<Option<String>, Option<[Arc<SourceTree>; 2]>>,
}

impl Trees {
    pub(crate) fn new(pair: (Sha256, Sha256)) -> Self {
        Self { pair, known: BTreeMap::new() }
    }
}

/// A run of an interpreted program as the proof needs it.
pub fn source_run(
    capsule: &Capsule,
    files: &MapSource,
    slot: &SubjectSlot,
    coverage: RuntimeCoverage,
) -> SourceRun {
    let language = match coverage.runtime {
        Runtime::Python => Language::Python,
        Runtime::Node => Language::JavaScript,
    };
    // A single file is a tree of one, in the folder that it lies in.
    let root = match slot.tree {
        Some(_) => slot.path.clone(),
        None => slot.path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()),
    };
    let library = library(&coverage, &root);
    let of_subject = |path: &String| slot.tree.is_some() || *path == slot.path;
    let mut functions: BTreeMap<String, BTreeSet<Function>> = BTreeMap::new();
    for file in &coverage.files {
        let known = functions.entry(inside(capsule, &file.path)).or_default();
        known.extend(file.functions.iter().map(function));
    }
    let uses = coverage.uses.into_iter().map(|used| Use {
        what: used.what,
        path: inside(capsule, &used.path),
        function: used.function,
        count: used.count,
    });
    let uses = uses.chain(options(capsule, language));
    let subject = format!("{root}/");
    let outside = functions.keys().filter(|path| !path.starts_with(&subject) || !of_subject(path));
    let outside = outside.filter(|path| !is_standard(path, library.as_deref()));
    SourceRun {
        language,
        version: coverage.version,
        outside: outside.filter_map(|path| Some((path.clone(), own_bytes(capsule, files, path)?))).collect(),
        watched: coverage.watched.into_iter().map(watched).collect(),
        script: script(capsule),
        library,
        root,
        functions,
        uses: uses.collect(),
        imports: coverage.imports.into_iter().collect(),
        looked_up: coverage.looked_up.into_iter().collect(),
        opened: coverage.opened.into_iter().filter(of_subject).collect(),
    }
}

fn watched(file: WatchedFile) -> (String, Watched) {
    let WatchedFile { path, opens, stats, clocks } = file;
    (path, Watched { opens, stats, clocks })
}

/// The program's own script: the first word of the command that is no option. Behind an option that is not
/// known it may be that option's, and then the run is not carried.
fn script(capsule: &Capsule) -> Option<String> {
    let word = capsule.command.iter().skip(1).find(|word| !word.starts_with('-') || *word == "-")?;
    let named = !capsule
        .command
        .iter()
        .take_while(|other| *other != word)
        .any(|other| other == "-m" || other == "-c");
    named.then(|| inside(capsule, word))
}

/// The folder of Python's own library, from which `encodings` is read before anything else; none where
/// another file could be that.
fn library(coverage: &RuntimeCoverage, root: &str) -> Option<String> {
    let folder = |path: &String| {
        let (folder, rest) = path.split_once("/encodings/")?;
        let is_init = rest == "__init__.py" || rest.starts_with("__pycache__/__init__.");
        is_init.then(|| folder.to_owned())
    };
    let folders: BTreeSet<String> = coverage.opened.iter().filter_map(folder).collect();
    let mut found = folders.into_iter();
    let one = found.next().filter(|_| found.next().is_none())?;
    let of_subject = format!("{one}/").starts_with(&format!("{root}/"));
    (!of_subject && one.contains("/lib/python3")).then_some(one)
}

/// Options of the runtime that are not known to leave what is compared as it is.
fn options(capsule: &Capsule, language: Language) -> Vec<Use> {
    const VARIABLES: [&str; 11] = [
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHASHSEED",
        "PYTHONUNBUFFERED",
        "PYTHONIOENCODING",
        "PYTHONUTF8",
        "PYTHONNOUSERSITE",
        "NODE_PATH",
        "NODE_ENV",
        "NODE_NO_WARNINGS",
    ];
    let known: &[&str] = match language {
        Language::Python => &["-B", "-E", "-I", "-P", "-S", "-s", "-u"],
        Language::JavaScript => &[],
    };
    let is_own = |name: &str| ["PYTHON", "NODE_", "V8_"].iter().any(|prefix| name.starts_with(prefix));
    let variables = capsule
        .environment
        .iter()
        .filter(|(name, value)| is_own(name) && !VARIABLES.contains(&name.as_str()) && !value.is_empty());
    let words = capsule
        .command
        .iter()
        .skip(1)
        .take_while(|word| word.starts_with('-') && *word != "-c" && *word != "-m");
    let words = words.filter(|word| !known.contains(&word.as_str()));
    let all = variables.map(|(name, _)| name.clone()).chain(words.cloned());
    all.map(|what| Use {
        what: format!("option {what}"),
        path: String::new(),
        function: String::new(),
        count: 1,
    })
    .collect()
}

fn function(covered: &assay_witness::CoveredFunction) -> Function {
    Function {
        place: match covered.place {
            SourcePlace::Line(line) => Place::Line(line),
            SourcePlace::Range { start, end } => Place::Range(start, end),
        },
        name: covered.name.rsplit('.').next().unwrap_or(&covered.name).to_owned(),
        executed: covered.executed,
    }
}

fn own_bytes(capsule: &Capsule, files: &MapSource, path: &str) -> Option<Vec<u8>> {
    match capsule.file(path)?.kind {
        FileKind::Regular { digest, .. } => std::fs::read(files.0.get(&digest)?).ok(),
        _ => None,
    }
}

/// The tree that an artifact is in its subject's place: a file, an archive or a folder.
pub fn source_tree(file: &Path, slot: &SubjectSlot) -> Option<SourceTree> {
    if slot.tree.is_none() {
        let name = slot.path.rsplit('/').next()?.to_owned();
        let bytes = std::fs::read(file).ok()?;
        return Some([(name, TreeEntry::File { bytes, executable: false })].into());
    }
    let mut all = SourceTree::new();
    if file.is_dir() {
        read_into(file, PathBuf::new(), &mut all)?;
        return Some(all);
    }
    let folder = tempfile::tempdir().ok()?;
    tree::unpack(file, folder.path()).ok()?;
    read_into(folder.path(), PathBuf::new(), &mut all)?;
    Some(all)
}

/// Everything below a folder that [`tree::unpack`] filled, whose depth and number it bounds.
fn read_into(root: &Path, below: PathBuf, all: &mut SourceTree) -> Option<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(root.join(&below)).ok()? {
        let entry = entry.ok()?;
        let path = below.join(entry.file_name());
        let meta = entry.path().symlink_metadata().ok()?;
        let kind = if meta.is_dir() {
            read_into(root, path.clone(), all)?;
            TreeEntry::Directory
        } else if meta.is_symlink() {
            TreeEntry::Link(std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned())
        } else {
            let bytes = std::fs::read(entry.path()).ok()?;
            TreeEntry::File { bytes, executable: meta.permissions().mode() & 0o111 != 0 }
        };
        all.insert(path.to_str()?.to_owned(), kind);
    }
    Some(())
}
