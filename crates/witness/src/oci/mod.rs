//! The capsule as an OCI image: one manifest, the capsule as its config, one layer for each content.

mod archive;
mod layout;

use std::collections::BTreeMap;

use assay_evidence::Sha256;
use serde::{Deserialize, Serialize};

use crate::capsule::Capsule;

pub use archive::{export, import};
pub use layout::{OciError, read_layout, write_layout};

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

/// The witness's id: the digest of [`manifest`].
pub fn witness_id(capsule: &Capsule) -> Sha256 {
    Sha256::of(&manifest(capsule))
}
