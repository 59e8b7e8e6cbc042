//! Carrying a run over to another build: only with a delta proof, and never where an assumption
//! of the proof is known to be false.

use std::collections::HashMap;
use std::sync::Arc;

use assay_binary::Address;
use assay_delta::source::SourceProof;
use assay_delta::{DeltaProof, Executed, Prover, Refusal};
use assay_evidence::{Sha256, TenantId, json};

use crate::pipeline::Asked;
use crate::run::StoredRun;
use crate::sources::Trees;
use crate::sql::{self, VerdictRow};
use crate::{Verifier, VerifyError, VerifyResult};

/// The most earlier runs that are tried.
pub(crate) const MAX_SOURCES: usize = 2;
/// The most reasons that are kept.
pub(crate) const MAX_REASONS: usize = 16;

/// An earlier run that may answer a question, by the question's number.
pub(crate) struct Attempt {
    pub number: usize,
    pub source: VerdictRow,
}

/// A run that holds for another build.
pub(crate) struct Carried {
    pub source: VerdictRow,
    pub run: Arc<StoredRun>,
    /// Runs that executed the same code share one.
    pub proof: Arc<CarryProof>,
}

/// A proof by the rule of its artifact.
pub(crate) enum CarryProof {
    Binary(Box<DeltaProof>),
    Source(Box<SourceProof>),
}

/// A proof, or every reason why there is none, as stable codes.
pub(crate) type Proven = Result<Arc<CarryProof>, Vec<String>>;

/// What became of each question of a pair.
type Outcomes = Vec<(usize, Result<Carried, Vec<String>>)>;

impl Verifier {
    /// Tries to carry runs on the first artifact over to the second.
    pub(crate) async fn carry_pair(
        &self,
        tenant: &TenantId,
        pair: (Sha256, Sha256),
        attempts: Vec<Attempt>,
        asked: &[Asked<'_>],
    ) -> VerifyResult<Outcomes> {
        let (mut outcomes, mut native) = (Outcomes::new(), Vec::new());
        let mut trees = Trees::new(pair);
        for Attempt { number, source } in attempts {
            let run: StoredRun =
                json::from_strict(&self.store().blobs().get_content(tenant, &source.run).await?)?;
            let run = Arc::new(run);
            match (&run.source, self.run_not_carryable(&run)?) {
                (Some(observed), _) => {
                    let proven =
                        self.carry_source(tenant, &asked[number], &run, observed, &mut trees).await?;
                    let carried = |proof| Carried { source, run: run.clone(), proof };
                    outcomes.push((number, proven.map(carried)));
                }
                (None, Some(reason)) => outcomes.push((number, Err(vec![reason.to_owned()]))),
                (None, None) => native.push((number, source, run)),
            }
        }
        if !native.is_empty() {
            outcomes.extend(self.carry_native(tenant, pair, native).await?);
        }
        Ok(outcomes)
    }

    /// Proves all runs of one pair of binaries, each set of executed functions once.
    async fn carry_native(
        &self,
        tenant: &TenantId,
        (a, b): (Sha256, Sha256),
        runs: Vec<(usize, VerdictRow, Arc<StoredRun>)>,
    ) -> VerifyResult<Outcomes> {
        let a = self.store().blobs().get_content(tenant, &a).await?;
        let b = self.store().blobs().get_content(tenant, &b).await?;
        let prove = move || -> Outcomes {
            let prover = Prover::read(&a, &b);
            let mut known: HashMap<Arc<[Address]>, Proven> = HashMap::new();
            let outcome = |(number, source, run): (usize, VerdictRow, Arc<StoredRun>)| {
                let mut executed = run.executed.clone();
                executed.sort_unstable();
                let proven = known.entry(executed.into()).or_insert_with_key(|executed| match &prover {
                    Ok(prover) => prover
                        .prove(Executed::Units(executed))
                        .map(|proof| Arc::new(CarryProof::Binary(Box::new(proof))))
                        .map_err(|refusals| codes(&refusals)),
                    Err(refusals) => Err(codes(refusals)),
                });
                (number, proven.clone().map(|proof| Carried { source, run, proof }))
            };
            runs.into_iter().map(outcome).collect()
        };
        tokio::task::spawn_blocking(prove).await.map_err(|_| VerifyError::Stopped)
    }

    fn run_not_carryable(&self, run: &StoredRun) -> VerifyResult<Option<&'static str>> {
        let here = self.class()?;
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
pub(crate) fn never_carried(asked: &Asked<'_>) -> Option<&'static str> {
    if asked.witness.layout_sensitive {
        Some("layout_sensitive")
    } else if asked.definition.facts.undefined_behaviour {
        Some("undefined_behaviour")
    } else {
        None
    }
}

fn codes(refusals: &[Refusal]) -> Vec<String> {
    refusals.iter().map(|refusal| sql::word(&refusal.reason)).collect()
}
