//! From a statement to the commit that acknowledges it.

use std::collections::HashSet;

use assay_evidence::{Envelope, KeyId, Sha256, Statement, TenantId, Timestamp};
use assay_ledger::{LEAF_VERSION, Leaf};
use assay_store::{StoreResult, Tx};

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::publish::Step;
use crate::{LogInfo, Notary, NotaryResult, StatementRow, sql};

/// Envelopes that are written at one time: each waits for the disk or the network.
const WRITES_AT_ONCE: usize = 32;

/// A signed statement whose envelope is stored, ready for the transaction that accepts it.
#[derive(Clone, Debug)]
pub struct Prepared {
    statement: Statement,
    digest: Sha256,
    key_id: KeyId,
    leaf: Vec<u8>,
    accepted_at: Timestamp,
}

/// A statement as it stands in the log.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What is stated.
    pub statement: Statement,
    /// Where it is kept and whether it is included.
    pub row: StatementRow,
}

impl Prepared {
    /// The envelope's digest: the statement's name.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    pub(crate) fn predicate_type(&self) -> &str {
        &self.statement.predicate_type
    }

    pub(crate) fn key_id(&self) -> &str {
        self.key_id.as_str()
    }

    pub(crate) fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    pub(crate) fn accepted_at(&self) -> Timestamp {
        self.accepted_at
    }

    pub(crate) fn subjects(&self) -> impl Iterator<Item = Sha256> + '_ {
        self.statement.subject.iter().filter_map(|subject| subject.sha256())
    }
}

impl Notary {
    /// Signs `statement` and stores its envelope (step 1 of the write path).
    pub async fn prepare(
        &self,
        tenant: &TenantId,
        statement: Statement,
        now: Timestamp,
    ) -> NotaryResult<Prepared> {
        let log = self.open_log(tenant, now).await?;
        self.prepare_in(&log, tenant, statement, now).await
    }

    /// The same of several statements, in their order: their envelopes are stored at one time, as far as
    /// the blob store lets them.
    pub async fn prepare_all(
        &self,
        tenant: &TenantId,
        statements: Vec<Statement>,
        now: Timestamp,
    ) -> NotaryResult<Vec<Prepared>> {
        let log = &self.open_log(tenant, now).await?;
        let each = statements.into_iter().map(|statement| self.prepare_in(log, tenant, statement, now));
        futures_util::stream::iter(each).buffered(WRITES_AT_ONCE).try_collect().await
    }

    async fn prepare_in(
        &self,
        log: &LogInfo,
        tenant: &TenantId,
        statement: Statement,
        now: Timestamp,
    ) -> NotaryResult<Prepared> {
        let key = self.key()?;
        let envelope: Envelope = statement.sign(key)?;
        (self.on_step)(Step::Blob);
        let digest = self.store.blobs().put_content(tenant, envelope.to_bytes()).await?;
        let key_id = key.public().id();
        let mut subjects: Vec<_> =
            statement.subject.iter().filter_map(|s| s.sha256()).map(|digest| log.commit(&digest)).collect();
        subjects.sort();
        subjects.dedup();
        let leaf = Leaf {
            v: LEAF_VERSION,
            subjects,
            envelope: digest,
            predicate: statement.predicate_type.clone(),
            key: key_id.clone(),
            time_micros: u64::try_from(now.micros()).unwrap_or(0),
        };
        (self.on_step)(Step::Commit);
        Ok(Prepared { statement, digest, key_id, leaf: leaf.to_bytes()?, accepted_at: now })
    }

    /// Adds the statement's rows to the caller's transaction (step 2): its commit acknowledges.
    pub async fn accept(tx: &Tx, tenant: &TenantId, prepared: &Prepared) -> StoreResult<()> {
        sql::insert_statement(tx, tenant, prepared).await
    }

    /// Reads a statement by its envelope's digest and checks its signature.
    pub async fn statement(&self, tenant: &TenantId, digest: &Sha256) -> NotaryResult<Accepted> {
        let unknown = || crate::NotaryError::UnknownStatement { digest: *digest };
        let row = sql::statement(self.store.database(), tenant, digest).await?.ok_or_else(unknown)?;
        let log = self.log(tenant).await?.ok_or_else(unknown)?;
        let bytes = self.store.blobs().get_content(tenant, digest).await?;
        let envelope = Envelope::parse(&bytes)?;
        let (payload, _) = envelope.verify(std::slice::from_ref(&log.key))?;
        Ok(Accepted { statement: Statement::parse(payload)?, row })
    }

    /// Which of these statements have their place below `size`.
    pub async fn included(
        &self,
        tenant: &TenantId,
        digests: &[Sha256],
        size: u64,
    ) -> NotaryResult<HashSet<Sha256>> {
        Ok(sql::included(self.store.database(), tenant, digests, size).await?)
    }

    /// The statements about one subject, oldest first, at most 1,000.
    pub async fn about(&self, tenant: &TenantId, subject: &Sha256) -> NotaryResult<Vec<StatementRow>> {
        Ok(sql::by_subject(self.store.database(), tenant, subject).await?)
    }
}
