//! Fitting the weights of `assay_delta`'s probabilities: ridge logistic regression, then Platt's scaling
//! of what it says of projects that it has not seen.

use std::collections::BTreeSet;

use assay_delta::{FIGURE_NAMES, FIGURES, Weight, logistic};

use super::mix;
use super::samples::Sample;

/// What holds the weights of figures, each measured in its standard deviations, back.
const RIDGE: f64 = 0.0027;
/// Newton's steps; the change is below what is written after eight.
const STEPS: usize = 8;

/// What was fitted.
#[derive(Clone, Debug)]
pub struct Model {
    pub base: f64,
    pub weights: [Weight; FIGURES],
}

impl Model {
    fn logit(&self, figures: &[f64; FIGURES]) -> f64 {
        self.base + self.weights.iter().zip(figures).map(|(weight, f)| weight.answer(*f)).sum::<f64>()
    }

    pub fn probability(&self, figures: &[f64; FIGURES]) -> f64 {
        logistic(self.logit(figures))
    }

    /// With every logit stretched and moved.
    fn scaled(mut self, [base, slope]: [f64; 2]) -> Self {
        self.base = base + slope * self.base;
        self.weights.iter_mut().for_each(|weight| weight.weight *= slope);
        self
    }
}

/// The regression, scaled by what each project's pairs show of a regression over the others.
pub fn fit(samples: &[&Sample]) -> Model {
    let logits = unseen(samples, regression);
    let scale = scale(samples, &logits);
    regression(samples).scaled(scale)
}

/// The probability of every sample, said by what was fitted and scaled without its project.
pub fn cross_validated(samples: &[&Sample]) -> Vec<f64> {
    let logits = unseen(samples, regression);
    let projects: BTreeSet<&str> = samples.iter().map(|sample| sample.project).collect();
    let mut said = vec![0.0; samples.len()];
    for project in projects {
        let pairs = samples.iter().zip(&logits).filter(|(sample, _)| sample.project != project);
        let (others, theirs): (Vec<&Sample>, Vec<f64>) = pairs.map(|(s, logit)| (*s, *logit)).unzip();
        let [base, slope] = scale(&others, &theirs);
        let own = said.iter_mut().zip(samples).zip(&logits).filter(|((_, s), _)| s.project == project);
        own.for_each(|((said, _), logit)| *said = logistic(base + slope * logit));
    }
    said
}

/// The logit of every sample, said by a model of the other projects.
fn unseen(samples: &[&Sample], fit: impl Fn(&[&Sample]) -> Model) -> Vec<f64> {
    let projects: BTreeSet<&str> = samples.iter().map(|sample| sample.project).collect();
    let mut logits = vec![0.0; samples.len()];
    for project in projects {
        let others: Vec<&Sample> = samples.iter().filter(|s| s.project != project).copied().collect();
        if others.is_empty() {
            continue;
        }
        let model = fit(&others);
        for (logit, sample) in logits.iter_mut().zip(samples).filter(|(_, s)| s.project == project) {
            *logit = model.logit(&sample.figures);
        }
    }
    logits
}

/// Platt's two numbers.
fn scale(samples: &[&Sample], logits: &[f64]) -> [f64; 2] {
    let rows: Vec<Vec<f64>> = logits.iter().map(|logit| vec![1.0, logit.clamp(-6.0, 6.0)]).collect();
    let found = newton(&rows, samples, 0.0);
    [found[0], found[1]]
}

fn regression(samples: &[&Sample]) -> Model {
    let weights = mix::weights(samples);
    let mut means = [0.0; FIGURES];
    let mut deviations = [0.0; FIGURES];
    let mut ranges = [(f64::MAX, f64::MIN); FIGURES];
    for (sample, weight) in samples.iter().zip(&weights) {
        for (figure, value) in sample.figures.iter().enumerate() {
            means[figure] += weight * value;
            deviations[figure] += weight * value * value;
            ranges[figure] = (ranges[figure].0.min(*value), ranges[figure].1.max(*value));
        }
    }
    for (deviation, mean) in deviations.iter_mut().zip(means) {
        *deviation = (*deviation - mean * mean).max(1e-9).sqrt();
    }
    let row = |sample: &&Sample| {
        let standard = (0..FIGURES).map(|i| (sample.figures[i] - means[i]) / deviations[i]);
        std::iter::once(1.0).chain(standard).collect()
    };
    let rows: Vec<Vec<f64>> = samples.iter().map(row).collect();
    let found = newton(&rows, samples, RIDGE);
    let weight = |i: usize| found[i + 1] / deviations[i];
    Model {
        base: found[0] - (0..FIGURES).map(|i| weight(i) * means[i]).sum::<f64>(),
        weights: std::array::from_fn(|i| Weight { weight: weight(i), least: ranges[i].0, most: ranges[i].1 }),
    }
}

