//! An archive as a directory, strictly read.
//!
//! Sources: the ustar and pax formats (IEEE Std 1003.1), GNU tar's long names, RFC 1952 (gzip),
//! PKWARE's APPNOTE (zip), PEP 427 (wheels) and npm's tarballs.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{TreeError, check_path};
use crate::capsule::{MAX_FILE_BYTES, MAX_FILES, MAX_PATH_BYTES, MAX_TOTAL_BYTES};

/// How often larger than its archive a tree may be, beyond [`SMALL_TREE`].
const MAX_RATIO: u64 = 200;
/// What a tree may always be, however small its archive.
const SMALL_TREE: u64 = 64 << 20;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// Unpacks a zip archive, or a tar archive with or without gzip, into an empty directory.
///
/// Where everything lies below one directory of the archive (npm's `package/`, a source distribution's
/// `name-version/`, the `tree/` of [`pack`](super::pack)), that directory is the tree's root, but for zip
/// archives: a wheel's directories are its packages.
///
/// # Errors
/// What is no archive; an entry with a path out of the tree, through a link, or given twice; devices and
/// pipes; too many or too large ones. What was unpacked until then is left in `into`.
pub fn unpack(archive: &Path, into: &Path) -> Result<(), TreeError> {
    let mut file = File::open(archive).map_err(TreeError::io("the archive"))?;
    let size = file.metadata().map_err(TreeError::io("the archive"))?.len();
    let mut magic = [0; 4];
    let got = read_most(&mut file, &mut magic).map_err(TreeError::io("the archive"))?;
    file.seek(SeekFrom::Start(0)).map_err(TreeError::io("the archive"))?;
    let most = SMALL_TREE.max(size.saturating_mul(MAX_RATIO)).min(MAX_TOTAL_BYTES);
    let magic = &magic[..got];
    if ZIP.contains(&magic) {
        return unzip(file, &mut Writer::new(into, most));
    }
    let strip = common_root(&mut open_tar(&file, magic)?)?;
    file.seek(SeekFrom::Start(0)).map_err(TreeError::io("the archive"))?;
    untar(&mut open_tar(&file, magic)?, &strip, &mut Writer::new(into, most))
}

fn read_most(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read(&mut into[got..])? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

type Tar<'a> = tar::Archive<Box<dyn Read + 'a>>;

fn open_tar<'a>(file: &'a File, magic: &[u8]) -> Result<Tar<'a>, TreeError> {
    let reader: Box<dyn Read + 'a> = if magic.starts_with(GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)).take(MAX_TOTAL_BYTES))
    } else {
        Box::new(BufReader::new(file))
    };
    Ok(tar::Archive::new(reader))
}

/// The one directory that everything lies below, with its slash; empty where there is none.
fn common_root(archive: &mut Tar<'_>) -> Result<String, TreeError> {
    let mut root: Option<String> = None;
    for (count, entry) in entries(archive)?.enumerate() {
        let entry = entry.map_err(|_| TreeError::NotAnArchive)?;
        if count > MAX_FILES {
            return Err(TreeError::TooMuch { what: "files" });
        }
        if is_extension(entry.header().entry_type()) {
            continue;
        }
        let name = name_of(&entry)?;
        let is_directory = entry.header().entry_type().is_dir();
        let first = match name.split_once('/') {
            Some((first, _)) => first.to_owned(),
            None if is_directory => name,
            None => return Ok(String::new()),
        };
        if root.get_or_insert_with(|| first.clone()) != &first {
            return Ok(String::new());
        }
    }
    root.map(|root| format!("{root}/")).ok_or(TreeError::NotAnArchive)
}

fn entries<'a, 'b>(archive: &'a mut Tar<'b>) -> Result<tar::Entries<'a, Box<dyn Read + 'b>>, TreeError> {
    archive.entries().map_err(TreeError::io("the archive"))
}

fn is_extension(kind: tar::EntryType) -> bool {
    kind.is_pax_global_extensions() || kind.is_pax_local_extensions()
}

fn name_of(entry: &tar::Entry<'_, Box<dyn Read + '_>>) -> Result<String, TreeError> {
    text(&entry.path_bytes())
}

fn text(bytes: &[u8]) -> Result<String, TreeError> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| TreeError::entry(&String::from_utf8_lossy(bytes), "no UTF-8"))
}

fn untar(archive: &mut Tar<'_>, strip: &str, writer: &mut Writer<'_>) -> Result<(), TreeError> {
    for entry in entries(archive)? {
        let mut entry = entry.map_err(TreeError::io("the archive"))?;
        let kind = entry.header().entry_type();
        let name = name_of(&entry)?;
        if is_extension(kind) {
            continue;
        }
        let Some(path) = below(&name, strip) else { continue };
        let link = || -> Result<String, TreeError> {
            let target =
                entry.link_name_bytes().ok_or_else(|| TreeError::entry(&name, "a link to nothing"))?;
            text(&target)
        };
        let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
        match kind {
            tar::EntryType::Directory => writer.directory(&path)?,
            tar::EntryType::Symlink => writer.link(&path, &link()?)?,
            tar::EntryType::Link => {
                let target = below(&link()?, strip);
                writer
                    .copy(&path, &target.ok_or_else(|| TreeError::entry(&name, "a link out of the tree"))?)?;
            }
            kind if kind.is_file() => writer.file(&path, executable, entry.size(), &mut entry)?,
            _ => return Err(TreeError::entry(&name, "it is no file, directory or link")),
        }
    }
    Ok(())
}

