//! Plain FaST (MSR 2022), exhaustively, over the names with only their arguments cut off.

use std::collections::HashMap;

use super::metrics::{Outcome, summarise};
use super::{Baseline, Candidates, EvalOptions, Figures, Labelled, admits};

/// The parameters of the published similarity.
#[derive(Clone, Copy, Debug)]
struct Parameters {
    alpha: f64,
    beta: f64,
    gamma: f64,
}

/// One trace: frame number and position, sorted as the algorithm wants it.
type Sorted = Vec<(u32, usize)>;

struct Corpus {
    traces: Vec<Sorted>,
    /// The share of traces that hold each frame.
    frequency: Vec<f64>,
}

pub(super) fn run(items: &[Labelled], train: Option<&[Labelled]>, options: EvalOptions<'_>) -> Figures {
    debug_assert!(options.baseline == Baseline::Fast, "only the one baseline is known");
    let (parameters, threshold) = tune(train.unwrap_or(items), options.cross);
    let outcomes = outcomes(items, &Corpus::new(items), parameters, threshold, options);
    // The published method gives no probability: its threshold was put at one half.
    summarise(items, &outcomes, options.cross, 0.5)
}

/// The parameters of the best recall rate, and the threshold of the best F1, on the training traces.
fn tune(train: &[Labelled], cross: Candidates) -> (Parameters, f64) {
    let corpus = Corpus::new(train);
    let options = EvalOptions { cross, ..EvalOptions::default() };
    let mut best = (f64::NEG_INFINITY, Parameters { alpha: 0.0, beta: 0.0, gamma: 0.0 }, 0.0);
    for alpha in [0.2, 0.6, 1.2] {
        for beta in [0.0, 0.05, 0.2] {
            for gamma in [0.0, 0.2] {
                let parameters = Parameters { alpha, beta, gamma };
                let outcomes = outcomes(train, &corpus, parameters, 0.0, options);
                let figures = summarise(train, &outcomes, cross, 0.5);
                if figures.rr1 > best.0 {
                    best = (figures.rr1, parameters, threshold(train, &outcomes));
                }
            }
        }
    }
    (best.1, best.2)
}

fn threshold(train: &[Labelled], outcomes: &[Outcome<'_>]) -> f64 {
    let mut scored: Vec<(f64, bool)> = train
        .iter()
        .zip(outcomes)
        .filter_map(|(item, outcome)| outcome.ranked.first().map(|best| (best.1, best.0 == item.group)))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = scored.iter().filter(|scored| scored.1).count().max(1) as f64;
    let (mut hits, mut best) = (0.0, (0.0, 0.0));
    for (at, (score, right)) in scored.iter().enumerate() {
        hits += f64::from(u8::from(*right));
        let f1 = 2.0 * hits / (at as f64 + 1.0 + all);
        if f1 > best.0 {
            best = (f1, *score);
        }
    }
    best.1
}

fn outcomes<'a>(
    items: &'a [Labelled],
    corpus: &Corpus,
    parameters: Parameters,
    threshold: f64,
    options: EvalOptions<'_>,
) -> Vec<Outcome<'a>> {
    let weights: Vec<Vec<f64>> =
        corpus.traces.iter().map(|trace| corpus.weights(trace, parameters)).collect();
    (0..items.len())
        .map(|query| {
            let before = options.clock.map(|clock| clock());
            let mut best: HashMap<&str, (f64, usize)> = HashMap::new();
            for candidate in 0..items.len() {
                if !admits(items, query, candidate, options.cross) {
                    continue;
                }
                let score = similarity(
                    (&corpus.traces[query], &weights[query]),
                    (&corpus.traces[candidate], &weights[candidate]),
                    parameters.gamma,
                );
                let entry = best.entry(&items[candidate].group).or_insert((f64::NEG_INFINITY, candidate));
                if score > entry.0 {
                    *entry = (score, candidate);
                }
            }
            let mut ranked: Vec<_> = best
                .into_iter()
                .map(|(group, (score, trace))| {
                    (group, score, 1.0 / (1.0 + (8.0 * (threshold - score)).exp()), trace)
                })
                .collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.3.cmp(&b.3)));
            ranked.truncate(super::RANKED);
            let taken = options
                .clock
                .zip(before)
                .map_or(0.0, |(clock, before)| (clock() - before).as_secs_f64() * 1e6);
            Outcome { ranked, taken }
        })
        .collect()
}

impl Corpus {
    fn new(items: &[Labelled]) -> Self {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut traces = Vec::with_capacity(items.len());
        for item in items {
            let mut trace: Sorted = Vec::with_capacity(item.raw.len());
            for (position, name) in item.raw.iter().enumerate() {
                let next = numbers.len() as u32;
                let name = name.split('(').next().filter(|name| !name.is_empty()).unwrap_or(name);
                trace.push((*numbers.entry(name.to_owned()).or_insert(next), position));
            }
            trace.sort_unstable();
            traces.push(trace);
        }
        let mut frequency = vec![0.0; numbers.len()];
        for trace in &traces {
            let mut last = None;
            for (number, _) in trace {
                if last != Some(number) {
                    frequency[*number as usize] += 1.0 / items.len().max(1) as f64;
                }
                last = Some(number);
            }
        }
        Self { traces, frequency }
    }

    fn weights(&self, trace: &Sorted, parameters: Parameters) -> Vec<f64> {
        trace
            .iter()
            .map(|(number, position)| {
                let local = (1.0 + *position as f64).powf(-parameters.alpha);
                local * (-parameters.beta * 100.0 * self.frequency[*number as usize]).exp()
            })
            .collect()
    }
}

/// Pairs equal frames in order; pairs count for, the rest counts against.
fn similarity(query: (&Sorted, &[f64]), candidate: (&Sorted, &[f64]), gamma: f64) -> f64 {
    let (mut i, mut j) = (0, 0);
    let (mut score, mut total) = (0.0, 0.0);
    while i < query.0.len() || j < candidate.0.len() {
        let a = query.0.get(i);
        let b = candidate.0.get(j);
        match (a, b) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                let weight = query.1[i] + candidate.1[j];
                score += weight * (-gamma * a.1.abs_diff(b.1) as f64).exp();
                total += weight;
                i += 1;
                j += 1;
            }
            (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                score -= query.1[i];
                total += query.1[i];
                i += 1;
            }
            _ => {
                score -= candidate.1[j];
                total += candidate.1[j];
                j += 1;
            }
        }
    }
    if total > 0.0 { score / total } else { 0.0 }
}
