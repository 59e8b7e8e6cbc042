//! The capsule: everything a witness needs to happen again, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::provenance::{Provenance, SubjectToolchain};
use crate::schedule::{Conditions, MAX_SWITCHES, Switch};

/// The version of the capsule's own format.
pub const CAPSULE_SCHEMA: u32 = 1;
/// Most files, links and directories in one capsule.
pub const MAX_FILES: usize = 20_000;
/// Most bytes of one file in a capsule.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// Most bytes of all files of a capsule.
pub const MAX_TOTAL_BYTES: u64 = 8 << 30;
/// Most arguments or environment variables.
pub const MAX_STRINGS: usize = 4096;
/// Most bytes of one path, argument or variable.
pub const MAX_STRING_BYTES: usize = 128 * 1024;
/// Most bytes of one path.
pub const MAX_PATH_BYTES: usize = 4095;
/// Most bytes of one component of a path.
pub const MAX_NAME_BYTES: usize = 255;
/// Most subject slots.
pub const MAX_SUBJECTS: usize = 64;

/// A content-addressed closure of files, command, environment and seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capsule {
    /// [`CAPSULE_SCHEMA`].
    pub schema_version: u32,
    /// The command; the first word is the absolute path of the executable inside the capsule.
    pub command: Vec<String>,
    /// The whole environment; nothing is added to it.
    pub environment: BTreeMap<String, String>,
    /// Absolute path inside the capsule.
    pub working_directory: String,
    /// The bytes on standard input; none means that it is empty.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stdin: Option<Blob>,
    /// Every file, sorted by path, each path once.
    pub files: Vec<CapsuleFile>,
    /// Where the artifacts under test lie, sorted by role, each role once.
    pub subjects: Vec<SubjectSlot>,
    /// The seed of everything random inside.
    pub seed: u64,
    /// What a run may use.
    pub limits: Limits,
    /// Where turns are taken from threads that compute while others wait.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub schedule: Vec<Switch>,
    /// What a search chose, so that the incident shows.
    #[serde(skip_serializing_if = "Conditions::is_default", default)]
    pub conditions: Conditions,
    /// Signed statements about the subjects, sorted by digest.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub provenance: Vec<Provenance>,
}

/// Bytes by digest and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// The digest of the bytes.
    pub digest: Sha256,
    /// How many they are.
    pub size: u64,
}

/// One entry of the capsule's file tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapsuleFile {
    /// Absolute and normalised.
    pub path: String,
    /// What lies there.
    pub kind: FileKind,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum FileKind {
    /// A file; inside it is read-only (mode 0444, or 0555 where executable).
    Regular {
        /// The digest of its bytes.
        digest: Sha256,
        /// Its size in bytes.
        size: u64,
        /// Whether it may be executed.
        executable: bool,
        /// When it was last changed, in seconds of Unix time; kept only where another file of the capsule
        /// depends on it (a compiled Python module names its source's). Elsewhere it is a fixed time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        modified: Option<i64>,
    },
    /// A symbolic link, resolved inside the capsule only.
    Symlink {
        /// Its text.
        target: String,
    },
    /// A directory that is there even if no file lies under it.
    Directory,
}

/// A place that another build may be put into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectSlot {
    /// The artifact's role, such as `app`.
    pub role: String,
    /// The path of a regular file of the capsule; of a directory where `tree` is there.
    pub path: String,
    /// For a directory: the archive of the whole recorded tree (see [`crate::tree`]), of which `files`
    /// holds what the run touched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tree: Option<Blob>,
    /// What compiled the recorded artifact; none in capsules from before that was noted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub toolchain: Option<SubjectToolchain>,
}

