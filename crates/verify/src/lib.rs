//! Incidents, expectations, and the record / replay / carry-over pipeline.
//!
//! # Design constraints
//! - A verdict is `reproduced`, `not_reproduced` or `inconclusive`; `not_reproduced` needs positive
//!   evidence: the declared fixed-side observation, or the recorded path was reached.
//! - Order of trust for one witness and one artifact: the same bytes were asked before (`cached`),
//!   a delta proof carries another build's run over (`carried_over`), a replay (`replayed`).
//! - Whatever cannot be carried is replayed, and the reason is kept.
//! - No policy: what the verdicts mean for a release is the gate's business.

mod bundle;
mod cached;
mod carry;
mod check;
mod demangle;
mod difference;
mod divergence;
mod error;
mod expectation;
mod handover;
mod incident;
mod incidents;
mod judge;
mod leased;
mod minimize;
mod observation;
mod path;
mod pattern;
mod pipeline;
mod predicates;
mod privacy;
mod quotas;
mod requalify;
mod rounds;
mod run;
mod running;
mod signatures;
mod sources;
mod sql;
mod stacks;
mod stating;
mod witnesses;

pub use bundle::{
    BundleError, BundledSignature, IncidentBundle, MAX_INCIDENT_BUNDLE_BYTES, OpenedBundle, open_bundle,
};
pub use check::{CheckOutcome, MAX_REPLAYS};
pub use difference::{Compared, DiffSide, Difference, ReasonClass};
pub use error::{VerifyError, VerifyResult};
pub use expectation::{Side, SideError, SpecError};
pub use handover::{ImportOutcome, ImportedWitness};
pub use incident::{Expectations, Facts, IncidentDefinition, IncidentError, Kind};
pub use incidents::{IncidentSummary, VerdictRecord};
pub use judge::{Judgement, judge, shows_vulnerable};
pub use minimize::{MinimizeOutcome, MinimizeRequest};
pub use observation::{FaultSummary, Observation};
pub use pattern::PatternError;
pub use pipeline::{IncidentVerdict, MAX_JOBS, Target, Unknown, Verification};
pub use predicates::{ImportedFrom, MicroWitness, Origin, ReplayVerdict, SignedPatch, StackFingerprint};
pub use privacy::{RedactionKey, WitnessScan, still_shows, watched_replay};
pub use quotas::{QuotaUsage, Quotas};
pub use requalify::{RequalifyOutcome, VerdictChange};
pub use run::{SourceObservation, StoredRun};
pub use signatures::{MAX_SIGNATURE_BYTES, NoSignature, SignatureInfo};
pub use sources::{source_run, source_tree};
pub use sql::MIGRATIONS;
pub use stacks::{StackMatch, fault_fingerprint, named_fingerprint};
pub use witnesses::{NewWitness, ReplayOutcome, WitnessInfo};

use std::sync::{Arc, OnceLock};

use assay_evidence::Sha256;
use assay_notary::Notary;
use assay_store::Store;
use assay_witness::{Host, Refusal};

/// Runs witnesses and keeps what they say.
#[derive(Clone)]
pub struct Verifier {
    notary: Notary,
    /// The host, and the digest of its environment class.
    host: Arc<OnceLock<Result<(Host, Sha256), Refusal>>>,
    running: quotas::Running,
}

impl Verifier {
    /// A verifier that signs with `notary`. The host is probed when the first witness runs.
    pub fn new(notary: Notary) -> Self {
        Self { notary, host: Arc::new(OnceLock::new()), running: quotas::Running::default() }
    }

    /// The notary below.
    pub fn notary(&self) -> &Notary {
        &self.notary
    }

    pub(crate) fn store(&self) -> &Store {
        self.notary.store()
    }

    /// What this host can do, found out once.
    pub fn host(&self) -> VerifyResult<&Host> {
        self.probed().map(|(host, _)| host)
    }

    /// The digest of this host's environment class.
    pub(crate) fn class(&self) -> VerifyResult<Sha256> {
        self.probed().map(|(_, class)| *class)
    }

    fn probed(&self) -> VerifyResult<&(Host, Sha256)> {
        let probe = || Host::probe().map(|host| (host.clone(), run::class_digest(host.environment_class())));
        self.host.get_or_init(probe).as_ref().map_err(|refusal| VerifyError::Host(refusal.clone()))
    }
}
