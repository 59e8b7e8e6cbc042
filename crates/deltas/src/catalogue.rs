//! Which artifacts contain a function.

use std::sync::{Arc, PoisonError};

use assay_access::{Permission, Principal};
use assay_binary::Address;
use assay_delta::catalogue::{FunctionKey, Occurrence};
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::Generation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, ShardFile, pointer};
use crate::shelf::OpenShard;
use crate::{Deltas, DeltasError, DeltasResult, sql};

/// Most places that one answer lists.
pub const MAX_FOUND: usize = 1000;

/// How near the shards of an answer were; the farthest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Open in this process: asked for within the last ten minutes.
    Hot,
    /// In a file on this machine.
    Warm,
    /// Fetched from the object store for this answer; it is warm now.
    Cold,
}

/// One place of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundIn {
    /// The artifact.
    pub artifact: Sha256,
    /// Where the function begins there.
    pub address: Address,
}

/// The artifacts that contain a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionArtifacts {
    /// The function: its T1 without build noise.
    pub function: Sha256,
    /// How many places there are in all.
    pub occurrences: u64,
    /// The places, by artifact and address.
    pub artifacts: Vec<FoundIn>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
    /// Every artifact that was to be indexed before so many seconds is taken into account; 0 where none
    /// waits.
    pub index_age_seconds: f64,
    /// How near the index was.
    pub tier: Tier,
}

fn cursor(place: &FoundIn) -> String {
    format!("{}-{:x}", place.artifact.hex(), place.address.0)
}

fn seconds(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0, |since| now.micros().saturating_sub(since.micros()).max(0)) as f64 / 1e6
}

fn read_cursor(text: &str) -> DeltasResult<Occurrence> {
    let refuse = || DeltasError::Cursor { text: text.chars().take(100).collect() };
    let (artifact, address) = text.split_once('-').ok_or_else(refuse)?;
    let artifact = format!("sha256:{artifact}").parse().map_err(|_| refuse())?;
    let address = u64::from_str_radix(address, 16).map_err(|_| refuse())?;
    Ok(Occurrence { artifact, address: Address(address) })
}

impl Deltas {
    /// The artifacts of the principal's tenant that contain the function whose T1 without build noise is
    /// `function`, at most `limit` places from a cursor on.
    ///
    /// # Errors
    /// [`DeltasError`]: not permitted, no cursor, or the store failed.
    pub async fn find(
        &self,
        principal: &Principal,
        function: &Sha256,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> DeltasResult<FunctionArtifacts> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let (key, limit) = (FunctionKey::of(function), limit.clamp(1, MAX_FOUND));
        let after = after.map(read_cursor).transpose()?;
        if !self.shelf().has_looked_for_old(tenant) {
            self.look_for_old(tenant).await?;
        }
        // Before the manifest is read: what is entered in between is found, or counts as waiting.
        let index_age_seconds = self.index_age(tenant, now).await?;
        let (mut occurrences, mut found, mut tier) = (0, Vec::new(), Tier::Hot);
        let manifest = self.manifest(tenant).await?.map(|(_, manifest)| manifest);
        for file in manifest.iter().flat_map(|m| &m.segments).filter_map(|segment| segment.shard(&key)) {
            let (shard, near) = self.shard(tenant, file).await?;
            tier = tier.max(near);
            let (all, places) = shard.shard.find(shard.as_ref(), &key, after.as_ref(), limit + 1)?;
            occurrences += all;
            found.extend(places);
        }
        found.sort_unstable();
        found.dedup();
        let more = found.len() > limit;
        found.truncate(limit);
        let place = |&Occurrence { artifact, address }: &Occurrence| FoundIn { artifact, address };
        let artifacts: Vec<FoundIn> = found.iter().map(place).collect();
        Ok(FunctionArtifacts {
            function: *function,
            occurrences,
            next: artifacts.last().filter(|_| more).map(cursor),
            artifacts,
            index_age_seconds,
            tier,
        })
    }

    /// The current manifest and its generation.
    pub(crate) async fn manifest(&self, tenant: &TenantId) -> DeltasResult<Option<(i64, Arc<Manifest>)>> {
        let Some(generation) = Generation::current(self.store.database(), tenant, &pointer()).await? else {
            return Ok(None);
        };
        let known = self.shelf().manifest(tenant, &generation.blob);
        let manifest = match known {
            Some(manifest) => manifest,
            None => {
                let manifest = Arc::new(Manifest::get(self.store.blobs(), tenant, &generation).await?);
                self.shelf().keep_manifest(tenant, generation.blob, &manifest);
                manifest
            }
        };
        Ok(Some((generation.number, manifest)))
    }

    async fn shard(&self, tenant: &TenantId, file: &ShardFile) -> DeltasResult<(Arc<OpenShard>, Tier)> {
        let known = self.shelf().shard(tenant, &file.digest);
        if let Some(shard) = known {
            return Ok((shard, Tier::Hot));
        }
        let blobs = self.store.blobs();
        let tier = if blobs.is_local(tenant, &file.digest) { Tier::Warm } else { Tier::Cold };
        let path = blobs.local_file(tenant, &file.digest).await?;
        let shard = Arc::new(OpenShard::open(&path)?);
        self.shelf().keep_shard(tenant, file.digest, &shard);
        Ok((shard, tier))
    }

    /// For how long the oldest artifact waits that is not in the catalogue.
    pub(crate) async fn index_age(&self, tenant: &TenantId, now: Timestamp) -> DeltasResult<f64> {
        let since = sql::waiting_since(self.store.database(), tenant).await?;
        self.shelf().waits(tenant, since);
        Ok(seconds(since, now))
    }

    /// For how many seconds the oldest artifact waits of the tenants that this process works for, as
    /// their last answers and maintenance saw it; 0 where none waits. What is given up counts.
    pub fn oldest_waiting(&self, now: Timestamp) -> f64 {
        seconds(self.shelf().waits_since(), now)
    }

    pub(crate) fn shelf(&self) -> std::sync::MutexGuard<'_, crate::shelf::Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
