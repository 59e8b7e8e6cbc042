//! Key files: text, mode 0600, created once and never overwritten.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use assay_evidence::{KeyError, PrivateKey};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the key file {} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("the key file {} has mode {mode:03o}; others may read it", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no key.
    #[error("the key file {} holds no key", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness: {detail}")]
    Randomness {
        /// What it said.
        detail: String,
    },
}

/// Makes a key and writes it to a new file of mode 0600; a file that exists is refused.
pub fn new_key(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| KeyFileError::Randomness { detail: error.to_string() })?;
    let key = PrivateKey::from_seed(&seed);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(key.to_secret_text().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key)
}

/// Reads a key file; one that others can read is refused.
pub fn load_key(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_owned(), mode });
    }
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    PrivateKey::from_secret_text(&text)
        .map_err(|source| KeyFileError::Content { path: path.to_owned(), source })
}
