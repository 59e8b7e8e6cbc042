//! From the paths that a run touched to the capsule's files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use assay_evidence::Sha256;

use crate::capsule::{CapsuleError, CapsuleFile, FileKind, MAX_FILES, RESERVED, is_within};
use crate::error::WitnessError;
use crate::source::Located;

/// Longest chain of symbolic links followed.
const MAX_LINKS: usize = 40;
/// Longest `#!` line that the kernel looks at.
const MAX_SHEBANG: usize = 256;
/// Places of the host that a run sees its own version of, or none.
const HIDDEN: [&str; 2] = ["/run", "/var/run"];

/// Files and where their bytes are.
pub(super) struct Closed {
    pub files: Vec<CapsuleFile>,
    pub located: BTreeMap<Sha256, Located>,
}

/// The path without `.`, `..` and doubled slashes; as text only.
pub(super) fn normalised(path: &Path) -> String {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out.to_string_lossy().into_owned()
}

/// Everything on the way to each path and at its end.
pub(super) fn close(touched: &[String], working_directory: &str) -> Result<Closed, WitnessError> {
    let mut closing = Closing { kinds: BTreeMap::new(), located: BTreeMap::new(), seen: BTreeSet::new() };
    closing.follow(Path::new(working_directory), 0)?;
    for path in touched {
        closing.follow(Path::new(path), 0)?;
    }
    closing.keep_times_of_python_sources();
    let files = closing.kinds.into_iter().map(|(path, kind)| CapsuleFile { path, kind }).collect();
    Ok(Closed { files, located: closing.located })
}

struct Closing {
    kinds: BTreeMap<String, FileKind>,
    located: BTreeMap<Sha256, Located>,
    seen: BTreeSet<PathBuf>,
}

impl Closing {
    /// Walks a path of the host one component at a time, keeping each link and directory on the way.
    fn follow(&mut self, path: &Path, links: usize) -> Result<(), WitnessError> {
        if !path.is_absolute() || links > MAX_LINKS || !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let mut at = PathBuf::from("/");
        let components: Vec<Component<'_>> = path.components().collect();
        for (index, component) in components.iter().enumerate() {
            match component {
                Component::Normal(name) => at.push(name),
                Component::ParentDir => {
                    at.pop();
                    continue;
                }
                _ => continue,
            }
            let Some(text) = at.to_str() else { return Ok(()) };
            if RESERVED.iter().chain(&HIDDEN).any(|place| is_within(text, place)) {
                return Ok(());
            }
            // What is not there on the host was made by the run itself, or led nowhere.
            let Ok(meta) = at.symlink_metadata() else { return Ok(()) };
            if meta.is_symlink() {
                let rest: PathBuf = components[index + 1..].iter().collect();
                return self.follow_link(&at, &rest, links);
            }
            if meta.is_dir() {
                self.keep(text, FileKind::Directory)?;
            } else if meta.is_file() {
                let executable = meta.permissions().mode() & 0o111 != 0;
                return self.keep_file(&at, text, meta.len(), executable, links);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A compiled module is used only while its source has the time that it names.
    fn keep_times_of_python_sources(&mut self) {
        let source_of = |path: &String| {
            let (folder, name) = path.split_once("/__pycache__/")?;
            let stem = name.strip_suffix(".pyc")?.split('.').next()?;
            Some(format!("{folder}/{stem}.py"))
        };
        let sources: Vec<String> = self.kinds.keys().filter_map(source_of).collect();
        for path in sources {
            let time = std::fs::metadata(&path).ok().map(|meta| std::os::unix::fs::MetadataExt::mtime(&meta));
            if let Some(FileKind::Regular { modified, .. }) = self.kinds.get_mut(&path) {
                *modified = time;
            }
        }
    }

    fn follow_link(&mut self, at: &Path, rest: &Path, links: usize) -> Result<(), WitnessError> {
        let (Some(text), Ok(target)) = (at.to_str(), std::fs::read_link(at)) else { return Ok(()) };
        let Some(target_text) = target.to_str() else { return Ok(()) };
        self.keep(text, FileKind::Symlink { target: target_text.to_owned() })?;
        let parent = at.parent().unwrap_or(Path::new("/"));
        self.follow(&parent.join(&target).join(rest), links + 1)
    }

    fn keep(&mut self, path: &str, kind: FileKind) -> Result<(), WitnessError> {
        self.kinds.entry(path.to_owned()).or_insert(kind);
        if self.kinds.len() > MAX_FILES {
            return Err(CapsuleError::TooMuch { what: "files" }.into());
        }
        Ok(())
    }

    fn keep_file(
        &mut self,
        at: &Path,
        text: &str,
        size: u64,
        executable: bool,
        links: usize,
    ) -> Result<(), WitnessError> {
        if self.kinds.contains_key(text) {
            return Ok(());
        }
        let unreadable = |source| WitnessError::File { path: text.to_owned(), source };
        let file = match File::open(at) {
            Ok(file) => file,
            // The run was refused it as well.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        };
        let digest = super::digest_of(&file).map_err(unreadable)?;
        self.located.insert(digest, Located::Path(at.to_owned()));
        self.keep(text, FileKind::Regular { digest, size, executable, modified: None })?;
        if !executable {
            return Ok(());
        }
        match interpreter(&file) {
            Some(interpreter) => self.follow(Path::new(&interpreter), links + 1),
            None => Ok(()),
        }
    }
}

/// What the kernel runs an executable with: the path after `#!`, or the ELF interpreter.
fn interpreter(file: &File) -> Option<String> {
    let mut head = [0u8; MAX_SHEBANG];
    let got = file.read_at(&mut head, 0).ok()?;
    let head = &head[..got];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let text = std::str::from_utf8(line).ok()?;
        return text.split_whitespace().next().map(str::to_owned);
    }
    elf_interpreter(file, head)
}

fn elf_interpreter(file: &File, head: &[u8]) -> Option<String> {
    const PT_INTERP: u32 = 3;
    const MAX_HEADERS: u64 = 256;
    const MAX_PATH: u64 = 4096;
    let at = |from: usize, count: usize| -> Option<u64> {
        let bytes = head.get(from..from + count)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    for index in 0..count.min(MAX_HEADERS) {
        let mut header = [0u8; 56];
        file.read_exact_at(&mut header, table.checked_add(index * size)?).ok()?;
        let word = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| header[from + i]));
        if word(0) as u32 == PT_INTERP {
            let mut path = vec![0; word(32).min(MAX_PATH) as usize];
            file.read_exact_at(&mut path, word(8)).ok()?;
            let end = path.iter().position(|byte| *byte == 0)?;
            return String::from_utf8(path[..end].to_vec()).ok();
        }
    }
    None
}
