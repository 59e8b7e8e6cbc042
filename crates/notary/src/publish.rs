//! The sequencer: from accepted rows to a signed head (steps 3 to 6 of the write path).

use assay_evidence::{Envelope, Statement, TenantId, Timestamp};
use assay_ledger::{Checkpoint, Leaf, TILE_WIDTH, Tree};
use assay_store::{BlobKey, Created, StoreError};

use crate::log::{Head, LogInfo, head_key};
use crate::{Notary, NotaryResult, sql};

/// How many statements one assignment takes.
const BATCH: i64 = 1024;

/// The steps of the write path, named for the tests that stop between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the envelope is stored.
    Blob,
    /// Before the accepting transaction.
    Commit,
    /// Before positions are assigned.
    Assign,
    /// Before a tile is created.
    Tile,
    /// Before the head is created.
    Head,
    /// Before `checkpoint` is overwritten.
    Checkpoint,
    /// Before SQL notes the head.
    Note,
    /// After everything.
    Done,
}

impl Notary {
    /// Publishes everything that was accepted; the head that includes it. Safe to repeat, to run
    /// on several nodes, and to run after any crash.
    pub async fn publish(&self, tenant: &TenantId, now: Timestamp) -> NotaryResult<Head> {
        let _one_at_a_time = self.publishing.lock().await;
        let log = self.open_log(tenant, now).await?;
        self.import_published(tenant, &log).await?;
        loop {
            (self.on_step)(Step::Assign);
            let assigned: usize = self
                .store
                .database()
                .write(|tx| async move { sql::assign(&tx, tenant, BATCH).await })
                .await?;
            let head = self.extend(tenant, &log).await?;
            if assigned < BATCH as usize
                && head.size >= sql::count_entries(self.store.database(), tenant).await?
            {
                self.finish(tenant, &head).await?;
                return Ok(head);
            }
        }
    }

    /// Writes tiles and heads until the log holds every assigned row; the head that does.
    async fn extend(&self, tenant: &TenantId, log: &LogInfo) -> NotaryResult<Head> {
        loop {
            let current = self.head(tenant).await?;
            let size = current.as_ref().map_or(0, |head| head.size);
            let leaves = sql::leaves_from(self.store.database(), tenant, size, BATCH).await?;
            match current {
                Some(head) if leaves.is_empty() => return Ok(head),
                current => self.grow(tenant, log, current.as_ref(), &leaves).await?,
            }
        }
    }