/// Why a capsule is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CapsuleError {
    /// A format of some other time.
    #[error("capsule schema version {found} is not {CAPSULE_SCHEMA}")]
    SchemaVersion {
        /// The version found.
        found: u32,
    },
    /// A path that is not absolute and normalised, or too long.
    #[error("`{path}` is not an absolute normalised path")]
    Path {
        /// The path, shortened.
        path: String,
    },
    /// A text with NUL in it, empty where it may not be, or too long.
    #[error("{what} holds NUL, is empty or is too long")]
    Text {
        /// What the text is.
        what: &'static str,
    },
    /// More of something than its limit allows.
    #[error("too many or too large: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// Entries out of order or twice.
    #[error("{what} are not sorted and unique near `{near}`")]
    Order {
        /// Which list.
        what: &'static str,
        /// The entry found out of place.
        near: String,
    },
    /// A file lies under something that is not a directory.
    #[error("`{path}` lies under something that is no directory")]
    NotADirectory {
        /// The path of the lower entry.
        path: String,
    },
    /// A subject or executable that is no regular file of the capsule, or a tree that is no directory.
    #[error("`{path}` is no regular file of the capsule")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// A tree that is everything, or that another subject lies in.
    #[error("the tree at `{path}` holds another subject, or everything")]
    Nested {
        /// The tree's path.
        path: String,
    },
    /// A limit out of its range.
    #[error("limit {name} is out of range")]
    Limit {
        /// The limit's name.
        name: &'static str,
    },
    /// One digest with two sizes.
    #[error("{digest} is given two sizes")]
    Size {
        /// The digest.
        digest: Sha256,
    },
    /// A toolchain's digest that is not that of its statement.
    #[error("{digest} is not the digest of the toolchains")]
    Toolchain {
        /// The digest that was given.
        digest: Sha256,
    },
    /// A place that the runner fills itself.
    #[error("`{path}` lies where the runner puts its own files")]
    Reserved {
        /// The path.
        path: String,
    },
}

/// Places that the runner fills itself.
pub const RESERVED: [&str; 3] = ["/dev", "/proc", "/sys"];

