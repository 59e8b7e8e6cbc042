//! How well matching works on labelled traces, beside plain FaST on the same traces.

mod baseline;
mod fit;
mod labelled;
mod metrics;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use labelled::{LabelError, Labelled, MAX_LABELLED, parse_labelled};

use crate::index::{Index, IndexError, Item};
use crate::model::Model;
use metrics::{Outcome, summarise};

/// How many incidents are ranked for each query.
const RANKED: usize = 50;

/// How an evaluation is run.
#[derive(Clone, Copy, Default)]
pub struct EvalOptions<'a> {
    /// Whether only traces from another `src` are candidates.
    pub cross: Candidates,
    /// Whether plain FaST runs beside it.
    pub baseline: Baseline,
    /// A monotone clock, for the timings; without one they are 0.
    pub clock: Option<&'a dyn Fn() -> Duration>,
}

/// Which traces a query is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Candidates {
    /// All others.
    #[default]
    All,
    /// Those that another source reported.
    OtherSource,
}

/// Whether the published method runs beside ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// No.
    #[default]
    None,
    /// Plain FaST, exhaustively, its parameters tuned on the training traces (on the evaluated ones
    /// where there are none, which favours it).
    Fast,
}

/// The figures of one method on one set; leave-one-out, every trace being a query once.
///
/// `rr1`, `rr5` and `map` count queries whose incident has another candidate; `top1_precision`,
/// `macro_precision` and the pairs count answers that pass the threshold; `auc` asks whether the best
/// score tells such queries from those whose incident is new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of the published measures")]
pub struct Figures {
    pub queries: usize,
    pub top1_precision: f64,
    pub top1_recall: f64,
    pub r_at_p90: f64,
    pub rr1: f64,
    pub rr5: f64,
    pub map: f64,
    pub auc: Option<f64>,
    pub macro_precision: f64,
    pub pair_precision: f64,
    pub pair_recall: f64,
    pub pair_f1: f64,
    pub brier: f64,
    pub ece: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Our figures, and the baseline's where it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    /// Ours.
    #[serde(flatten)]
    pub ours: Figures,
    /// Plain FaST's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Figures>,
}

/// Evaluates matching on labelled traces. With training traces the model's coefficients are fitted on
/// them first; without, the built-in ones are used.
pub fn evaluate(
    items: &[Labelled],
    train: Option<&[Labelled]>,
    options: EvalOptions<'_>,
) -> Result<Evaluation, IndexError> {
    let model = match train {
        Some(train) => fit_model(train, options.cross)?,
        None => Model::default(),
    };
    let index = Index::build(&known(items))?.with_model(model);
    let mut outcomes = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let before = options.clock.map(|clock| clock());
        let found = index
            .search(&item.trace, item.time, RANKED, |trace| admits(items, at, trace as usize, options.cross));
        let taken =
            options.clock.zip(before).map_or(0.0, |(clock, before)| (clock() - before).as_secs_f64() * 1e6);
        let ranked = found
            .iter()
            .map(|found| {
                (
                    items[found.trace as usize].group.as_str(),
                    found.score,
                    found.probability,
                    found.trace as usize,
                )
            })
            .collect();
        outcomes.push(Outcome { ranked, taken });
    }
    let ours = summarise(items, &outcomes, options.cross, crate::index::MATCH_THRESHOLD);
    let baseline = match options.baseline {
        Baseline::None => None,
        Baseline::Fast => Some(baseline::run(items, train, options)),
    };
    Ok(Evaluation { ours, baseline })
}

/// Fits the model's coefficients to labelled traces.
pub fn fit_model(train: &[Labelled], cross: Candidates) -> Result<Model, IndexError> {
    fit::fit(train, cross)
}

pub(crate) fn known(items: &[Labelled]) -> Vec<Item> {
    items
        .iter()
        .map(|item| Item { incident: item.group.clone(), trace: item.trace.clone(), time: item.time })
        .collect()
}

/// Whether `candidate` may be compared with the query.
pub(crate) fn admits(items: &[Labelled], query: usize, candidate: usize, cross: Candidates) -> bool {
    candidate != query
        && items
            .get(candidate)
            .is_some_and(|item| cross == Candidates::All || item.source != items[query].source)
}