    /// Appends `leaves` behind `current`: tiles first, then the next head.
    async fn grow(
        &self,
        tenant: &TenantId,
        log: &LogInfo,
        current: Option<&Head>,
        leaves: &[Vec<u8>],
    ) -> NotaryResult<()> {
        let size = current.map_or(0, |head| head.size);
        let mut tree = self.open_tree(tenant, size).await?;
        let width = (size % TILE_WIDTH) as usize;
        let bundle = match width {
            0 => Vec::new(),
            _ => self.load_entries(tenant, size / TILE_WIDTH, width).await?,
        };
        for file in tree.append(&bundle, leaves)? {
            (self.on_step)(Step::Tile);
            match self.store.blobs().create(&BlobKey::log(tenant, &file.path), file.bytes).await {
                Ok(Created::New | Created::Same) => {}
                Err(StoreError::Frozen { path }) => {
                    let detail = format!("the tile {path} exists with other content");
                    return Err(self.freeze(tenant, &log.origin, detail).await);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let checkpoint = Checkpoint { origin: log.origin.clone(), size: tree.size(), root: tree.root()? };
        let ordinal = current.map_or(0, |head| head.ordinal + 1);
        (self.on_step)(Step::Head);
        match self.store.blobs().create(&head_key(tenant, ordinal), checkpoint.sign(self.key()?)?).await {
            Ok(Created::New | Created::Same) => Ok(()),
            Err(StoreError::Frozen { .. }) => self.accept_other_head(tenant, log, &tree, ordinal).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Another node created this head first: fine if it is the same history, a fork if not.
    async fn accept_other_head(
        &self,
        tenant: &TenantId,
        log: &LogInfo,
        tree: &Tree,
        ordinal: u64,
    ) -> NotaryResult<()> {
        let other = self.head_at(tenant, log, ordinal).await?;
        let agrees = match &other {
            Some(head) if head.size <= tree.size() => tree.root_at(head.size).ok() == Some(head.root),
            Some(head) => {
                let theirs = self.open_tree(tenant, head.size).await?;
                theirs.root()? == head.root
            }
            None => false,
        };
        if agrees {
            return Ok(());
        }
        let detail = format!("the head {ordinal} exists with another history");
        Err(self.freeze(tenant, &log.origin, detail).await)
    }

    pub(crate) async fn open_tree(&self, tenant: &TenantId, size: u64) -> NotaryResult<Tree> {
        let mut tiles = std::collections::BTreeMap::new();
        for tile in assay_ledger::TileId::right_edge(size) {
            tiles.insert(tile.path(), self.load_tile(tenant, &tile).await?);
        }
        Tree::open(size, |tile| {
            tiles.remove(&tile.path()).ok_or_else(|| assay_ledger::TreeError::MissingTile(tile.path()).into())
        })
    }

    /// Brings `checkpoint` and SQL up to the highest head.
    async fn finish(&self, tenant: &TenantId, head: &Head) -> NotaryResult<()> {
        (self.on_step)(Step::Checkpoint);
        self.write_checkpoint(tenant, head.clone()).await?;
        (self.on_step)(Step::Note);
        let noted: Result<(), StoreError> =
            self.store.database().write(|tx| async move { sql::note_head(&tx, tenant, head).await }).await;
        noted?;
        (self.on_step)(Step::Done);
        Ok(())
    }

    /// Overwrites `checkpoint` and looks again: whoever writes last has then seen the highest head,
    /// so that a slow node never leaves an older checkpoint behind.
    async fn write_checkpoint(&self, tenant: &TenantId, mut head: Head) -> NotaryResult<()> {
        let key = BlobKey::log(tenant, "checkpoint");
        while self.store.blobs().get(&key).await?.is_none_or(|there| there != head.note) {
            self.store.blobs().replace(&key, head.note).await?;
            let Some(highest) = self.head(tenant).await? else { return Ok(()) };
            head = highest;
        }
        Ok(())
    }

    /// The bucket is ahead of SQL (a restored database, a crash): import its entries before
    /// anything is assigned.
    async fn import_published(&self, tenant: &TenantId, log: &LogInfo) -> NotaryResult<()> {
        let Some(head) = self.head(tenant).await? else { return Ok(()) };
        let known = sql::count_entries(self.store.database(), tenant).await?;
        if known >= head.size {
            return Ok(());
        }
        tracing::warn!(tenant = %tenant, origin = %log.origin, known, published = head.size, "importing from the log");
        let mut position = known;
        while position < head.size {
            let index = position / TILE_WIDTH;
            let width = (head.size - index * TILE_WIDTH).min(TILE_WIDTH) as usize;
            let entries = self.load_entries(tenant, index, width).await?;
            let fresh = &entries[(position - index * TILE_WIDTH) as usize..];
            self.import_entries(tenant, position, fresh).await?;
            position += fresh.len() as u64;
        }
        Ok(())
    }

    async fn import_entries(&self, tenant: &TenantId, start: u64, leaves: &[Vec<u8>]) -> NotaryResult<()> {
        let mut parsed = Vec::new();
        for bytes in leaves {
            let leaf = Leaf::parse(bytes)?;
            // A redacted envelope leaves its statement without subjects, not without a place.
            let subjects = match self.store.blobs().get(&BlobKey::blob(tenant, &leaf.envelope)).await? {
                Some(envelope) => Statement::parse(Envelope::parse(&envelope)?.payload_unverified())?.subject,
                None => Vec::new(),
            };
            parsed.push((leaf, subjects, bytes));
        }
        let parsed = &parsed;
        let imported: Result<(), StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                let first = i64::try_from(start).unwrap_or(i64::MAX);
                if sql::next_position(&tx, tenant).await? != first {
                    return Ok(());
                }
                for ((leaf, subjects, bytes), position) in parsed.iter().zip(first..) {
                    sql::import_statement(&tx, tenant, leaf, subjects).await?;
                    sql::insert_entry(&tx, tenant, position, &leaf.envelope.to_string(), bytes).await?;
                    let done = "DELETE FROM outbox WHERE tenant = $1 AND digest = $2";
                    tx.execute(assay_store::query(done).bind(tenant).bind(leaf.envelope)).await?;
                }
                Ok(())
            })
            .await;
        Ok(imported?)
    }

    /// How many statements are accepted but not published.
    pub async fn waiting(&self, tenant: &TenantId) -> NotaryResult<u64> {
        Ok(sql::waiting(self.store.database(), tenant).await?)
    }

    /// The ordinal and size of the head that SQL noted last.
    pub async fn noted(&self, tenant: &TenantId) -> NotaryResult<Option<(u64, u64)>> {
        Ok(sql::noted_ordinal(self.store.database(), tenant).await?)
    }
}
