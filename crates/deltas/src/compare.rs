//! Deltas of two indexed artifacts.

use assay_access::{Permission, Principal};
use assay_binary::Address;
use assay_delta::{ChangeGraph, Delta, Explanation, Index};
use assay_evidence::{Sha256, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Deltas, DeltasError, DeltasResult, sql};

/// What differs between two artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The one before.
    pub a: Sha256,
    /// The one after.
    pub b: Sha256,
    /// What differs.
    #[serde(flatten)]
    pub delta: Delta,
}

impl Deltas {
    /// What differs between two indexed artifacts, from their indexes alone.
    ///
    /// # Errors
    /// [`DeltasError`]: not permitted, not indexed, or the store failed.
    pub async fn compare(&self, principal: &Principal, a: &Sha256, b: &Sha256) -> DeltasResult<Comparison> {
        let delta = self.indexes(principal, a, b, assay_delta::diff).await?;
        Ok(Comparison { a: *a, b: *b, delta })
    }

    /// The changed functions among those who call them and whom they call.
    ///
    /// # Errors
    /// As [`Deltas::compare`].
    pub async fn graph(&self, principal: &Principal, a: &Sha256, b: &Sha256) -> DeltasResult<ChangeGraph> {
        self.indexes(principal, a, b, assay_delta::change_graph).await
    }

    /// A function of both side by side, and what differs in words.
    ///
    /// # Errors
    /// As [`Deltas::compare`]; also where no function begins at one of the addresses.
    pub async fn explain(
        &self,
        principal: &Principal,
        (a, address_a): (&Sha256, Address),
        (b, address_b): (&Sha256, Address),
    ) -> DeltasResult<Explanation> {
        principal.require(Permission::ReadEvidence)?;
        let (tenant, blobs) = (principal.tenant(), self.store.blobs());
        self.row(tenant, a).await?;
        self.row(tenant, b).await?;
        let permit = self.lifting.permit().await?;
        let (bytes_a, bytes_b) = (blobs.get_content(tenant, a).await?, blobs.get_content(tenant, b).await?);
        let explained =
            blocking(permit, move || assay_delta::explain(&bytes_a, &bytes_b, address_a, address_b)).await?;
        let explanation = explained.map_err(DeltasError::Index)?;
        let has = |side: fn(&assay_delta::Row) -> bool| explanation.rows.iter().any(side);
        match has(|row| row.a.is_some()) && has(|row| row.b.is_some()) {
            true => Ok(explanation),
            false => Err(DeltasError::UnknownFunction),
        }
    }

    /// What `work` makes of the indexes of both.
    async fn indexes<T: Send + 'static>(
        &self,
        principal: &Principal,
        a: &Sha256,
        b: &Sha256,
        work: impl FnOnce(&Index, &Index) -> T + Send + 'static,
    ) -> DeltasResult<T> {
        principal.require(Permission::ReadEvidence)?;
        let (tenant, blobs) = (principal.tenant(), self.store.blobs());
        let (row_a, row_b) = (self.row(tenant, a).await?, self.row(tenant, b).await?);
        let permit = self.lifting.permit().await?;
        let bytes_a = blobs.get_content(tenant, &row_a.index).await?;
        let bytes_b = blobs.get_content(tenant, &row_b.index).await?;
        let both = move || Ok(work(&Index::from_bytes(&bytes_a)?, &Index::from_bytes(&bytes_b)?));
        blocking(permit, both).await?.map_err(DeltasError::Index)
    }

    async fn row(&self, tenant: &TenantId, artifact: &Sha256) -> DeltasResult<sql::ArtifactRow> {
        let row = sql::indexed(self.store.database(), tenant, artifact).await?;
        row.ok_or(DeltasError::NotIndexed { artifact: *artifact })
    }
}

/// Runs what takes a processor; the permit goes back when it ends, whoever still waits for it.
async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> DeltasResult<T> {
    let held = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(held).await.map_err(|_| DeltasError::Stopped)
}
