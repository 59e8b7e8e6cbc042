//! Checking a witness: do replays agree, at the fixed layout and elsewhere?

use std::collections::BTreeSet;

use assay_access::{Permission, Principal};
use assay_evidence::{Sha256, Timestamp};
use assay_notary::Notary;
use assay_store::StoreError;
use assay_witness::{Ending, Layout, LimitKind, Perturbation, RunReport};
use serde::Serialize;

use crate::divergence::{Divergence, MAX_TRACE};
use crate::observation::Observation;
use crate::running::{How, Timed};
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
    /// Of these, with everything loaded elsewhere or with fresh memory filled.
    pub replays_elsewhere: u32,
    /// Observations seen at the fixed layout.
    pub distinct_observations: usize,
    /// Replays at the fixed layout whose observation is not the witness's own.
    pub replays_differing: u32,
    /// Event traces seen at the fixed layout.
    pub distinct_traces: usize,
    /// Whether observation, trace or executed functions changed with the layout.
    pub layout_sensitive: bool,
    /// What changed with the layout, or with what unwritten memory holds: `observation`, `trace`,
    /// `functions`.
    pub layout_differences: Vec<&'static str>,
    /// Whether it may be used.
    pub admitted: bool,
    /// The number of the first event that differed at the fixed layout, the first event being 1.
    pub diverged_at: Option<u64>,
    /// That event in both runs, with both stacks.
    pub divergence: Option<Divergence>,
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
        let mut runs = Runs::default();
        for turn in 0..n {
            let run = self.run(&ready, None, Runs::how(turn, n, elsewhere)).await?;
            runs.add(run, turn, n, elsewhere);
        }
        let mut outcome = compare(*id, n, &runs, &ready.row);
        if let Some(odd) = &runs.odd {
            outcome.divergence = self.divergence(&ready, &runs.fixed[0].report, odd).await?;
            outcome.diverged_at = outcome.divergence.as_ref().map(|divergence| divergence.event);
        }
        let mut row = ready.row.clone();
        row.admitted = outcome.admitted;
        row.layout_sensitive = outcome.layout_sensitive;
        row.replays = i64::from(n);
        let prepared = self.state_witness(tenant, &ready, &mut row, &runs.fixed[0].report, now).await?;
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

/// The runs of one check.
#[derive(Default)]
struct Runs {
    fixed: Vec<Timed>,
    moved: Vec<Timed>,
    /// Traces at the fixed layout.
    traces: BTreeSet<Sha256>,
    /// The first run at the fixed layout whose trace was not the first one's.
    odd: Option<RunReport>,
}

impl Runs {
    /// Every turn has another load, CPU, user, host name and order of files around it; the last ones lie
    /// elsewhere, and one of these has its fresh memory filled instead.
    fn how(turn: u32, n: u32, elsewhere: u32) -> How {
        const FILL: u8 = 0x5a;
        let mut perturbation = Perturbation::of_turn(u64::from(turn));
        let mut layout = Layout::Fixed;
        if turn >= n - elsewhere {
            if turn == n - 1 && elsewhere > 1 {
                perturbation.malloc_fill = Some(FILL);
            } else {
                layout = Layout::Elsewhere(u64::from(turn) + 1);
            }
        }
        How { layout, perturbation, keep_trace: Some(MAX_TRACE), ..How::default() }
    }

    /// Keeps the traces of the first run and of the first that differs from it.
    fn add(&mut self, mut run: Timed, turn: u32, n: u32, elsewhere: u32) {
        if turn >= n - elsewhere {
            run.report.trace = Vec::new();
            return self.moved.push(run);
        }
        if let Some(first) = self.fixed.first() {
            if !same_trace(&first.report, &run.report) {
                self.traces.insert(run.report.trace_digest);
                self.odd.get_or_insert_with(|| run.report.clone());
            }
            run.report.trace = Vec::new();
        } else {
            self.traces.insert(run.report.trace_digest);
        }
        self.fixed.push(run);
    }
}

/// Whether two runs are the same as far as both go: a run that the clock cut off ends at another event
/// each time.
fn same_trace(a: &RunReport, b: &RunReport) -> bool {
    let cut_off = cut_off_by_time(a) && cut_off_by_time(b);
    let mut both = before_the_cut(&a.trace).iter().zip(before_the_cut(&b.trace));
    a.trace_digest == b.trace_digest || cut_off && both.all(|(a, b)| a == b)
}

/// What the processes did themselves: at the end of a run that was cut off stands how each was ended.
fn before_the_cut(trace: &[String]) -> &[String] {
    let ends = trace.iter().rev().take_while(|line| line.starts_with("end ")).count();
    &trace[..trace.len() - ends]
}

fn cut_off_by_time(report: &RunReport) -> bool {
    matches!(report.ending, Ending::LimitExceeded { limit: LimitKind::CpuTime })
}

fn compare(id: Sha256, n: u32, runs: &Runs, row: &WitnessRow) -> CheckOutcome {
    let Runs { fixed, moved, traces, .. } = runs;
    let observations: BTreeSet<Sha256> =
        fixed.iter().map(|run| Observation::of(&run.report).digest()).chain([row.observation]).collect();
    let first = &fixed[0];
    let cut_off = cut_off_by_time(&first.report);
    let mut traces = traces.clone();
    // What a clock cut off ends elsewhere each time, the recorded run's own replay included.
    traces.extend((!cut_off).then_some(row.trace));
    let mut layout_differences = Vec::new();
    if moved.iter().any(|run| Observation::of(&run.report).digest() != row.observation) {
        layout_differences.push("observation");
    }
    if !cut_off && moved.iter().any(|run| run.report.trace_digest != row.trace) {
        layout_differences.push("trace");
    }
    if !cut_off && moved.iter().any(|run| run.report.functions_executed != first.report.functions_executed) {
        layout_differences.push("functions");
    }
    let mut times: Vec<f64> = fixed.iter().chain(moved).map(|run| run.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let supported = fixed.iter().all(|run| !matches!(run.report.ending, Ending::Unsupported { .. }));
    CheckOutcome {
        witness: id,
        replays: n,
        replays_elsewhere: moved.len() as u32,
        distinct_observations: observations.len(),
        replays_differing: fixed
            .iter()
            .filter(|run| Observation::of(&run.report).digest() != row.observation)
            .count() as u32,
        distinct_traces: traces.len(),
        layout_sensitive: !layout_differences.is_empty(),
        layout_differences,
        admitted: observations.len() == 1 && traces.len() == 1 && supported,
        diverged_at: None,
        divergence: None,
        milliseconds: times[times.len() / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_run_was_cut_off_is_not_what_it_did() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let early =
            lines("0 brk(0) = *\nend 3 status 0\n0 mmap(0,4096) = *\nend 2 status 0x9\nend 1 status 0x9");
        assert_eq!(before_the_cut(&early), lines("0 brk(0) = *\nend 3 status 0\n0 mmap(0,4096) = *"));
        assert!(before_the_cut(&lines("end 1 status 0x9")).is_empty());
    }
}
