//! A tenant's log: its identity, its head, its files.

use assay_evidence::{PublicKey, Sha256, TenantId, Timestamp};
use assay_ledger::{
    Checkpoint, Hash, NoteKey, SubjectCommitment, TenantSecret, TileId, TreeError, decode_entries,
    decode_tile,
};
use assay_store::{BlobKey, StoreError, query};

use crate::{Notary, NotaryError, NotaryResult};

/// What identifies a tenant's log.
#[derive(Clone, Debug)]
pub struct LogInfo {
    /// The log's unique name.
    pub origin: String,
    /// The key that signs its checkpoints and statements.
    pub key: PublicKey,
    secret: TenantSecret,
}

/// A published head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Counts heads from 0; never the size.
    pub ordinal: u64,
    /// Leaves in the tree.
    pub size: u64,
    /// The root hash.
    pub root: Hash,
    /// The signed checkpoint.
    pub note: Vec<u8>,
}

impl LogInfo {
    /// The key under the log's name.
    pub fn note_key(&self) -> NotaryResult<NoteKey> {
        Ok(NoteKey::new(self.origin.clone(), self.key.clone())?)
    }

    /// The tenant's commitment to a subject.
    pub fn commit(&self, subject: &Sha256) -> SubjectCommitment {
        self.secret.commit(subject)
    }
}

impl Notary {
    /// The tenant's log, if it was begun.
    pub async fn log(&self, tenant: &TenantId) -> NotaryResult<Option<LogInfo>> {
        let sql = "SELECT origin, public_key, secret, frozen FROM logs WHERE tenant = $1";
        let Some(row) = self.store.database().first(query(sql).bind(tenant)).await? else { return Ok(None) };
        let origin = row.text("origin")?;
        let frozen = row.text("frozen")?;
        if !frozen.is_empty() {
            return Err(NotaryError::Frozen { origin, detail: frozen });
        }
        let secret: [u8; 32] = row.bytes("secret")?.try_into().map_err(|_| StoreError::Column {
            column: "secret".to_owned(),
            detail: "a tenant's secret has 32 bytes".to_owned(),
        })?;
        Ok(Some(LogInfo { origin, key: row.parse("public_key")?, secret: TenantSecret::new(secret) }))
    }

    /// The tenant's log, begun with the key at hand if it is new.
    pub(crate) async fn open_log(&self, tenant: &TenantId, now: Timestamp) -> NotaryResult<LogInfo> {
        let key = self.key()?.public();
        if let Some(log) = self.log(tenant).await? {
            return if log.key == key {
                Ok(log)
            } else {
                let (expected, found) = (log.key.id().to_string(), key.id().to_string());
                Err(NotaryError::OtherKey { origin: log.origin, expected, found })
            };
        }
        let mut secret = zeroize::Zeroizing::new([0u8; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|error| StoreError::Column {
            column: "secret".to_owned(),
            detail: format!("the system gave no randomness: {error}"),
        })?;
        let short = &key.id().as_str()["sha256:".len()..][..12].to_owned();
        let origin = format!("assay.local/{tenant}/{short}");
        let (origin, key, secret) = (&origin, &key, &secret);
        self.store
            .database()
            .write(|tx| async move {
                let sql = "INSERT INTO logs (tenant, origin, public_key, secret, frozen, created_at) \
                           VALUES ($1, $2, $3, $4, '', $5) ON CONFLICT (tenant) DO NOTHING";
                let row = query(sql).bind(tenant).bind(origin).bind(key.to_string()).bind(secret.as_slice());
                tx.execute(row.bind(now)).await
            })
            .await
            .map_err(|error: StoreError| error)?;
        Box::pin(self.open_log(tenant, now)).await
    }

    /// A secret of the tenant for one purpose, the same for ever; its log is begun if it is new.
    pub async fn tenant_secret(
        &self,
        tenant: &TenantId,
        purpose: &str,
        now: Timestamp,
    ) -> NotaryResult<zeroize::Zeroizing<[u8; 32]>> {
        Ok(self.open_log(tenant, now).await?.secret.derive(purpose))
    }

    /// Stops a log for good: two histories were seen.
    pub(crate) async fn freeze(&self, tenant: &TenantId, origin: &str, detail: String) -> NotaryError {
        let reason = &detail;
        let frozen: Result<(), StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                let sql = "UPDATE logs SET frozen = $1 WHERE tenant = $2";
                tx.execute(query(sql).bind(reason).bind(tenant)).await.map(drop)
            })
            .await;
        if let Err(error) = frozen {
            tracing::error!(tenant = %tenant, error = %error, "the log could not be marked as frozen");
        }
        NotaryError::Frozen { origin: origin.to_owned(), detail }
    }

    /// The highest head in the blob store, its checkpoint verified.
    pub async fn head(&self, tenant: &TenantId) -> NotaryResult<Option<Head>> {
        let Some(log) = self.log(tenant).await? else { return Ok(None) };
        let heads = self.store.blobs().list(&BlobKey::log(tenant, "heads")).await?;
        let ordinals = heads.iter().filter_map(|name| name.rsplit('/').next()?.parse::<u64>().ok());
        match ordinals.max() {
            Some(ordinal) => self.head_at(tenant, &log, ordinal).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn head_at(
        &self,
        tenant: &TenantId,
        log: &LogInfo,
        ordinal: u64,
    ) -> NotaryResult<Option<Head>> {
        let Some(note) = self.store.blobs().get(&head_key(tenant, ordinal)).await? else { return Ok(None) };
        let checkpoint = Checkpoint::open(&note, &log.note_key()?)?;
        Ok(Some(Head { ordinal, size: checkpoint.size, root: checkpoint.root, note: note.to_vec() }))
    }

    pub(crate) async fn load_tile(&self, tenant: &TenantId, tile: &TileId) -> NotaryResult<Vec<Hash>> {
        let missing = || TreeError::MissingTile(tile.path());
        let bytes = self.store.blobs().get(&BlobKey::log(tenant, &tile.path())).await?.ok_or_else(missing)?;
        Ok(decode_tile(&bytes, tile.width()).ok_or_else(missing)?)
    }

    pub(crate) async fn load_entries(
        &self,
        tenant: &TenantId,
        index: u64,
        width: usize,
    ) -> NotaryResult<Vec<Vec<u8>>> {
        let path = TileId::entries_path(index, width);
        let missing = || TreeError::MissingTile(path.clone());
        let bytes = self.store.blobs().get(&BlobKey::log(tenant, &path)).await?.ok_or_else(missing)?;
        let entries = decode_entries(&bytes).filter(|entries| entries.len() == width);
        Ok(entries.ok_or_else(missing)?)
    }
}

pub(crate) fn head_key(tenant: &TenantId, ordinal: u64) -> BlobKey {
    BlobKey::log(tenant, &format!("heads/{ordinal:020}"))
}
