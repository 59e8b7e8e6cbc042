//! Subjects that are directory trees: a package of Python or JavaScript, a jar's folder, a distribution.
//!
//! A tree travels as one archive, and the archive's digest is the artifact's: the registry's own file (a
//! wheel, an npm tarball, a source distribution) or a canonical tar made from a directory.

mod pack;
mod unpack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use pack::pack;
pub use unpack::unpack;

use crate::capsule::{MAX_FILES, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// Most directories below one another.
pub const MAX_DEPTH: usize = 64;

/// Why a tree is refused.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file is neither a zip archive nor a tar archive, compressed or not.
    #[error("it is no zip and no tar archive")]
    NotAnArchive,
    /// An entry that a tree may not have.
    #[error("entry `{name}`: {what}")]
    Entry {
        /// Its name, shortened.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More of something than its limit allows.
    #[error("too many or too large: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// Something could not be read or written.
    #[error("{what} cannot be read or written")]
    Io {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl TreeError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn entry(name: &str, what: &'static str) -> Self {
        const MAX_SHOWN: usize = 100;
        Self::Entry { name: name.chars().take(MAX_SHOWN).collect(), what }
    }
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    /// Its path below the tree's root, without a leading slash.
    pub path: String,
    /// What it is.
    pub kind: TreeKind,
}

/// What lies at a path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TreeKind {
    Directory,
    Regular { file: PathBuf, executable: bool },
    Symlink { target: String },
}

/// Everything below a directory, parents first, names in byte order. Links are not followed.
pub(crate) fn walk(root: &Path) -> Result<Vec<TreeEntry>, TreeError> {
    let mut entries = Vec::new();
    walk_into(root, "", 0, &mut entries)?;
    Ok(entries)
}

fn walk_into(root: &Path, below: &str, depth: usize, into: &mut Vec<TreeEntry>) -> Result<(), TreeError> {
    use std::os::unix::fs::PermissionsExt as _;
    if depth > MAX_DEPTH {
        return Err(TreeError::TooMuch { what: "directories below one another" });
    }
    let folder = root.join(below);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(TreeError::io(folder.display().to_string()))? {
        let name = entry.map_err(TreeError::io(folder.display().to_string()))?.file_name();
        let name =
            name.into_string().map_err(|name| TreeError::entry(&name.to_string_lossy(), "no UTF-8"))?;
        names.push(name);
    }
    names.sort();
    for name in names {
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let file = root.join(&path);
        let meta = file.symlink_metadata().map_err(TreeError::io(&path))?;
        let kind = if meta.is_dir() {
            TreeKind::Directory
        } else if meta.is_file() {
            TreeKind::Regular { executable: meta.permissions().mode() & 0o111 != 0, file }
        } else if meta.is_symlink() {
            let target = fs::read_link(&file).map_err(TreeError::io(&path))?;
            let target = target.into_os_string().into_string();
            TreeKind::Symlink { target: target.map_err(|_| TreeError::entry(&path, "no UTF-8"))? }
        } else {
            return Err(TreeError::entry(&path, "it is no file, directory or link"));
        };
        let directory = kind == TreeKind::Directory;
        push(into, TreeEntry { path: path.clone(), kind })?;
        if directory {
            walk_into(root, &path, depth + 1, into)?;
        }
    }
    Ok(())
}

fn push(into: &mut Vec<TreeEntry>, entry: TreeEntry) -> Result<(), TreeError> {
    check_path(&entry.path)?;
    into.push(entry);
    if into.len() > MAX_FILES { Err(TreeError::TooMuch { what: "files" }) } else { Ok(()) }
}

/// A relative path whose every component is a plain name.
fn check_path(path: &str) -> Result<(), TreeError> {
    let bad = |name: &str| name.is_empty() || name == "." || name == ".." || name.len() > MAX_NAME_BYTES;
    if path.len() > MAX_PATH_BYTES || path.contains(['\0', '\\']) || path.split('/').any(bad) {
        return Err(TreeError::entry(path, "its path is not a plain relative one"));
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(TreeError::TooMuch { what: "directories below one another" });
    }
    Ok(())
}
