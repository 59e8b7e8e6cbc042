//! Verifying a whole log from its files alone.

use assay_evidence::{Envelope, Statement, TenantId, chain};
use assay_ledger::{Leaf, TILE_WIDTH, TileId, Tree, verify_consistency};
use assay_store::BlobKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::log::{Head, LogInfo};
use crate::{Notary, NotaryError, NotaryResult};

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 100;

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// The log's name.
    pub origin: String,
    /// Leaves under the head.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
    /// Whether signatures, inclusion and consistency all hold.
    pub verified: bool,
    /// Envelopes whose signature was checked.
    pub envelopes: u64,
    /// Heads whose consistency was checked.
    pub heads: u64,
    /// What does not hold.
    pub problems: Vec<String>,
}

impl Notary {
    /// Recomputes the log from its files: every leaf, every envelope's signature and subjects,
    /// every tile, every head's signature and its consistency with the one before.
    pub async fn verify_log(&self, tenant: &TenantId) -> NotaryResult<LogReport> {
        let (Some(log), Some(head)) = (self.log(tenant).await?, self.head(tenant).await?) else {
            return Ok(empty_report());
        };
        let mut problems = Vec::new();
        let mut tree = Tree::new();
        let mut position = 0;
        while position < head.size {
            let width = (head.size - position).min(TILE_WIDTH) as usize;
            let entries = self.load_entries(tenant, position / TILE_WIDTH, width).await?;
            for (leaf, index) in entries.iter().zip(position..) {
                if let Err(error) = self.verify_leaf(tenant, &log, leaf).await {
                    problems.push(format!("leaf {index}: {}", chain(&error)));
                }
            }
            tree.append(&[], &entries)?;
            position += width as u64;
        }
        if tree.root()? != head.root {
            problems.push("the entries lead to another root than the head's".to_owned());
        }
        self.verify_tiles(tenant, &tree, &mut problems).await?;
        self.verify_heads(tenant, &log, &tree, &head, &mut problems).await?;
        problems.truncate(MAX_PROBLEMS);
        Ok(LogReport {
            origin: log.origin,
            size: head.size,
            root: STANDARD.encode(head.root),
            verified: problems.is_empty(),
            envelopes: head.size,
            heads: head.ordinal + 1,
            problems,
        })
    }

    async fn verify_leaf(&self, tenant: &TenantId, log: &LogInfo, leaf: &[u8]) -> NotaryResult<()> {
        let leaf = Leaf::parse(leaf)?;
        let bytes = self.store.blobs().get_content(tenant, &leaf.envelope).await?;
        let envelope = Envelope::parse(&bytes)?;
        let (payload, signer) = envelope.verify(std::slice::from_ref(&log.key))?;
        let statement = Statement::parse(payload)?;
        let mut subjects: Vec<_> =
            statement.subject.iter().filter_map(|s| s.sha256()).map(|digest| log.commit(&digest)).collect();
        subjects.sort();
        subjects.dedup();
        if leaf.subjects != subjects || leaf.predicate != statement.predicate_type || leaf.key != signer {
            let detail = "a leaf does not say what its envelope says".to_owned();
            return Err(NotaryError::Frozen { origin: log.origin.clone(), detail });
        }
        Ok(())
    }

    /// Every full tile that readers use must be what the entries say.
    async fn verify_tiles(
        &self,
        tenant: &TenantId,
        tree: &Tree,
        problems: &mut Vec<String>,
    ) -> NotaryResult<()> {
        for tile in all_tiles(tree.size()) {
            let stored = self.load_tile(tenant, &tile).await;
            match stored {
                Ok(hashes) if tree.tile(&tile).as_deref() == Ok(&hashes) => {}
                Ok(_) => problems.push(format!("{} does not hold what the entries say", tile.path())),
                Err(error) => problems.push(format!("{}: {error}", tile.path())),
            }
        }
        Ok(())
    }

    async fn verify_heads(
        &self,
        tenant: &TenantId,
        log: &LogInfo,
        tree: &Tree,
        head: &Head,
        problems: &mut Vec<String>,
    ) -> NotaryResult<()> {
        let mut before: Option<Head> = None;
        for ordinal in 0..=head.ordinal {
            let next = match self.head_at(tenant, log, ordinal).await {
                Ok(Some(next)) => next,
                Ok(None) => {
                    problems.push(format!("the head {ordinal} is missing"));
                    continue;
                }
                Err(error) if error.is_trust_broken() => {
                    problems.push(format!("the head {ordinal}: {}", chain(&error)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(before) = &before {
                let proof = tree.consistency_proof(before.size, next.size);
                let holds = proof.map(|proof| {
                    verify_consistency(before.size, &before.root, next.size, &next.root, &proof).is_ok()
                });
                if holds != Ok(true) {
                    problems.push(format!("the head {ordinal} does not extend the one before"));
                }
            }
            before = Some(next);
        }
        let checkpoint = self.store.blobs().get(&BlobKey::log(tenant, "checkpoint")).await?;
        if checkpoint.is_none_or(|note| note != head.note) {
            problems.push("`checkpoint` is not the highest head".to_owned());
        }
        Ok(())
    }
}

fn empty_report() -> LogReport {
    LogReport {
        origin: String::new(),
        size: 0,
        root: STANDARD.encode(assay_ledger::empty_root()),
        verified: true,
        envelopes: 0,
        heads: 0,
        problems: Vec::new(),
    }
}

fn all_tiles(size: u64) -> Vec<TileId> {
    let (mut level, mut count, mut tiles) = (0u8, size, Vec::new());
    while count > 0 {
        for index in 0..count.div_ceil(TILE_WIDTH) {
            let width = (count - index * TILE_WIDTH).min(TILE_WIDTH) as usize;
            tiles.push(TileId::new(level, index, width));
        }
        count /= TILE_WIDTH;
        level += 1;
    }
    tiles
}
