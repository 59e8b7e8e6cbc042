//! Which shards a generation of a tenant's catalogue consists of.

use assay_delta::NORMALISER_VERSION;
use assay_delta::catalogue::{FunctionKey, ShardBytes};
use assay_evidence::{Sha256, TenantId};
use assay_store::{Blobs, Generation};
use serde::{Deserialize, Serialize};

use crate::{DeltasError, DeltasResult};

/// The name of the pointer: hashes of two versions are never mixed.
pub(crate) fn pointer() -> String {
    format!("delta-functions-v{NORMALISER_VERSION}")
}

/// All segments of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub segments: Vec<Segment>,
}

/// Some artifacts' functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub prefix_bits: u32,
    pub shards: Vec<ShardFile>,
}

/// One shard as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShardFile {
    pub prefix: u32,
    pub digest: Sha256,
    pub functions: u64,
}

impl Segment {
    /// The shard that would hold the key.
    pub fn shard(&self, key: &FunctionKey) -> Option<&ShardFile> {
        let prefix = key.prefix(self.prefix_bits.min(32));
        self.shards.iter().find(|shard| shard.prefix == prefix)
    }

    /// How many functions it knows.
    pub fn functions(&self) -> u64 {
        self.shards.iter().map(|shard| shard.functions).sum()
    }

    /// Keeps the shards of a new segment.
    pub async fn put(
        blobs: &Blobs,
        tenant: &TenantId,
        prefix_bits: u32,
        written: Vec<ShardBytes>,
    ) -> DeltasResult<Self> {
        let mut shards = Vec::with_capacity(written.len());
        for ShardBytes { prefix, functions, bytes } in written {
            let digest = blobs.put_content(tenant, bytes).await?;
            shards.push(ShardFile { prefix, digest, functions });
        }
        Ok(Self { prefix_bits, shards })
    }
}

impl Manifest {
    /// Reads the manifest of a generation.
    pub async fn get(blobs: &Blobs, tenant: &TenantId, generation: &Generation) -> DeltasResult<Self> {
        let bytes = blobs.get_content(tenant, &generation.blob).await?;
        serde_json::from_slice(&bytes).map_err(|error| DeltasError::Manifest { detail: error.to_string() })
    }

    /// Keeps a manifest; its digest.
    pub async fn put(&self, blobs: &Blobs, tenant: &TenantId) -> DeltasResult<Sha256> {
        let bytes = serde_json::to_vec(self).map_err(|e| DeltasError::Manifest { detail: e.to_string() })?;
        Ok(blobs.put_content(tenant, bytes).await?)
    }
}
