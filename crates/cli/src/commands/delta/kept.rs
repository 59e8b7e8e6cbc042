//! Indexes in the data folder: one immutable file per artifact and normaliser version, made visible
//! whole or not at all. An index of another version or a damaged one is built again.

use std::io::Write as _;
use std::path::PathBuf;

use assay_delta::{Index, NORMALISER_VERSION};
use assay_evidence::Sha256;

use crate::args::Global;

/// Where indexes are kept; nowhere if there is no folder to keep them in.
pub(super) struct Kept {
    folder: Option<PathBuf>,
}

impl Kept {
    pub fn of(global: &Global) -> Self {
        Self { folder: crate::client::data_folder(global).ok().map(|folder| folder.join("delta-index")) }
    }

    fn path(&self, artifact: Sha256) -> Option<PathBuf> {
        let name = format!("{}.v{NORMALISER_VERSION}.index", artifact.hex());
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    pub fn load(&self, artifact: Sha256) -> Option<Index> {
        let bytes = std::fs::read(self.path(artifact)?).ok()?;
        Index::from_bytes(&bytes).ok().filter(|index| index.artifact() == artifact)
    }

    /// Keeps an index. That it could not be kept only costs time later.
    pub fn keep(&self, index: &Index) {
        let Some(path) = self.path(index.artifact()) else { return };
        let Some(folder) = path.parent() else { return };
        let written = std::fs::create_dir_all(folder).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&index.to_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        });
        if let Err(error) = written {
            tracing::debug!(%error, "the index is not kept");
        }
    }
}
