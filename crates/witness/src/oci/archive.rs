//! The layout as one `.tar`, strictly read.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use assay_evidence::Sha256;

use super::layout::{
    INDEX_FILE, LAYOUT_FILE, MAX_DOCUMENT, OciError, blob_name, copy_checked, documents, read_layout,
};
use crate::capsule::{Capsule, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};
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
        let mut header = header(bytes.len() as u64);
        builder.append_data(&mut header, &name, bytes.as_slice()).map_err(OciError::io(&name))?;
    }
    for blob in capsule.blobs() {
        let name = blob_name(&blob.digest);
        let from = source.path(&blob.digest).map_err(OciError::io(&name))?;
        let mut from = File::open(from).map_err(OciError::io(&name))?;
        let checked = Checked { inner: &mut from, left: blob.size, seen: Sha256::stream() };
        let mut header = header(blob.size);
        let mut checked = checked;
        builder.append_data(&mut header, &name, &mut checked).map_err(OciError::io(&name))?;
        if checked.left != 0 || checked.seen.finish() != blob.digest {
            return Err(OciError::WrongDigest { name });
        }
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

/// Unpacks an archive into `folder`, which is made and must be empty, and reads the capsule from there.
///
/// # Errors
/// Any entry that is not a plain file with exactly a layout's name, any entry twice, too many or too
/// large ones, and whatever [`read_layout`] refuses. What was unpacked until then is left in `folder`.
pub fn import(from: &mut dyn Read, folder: &Path) -> Result<Capsule, OciError> {
    fs::create_dir_all(folder.join("blobs/sha256")).map_err(OciError::io("the folder"))?;
    let mut archive = tar::Archive::new(from);
    let mut names = BTreeSet::new();
    let mut total = 0u64;
    let mut count = 0usize;
    // Raw: extension records for long names and the like are entries of their own here, and refused.
    for entry in archive.entries().map_err(OciError::io("the archive"))?.raw(true) {
        let mut entry = entry.map_err(OciError::io("the archive"))?;
        count += 1;
        if count > MAX_ENTRIES {
            return Err(OciError::TooMuch { what: "entries" });
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refuse = |what| OciError::Entry { name: name.chars().take(MAX_SHOWN).collect(), what };
        match entry.header().entry_type() {
            tar::EntryType::Directory if matches!(name.as_str(), "blobs/" | "blobs/sha256/") => continue,
            tar::EntryType::Regular => {}
            _ => return Err(refuse("it is no plain file")),
        }
        let digest = digest_of_name(&name);
        if digest.is_none() && name != LAYOUT_FILE && name != INDEX_FILE {
            return Err(refuse("its path is not one of a layout"));
        }
        if !names.insert(name.clone()) {
            return Err(refuse("it is there twice"));
        }
        let size = entry.size();
        total = total.saturating_add(size);
        let most = if digest.is_some() { MAX_FILE_BYTES } else { MAX_DOCUMENT };
        if size > most || total > MAX_TOTAL_BYTES + 3 * MAX_DOCUMENT {
            return Err(OciError::TooMuch { what: "bytes" });
        }
        let mut file = File::create_new(folder.join(&name)).map_err(OciError::io(&name))?;
        match digest {
            Some(digest) => copy_checked(&mut entry, &mut file, &digest, size, &name)?,
            None => {
                io::copy(&mut entry.take(most), &mut file).map_err(OciError::io(&name))?;
            }
        }
    }
    read_layout(folder)
}

fn digest_of_name(name: &str) -> Option<Sha256> {
    format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()
}
