//! The capsule as an OCI image: one manifest, the capsule as its config, one layer for each content.

mod archive;
mod layout;
mod runtime;

use std::collections::BTreeMap;

use assay_evidence::Sha256;
use serde::{Deserialize, Serialize};

use crate::capsule::{Blob, Capsule};

pub use archive::{Accept, ArchiveLimits, digest_of_name, export, import, pack_plain, unpack_plain};
pub use layout::{INDEX_FILE, LAYOUT_FILE, LAYOUT_TEXT, OciError, read_layout, write_layout};
pub use runtime::write_runtime_bundle;

/// What the manifest says it is.
pub const ARTIFACT_TYPE: &str = "application/vnd.stella-ops.assay.witness.v1";
/// The media type of the config: the capsule as JSON.
pub const CONFIG_TYPE: &str = "application/vnd.stella-ops.assay.capsule.v1+json";
/// The media type of a layer: the bytes of one file as they are.
pub const LAYER_TYPE: &str = "application/vnd.stella-ops.assay.file.v1";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// An OCI content descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub media_type: String,
    pub digest: Sha256,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Sha256, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, artifact_type: None }
    }
}

/// An OCI image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub schema_version: u32,
    pub media_type: String,
    pub artifact_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// The bytes of the manifest's config.
pub(crate) fn config(capsule: &Capsule) -> Vec<u8> {
    serde_json::to_vec(capsule).expect("a capsule holds only strings, numbers and maps with string keys")
}

/// The bytes of the capsule's OCI manifest; equal capsules give equal bytes.
pub fn manifest(capsule: &Capsule) -> Vec<u8> {
    let config = config(capsule);
    let layers = capsule.blobs().into_iter().map(|blob| Descriptor::new(LAYER_TYPE, blob.digest, blob.size));
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        artifact_type: ARTIFACT_TYPE.to_owned(),
        config: Descriptor::new(CONFIG_TYPE, Sha256::of(&config), config.len() as u64),
        layers: layers.collect(),
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&manifest).expect("a manifest holds only strings and numbers")
}

/// Every blob that a capsule's image consists of: manifest, config and layers.
pub fn image_blobs(capsule: &Capsule) -> Vec<(Blob, Option<Vec<u8>>)> {
    let document = |bytes: Vec<u8>| {
        let blob = Blob { digest: Sha256::of(&bytes), size: bytes.len() as u64 };
        (blob, Some(bytes))
    };
    let layers = capsule.blobs().into_iter().map(|blob| (blob, None));
    [document(manifest(capsule)), document(config(capsule))].into_iter().chain(layers).collect()
}

/// Reads the capsule of a manifest, both given as bytes, and checks that they belong together.
///
/// # Errors
/// What is malformed, or a manifest that is not the capsule's own.
pub fn capsule_of(
    manifest_bytes: &[u8],
    config_of: &dyn Fn(&Sha256) -> Option<Vec<u8>>,
) -> Result<Capsule, OciError> {
    let read: Manifest =
        serde_json::from_slice(manifest_bytes).map_err(|error| OciError::malformed("the manifest", error))?;
    if read.artifact_type != ARTIFACT_TYPE || read.config.media_type != CONFIG_TYPE {
        return Err(OciError::malformed("the manifest", "it is no witness"));
    }
    let bytes =
        config_of(&read.config.digest).ok_or_else(|| OciError::malformed("the capsule", "it is missing"))?;
    if Sha256::of(&bytes) != read.config.digest {
        return Err(OciError::WrongDigest { name: "the capsule".to_owned() });
    }
    let capsule: Capsule =
        serde_json::from_slice(&bytes).map_err(|error| OciError::malformed("the capsule", error))?;
    capsule.validate()?;
    if manifest(&capsule) != manifest_bytes {
        return Err(OciError::malformed("the manifest", "it is not the capsule's own"));
    }
    Ok(capsule)
}

/// Where the capsule of a manifest lies.
///
/// # Errors
/// Bytes that are no manifest of a witness, or name a capsule that is too large.
pub fn config_descriptor(manifest_bytes: &[u8]) -> Result<Blob, OciError> {
    let read: Manifest =
        serde_json::from_slice(manifest_bytes).map_err(|error| OciError::malformed("the manifest", error))?;
    if read.artifact_type != ARTIFACT_TYPE || read.config.size > layout::MAX_DOCUMENT {
        return Err(OciError::malformed("the manifest", "it is no witness"));
    }
    Ok(Blob { digest: read.config.digest, size: read.config.size })
}

/// The index of several images, in the order given.
pub fn index_of(capsules: &[Capsule]) -> Vec<u8> {
    layout::index(capsules)
}

/// The witness's id: the digest of [`manifest`].
pub fn witness_id(capsule: &Capsule) -> Sha256 {
    Sha256::of(&manifest(capsule))
}
