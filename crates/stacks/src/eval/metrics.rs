//! The published measures over the outcomes of all queries.

use std::collections::{BTreeMap, HashMap};

use super::{Candidates, Figures, Labelled, admits};

/// What one query found: groups ranked, each with score, probability and its best trace.
pub(super) struct Outcome<'a> {
    pub(super) ranked: Vec<(&'a str, f64, f64, usize)>,
    pub(super) taken: f64,
}

/// One query reduced to what the measures need.
struct Answer {
    relevant: bool,
    /// The place of the right group in the ranking.
    rank: Option<usize>,
    score: f64,
    probability: f64,
}

pub(super) fn summarise(
    items: &[Labelled],
    outcomes: &[Outcome<'_>],
    cross: Candidates,
    threshold: f64,
) -> Figures {
    let mut sources: HashMap<(&str, &str), usize> = HashMap::new();
    let mut groups: HashMap<&str, usize> = HashMap::new();
    for item in items {
        *sources.entry((&item.group, &item.source)).or_default() += 1;
        *groups.entry(&item.group).or_default() += 1;
    }
    let answers: Vec<Answer> = items
        .iter()
        .zip(outcomes)
        .map(|(item, outcome)| {
            let others = match cross {
                Candidates::All => groups[item.group.as_str()] - 1,
                Candidates::OtherSource => {
                    groups[item.group.as_str()] - sources[&(item.group.as_str(), item.source.as_str())]
                }
            };
            let best = outcome.ranked.first();
            Answer {
                relevant: others > 0,
                rank: outcome.ranked.iter().position(|ranked| ranked.0 == item.group),
                score: best.map_or(f64::NEG_INFINITY, |best| best.1),
                probability: best.map_or(0.0, |best| best.2),
            }
        })
        .collect();
    let relevant = answers.iter().filter(|answer| answer.relevant).count().max(1) as f64;
    let share = |hits: usize, of: f64| if of > 0.0 { hits as f64 / of } else { 0.0 };
    let within =
        |places: usize| answers.iter().filter(|answer| answer.rank.is_some_and(|rank| rank < places)).count();
    let accepted = |answer: &&Answer| answer.probability >= threshold;
    let hits = answers.iter().filter(accepted).filter(|answer| answer.rank == Some(0)).count();
    let (pair_precision, pair_recall) = pairs(items, outcomes, cross, threshold);
    let mut taken: Vec<f64> = outcomes.iter().map(|outcome| outcome.taken).collect();
    taken.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        taken.get(((taken.len() as f64 - 1.0) * share).round().max(0.0) as usize).copied().unwrap_or(0.0)
    };
    Figures {
        queries: items.len(),
        top1_precision: share(hits, answers.iter().filter(accepted).count() as f64),
        top1_recall: share(hits, relevant),
        r_at_p90: recall_at(&answers, 0.9, relevant),
        rr1: share(within(1), relevant),
        rr5: share(within(5), relevant),
        map: answers
            .iter()
            .filter_map(|answer| answer.rank)
            .map(|rank| 1.0 / (rank as f64 + 1.0))
            .sum::<f64>()
            / relevant,
        auc: auc(&answers),
        macro_precision: macro_precision(items, &answers, threshold),
        pair_precision,
        pair_recall,
        pair_f1: if pair_precision + pair_recall > 0.0 {
            2.0 * pair_precision * pair_recall / (pair_precision + pair_recall)
        } else {
            0.0
        },
        brier: answers.iter().map(|answer| (answer.probability - truth(answer)).powi(2)).sum::<f64>()
            / answers.len().max(1) as f64,
        ece: calibration_error(&answers),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
    }
}

fn truth(answer: &Answer) -> f64 {
    f64::from(u8::from(answer.rank == Some(0)))
}

/// The greatest recall at which the answers given are still right that often.
fn recall_at(answers: &[Answer], precision: f64, relevant: f64) -> f64 {
    let mut sorted: Vec<&Answer> = answers.iter().filter(|answer| answer.score.is_finite()).collect();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut hits, mut best) = (0.0, 0.0_f64);
    for (at, answer) in sorted.iter().enumerate() {
        hits += truth(answer);
        let last = sorted.get(at + 1).is_none_or(|next| next.score < answer.score);
        if last && hits / (at as f64 + 1.0) >= precision {
            best = best.max(hits / relevant);
        }
    }
    best
}

/// The probability that a query with a known incident scores higher than one without (ties count half).
fn auc(answers: &[Answer]) -> Option<f64> {
    let mut sorted: Vec<&Answer> = answers.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let positives = sorted.iter().filter(|answer| answer.relevant).count() as f64;
    let negatives = sorted.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut below, mut area, mut at) = (0.0, 0.0, 0);
    while at < sorted.len() {
        let end = sorted[at..]
            .iter()
            .take_while(|answer| answer.score.total_cmp(&sorted[at].score).is_eq())
            .count()
            + at;
        let tied = sorted[at..end].iter().filter(|answer| answer.relevant).count() as f64;
        let others = (end - at) as f64 - tied;
        area += tied * (below + others / 2.0);
        below += others;
        at = end;
    }
    Some(area / (positives * negatives))
}

/// Top-1 precision, every group counting the same.
fn macro_precision(items: &[Labelled], answers: &[Answer], threshold: f64) -> f64 {
    let mut groups: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (item, answer) in items.iter().zip(answers).filter(|(_, answer)| answer.probability >= threshold) {
        let entry = groups.entry(&item.group).or_default();
        entry.0 += truth(answer);
        entry.1 += 1.0;
    }
    groups.values().map(|(hits, all)| hits / all).sum::<f64>() / groups.len().max(1) as f64
}

/// Expected calibration error over ten equal bins of probability.
fn calibration_error(answers: &[Answer]) -> f64 {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for answer in answers {
        let bin = &mut bins[((answer.probability * 10.0) as usize).min(9)];
        bin.0 += answer.probability;
        bin.1 += truth(answer);
        bin.2 += 1.0;
    }
    bins.iter().map(|(said, was, _)| (said - was).abs()).sum::<f64>() / answers.len().max(1) as f64
}

/// Precision and recall over pairs of traces, clusters being the links to each query's best trace.
fn pairs(items: &[Labelled], outcomes: &[Outcome<'_>], cross: Candidates, threshold: f64) -> (f64, f64) {
    let mut parent: Vec<usize> = (0..items.len()).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    for (query, outcome) in outcomes.iter().enumerate() {
        if let Some(best) =
            outcome.ranked.first().filter(|best| best.2 >= threshold && admits(items, query, best.3, cross))
        {
            let (a, b) = (root(&mut parent, query), root(&mut parent, best.3));
            parent[a] = b;
        }
    }
    let mut clusters: HashMap<usize, u64> = HashMap::new();
    let mut groups: HashMap<&str, u64> = HashMap::new();
    let mut both: HashMap<(usize, &str), u64> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let cluster = root(&mut parent, at);
        *clusters.entry(cluster).or_default() += 1;
        *groups.entry(&item.group).or_default() += 1;
        *both.entry((cluster, &item.group)).or_default() += 1;
    }
    fn count(sizes: impl Iterator<Item = u64>) -> f64 {
        sizes.map(|size| size * (size - 1) / 2).sum::<u64>() as f64
    }
    let right = count(both.into_values());
    (right / count(clusters.into_values()).max(1.0), right / count(groups.into_values()).max(1.0))
}
