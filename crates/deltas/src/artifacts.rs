//! Artifacts taken into the index.

use assay_access::{Permission, Principal};
use assay_binary::{Architecture, ModuleFormat, Toolchain};
use assay_delta::catalogue::SegmentBuilder;
use assay_delta::{Index, NORMALISER_VERSION};
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Generation, StoreError, jobs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use crate::manifest::{Manifest, Segment, pointer};
use crate::sql::ArtifactRow;
use crate::{Deltas, DeltasError, DeltasResult, sql};

/// How long one artifact may take before another node takes it over, in seconds.
const INDEX_LEASE_SECONDS: i64 = 600;
/// How often the pointer is tried when other nodes move it first.
pub(crate) const MAX_ATTEMPTS: u32 = 32;

/// For whom an artifact is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Somebody named it: tried also where it was given up.
    Principal,
    /// It waits.
    Nobody,
}

/// What the index says of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexSummary {
    /// The artifact.
    pub artifact: Sha256,
    /// The index's own file.
    pub index: Sha256,
    /// The version of the normaliser that made it.
    pub normaliser: u32,
    /// Functions that were found.
    pub functions: u64,
    /// Named data objects that were found.
    pub objects: u64,
    /// The container format.
    pub format: ModuleFormat,
    /// What executes it.
    pub architecture: Architecture,
    /// The compilers that took part, the main part's first.
    pub toolchains: Vec<Toolchain>,
    /// Whether the instructions were understood; otherwise functions are compared as bytes.
    pub lifted: bool,
    /// What could not be read.
    pub warnings: Vec<String>,
}

impl IndexSummary {
    fn of(index: &Index, blob: Sha256) -> Self {
        let about = index.about();
        Self {
            artifact: about.artifact,
            index: blob,
            normaliser: NORMALISER_VERSION,
            functions: index.functions().len() as u64,
            objects: index.objects().len() as u64,
            format: about.format,
            architecture: about.architecture.clone(),
            toolchains: about.toolchains.clone(),
            lifted: about.lifted,
            warnings: about.warnings.clone(),
        }
    }
}

impl Deltas {
    /// Indexes a stored artifact, once: the answer of the first time is kept.
    ///
    /// # Errors
    /// [`DeltasError`]: not permitted, not stored, no binary that is read, or the store failed.
    pub async fn index(
        &self,
        principal: &Principal,
        artifact: &Sha256,
        now: Timestamp,
    ) -> DeltasResult<IndexSummary> {
        principal.require(Permission::AddEvidence)?;
        let indexed = self.index_for(principal.tenant(), artifact, now, Asker::Principal).await?;
        indexed.ok_or(DeltasError::Stopped)
    }

    /// What is known of an indexed artifact.
    ///
    /// # Errors
    /// [`DeltasError`]: not permitted, not indexed, or the store failed.
    pub async fn summary(&self, principal: &Principal, artifact: &Sha256) -> DeltasResult<IndexSummary> {
        principal.require(Permission::ReadEvidence)?;
        let row = sql::indexed(self.store.database(), principal.tenant(), artifact).await?;
        row.map_or(Err(DeltasError::NotIndexed { artifact: *artifact }), |row| read_summary(&row))
    }

    /// As a job: done again where a worker died, and harmless where two do it. Nothing where nobody
    /// asked and another one is at it or it is given up.
    ///
    /// Within a process an artifact is lifted once at a time, and the work goes on where the one who
    /// asked goes away.
    pub(crate) async fn index_for(
        &self,
        tenant: &TenantId,
        artifact: &Sha256,
        now: Timestamp,
        asker: Asker,
    ) -> DeltasResult<Option<IndexSummary>> {
        let turn = self.lifting.turn(tenant, artifact).await;
        if let Some(row) = sql::indexed(self.store.database(), tenant, artifact).await? {
            return read_summary(&row).map(Some);
        }
        let permit = self.lifting.permit().await?;
        let (deltas, tenant, artifact) = (self.clone(), tenant.clone(), *artifact);
        let work = async move {
            let _turn = turn;
            deltas.lift(&tenant, &artifact, now, asker, permit).await
        };
        tokio::spawn(work).await.map_err(|_| DeltasError::Stopped)?
    }

