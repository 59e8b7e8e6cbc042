//! Where the bytes behind digests are.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use assay_evidence::Sha256;

/// Read-only files on disk, named by the digest of their bytes.
pub trait FileSource: Sync {
    /// The path of a file that holds the bytes of `digest`.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none.
    fn path(&self, digest: &Sha256) -> io::Result<PathBuf>;
}

/// Where a recording found some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// In a file of the recording host.
    Path(PathBuf),
    /// Nowhere but here.
    Bytes(Vec<u8>),
}

/// Digests and the files that hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapSource(pub BTreeMap<Sha256, PathBuf>);

impl FileSource for MapSource {
    fn path(&self, digest: &Sha256) -> io::Result<PathBuf> {
        self.0.get(digest).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
