//! What a tenant may use: stored witnesses, replays in an hour and at one time, the size of a capsule.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use assay_access::{Permission, Principal};
use assay_evidence::{TenantId, Timestamp};
use assay_store::{Migration, StoreError, query};
use assay_witness::Capsule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Verifier, VerifyError, VerifyResult, sql};

/// The tables of quotas.
pub(crate) const MIGRATION: Migration = Migration {
    id: "20261123T082000_verify_quotas",
    statements: &[
        "CREATE TABLE quotas (tenant {TEXT} NOT NULL, quotas {TEXT} NOT NULL, PRIMARY KEY (tenant))",
        "CREATE TABLE witness_sizes (
            tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, bytes BIGINT NOT NULL, PRIMARY KEY (tenant, id))",
        "CREATE TABLE replay_counts (
            tenant {TEXT} NOT NULL, hour BIGINT NOT NULL, replays BIGINT NOT NULL, PRIMARY KEY (tenant, hour))",
    ],
};

/// An hour in microseconds.
const HOUR: i64 = 3_600_000_000;

/// What a tenant may use; what is not named is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Quotas {
    /// Bytes of one capsule, each content counted once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capsule_bytes: Option<u64>,
    /// Bytes of all witnesses, each capsule counted by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness_bytes: Option<u64>,
    /// Replays that begin in one hour of UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replays_per_hour: Option<u64>,
    /// Replays at one time in one process.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrent_replays: Option<u64>,
}

/// What a tenant may use and uses.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct QuotaUsage {
    /// What it may use.
    pub quotas: Quotas,
    /// Bytes of its witnesses.
    pub witness_bytes: u64,
    /// Replays that began in this hour; counted while there is a quota for them.
    pub replays_this_hour: u64,
    /// Replays that run in this process.
    pub replays_running: u64,
}

/// How many replays run, by tenant.
pub(crate) type Running = Arc<Mutex<BTreeMap<TenantId, u64>>>;

/// A replay's place among those that run; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    running: Running,
    tenant: TenantId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.tenant) {
            *count = count.saturating_sub(1);
        }
    }
}

/// How large a capsule is for a quota.
fn size_of(capsule: &Capsule) -> u64 {
    capsule.blobs().iter().map(|blob| blob.size).sum()
}

fn exceeded(quota: &'static str, most: u64, asked: u64) -> VerifyError {
    VerifyError::Quota { quota, most, asked }
}

impl Verifier {
    pub(crate) async fn quotas(&self, tenant: &TenantId) -> VerifyResult<Quotas> {
        let sql = "SELECT quotas FROM quotas WHERE tenant = $1";
        let row = self.store().database().first(query(sql).bind(tenant)).await?;
        Ok(row.map(|row| sql::read_json(&row, "quotas")).transpose()?.unwrap_or_default())
    }

    /// What a tenant may use and uses.
    pub async fn quota_usage(&self, principal: &Principal, now: Timestamp) -> VerifyResult<QuotaUsage> {
        principal.require(Permission::ReadEvidence)?;
        let tenant = principal.tenant();
        let sql = "SELECT replays FROM replay_counts WHERE tenant = $1 AND hour = $2";
        let row = self.store().database().first(query(sql).bind(tenant).bind(now.micros() / HOUR)).await?;
        let replays = row.map(|row| row.int("replays")).transpose()?.unwrap_or_default();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied();
        Ok(QuotaUsage {
            quotas: self.quotas(tenant).await?,
            witness_bytes: self.stored_bytes(tenant).await?,
            replays_this_hour: u64::try_from(replays).unwrap_or_default(),
            replays_running: running.unwrap_or_default(),
        })
    }

