//! Laying the observer into a capsule's view.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use assay_evidence::Sha256;
use tempfile::TempDir;

use super::{Runtime, Uncovered, runtime_of};
use crate::capsule::{Capsule, CapsuleFile, FileKind};
use crate::error::WitnessError;
use crate::replay::read_blob;
use crate::report::{Ending, RunReport};
use crate::source::FileSource;

const PYTHON_HOOK: &str = include_str!("python_hook.py");
const NODE_HOOK: &str = include_str!("node_hook.cjs");
/// Where Node's observer lies.
const NODE_PLACE: &str = "/.assay-observer.cjs";
/// The extension module with CPython's profiler, where it is not built in.
const PROFILER: &str = "_lsprof.";

/// A capsule with an observer in it.
pub(super) struct Laid {
    pub runtime: Runtime,
    pub capsule: Capsule,
    pub files: Own,
    pub nonce: String,
}

/// The observer's own bytes.
pub(super) struct Own {
    files: BTreeMap<Sha256, PathBuf>,
    _folder: TempDir,
}

/// A source with the observer's bytes beside it.
pub(super) struct Beside<'a> {
    pub under: &'a dyn FileSource,
    pub own: Own,
}

impl FileSource for Beside<'_> {
    fn path(&self, digest: &Sha256) -> io::Result<PathBuf> {
        match self.own.files.get(digest) {
            Some(path) => Ok(path.clone()),
            None => self.under.path(digest),
        }
    }
}

/// The capsule with the observer that its runtime takes.
pub(super) fn observer(
    capsule: &Capsule,
    source: &dyn FileSource,
    plain: &RunReport,
) -> Result<Result<Laid, Uncovered>, WitnessError> {
    let Some(runtime) = runtime_of(capsule) else {
        return Ok(Err(Uncovered::new("no_such_runtime", "the command is no Python and no Node")));
    };
    if !matches!(plain.ending, Ending::Exited { .. }) {
        return Ok(Err(Uncovered::new("ended_early", "the runtime writes its coverage only when it exits")));
    }
    let folder = TempDir::new().map_err(WitnessError::sandbox("making a temporary directory"))?;
    let nonce = Sha256::of(plain.trace_digest.to_string().as_bytes()).hex()[..32].to_owned();
    let mut laid = Laid {
        runtime,
        capsule: capsule.clone(),
        files: Own { files: BTreeMap::new(), _folder: folder },
        nonce,
    };
    let done = match runtime {
        Runtime::Python => laid.python(source, plain)?,
        Runtime::Node => laid.node()?,
    };
    Ok(done.map(|()| laid))
}

impl Laid {
    /// `sitecustomize` of the standard library: what lay there follows the observer.
    fn python(
        &mut self,
        source: &dyn FileSource,
        plain: &RunReport,
    ) -> Result<Result<(), Uncovered>, WitnessError> {
        let Some(library) = standard_library(plain) else {
            return Ok(Err(Uncovered::new("no_standard_library", "no `encodings` was opened")));
        };
        let place = format!("{library}/sitecustomize.py");
        let mut text = PYTHON_HOOK.replace("@NONCE@", &self.nonce);
        let former = self.capsule.resolve(&place);
        let former = former.and_then(|path| match self.capsule.file(&path)?.kind {
            FileKind::Regular { digest, .. } => Some(digest),
            _ => None,
        });
        if let Some(digest) = former {
            text.push_str(&String::from_utf8_lossy(&read_blob(source, &digest)?));
        }
        self.add(&place, text.as_bytes())?;
        self.profiler(&library)?;
        Ok(Ok(()))
    }

    /// CPython's profiler, from this host where the capsule has none: only beside the very same program.
    fn profiler(&mut self, library: &str) -> Result<(), WitnessError> {
        let folder = format!("{library}/lib-dynload");
        let has = |file: &CapsuleFile| {
            file.path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with(&format!("/{PROFILER}")))
        };
        if self.capsule.files.iter().any(has) || !self.has_the_hosts_program() {
            return Ok(());
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(PROFILER) {
                let bytes = std::fs::read(entry.path()).map_err(|source| WitnessError::File {
                    path: entry.path().display().to_string(),
                    source,
                })?;
                self.add(&format!("{folder}/{name}"), &bytes)?;
            }
        }
        Ok(())
    }

    fn has_the_hosts_program(&self) -> bool {
        let program = self.capsule.command.first().and_then(|path| self.capsule.resolve(path));
        let Some(program) = program else { return false };
        let own = match self.capsule.file(&program).map(|file| &file.kind) {
            Some(FileKind::Regular { digest, .. }) => *digest,
            _ => return false,
        };
        std::fs::read(Path::new(&program)).is_ok_and(|bytes| Sha256::of(&bytes) == own)
    }

    /// A module that Node is told to load before the program.
    fn node(&mut self) -> Result<Result<(), Uncovered>, WitnessError> {
        let text = NODE_HOOK.replace("@NONCE@", &self.nonce).replace("@HOOK@", NODE_PLACE);
        self.add(NODE_PLACE, text.as_bytes())?;
        let options = self.capsule.environment.entry("NODE_OPTIONS".to_owned()).or_default();
        *options = format!("--require={NODE_PLACE} {options}").trim_end().to_owned();
        Ok(Ok(()))
    }

    /// Puts a file of the observer into the capsule, over whatever lay there.
    fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), WitnessError> {
        let digest = Sha256::of(bytes);
        let file = self.files._folder.path().join(digest.hex());
        std::fs::write(&file, bytes)
            .map_err(|source| WitnessError::File { path: file.display().to_string(), source })?;
        self.files.files.insert(digest, file);
        let kind = FileKind::Regular { digest, size: bytes.len() as u64, executable: false, modified: None };
        let files = &mut self.capsule.files;
        match files.binary_search_by(|file| file.path.as_str().cmp(path)) {
            Ok(at) => files[at].kind = kind,
            Err(at) => files.insert(at, CapsuleFile { path: path.to_owned(), kind }),
        }
        Ok(())
    }
}

/// The folder that `encodings` was read from: every CPython reads it before anything else.
fn standard_library(plain: &RunReport) -> Option<String> {
    plain.files_opened.iter().find_map(|file| {
        let (folder, rest) = file.path.split_once("/encodings/")?;
        let is_init = rest == "__init__.py" || rest.starts_with("__pycache__/__init__.");
        is_init.then(|| folder.to_owned())
    })
}
