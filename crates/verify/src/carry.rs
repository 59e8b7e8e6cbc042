//! Carrying a run over to another build: only with a delta proof, and never where an assumption
//! of the proof is known to be false.

use assay_delta::source::SourceProof;
use assay_delta::{DeltaProof, Executed};
use assay_evidence::{JsonError, Statement, Subject, TenantId, json, predicate};
use assay_gate::Verdict;

use crate::pipeline::Asked;
use crate::run::{StoredRun, class_digest};
use crate::sql::{self, VerdictRow};
use crate::{Verifier, VerifyResult};

/// The most earlier runs that are tried.
const MAX_SOURCES: usize = 2;
/// The most reasons that are kept.
const MAX_REASONS: usize = 16;

/// A run that holds for another build.
pub(crate) struct Carried {
    pub source: VerdictRow,
    pub run: StoredRun,
    pub proof: CarryProof,
}

/// A proof by the rule of its artifact.
pub(crate) enum CarryProof {
    Binary(Box<DeltaProof>),
    Source(Box<SourceProof>),
}

impl CarryProof {
    /// The statement that says so.
    pub(crate) fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, JsonError> {
        match self {
            Self::Binary(proof) => Statement::new(predicate::DELTA_PROOF, subjects, proof),
            Self::Source(proof) => Statement::new(predicate::SOURCE_DELTA_PROOF, subjects, proof),
        }
    }
}

impl Verifier {
    /// Tries earlier replays of the witness, the baseline's first. `reasons` says why none carried.
    pub(crate) async fn carry(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        reasons: &mut Vec<String>,
    ) -> VerifyResult<Option<Carried>> {
        if let Some(reason) = never_carried(asked) {
            reasons.push(reason.to_owned());
            return Ok(None);
        }
        let mut sources = sql::replayed(self.store().database(), tenant, &asked.witness.id).await?;
        sources.retain(|source| {
            source.artifact != asked.target.digest && source.verdict != Verdict::Inconclusive
        });
        let of_baseline =
            |source: &VerdictRow| asked.baseline.iter().any(|target| target.digest == source.artifact);
        sources.sort_by_key(|source| !of_baseline(source));
        if sources.is_empty() {
            reasons.push("no_earlier_run".to_owned());
            return Ok(None);
        }
        let mut all = std::collections::BTreeSet::new();
        for source in sources.into_iter().take(MAX_SOURCES) {
            let run: StoredRun =
                json::from_strict(&self.store().blobs().get_content(tenant, &source.run).await?)?;
            match self.try_source(tenant, asked, &run).await? {
                Ok(proof) => return Ok(Some(Carried { source, run, proof })),
                Err(refusals) => all.extend(refusals),
            }
        }
        reasons.extend(all.into_iter().take(MAX_REASONS));
        Ok(None)
    }

    async fn try_source(
        &self,
        tenant: &TenantId,
        asked: &Asked<'_>,
        run: &StoredRun,
    ) -> VerifyResult<Result<CarryProof, Vec<String>>> {
        if let Some(source) = &run.source {
            return self.carry_source(tenant, asked, run, source).await;
        }
        if let Some(reason) = self.run_not_carryable(run)? {
            return Ok(Err(vec![reason.to_owned()]));
        }
        let a = self.store().blobs().get_content(tenant, &run.artifact).await?;
        let b = self.store().blobs().get_content(tenant, &asked.target.digest).await?;
        let executed = run.executed.clone();
        let proven =
            tokio::task::spawn_blocking(move || assay_delta::prove(&a, &b, Executed::Units(&executed)))
                .await
                .map_err(|_| crate::VerifyError::Stopped)?;
        let proven = proven.map(|proof| CarryProof::Binary(Box::new(proof)));
        Ok(proven.map_err(|refusals| refusals.iter().map(|refusal| sql::word(&refusal.reason)).collect()))
    }

    fn run_not_carryable(&self, run: &StoredRun) -> VerifyResult<Option<&'static str>> {
        let here = class_digest(self.host()?.environment_class());
        Ok(if run.environment != here {
            Some("environment_differs")
        } else if run.unknown_code > 0 {
            Some("unknown_code")
        } else if run.generated_code {
            Some("generated_code")
        } else if run.own_file_opened != Some(false) {
            Some("own_file_read")
        } else if run.cut_off {
            Some("run_was_cut_off")
        } else if run.executed.is_empty() {
            Some("nothing_observed")
        } else {
            None
        })
    }
}

/// Witnesses for which an assumption of the proof is known to be false.
fn never_carried(asked: &Asked<'_>) -> Option<&'static str> {
    if asked.witness.layout_sensitive {
        Some("layout_sensitive")
    } else if asked.definition.facts.undefined_behaviour {
        Some("undefined_behaviour")
    } else {
        None
    }
}
