//! Fitting the trees of `assay_delta`'s probabilities: gradient boosting with logistic loss.

use assay_delta::{FIGURES, Tree, logistic};

use super::samples::Sample;

/// Trees in all, how much of each is taken, and what holds answers back.
const TREES: usize = 80;
const RATE: f64 = 0.15;
const RIDGE: f64 = 20.0;
/// Thresholds that are tried of one figure.
const BINS: usize = 32;
/// A branch stands for at least this share of all weight.
const LEAST_SHARE: f64 = 0.004;

/// What was fitted.
pub struct Model {
    pub base: f64,
    pub trees: Vec<Tree>,
}

impl Model {
    pub fn probability(&self, figures: &[f64; FIGURES]) -> f64 {
        logistic(self.base + self.trees.iter().map(|tree| tree.answer(figures)).sum::<f64>())
    }
}

/// The samples by figure and bin, so that a tree is found in one pass over them for each level.
struct Table {
    thresholds: Vec<Vec<f64>>,
    bins: Vec<[u8; FIGURES]>,
    weights: Vec<f64>,
    changed: Vec<f64>,
}

/// First and second derivatives of the loss, summed over samples.
#[derive(Clone, Copy, Default)]
struct Slope {
    first: f64,
    second: f64,
}

impl Slope {
    fn add(&mut self, other: Self) {
        self.first += other.first;
        self.second += other.second;
    }

    fn without(self, other: Self) -> Self {
        Self { first: self.first - other.first, second: self.second - other.second }
    }

    fn gain(self) -> f64 {
        self.first * self.first / (self.second + RIDGE)
    }

    fn answer(self) -> f64 {
        RATE * self.first / (self.second + RIDGE)
    }
}

/// Every comparison weighs the same, however many functions it has: large projects would drown others.
pub fn fit(samples: &[&Sample]) -> Model {
    let table = Table::of(samples);
    let sum = |which: &dyn Fn(usize) -> f64| (0..table.weights.len()).map(which).sum::<f64>();
    let share = sum(&|i| table.weights[i] * table.changed[i]) / sum(&|i| table.weights[i]);
    let base = (share / (1.0 - share)).ln();
    let mut logits = vec![base; samples.len()];
    let mut trees = Vec::with_capacity(TREES);
    for _ in 0..TREES {
        let tree = table.tree(&logits);
        for (logit, sample) in logits.iter_mut().zip(samples) {
            *logit += tree.answer(&sample.figures);
        }
        trees.push(tree);
    }
    Model { base, trees }
}

impl Table {
    fn of(samples: &[&Sample]) -> Self {
        let thresholds: Vec<Vec<f64>> = (0..FIGURES).map(|figure| thresholds(samples, figure)).collect();
        let bins = samples.iter().map(|sample| {
            std::array::from_fn(|figure| {
                thresholds[figure].partition_point(|threshold| *threshold <= sample.figures[figure]) as u8
            })
        });
        let mut counts = std::collections::HashMap::new();
        samples.iter().for_each(|sample| *counts.entry(sample.delta).or_insert(0.0) += 1.0);
        let mean = samples.len() as f64 / counts.len().max(1) as f64;
        // Between counting functions and counting comparisons.
        let weight = |sample: &&Sample| (mean / counts[&sample.delta]).sqrt();
        Self {
            bins: bins.collect(),
            weights: samples.iter().map(weight).collect(),
            changed: samples.iter().map(|sample| f64::from(u8::from(sample.changed))).collect(),
            thresholds,
        }
    }

    fn slope(&self, sample: usize, logit: f64) -> Slope {
        let p = logistic(logit);
        let weight = self.weights[sample];
        Slope { first: weight * (self.changed[sample] - p), second: weight * p * (1.0 - p) }
    }

    fn tree(&self, logits: &[f64]) -> Tree {
        let slopes: Vec<Slope> = logits.iter().enumerate().map(|(i, logit)| self.slope(i, *logit)).collect();
        let all: Vec<usize> = (0..slopes.len()).collect();
        let first = self.split(&all, &slopes);
        let (yes, no): (Vec<usize>, Vec<usize>) = all.iter().partition(|&&i| self.is_yes(i, first));
        let second = [self.split(&no, &slopes), self.split(&yes, &slopes)];
        let mut sums = [Slope::default(); 4];
        for (branch, members) in [no, yes].iter().enumerate() {
            for &i in members {
                sums[2 * branch + usize::from(self.is_yes(i, second[branch]))].add(slopes[i]);
            }
        }
        let question = |(figure, bin): (usize, usize)| {
            (figure, self.thresholds[figure].get(bin).copied().unwrap_or(f64::MAX))
        };
        Tree {
            questions: [question(first), question(second[0]), question(second[1])],
            answers: sums.map(Slope::answer),
        }
    }

    fn is_yes(&self, sample: usize, (figure, bin): (usize, usize)) -> bool {
        usize::from(self.bins[sample][figure]) > bin
    }

    /// The figure and the bin above which the answer is yes.
    fn split(&self, members: &[usize], slopes: &[Slope]) -> (usize, usize) {
        let mut total = Slope::default();
        let mut sums = vec![[Slope::default(); BINS + 1]; FIGURES];
        for &i in members {
            total.add(slopes[i]);
            for (figure, bin) in self.bins[i].iter().enumerate() {
                sums[figure][usize::from(*bin)].add(slopes[i]);
            }
        }
        let least = LEAST_SHARE * self.weights.iter().sum::<f64>() * 0.25;
        let mut best = (0.0, (0, BINS));
        for (figure, sums) in sums.iter().enumerate() {
            let mut no = Slope::default();
            for (bin, sum) in sums.iter().enumerate().take(self.thresholds[figure].len()) {
                no.add(*sum);
                let yes = total.without(no);
                let gain = no.gain() + yes.gain() - total.gain();
                if gain > best.0 && no.second.min(yes.second) > least * 0.05 {
                    best = (gain, (figure, bin));
                }
            }
        }
        best.1
    }
}

/// Quantiles of a figure, each once.
fn thresholds(samples: &[&Sample], figure: usize) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(|sample| sample.figures[figure]).collect();
    values.sort_by(f64::total_cmp);
    let mut thresholds: Vec<f64> = (1..BINS).map(|n| values[values.len() * n / BINS]).collect();
    thresholds.dedup();
    thresholds.retain(|threshold| *threshold > values[0]);
    thresholds
}

/// The source text of the weights.
pub fn source(model: &Model) -> String {
    let mut text = format!(
        "//! Fitted by `cargo xtask bench delta-calibration --fit`; see `probability.rs`.\n\n\
         use super::probability::Tree;\n\n\
         pub(super) const BASE: f64 = {:.4};\n\
         #[rustfmt::skip]\n\
         pub(super) const TREES: [Tree; {}] = [\n",
        model.base,
        model.trees.len()
    );
    for tree in &model.trees {
        let question = |(figure, threshold): (usize, f64)| {
            format!("({figure}, {:.5})", if threshold == f64::MAX { 1e9 } else { threshold })
        };
        let questions = tree.questions.map(question).join(", ");
        let answers = tree.answers.map(|answer| format!("{answer:.4}")).join(", ");
        text.push_str(&format!("    Tree {{ questions: [{questions}], answers: [{answers}] }},\n"));
    }
    text.push_str("];\n");
    text
}