    async fn lift(
        &self,
        tenant: &TenantId,
        artifact: &Sha256,
        now: Timestamp,
        asker: Asker,
        permit: OwnedSemaphorePermit,
    ) -> DeltasResult<Option<IndexSummary>> {
        let bytes = match self.store.blobs().get_content(tenant, artifact).await {
            Err(error @ StoreError::Missing { .. }) => {
                self.forget(tenant, artifact).await?;
                return Err(error.into());
            }
            read => read?,
        };
        let owner = format!("process-{}", std::process::id());
        let Some(job) = self.lease(tenant, artifact, &owner, now, asker).await? else { return Ok(None) };
        let built = tokio::task::spawn_blocking(move || (Index::build(&bytes), permit));
        let outcome = match built.await {
            Err(_) => Err(DeltasError::Stopped),
            Ok((Ok(index), _permit)) => self.enter(tenant, index, now).await.map(Some),
            Ok((Err(source), _permit)) => {
                self.forget(tenant, artifact).await?;
                Err(DeltasError::Refused { artifact: *artifact, source })
            }
        };
        self.finish(&job, &owner, outcome).await
    }

    async fn lease(
        &self,
        tenant: &TenantId,
        artifact: &Sha256,
        owner: &str,
        now: Timestamp,
        asker: Asker,
    ) -> DeltasResult<Option<jobs::Job>> {
        let (id, payload) =
            (&sql::index_job(artifact), &serde_json::json!({ "artifact": artifact }).to_string());
        let job: Result<Option<jobs::Job>, StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                if asker == Asker::Nobody && sql::is_left(&tx, tenant, artifact, now).await? {
                    return Ok(None);
                }
                sql::ask(&tx, tenant, artifact, now).await?;
                jobs::enqueue(&tx, tenant, id, "delta_index", payload, now).await?;
                jobs::lease(&tx, tenant, id, owner, now, INDEX_LEASE_SECONDS).await.map(Some)
            })
            .await;
        Ok(job?)
    }

    async fn forget(&self, tenant: &TenantId, artifact: &Sha256) -> DeltasResult<()> {
        let written: Result<(), StoreError> =
            self.store.database().write(|tx| async move { sql::forget(&tx, tenant, artifact).await }).await;
        Ok(written?)
    }

    /// Notes how a job ended.
    pub(crate) async fn finish<T>(
        &self,
        job: &jobs::Job,
        owner: &str,
        outcome: DeltasResult<T>,
    ) -> DeltasResult<T> {
        let said = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let ended = match &outcome {
            Ok(_) => jobs::Ended::Done("{}"),
            Err(DeltasError::Refused { .. }) => jobs::Ended::Refused(&said),
            Err(_) => jobs::Ended::Failed(&said),
        };
        let finished: Result<bool, StoreError> = self
            .store
            .database()
            .write(|tx| async move { jobs::finish(&tx, job, owner, ended, Timestamp::now()).await })
            .await;
        finished?;
        outcome
    }

    /// Keeps an index, adds a segment, and moves the pointer with the row.
    async fn enter(&self, tenant: &TenantId, index: Index, now: Timestamp) -> DeltasResult<IndexSummary> {
        let blobs = self.store.blobs();
        let written = tokio::task::spawn_blocking(move || {
            let mut builder = SegmentBuilder::default();
            builder.add(&index);
            builder.finish().map(|segment| (index.to_bytes(), segment, index))
        });
        let (bytes, (bits, shards), index) = written.await.map_err(|_| DeltasError::Stopped)??;
        let blob = blobs.put_content(tenant, bytes).await?;
        let segment = Segment::put(blobs, tenant, bits, shards).await?;
        let summary = IndexSummary::of(&index, blob);
        let text = serde_json::to_string(&summary).unwrap_or_default();
        let row = &ArtifactRow { index: blob, summary: text };
        let artifact = &summary.artifact;
        for _ in 0..MAX_ATTEMPTS {
            let (expected, known) = self.manifest(tenant).await?.unwrap_or_default();
            let mut manifest = Manifest::clone(&known);
            if !segment.shards.is_empty() {
                manifest.segments.push(segment.clone());
            }
            let manifest = &manifest.put(blobs, tenant).await?;
            let moved: DeltasResult<bool> = self
                .store
                .database()
                .write(|tx| async move {
                    if sql::is_indexed(&tx, tenant, artifact).await? {
                        return Ok(true);
                    }
                    let moved =
                        Generation::advance_from(&tx, tenant, &pointer(), expected, manifest, now).await?;
                    if moved && !sql::answer(&tx, tenant, artifact, row, Timestamp::now()).await? {
                        // Another node forgot the row: the pointer stays where it was.
                        return Err(DeltasError::Contended { attempts: 1 });
                    }
                    Ok(moved)
                })
                .await;
            if moved? {
                return Ok(summary);
            }
        }
        Err(DeltasError::Contended { attempts: MAX_ATTEMPTS })
    }
}

fn read_summary(row: &ArtifactRow) -> DeltasResult<IndexSummary> {
    serde_json::from_str(&row.summary).map_err(|error| DeltasError::Manifest { detail: error.to_string() })
}