/// A name without the root and its trailing slash; none for the root itself.
fn below(name: &str, strip: &str) -> Option<String> {
    let name = name.strip_prefix(strip).unwrap_or(name).trim_end_matches('/');
    let is_root = name.is_empty() || name == strip.trim_end_matches('/');
    (!is_root).then(|| name.to_owned())
}

fn unzip(file: File, writer: &mut Writer<'_>) -> Result<(), TreeError> {
    let refuse = |error: zip::result::ZipError| TreeError::io("the archive")(io::Error::other(error));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(refuse)?;
    if archive.len() > MAX_FILES {
        return Err(TreeError::TooMuch { what: "files" });
    }
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(refuse)?;
        let name = entry.name().map_err(refuse)?.into_owned();
        let path = name.trim_end_matches('/').to_owned();
        let mode = entry.unix_mode().unwrap_or(0o644);
        if entry.is_dir() {
            writer.directory(&path)?;
        } else if mode & libc::S_IFMT == libc::S_IFLNK {
            let mut target = String::new();
            let read = entry.by_ref().take(MAX_PATH_BYTES as u64).read_to_string(&mut target);
            read.map_err(TreeError::io(&name))?;
            writer.link(&path, &target)?;
        } else {
            let size = entry.size();
            writer.file(&path, mode & 0o111 != 0, size, &mut entry)?;
        }
    }
    Ok(())
}

/// What an archive may do to the directory it is unpacked into.
struct Writer<'a> {
    root: &'a Path,
    /// Paths made, and whether they are directories.
    made: BTreeMap<String, bool>,
    left: u64,
}

impl<'a> Writer<'a> {
    fn new(root: &'a Path, most: u64) -> Self {
        Self { root, made: BTreeMap::new(), left: most }
    }

    fn directory(&mut self, path: &str) -> Result<(), TreeError> {
        check_path(path)?;
        self.parents(path)?;
        self.one_directory(path)
    }

    fn parents(&mut self, path: &str) -> Result<(), TreeError> {
        let parents: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        parents.into_iter().try_for_each(|parent| self.one_directory(parent))
    }

    fn one_directory(&mut self, path: &str) -> Result<(), TreeError> {
        match self.made.get(path) {
            Some(true) => Ok(()),
            Some(false) => Err(TreeError::entry(path, "it lies under something that is no directory")),
            None => {
                fs::create_dir(self.root.join(path)).map_err(TreeError::io(path))?;
                self.add(path, true)
            }
        }
    }

    fn add(&mut self, path: &str, directory: bool) -> Result<(), TreeError> {
        self.made.insert(path.to_owned(), directory);
        if self.made.len() > MAX_FILES { Err(TreeError::TooMuch { what: "files" }) } else { Ok(()) }
    }

    /// A place for something new whose parents are directories made here, never links.
    fn place(&mut self, path: &str) -> Result<PathBuf, TreeError> {
        check_path(path)?;
        self.parents(path)?;
        if self.made.contains_key(path) {
            return Err(TreeError::entry(path, "it is there twice"));
        }
        self.add(path, false)?;
        Ok(self.root.join(path))
    }

    fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        from: &mut dyn Read,
    ) -> Result<(), TreeError> {
        if size > MAX_FILE_BYTES || size > self.left {
            return Err(TreeError::TooMuch { what: "bytes" });
        }
        let place = self.place(path)?;
        let mut file = File::create_new(place).map_err(TreeError::io(path))?;
        // One byte past the size that was declared, so that a header that lies is seen.
        let copied = io::copy(&mut from.take(size + 1), &mut file).map_err(TreeError::io(path))?;
        if copied != size {
            return Err(TreeError::entry(path, "its size is not the one it declares"));
        }
        self.left -= size;
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode)).map_err(TreeError::io(path))
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        if target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains('\0') {
            return Err(TreeError::entry(path, "a link to nothing"));
        }
        let place = self.place(path)?;
        symlink(target, place).map_err(TreeError::io(path))
    }

    /// A hard link: a copy of a file that came before it.
    fn copy(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        check_path(target)?;
        let from = self.root.join(target);
        let meta = from.symlink_metadata().ok().filter(fs::Metadata::is_file);
        let known = self.made.get(target) == Some(&false);
        let meta =
            meta.filter(|_| known).ok_or_else(|| TreeError::entry(path, "a link to no file before it"))?;
        let mut source = File::open(&from).map_err(TreeError::io(path))?;
        self.file(path, meta.permissions().mode() & 0o111 != 0, meta.len(), &mut source)
    }
}