/// The greatest likelihood, the first number of each row being 1 and not held back.
fn newton(rows: &[Vec<f64>], samples: &[&Sample], ridge: f64) -> Vec<f64> {
    let size = rows.first().map_or(0, Vec::len);
    let weights = mix::weights(samples);
    let mut found = vec![0.0; size];
    for _ in 0..STEPS {
        let (mut slope, mut curve) = (vec![0.0; size], vec![vec![0.0; size]; size]);
        for ((row, sample), weight) in rows.iter().zip(samples).zip(&weights) {
            let p = logistic(row.iter().zip(&found).map(|(x, w)| x * w).sum());
            let (error, bend) = (weight * (f64::from(u8::from(sample.changed)) - p), weight * p * (1.0 - p));
            for i in 0..size {
                slope[i] += error * row[i];
                let scaled = bend * row[i];
                curve[i][..=i].iter_mut().zip(row).for_each(|(cell, x)| *cell += scaled * x);
            }
        }
        for i in 0..size {
            let held = if i == 0 { 0.0 } else { ridge };
            slope[i] -= held * found[i];
            curve[i][i] += held + 1e-9;
        }
        found.iter_mut().zip(solve(curve, slope)).for_each(|(w, step)| *w += step);
    }
    found
}

/// Cholesky's method; `matrix` holds the lower half.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for i in 0..size {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - sum;
            matrix[i][j] = if i == j { rest.max(1e-12).sqrt() } else { rest / matrix[j][j] };
        }
        let sum: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - sum) / matrix[i][i];
    }
    for i in (0..size).rev() {
        let sum: f64 = (i + 1..size).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - sum) / matrix[i][i];
    }
    right
}

/// The source text of the weights.
pub fn source(model: &Model) -> String {
    let mut text = format!(
        "//! Fitted by `cargo xtask bench delta-calibration --fit`; see `probability.rs`.\n\n\
         use super::evidence::FIGURES;\n\
         use super::probability::Weight;\n\n\
         pub(super) const BASE: f64 = {:.6};\n\
         #[rustfmt::skip]\n\
         pub(super) const WEIGHTS: [Weight; FIGURES] = [\n",
        model.base
    );
    for (Weight { weight, least, most }, name) in model.weights.iter().zip(FIGURE_NAMES) {
        text.push_str(&format!(
            "    Weight {{ weight: {weight:.6}, least: {least:.6}, most: {most:.6} }}, // {name}\n"
        ));
    }
    text.push_str("];\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64, changed: bool, project: &'static str) -> Sample {
        let mut figures = [0.0; FIGURES];
        figures[0] = value;
        Sample {
            project,
            toolchain: "gcc x86-64",
            scenario: "release",
            fitted: true,
            project_fitted: true,
            figures,
            changed,
        }
    }

    #[test]
    fn equations_are_solved() {
        let found = solve(vec![vec![4.0, 0.0], vec![2.0, 3.0]], vec![10.0, 8.0]);
        assert!((found[0] - 1.75).abs() < 1e-9 && (found[1] - 1.5).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn shares_are_found() {
        // A quarter changes where the figure is 0, three quarters where it is 1, in three projects.
        let mut samples = Vec::new();
        for project in ["a", "b", "c"] {
            for n in 0..400 {
                samples.push(sample(0.0, n % 4 == 0, project));
                samples.push(sample(1.0, n % 4 != 0, project));
            }
        }
        let samples: Vec<&Sample> = samples.iter().collect();
        let model = fit(&samples);
        let said = |value| model.probability(&sample(value, true, "a").figures);
        assert!((said(0.0) - 0.25).abs() < 0.01 && (said(1.0) - 0.75).abs() < 0.01, "{model:?}");
        assert!(cross_validated(&samples).iter().all(|p| (p - 0.5).abs() < 0.26));
    }
}
