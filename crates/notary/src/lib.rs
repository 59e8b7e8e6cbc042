//! Key custody, signing, statements, the outbox and the sequencer of each tenant's log.
//!
//! # Design constraints
//! - Nothing enters the log unsigned, and nothing leaves a leaf out: a commit of domain rows, the
//!   statement's row and its outbox row is one transaction, and that commit is the acknowledgement.
//! - Publishing is idempotent at every step: tiles are a pure function of assigned rows, every
//!   object is create-only, and `checkpoint` follows the highest head.
//! - The log is the truth for included statements, SQL for everything not yet published.

mod accept;
mod error;
mod keyfile;
mod log;
mod proof;
mod publish;
mod sql;
mod verify;

pub use accept::{Accepted, Prepared};
pub use error::{NotaryError, NotaryResult};
pub use keyfile::{KeyFileError, load_key, new_key};
pub use log::{Head, LogInfo};
pub use proof::{InclusionProof, ProofProblem};
pub use publish::Step;
pub use sql::{MIGRATIONS, StatementRow};
pub use verify::LogReport;

use std::sync::Arc;

use assay_evidence::PrivateKey;
use assay_store::Store;

/// Signs, accepts and publishes statements.
#[derive(Clone)]
pub struct Notary {
    store: Store,
    key: Option<PrivateKey>,
    publishing: Arc<tokio::sync::Mutex<()>>,
    on_step: Arc<dyn Fn(Step) + Send + Sync>,
}

impl Notary {
    /// A notary over `store`; without a key it can read and verify but not sign.
    pub fn new(store: Store, key: Option<PrivateKey>) -> Self {
        let publishing = Arc::new(tokio::sync::Mutex::new(()));
        Self { store, key, publishing, on_step: Arc::new(|_| {}) }
    }

    /// Calls `hook` before every step of the write path: how tests stop the process between two.
    #[must_use]
    pub fn with_step_hook(mut self, hook: impl Fn(Step) + Send + Sync + 'static) -> Self {
        self.on_step = Arc::new(hook);
        self
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The signing key, if there is one.
    pub fn key(&self) -> NotaryResult<&PrivateKey> {
        self.key.as_ref().ok_or(NotaryError::NoKey)
    }
}
