//! Checking a witness: do replays agree, at the fixed layout and elsewhere?

use std::collections::BTreeSet;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_notary::Notary;
use assay_store::StoreError;
use assay_witness::Layout;
use serde::Serialize;

use crate::observation::Observation;
use crate::running::Timed;
use crate::sql::WitnessRow;
use crate::{Verifier, VerifyResult, sql};

/// Of `n` replays this many, and at least three, load everything elsewhere.
const ELSEWHERE_SHARE: u32 = 3;
/// The most replays of one check.
pub const MAX_REPLAYS: u32 = 1000;

/// What checking a witness found.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct CheckOutcome {
    /// The witness.
    pub witness: Sha256,
    /// Replays made.
    pub replays: u32,
    /// Of these, with everything loaded elsewhere.
    pub replays_elsewhere: u32,
    /// Observations seen at the fixed layout.
    pub distinct_observations: usize,
    /// Event traces seen at the fixed layout.
    pub distinct_traces: usize,
    /// Whether observation, trace or executed functions changed with the layout.
    pub layout_sensitive: bool,
    /// What changed with the layout: `observation`, `trace`, `functions`.
    pub layout_differences: Vec<&'static str>,
    /// Whether it may be used.
    pub admitted: bool,
    /// The first event that differed at the fixed layout.
    pub diverged_at: Option<u64>,
    /// The median time of one replay.
    pub milliseconds: f64,
}

impl Verifier {
    /// Replays a witness `n` times, at least three of them elsewhere, and admits it if all agree.
    pub async fn check(
        &self,
        principal: &Principal,
        id: &Sha256,
        n: u32,
        now: Timestamp,
    ) -> VerifyResult<CheckOutcome> {
        principal.require(Permission::Verify)?;
        let tenant = principal.tenant();
        let ready = self.ready(tenant, id).await?;
        let n = n.clamp(1, MAX_REPLAYS);
        let elsewhere = (n / ELSEWHERE_SHARE).max(3).min(n.saturating_sub(1));
        let mut fixed = Vec::new();
        let mut moved = Vec::new();
        for turn in 0..n {
            let layout =
                if turn < n - elsewhere { Layout::Fixed } else { Layout::Elsewhere(u64::from(turn) + 1) };
            let run = self.run(&ready, None, layout).await?;
            let target = if turn < n - elsewhere { &mut fixed } else { &mut moved };
            target.push(run);
        }
        let outcome = compare(*id, n, &fixed, &moved, &ready.row);
        let mut row = ready.row.clone();
        row.admitted = outcome.admitted;
        row.layout_sensitive = outcome.layout_sensitive;
        row.replays = i64::from(n);
        let prepared = self.state_witness(tenant, &ready, &mut row, &fixed[0].report, now).await?;
        let (row, prepared) = (&row, &prepared);
        let written: Result<(), StoreError> = self
            .store()
            .database()
            .write(|tx| async move {
                sql::insert_witness(&tx, tenant, row).await?;
                Notary::accept(&tx, tenant, prepared).await
            })
            .await;
        written?;
        self.notary().publish(tenant, now).await?;
        Ok(outcome)
    }
}

fn compare(id: Sha256, n: u32, fixed: &[Timed], moved: &[Timed], row: &WitnessRow) -> CheckOutcome {
    let observations: BTreeSet<Sha256> =
        fixed.iter().map(|run| Observation::of(&run.report).digest()).chain([row.observation]).collect();
    let traces: BTreeSet<Sha256> =
        fixed.iter().map(|run| run.report.trace_digest).chain([row.trace]).collect();
    let first = &fixed[0];
    let mut layout_differences = Vec::new();
    if moved.iter().any(|run| Observation::of(&run.report).digest() != row.observation) {
        layout_differences.push("observation");
    }
    if moved.iter().any(|run| run.report.trace_digest != row.trace) {
        layout_differences.push("trace");
    }
    if moved.iter().any(|run| run.report.functions_executed != first.report.functions_executed) {
        layout_differences.push("functions");
    }
    let mut times: Vec<f64> = fixed.iter().chain(moved).map(|run| run.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let supported =
        fixed.iter().all(|run| !matches!(run.report.ending, assay_witness::Ending::Unsupported { .. }));
    CheckOutcome {
        witness: id,
        replays: n,
        replays_elsewhere: moved.len() as u32,
        distinct_observations: observations.len(),
        distinct_traces: traces.len(),
        layout_sensitive: !layout_differences.is_empty(),
        layout_differences,
        admitted: observations.len() == 1 && traces.len() == 1 && supported,
        diverged_at: None,
        milliseconds: times[times.len() / 2],
    }
}