    /// Sets what a tenant may use: for its owner alone.
    pub async fn set_quotas(&self, principal: &Principal, quotas: Quotas) -> VerifyResult<()> {
        principal.require(Permission::ManageTokens)?;
        let tenant = principal.tenant();
        let text = serde_json::to_string(&quotas).unwrap_or_default();
        let text = &text;
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                let sql = "INSERT INTO quotas (tenant, quotas) VALUES ($1, $2) \
                           ON CONFLICT (tenant) DO UPDATE SET quotas = excluded.quotas";
                tx.execute(query(sql).bind(tenant).bind(text)).await.map(drop)
            })
            .await;
        Ok(written?)
    }

    async fn stored_bytes(&self, tenant: &TenantId) -> VerifyResult<u64> {
        let sql = "SELECT bytes FROM witness_sizes WHERE tenant = $1";
        let rows = self.store().database().all(query(sql).bind(tenant)).await?;
        let mut total = 0u64;
        for row in rows {
            total = total.saturating_add(u64::try_from(row.int("bytes")?).unwrap_or_default());
        }
        Ok(total)
    }

    /// Refuses a capsule that is too large, or too large beside what is stored.
    pub(crate) async fn admit_capsule(&self, tenant: &TenantId, capsule: &Capsule) -> VerifyResult<()> {
        let quotas = self.quotas(tenant).await?;
        let size = size_of(capsule);
        if let Some(most) = quotas.capsule_bytes.filter(|most| size > *most) {
            return Err(exceeded("capsule_bytes", most, size));
        }
        if let Some(most) = quotas.witness_bytes {
            let sum = self.stored_bytes(tenant).await?.saturating_add(size);
            if sum > most {
                return Err(exceeded("witness_bytes", most, sum));
            }
        }
        Ok(())
    }

    /// Notes how large a witness is.
    pub(crate) async fn note_size(
        tx: &assay_store::Tx,
        tenant: &TenantId,
        id: &assay_evidence::Sha256,
        capsule: &Capsule,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO witness_sizes (tenant, id, bytes) VALUES ($1, $2, $3) \
                   ON CONFLICT (tenant, id) DO NOTHING";
        let bytes = i64::try_from(size_of(capsule)).unwrap_or(i64::MAX);
        tx.execute(query(sql).bind(tenant).bind(id).bind(bytes)).await.map(drop)
    }

    /// A place for one more replay, or a refusal.
    pub(crate) async fn admit_replay(&self, tenant: &TenantId) -> VerifyResult<Slot> {
        let quotas = self.quotas(tenant).await?;
        let slot = self.slot(tenant, quotas.concurrent_replays)?;
        if let Some(most) = quotas.replays_per_hour {
            let asked = self.count_replay(tenant).await?;
            if asked > most {
                return Err(exceeded("replays_per_hour", most, asked));
            }
        }
        Ok(slot)
    }

    fn slot(&self, tenant: &TenantId, most: Option<u64>) -> VerifyResult<Slot> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(tenant.clone()).or_default();
        if let Some(most) = most.filter(|most| *count >= *most) {
            return Err(exceeded("concurrent_replays", most, *count + 1));
        }
        *count += 1;
        Ok(Slot { running: Arc::clone(&self.running), tenant: tenant.clone() })
    }

    /// Counts one more replay in this hour; how many there are then.
    async fn count_replay(&self, tenant: &TenantId) -> VerifyResult<u64> {
        let hour = Timestamp::now().micros() / HOUR;
        let counted: Result<i64, StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                let sql = "INSERT INTO replay_counts (tenant, hour, replays) VALUES ($1, $2, 1) \
                           ON CONFLICT (tenant, hour) DO UPDATE SET replays = replay_counts.replays + 1";
                tx.execute(query(sql).bind(tenant).bind(hour)).await?;
                let sql = "SELECT replays FROM replay_counts WHERE tenant = $1 AND hour = $2";
                let row = tx.first(query(sql).bind(tenant).bind(hour)).await?;
                row.map_or(Ok(0), |row| row.int("replays"))
            })
            .await;
        Ok(u64::try_from(counted?).unwrap_or_default())
    }
}
