//! What is done in the background: artifacts that wait, and segments that pile up.

use assay_delta::NORMALISER_VERSION;
use assay_delta::catalogue::merge;
use assay_evidence::{TenantId, Timestamp};
use assay_store::{Generation, StoreError, jobs};

use crate::artifacts::{Asker, MAX_ATTEMPTS};
use crate::manifest::{Manifest, Segment, pointer};
use crate::{Deltas, DeltasError, DeltasResult, sql};

/// Segments that are searched one after the other before some are merged.
const MAX_SEGMENTS: usize = 8;
/// Segments up to so many times what all smaller ones hold together are merged with them: an artifact's
/// functions are written again a number of times that grows with the logarithm of the catalogue.
const GROWTH: u64 = 2;
/// How long a merge may take before another node begins it again, in seconds.
const LEASE_SECONDS: i64 = 3600;

/// The points of a merge at which a test kills the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeStep {
    /// The segments were read.
    Read,
    /// The merged shards are stored.
    Stored,
    /// The new manifest is stored; nothing points to it.
    Manifest,
    /// The pointer was moved.
    Moved,
}

impl Deltas {
    /// Lets wait what only an older version of the normaliser has indexed. Asked again by all maintenance:
    /// a node of that version may still be at work.
    pub(crate) async fn look_for_old(&self, tenant: &TenantId) -> DeltasResult<()> {
        let asked: Result<u64, StoreError> =
            self.store.database().write(|tx| async move { sql::ask_again(&tx, tenant).await }).await;
        let artifacts = asked?;
        self.shelf().looked_for_old(tenant);
        if artifacts > 0 {
            tracing::info!(%tenant, artifacts, "artifacts of an older normaliser wait to be indexed again");
        }
        Ok(())
    }

    /// Indexes what waits and merges what piled up. Any node may do it at any time, also two at once.
    ///
    /// What failed [`jobs::MAX_ATTEMPTS`] times is not tried again until somebody asks for it by name; it
    /// goes on waiting, so that the age of every answer tells of it.
    ///
    /// # Errors
    /// [`DeltasError`] of the store; an artifact that cannot be indexed is logged and passed over.
    pub async fn maintain(&self, tenant: &TenantId, now: Timestamp) -> DeltasResult<()> {
        self.look_for_old(tenant).await?;
        let began = std::time::Instant::now();
        for artifact in sql::waiting(self.store.database(), tenant, now).await? {
            // A lease counts from when the work on its artifact begins, however long the others took.
            let later = now.plus_seconds(i64::try_from(began.elapsed().as_secs()).unwrap_or(i64::MAX));
            if let Err(error) = self.index_for(tenant, &artifact, later, Asker::Nobody).await {
                tracing::warn!(%tenant, %artifact, %error, "an artifact that waits cannot be indexed");
            }
        }
        self.index_age(tenant, now).await?;
        self.merge(tenant, now, &|_| {}).await.map(drop)
    }

    /// Merges small segments where there are too many, as a job; says whether there were.
    ///
    /// # Errors
    /// [`DeltasError`] where a shard cannot be used or the store failed; the catalogue is as it was.
    pub async fn merge(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        at: &(dyn Fn(MergeStep) + Sync),
    ) -> DeltasResult<bool> {
        let Some((_, manifest)) = self.manifest(tenant).await? else { return Ok(false) };
        if manifest.segments.len() <= MAX_SEGMENTS {
            return Ok(false);
        }
        let id = format!("delta-merge/v{NORMALISER_VERSION}");
        let owner = format!("process-{}", std::process::id());
        let (id, owner) = (&id, &owner);
        let job: Result<jobs::Job, StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                jobs::enqueue(&tx, tenant, id, "delta_merge", "{}", now).await?;
                jobs::lease(&tx, tenant, id, owner, now, LEASE_SECONDS).await
            })
            .await;
        let outcome = self.merge_smallest(tenant, &manifest, now, at).await;
        self.finish(&job?, owner, outcome).await?;
        Ok(true)
    }

    async fn merge_smallest(
        &self,
        tenant: &TenantId,
        known: &Manifest,
        now: Timestamp,
        at: &(dyn Fn(MergeStep) + Sync),
    ) -> DeltasResult<()> {
        let chosen = smallest(known);
        let blobs = self.store.blobs();
        let mut bytes = Vec::new();
        for shard in chosen.iter().flat_map(|segment| &segment.shards) {
            bytes.push(blobs.get_content(tenant, &shard.digest).await?);
        }
        at(MergeStep::Read);
        let merged = tokio::task::spawn_blocking(move || {
            let inputs: Vec<&[u8]> = bytes.iter().map(AsRef::as_ref).collect();
            merge(&inputs)
        });
        let (bits, shards) = merged.await.map_err(|_| DeltasError::Stopped)??;
        let segment = Segment::put(blobs, tenant, bits, shards).await?;
        at(MergeStep::Stored);
        self.replace(tenant, &chosen, &segment, now, at).await
    }

    /// Moves the pointer to a manifest with `segment` instead of `chosen`; new segments of others stay.
    async fn replace(
        &self,
        tenant: &TenantId,
        chosen: &[Segment],
        segment: &Segment,
        now: Timestamp,
        at: &(dyn Fn(MergeStep) + Sync),
    ) -> DeltasResult<()> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((expected, known)) = self.manifest(tenant).await? else { return Ok(()) };
            let mut manifest = Manifest::clone(&known);
            manifest.segments.retain(|other| !chosen.contains(other));
            if manifest.segments.len() + chosen.len() != known.segments.len() {
                // Another node merged some of them already; what it made holds the same.
                return Ok(());
            }
            manifest.segments.insert(0, segment.clone());
            let blob = &manifest.put(self.store.blobs(), tenant).await?;
            at(MergeStep::Manifest);
            let moved: Result<bool, StoreError> = self
                .store
                .database()
                .write(|tx| async move {
                    Generation::advance_from(&tx, tenant, &pointer(), expected, blob, now).await
                })
                .await;
            if moved? {
                at(MergeStep::Moved);
                return Ok(());
            }
        }
        Err(DeltasError::Contended { attempts: MAX_ATTEMPTS })
    }
}

/// The smallest segments: at least so many that few are left, and all that are not much larger than
/// those before them together.
fn smallest(manifest: &Manifest) -> Vec<Segment> {
    let mut segments = manifest.segments.clone();
    segments.sort_by_key(Segment::functions);
    let needed = segments.len().saturating_sub(MAX_SEGMENTS / 2) + 1;
    let (mut count, mut sum) = (0, 0u64);
    for segment in &segments {
        if count >= needed && segment.functions() > sum.saturating_mul(GROWTH) {
            break;
        }
        sum += segment.functions();
        count += 1;
    }
    segments.truncate(count);
    segments
}