impl Capsule {
    /// Checks everything that the types do not say; every function that takes a capsule calls it.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn validate(&self) -> Result<(), CapsuleError> {
        if self.schema_version != CAPSULE_SCHEMA {
            return Err(CapsuleError::SchemaVersion { found: self.schema_version });
        }
        if let Some(name) = self.limits.first_out_of_range() {
            return Err(CapsuleError::Limit { name });
        }
        if self.schedule.len() > MAX_SWITCHES {
            return Err(CapsuleError::TooMuch { what: "switches" });
        }
        if let Some(name) = self.conditions.first_out_of_range() {
            return Err(CapsuleError::Limit { name });
        }
        self.check_texts()?;
        check_path(&self.working_directory)?;
        self.check_files()?;
        self.check_sizes()?;
        self.check_subjects()?;
        Provenance::check_all(self)
    }

    /// The entry at `path`.
    pub fn file(&self, path: &str) -> Option<&CapsuleFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|i| &self.files[i])
    }

    /// Every distinct content, stdin, the subjects' archives and provenance included, sorted by digest.
    pub fn blobs(&self) -> Vec<Blob> {
        let all: BTreeMap<_, _> = self.contents().map(|blob| (blob.digest, blob.size)).collect();
        all.into_iter().map(|(digest, size)| Blob { digest, size }).collect()
    }

    fn contents(&self) -> impl Iterator<Item = Blob> + '_ {
        let files = self.files.iter().filter_map(|file| match file.kind {
            FileKind::Regular { digest, size, .. } => Some(Blob { digest, size }),
            _ => None,
        });
        let stated = self.provenance.iter().map(|stated| Blob { digest: stated.digest, size: stated.size });
        files.chain(self.stdin).chain(self.subjects.iter().filter_map(|slot| slot.tree)).chain(stated)
    }

    /// The artifact recorded in a slot: the file's digest, or that of the tree's archive.
    pub fn artifact(&self, slot: &SubjectSlot) -> Option<Sha256> {
        match (slot.tree, self.file(&slot.path).map(|file| &file.kind)) {
            (Some(tree), _) => Some(tree.digest),
            (None, Some(FileKind::Regular { digest, .. })) => Some(*digest),
            _ => None,
        }
    }

    /// The path with symbolic links resolved inside the capsule, where it leads to an entry.
    pub fn resolve(&self, path: &str) -> Option<String> {
        const MAX_LINKS: usize = 40;
        let mut links = 0;
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at = String::new();
        while let Some(name) = todo.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => at.truncate(at.rfind('/').unwrap_or(0)),
                name => {
                    let next = format!("{at}/{name}");
                    if let Some(FileKind::Symlink { target }) = self.file(&next).map(|file| &file.kind) {
                        links += 1;
                        if links > MAX_LINKS {
                            return None;
                        }
                        if target.starts_with('/') {
                            at.clear();
                        }
                        todo.extend(target.split('/').rev().map(str::to_owned));
                    } else {
                        at = next;
                    }
                }
            }
        }
        Some(if at.is_empty() { "/".to_owned() } else { at })
    }

    fn check_texts(&self) -> Result<(), CapsuleError> {
        let executable = self.command.first().ok_or(CapsuleError::Text { what: "command" })?;
        check_path(executable)?;
        if self.command.len() > MAX_STRINGS || self.environment.len() > MAX_STRINGS {
            return Err(CapsuleError::TooMuch { what: "arguments or variables" });
        }
        let arguments = self.command.iter().map(|text| ("argument", text));
        let values = self.environment.values().map(|text| ("environment value", text));
        for (what, text) in arguments.chain(values) {
            if text.len() > MAX_STRING_BYTES || text.contains('\0') {
                return Err(CapsuleError::Text { what });
            }
        }
        for name in self.environment.keys() {
            if name.is_empty() || name.len() > MAX_STRING_BYTES || name.contains(['\0', '=']) {
                return Err(CapsuleError::Text { what: "environment name" });
            }
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), CapsuleError> {
        if self.files.len() > MAX_FILES {
            return Err(CapsuleError::TooMuch { what: "files" });
        }
        let mut previous = "";
        for file in &self.files {
            check_path(&file.path)?;
            if file.path.as_str() <= previous {
                return Err(CapsuleError::Order { what: "files", near: file.path.clone() });
            }
            previous = &file.path;
            if RESERVED.iter().any(|place| is_within(&file.path, place)) {
                return Err(CapsuleError::Reserved { path: file.path.clone() });
            }
            if let FileKind::Symlink { target } = &file.kind
                && (target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains('\0'))
            {
                return Err(CapsuleError::Text { what: "link target" });
            }
            self.check_parents(&file.path)?;
        }
        Ok(())
    }

    fn check_parents(&self, path: &str) -> Result<(), CapsuleError> {
        let refuse = || CapsuleError::NotADirectory { path: path.to_owned() };
        for (at, _) in path.match_indices('/').skip(1) {
            match self.file(&path[..at]).map(|file| &file.kind) {
                None | Some(FileKind::Directory) => {}
                Some(_) => return Err(refuse()),
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), CapsuleError> {
        let mut total = 0u64;
        let mut sizes = BTreeMap::new();
        for Blob { digest, size } in self.contents() {
            if *sizes.entry(digest).or_insert(size) != size {
                return Err(CapsuleError::Size { digest });
            }
            total = total.saturating_add(size);
            if size > MAX_FILE_BYTES || total > MAX_TOTAL_BYTES {
                return Err(CapsuleError::TooMuch { what: "bytes" });
            }
        }
        Ok(())
    }

    fn check_subjects(&self) -> Result<(), CapsuleError> {
        if self.subjects.len() > MAX_SUBJECTS {
            return Err(CapsuleError::TooMuch { what: "subjects" });
        }
        let mut previous = "";
        let mut paths = BTreeSet::new();
        for slot in &self.subjects {
            if slot.role.is_empty()
                || slot.role.len() > MAX_NAME_BYTES
                || slot.role.contains(char::is_control)
            {
                return Err(CapsuleError::Text { what: "role" });
            }
            if slot.role.as_str() <= previous || !paths.insert(&slot.path) {
                return Err(CapsuleError::Order { what: "subjects", near: slot.role.clone() });
            }
            previous = &slot.role;
            slot.toolchain.as_ref().map_or(Ok(()), SubjectToolchain::check)?;
            let fits = match self.file(&slot.path).map(|file| &file.kind) {
                Some(FileKind::Regular { .. }) => slot.tree.is_none(),
                Some(FileKind::Directory) => slot.tree.is_some(),
                _ => false,
            };
            if !fits {
                return Err(CapsuleError::NotAFile { path: slot.path.clone() });
            }
            let inside = |other: &SubjectSlot| other.path != slot.path && is_within(&other.path, &slot.path);
            if slot.tree.is_some() && (slot.path == "/" || self.subjects.iter().any(inside)) {
                return Err(CapsuleError::Nested { path: slot.path.clone() });
            }
        }
        Ok(())
    }
}

/// Whether `path` is `place` or lies under it.
pub(crate) fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_path(path: &str) -> Result<(), CapsuleError> {
    let refuse = || CapsuleError::Path { path: path.chars().take(100).collect() };
    if path == "/" {
        return Ok(());
    }
    let inner = path.strip_prefix('/').ok_or_else(refuse)?;
    let bad = |name: &str| name.is_empty() || name == "." || name == ".." || name.len() > MAX_NAME_BYTES;
    if path.len() > MAX_PATH_BYTES || path.contains('\0') || inner.split('/').any(bad) {
        return Err(refuse());
    }
    Ok(())
}
