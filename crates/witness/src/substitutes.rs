//! Other builds in the places of a capsule's subjects, and which bytes then lie at which path.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use assay_evidence::Sha256;
use tempfile::TempDir;

use crate::capsule::{Capsule, FileKind, SubjectSlot, is_within};
use crate::replay::ReplayRequest;
use crate::report::Ending;
use crate::schedule::Switch;
use crate::source::FileSource;
use crate::tree::{self, TreeEntry, TreeError, TreeKind};

/// What lies in the places of subjects instead of what was recorded.
#[derive(Debug, Default)]
pub(crate) struct Substitutes {
    /// Files of the host by their path inside.
    files: BTreeMap<String, PathBuf>,
    /// Trees by the path of their root inside.
    trees: BTreeMap<String, Vec<TreeEntry>>,
    /// Where archives were unpacked; gone with this.
    _unpacked: Vec<TempDir>,
}

/// A build that cannot lie in its subject's place.
#[derive(Debug, thiserror::Error)]
#[error("the build for `{role}` cannot lie at {path}: {source}")]
pub(crate) struct Unfit {
    role: String,
    path: String,
    source: TreeError,
}

impl Unfit {
    /// Nothing was run, so nothing is known.
    pub fn ending(&self) -> Ending {
        Ending::Unsupported { code: "subject_does_not_fit".to_owned(), detail: self.to_string() }
    }
}

impl Substitutes {
    /// Unpacks what has to be unpacked.
    ///
    /// # Errors
    /// A build for a tree that is neither a directory nor an archive, or one that [`tree::unpack`] refuses.
    pub fn of(capsule: &Capsule, request: &ReplayRequest) -> Result<Self, Unfit> {
        let mut all = Self::default();
        for slot in &capsule.subjects {
            let Some(build) = request.substitutions.get(&slot.role) else { continue };
            if slot.tree.is_none() {
                all.files.insert(slot.path.clone(), build.clone());
                continue;
            }
            let unfit = |source| Unfit { role: slot.role.clone(), path: slot.path.clone(), source };
            all.add_tree(slot, build.clone()).map_err(unfit)?;
        }
        Ok(all)
    }

    fn add_tree(&mut self, slot: &SubjectSlot, mut build: PathBuf) -> Result<(), TreeError> {
        if !build.is_dir() {
            let folder = tempfile::tempdir().map_err(TreeError::io("a temporary directory"))?;
            tree::unpack(&build, folder.path())?;
            build = folder.path().to_owned();
            self._unpacked.push(folder);
        }
        let entries = tree::walk(&build)?;
        for entry in &entries {
            if let TreeKind::Regular { file, .. } = &entry.kind {
                self.files.insert(format!("{}/{}", slot.path, entry.path), file.clone());
            }
        }
        self.trees.insert(slot.path.clone(), entries);
        Ok(())
    }

    /// The host's file for a path inside.
    pub fn file(&self, path: &str) -> Option<&PathBuf> {
        self.files.get(path)
    }

    /// Whether a path lies in a tree that was replaced.
    pub fn replaces(&self, path: &str) -> bool {
        self.trees.keys().any(|root| is_within(path, root))
    }

    /// The trees, each with the path of its root.
    pub fn trees(&self) -> impl Iterator<Item = (&String, &Vec<TreeEntry>)> {
        self.trees.iter()
    }
}

/// The files of a replay by their path inside.
pub(crate) struct Files<'a> {
    pub capsule: &'a Capsule,
    pub source: &'a dyn FileSource,
    pub substitutes: &'a Substitutes,
}

impl Files<'_> {
    /// The host's file with the bytes at a path inside, links followed.
    pub(crate) fn file(&self, path: &str) -> Option<PathBuf> {
        let resolved = self.capsule.resolve(path)?;
        let path = resolved.as_str();
        if let Some(host) = self.substitutes.file(path) {
            return Some(host.clone());
        }
        self.source.path(&self.own(path)?).ok()
    }

    pub(crate) fn digest(&self, path: &str) -> Option<Sha256> {
        if let Some(host) = self.substitutes.file(path) {
            return crate::record::digest_of(&File::open(host).ok()?).ok();
        }
        self.own(path)
    }

    /// The switches that can be met: an offset in a file says nothing of another build of it.
    pub(crate) fn schedule(&self) -> Vec<Switch> {
        let stays = |path: &String| {
            let recorded = self.capsule.file(path).map(|file| &file.kind);
            let Some(FileKind::Regular { digest, .. }) = recorded else { return true };
            self.digest(path) == Some(*digest)
        };
        let can = |switch: &&Switch| switch.place.file.as_ref().is_none_or(stays);
        self.capsule.schedule.iter().filter(can).cloned().collect()
    }

    /// The capsule's own file at a path, unless it was replaced.
    fn own(&self, path: &str) -> Option<Sha256> {
        match self.capsule.file(path)?.kind {
            FileKind::Regular { digest, .. } if !self.substitutes.replaces(path) => Some(digest),
            _ => None,
        }
    }
}
