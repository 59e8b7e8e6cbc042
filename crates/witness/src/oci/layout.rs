//! An OCI image layout in a folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use assay_evidence::Sha256;
use serde::{Deserialize, Serialize};

use super::{ARTIFACT_TYPE, CONFIG_TYPE, Descriptor, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE, Manifest};
use crate::capsule::{Capsule, CapsuleError};
use crate::source::FileSource;

/// Most bytes of a manifest, index or capsule document.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;
/// The file that marks a folder as an OCI image layout.
pub const LAYOUT_FILE: &str = "oci-layout";
/// The list of images in a layout.
pub const INDEX_FILE: &str = "index.json";
/// What it holds.
pub const LAYOUT_TEXT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// Why a layout or archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The capsule inside breaks a rule.
    #[error("the capsule is refused: {0}")]
    Capsule(#[from] CapsuleError),
    /// A file could not be read or written.
    #[error("{name} cannot be read or written")]
    Io {
        /// Which file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is not what OCI or the capsule's format asks for.
    #[error("{name}: {what}")]
    Malformed {
        /// Which file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes that are not those their name says.
    #[error("{name} does not hold the bytes that its digest names")]
    WrongDigest {
        /// Which file.
        name: String,
    },
    /// An archive entry with a path or kind that is not allowed.
    #[error("archive entry `{name}` is refused: {what}")]
    Entry {
        /// The entry's path, shortened.
        name: String,
        /// Why.
        what: &'static str,
    },
    /// More entries or bytes than allowed.
    #[error("the archive holds too many or too large: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
}

impl OciError {
    pub(crate) fn io(name: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let name = name.into();
        move |source| Self::Io { name, source }
    }

    pub(crate) fn malformed(name: impl Into<String>, what: impl ToString) -> Self {
        Self::Malformed { name: name.into(), what: what.to_string() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Descriptor>,
}

pub(crate) fn blob_name(digest: &Sha256) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The bytes of `index.json`.
pub(crate) fn index(capsules: &[Capsule]) -> Vec<u8> {
    let descriptor = |capsule: &Capsule| {
        let manifest = super::manifest(capsule);
        let mut descriptor = Descriptor::new(MANIFEST_TYPE, Sha256::of(&manifest), manifest.len() as u64);
        descriptor.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        descriptor
    };
    let manifests = capsules.iter().map(descriptor).collect();
    let index = Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests };
    serde_json::to_vec(&index).expect("an index holds only strings and numbers")
}

/// The small files of a layout, by name.
pub(crate) fn documents(capsule: &Capsule) -> Vec<(String, Vec<u8>)> {
    let (manifest, config) = (super::manifest(capsule), super::config(capsule));
    let mut all = vec![
        (LAYOUT_FILE.to_owned(), LAYOUT_TEXT.as_bytes().to_vec()),
        (INDEX_FILE.to_owned(), index(std::slice::from_ref(capsule))),
        (blob_name(&Sha256::of(&manifest)), manifest),
        (blob_name(&Sha256::of(&config)), config),
    ];
    all.sort();
    all
}

/// Writes the capsule and all its bytes as an OCI image layout into `folder`, which is made.
///
/// # Errors
/// The capsule breaks a rule, or bytes cannot be read, are wrong, or cannot be written.
pub fn write_layout(capsule: &Capsule, source: &dyn FileSource, folder: &Path) -> Result<(), OciError> {
    capsule.validate()?;
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(OciError::io("blobs/sha256"))?;
    for blob in capsule.blobs() {
        let name = blob_name(&blob.digest);
        let from = source.path(&blob.digest).map_err(OciError::io(&name))?;
        let mut from = File::open(from).map_err(OciError::io(&name))?;
        let mut to = File::create(folder.join(&name)).map_err(OciError::io(&name))?;
        copy_checked(&mut from, &mut to, &blob.digest, blob.size, &name)?;
    }
    for (name, bytes) in documents(capsule) {
        fs::write(folder.join(&name), bytes).map_err(OciError::io(&name))?;
    }
    Ok(())
}

/// Copies exactly `size` bytes and checks that they are those of `digest`.
pub(crate) fn copy_checked(
    from: &mut dyn Read,
    to: &mut dyn Write,
    digest: &Sha256,
    size: u64,
    name: &str,
) -> Result<(), OciError> {
    let mut seen = Sha256::stream();
    let mut chunk = vec![0; 128 * 1024];
    let mut count = 0u64;
    let mut from = from.take(size + 1);
    loop {
        let got = from.read(&mut chunk).map_err(OciError::io(name))?;
        if got == 0 {
            break;
        }
        count += got as u64;
        seen.update(&chunk[..got]);
        to.write_all(&chunk[..got]).map_err(OciError::io(name))?;
    }
    if count != size || seen.finish() != *digest {
        return Err(OciError::WrongDigest { name: name.to_owned() });
    }
    Ok(())
}

fn read_document(folder: &Path, name: &str) -> Result<Vec<u8>, OciError> {
    let file = open_plain(&folder.join(name)).map_err(OciError::io(name))?;
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(OciError::io(name))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(OciError::TooMuch { what: "bytes in a document" });
    }
    Ok(bytes)
}

/// Opens a regular file, and no link.
fn open_plain(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn parse<'a, T: Deserialize<'a>>(name: &str, bytes: &'a [u8]) -> Result<T, OciError> {
    serde_json::from_slice(bytes).map_err(|error| OciError::malformed(name, error))
}

fn named_document(folder: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
    let name = blob_name(&descriptor.digest);
    let bytes = read_document(folder, &name)?;
    if bytes.len() as u64 != descriptor.size || Sha256::of(&bytes) != descriptor.digest {
        return Err(OciError::WrongDigest { name });
    }
    Ok(bytes)
}

/// Reads a capsule from an OCI image layout and checks every byte of it.
///
/// # Errors
/// Whatever is missing, malformed, over a limit, or not what its digest names.
pub fn read_layout(folder: &Path) -> Result<Capsule, OciError> {
    let index = read_document(folder, INDEX_FILE)?;
    let index: Index = parse(INDEX_FILE, &index)?;
    let [entry] = index.manifests.as_slice() else {
        return Err(OciError::malformed(INDEX_FILE, "there is not exactly one manifest"));
    };
    if entry.media_type != MANIFEST_TYPE {
        return Err(OciError::malformed(INDEX_FILE, "the entry is no image manifest"));
    }
    let bytes = named_document(folder, entry)?;
    let manifest: Manifest = parse("the manifest", &bytes)?;
    if manifest.artifact_type != ARTIFACT_TYPE || manifest.config.media_type != CONFIG_TYPE {
        return Err(OciError::malformed("the manifest", "it is no witness"));
    }
    let config = named_document(folder, &manifest.config)?;
    let capsule: Capsule = parse("the capsule", &config)?;
    capsule.validate()?;
    // One capsule has one manifest: whatever differs is not ours to carry along.
    if super::manifest(&capsule) != bytes {
        return Err(OciError::malformed("the manifest", "it is not the capsule's own"));
    }
    for layer in &manifest.layers {
        debug_assert_eq!(layer.media_type, LAYER_TYPE);
        let name = blob_name(&layer.digest);
        let mut file = open_plain(&folder.join(&name)).map_err(OciError::io(&name))?;
        copy_checked(&mut file, &mut io::sink(), &layer.digest, layer.size, &name)?;
    }
    Ok(capsule)
}
