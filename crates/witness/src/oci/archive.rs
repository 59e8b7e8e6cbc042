//! The layout as one `.tar`, strictly read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use assay_evidence::Sha256;

use super::layout::{
    INDEX_FILE, LAYOUT_FILE, MAX_DOCUMENT, OciError, blob_name, copy_checked, documents, read_layout,
};
use crate::capsule::{Blob, Capsule, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};
use crate::source::FileSource;

/// Most entries of one archive: a blob for each file, four documents, and directories.
const MAX_ENTRIES: usize = MAX_FILES + 16;
/// Longest entry name shown in a refusal.
const MAX_SHOWN: usize = 100;

/// Writes the capsule's layout as a tar archive; equal capsules give equal bytes.
///
/// # Errors
/// The capsule breaks a rule, or bytes cannot be read, are wrong, or cannot be written.
pub fn export(capsule: &Capsule, source: &dyn FileSource, to: &mut dyn Write) -> Result<(), OciError> {
    capsule.validate()?;
    let mut builder = tar::Builder::new(to);
    for (name, bytes) in documents(capsule) {
        append_document(&mut builder, &name, &bytes)?;
    }
    for blob in capsule.blobs() {
        append_blob(&mut builder, &blob_name(&blob.digest), &blob, source)?;
    }
    builder.finish().map_err(OciError::io("the archive"))
}

struct Checked<'a> {
    inner: &'a mut File,
    left: u64,
    seen: assay_evidence::Sha256Stream,
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(into.len() as u64) as usize;
        let got = self.inner.read(&mut into[..most])?;
        self.left -= got as u64;
        self.seen.update(&into[..got]);
        Ok(got)
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// What an entry of an archive may be, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// A document of at most so many bytes.
    Document(u64),
    /// The bytes of a digest.
    Blob(Sha256),
}

/// How many entries and bytes an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveLimits {
    /// Entries of any kind.
    pub entries: usize,
    /// Bytes of all entries together.
    pub bytes: u64,
}

/// Unpacks an archive into `folder`, which is made and must be empty, and reads the capsule from there.
///
/// # Errors
/// Any entry that is not a plain file with exactly a layout's name, any entry twice, too many or too
/// large ones, and whatever [`read_layout`] refuses. What was unpacked until then is left in `folder`.
pub fn import(from: &mut dyn Read, folder: &Path) -> Result<Capsule, OciError> {
    let limits = ArchiveLimits { entries: MAX_ENTRIES, bytes: MAX_TOTAL_BYTES + 3 * MAX_DOCUMENT };
    let accept = |name: &str| match digest_of_name(name) {
        Some(digest) => Some(Accept::Blob(digest)),
        None if name == LAYOUT_FILE || name == INDEX_FILE => Some(Accept::Document(MAX_DOCUMENT)),
        None => None,
    };
    unpack_plain(from, folder, &accept, limits)?;
    read_layout(folder)
}

/// Unpacks an archive of plain files into `folder`, which is made and must be empty. `accept` says what
/// a name may be; a name that it does not know is refused. The bytes of blobs are those of their digests.
///
/// # Errors
/// Any entry that is no plain file, is not accepted or is there twice, too many or too large ones, and
/// bytes that are not those of their name. What was unpacked until then is left in `folder`.
pub fn unpack_plain(
    from: &mut dyn Read,
    folder: &Path,
    accept: &dyn Fn(&str) -> Option<Accept>,
    limits: ArchiveLimits,
) -> Result<BTreeSet<String>, OciError> {
    fs::create_dir_all(folder.join("blobs/sha256")).map_err(OciError::io("the folder"))?;
    let mut archive = tar::Archive::new(from);
    let mut names = BTreeSet::new();
    let (mut total, mut count) = (0u64, 0usize);
    // Raw: extension records for long names and the like are entries of their own here, and refused.
    for entry in archive.entries().map_err(OciError::io("the archive"))?.raw(true) {
        let mut entry = entry.map_err(OciError::io("the archive"))?;
        count += 1;
        if count > limits.entries {
            return Err(OciError::TooMuch { what: "entries" });
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refuse = |what| OciError::Entry { name: name.chars().take(MAX_SHOWN).collect(), what };
        match entry.header().entry_type() {
            tar::EntryType::Directory if matches!(name.as_str(), "blobs/" | "blobs/sha256/") => continue,
            tar::EntryType::Regular => {}
            _ => return Err(refuse("it is no plain file")),
        }
        let accepted = accept(&name).ok_or_else(|| refuse("its path is not one that belongs here"))?;
        if !names.insert(name.clone()) {
            return Err(refuse("it is there twice"));
        }
        let size = entry.size();
        total = total.saturating_add(size);
        let most = if let Accept::Document(most) = accepted { most } else { MAX_FILE_BYTES };
        if size > most || total > limits.bytes {
            return Err(OciError::TooMuch { what: "bytes" });
        }
        let mut file = File::create_new(folder.join(&name)).map_err(OciError::io(&name))?;
        match accepted {
            Accept::Blob(digest) => copy_checked(&mut entry, &mut file, &digest, size, &name)?,
            Accept::Document(most) => {
                io::copy(&mut entry.take(most), &mut file).map_err(OciError::io(&name))?;
            }
        }
    }
    Ok(names)
}

/// Writes documents and blobs as one tar archive, sorted by name, with fixed times and owners: equal
/// content gives equal bytes.
///
/// # Errors
/// Bytes that cannot be read, are not those of their digest, or cannot be written.
pub fn pack_plain(
    documents: &[(String, Vec<u8>)],
    blobs: &[Blob],
    source: &dyn FileSource,
    to: &mut dyn Write,
) -> Result<(), OciError> {
    let mut names: BTreeMap<String, Option<&Blob>> =
        blobs.iter().map(|blob| (blob_name(&blob.digest), Some(blob))).collect();
    names.extend(documents.iter().map(|(name, _)| (name.clone(), None)));
    let documents: BTreeMap<&String, &Vec<u8>> =
        documents.iter().map(|(name, bytes)| (name, bytes)).collect();
    let mut builder = tar::Builder::new(to);
    for (name, blob) in &names {
        match (documents.get(name), blob) {
            (Some(bytes), _) => append_document(&mut builder, name, bytes)?,
            (None, Some(blob)) => append_blob(&mut builder, name, blob, source)?,
            (None, None) => {}
        }
    }
    builder.finish().map_err(OciError::io("the archive"))
}

fn append_document(
    builder: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    bytes: &[u8],
) -> Result<(), OciError> {
    builder.append_data(&mut header(bytes.len() as u64), name, bytes).map_err(OciError::io(name))
}

fn append_blob(
    builder: &mut tar::Builder<&mut dyn Write>,
    name: &str,
    blob: &Blob,
    source: &dyn FileSource,
) -> Result<(), OciError> {
    let from = source.path(&blob.digest).map_err(OciError::io(name))?;
    let mut from = File::open(from).map_err(OciError::io(name))?;
    let mut checked = Checked { inner: &mut from, left: blob.size, seen: Sha256::stream() };
    builder.append_data(&mut header(blob.size), name, &mut checked).map_err(OciError::io(name))?;
    if checked.left != 0 || checked.seen.finish() != blob.digest {
        return Err(OciError::WrongDigest { name: name.to_owned() });
    }
    Ok(())
}

/// The digest in the name of a blob of a layout.
pub fn digest_of_name(name: &str) -> Option<Sha256> {
    format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()
}
