//! Artifacts taken into the index.

use assay_access::{Permission, Principal};
use assay_binary::{Architecture, ModuleFormat, Toolchain};
use assay_delta::catalogue::SegmentBuilder;
use assay_delta::{Index, NORMALISER_VERSION};
use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Generation, StoreError, jobs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Segment, pointer};
use crate::sql::ArtifactRow;
use crate::{Deltas, DeltasError, DeltasResult, sql};

/// How long one artifact may take before another node takes it over, in seconds.
pub(crate) const INDEX_LEASE_SECONDS: i64 = 600;
/// How often the pointer is tried when other nodes move it first.
pub(crate) const MAX_ATTEMPTS: u32 = 32;

/// The name of the job that indexes an artifact.
pub(crate) fn index_job(artifact: &Sha256) -> String {
    format!("delta-index/v{NORMALISER_VERSION}/{artifact}")
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
        self.index_for(principal.tenant(), artifact, now).await
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

    /// As a job: done again where a worker died, and harmless where two do it.
    pub(crate) async fn index_for(
        &self,
        tenant: &TenantId,
        artifact: &Sha256,
        now: Timestamp,
    ) -> DeltasResult<IndexSummary> {
        if let Some(row) = sql::indexed(self.store.database(), tenant, artifact).await? {
            return read_summary(&row);
        }
        let bytes = self.store.blobs().get_content(tenant, artifact).await?;
        let (id, owner) = (index_job(artifact), format!("process-{}", std::process::id()));
        let payload = serde_json::json!({ "artifact": artifact }).to_string();
        let (id, owner, payload) = (&id, &owner, &payload);
        let job: Result<jobs::Job, StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                sql::ask(&tx, tenant, artifact, now).await?;
                jobs::enqueue(&tx, tenant, id, "delta_index", payload, now).await?;
                jobs::lease(&tx, tenant, id, owner, now, INDEX_LEASE_SECONDS).await
            })
            .await;
        let job = job?;
        let built = tokio::task::spawn_blocking(move || Index::build(&bytes));
        let outcome = match built.await.map_err(|_| DeltasError::Stopped)? {
            Ok(index) => self.enter(tenant, index, now).await,
            Err(source) => {
                self.forget(tenant, artifact).await?;
                Err(DeltasError::Refused { artifact: *artifact, source })
            }
        };
        self.finish(&job, owner, outcome).await
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
        let text = outcome.as_ref().err().map(ToString::to_string);
        let text = text.as_deref();
        let finished: Result<bool, StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                let ended = text.map_or(jobs::Ended::Done("{}"), jobs::Ended::Failed);
                jobs::finish(&tx, job, owner, ended, Timestamp::now()).await
            })
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
            let moved: Result<bool, StoreError> = self
                .store
                .database()
                .write(|tx| async move {
                    if sql::is_indexed(&tx, tenant, artifact).await? {
                        return Ok(true);
                    }
                    let moved =
                        Generation::advance_from(&tx, tenant, &pointer(), expected, manifest, now).await?;
                    if moved {
                        sql::answer(&tx, tenant, artifact, row, Timestamp::now()).await?;
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
