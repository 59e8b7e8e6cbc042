//! How likely it is that a function whose code differs changed in meaning.
//!
//! A weighted sum of the figures of a pair (`evidence.rs`), turned into a probability by the logistic
//! function. The weights in `weights.rs` are fitted by `cargo xtask bench delta-calibration --fit` on some
//! projects and compilers, and come into use by `--write`; without `--fit` the bench says how far those in use hold on others.

use assay_binary::Architecture;

use super::evidence::FIGURES;
use super::weights::{BASE, WEIGHTS};
use crate::index::Index;

/// The weight of one figure, and between which values it was seen when that was fitted: beyond, it counts
/// as the nearer of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// What one unit adds to the logit.
    pub weight: f64,
    /// The least value that counts.
    pub least: f64,
    /// The greatest value that counts.
    pub most: f64,
}

impl Weight {
    /// What it adds for this value of its figure.
    pub fn answer(&self, figure: f64) -> f64 {
        self.weight * figure.clamp(self.least, self.most)
    }
}

/// A probability from a logit.
pub fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// What the uncertainty of a delta rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntropyBasis {
    /// Probabilities, fitted for deltas like this one: x86-64 or AArch64 code, both files by
    /// one compiler in one version.
    Fitted,
    /// None: every function whose code differs counts 1 bit, an upper bound.
    Bound,
}

/// Whether there are weights in use at all; without them every probability is 0.5.
pub fn has_weights() -> bool {
    !WEIGHTS.is_empty()
}

/// Whether probabilities hold for a delta of these two.
pub fn entropy_basis(a: &Index, b: &Index) -> EntropyBasis {
    let tools = |index: &Index| -> Vec<(String, String)> {
        index.about.toolchains.iter().map(|t| (t.name.clone(), t.version.clone())).collect()
    };
    let known = matches!(a.about.architecture, Architecture::X86_64 | Architecture::Aarch64);
    let alike = a.about.architecture == b.about.architecture && tools(a) == tools(b);
    match known && alike && !tools(a).is_empty() && has_weights() {
        true => EntropyBasis::Fitted,
        false => EntropyBasis::Bound,
    }
}

/// The probability, 0 to 1, that a pair of functions with these figures changed in meaning; 0.5 as long as
/// there are no weights.
pub fn probability(figures: &[f64; FIGURES]) -> f64 {
    logistic(BASE + WEIGHTS.iter().zip(figures).map(|(weight, figure)| weight.answer(*figure)).sum::<f64>())
}

/// The uncertainty of a probability, 0 to 1 bit.
pub(super) fn entropy(probability: f64) -> f64 {
    let of = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    of(probability) + of(1.0 - probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_what_was_seen_counts_as_the_nearest() {
        let weight = Weight { weight: 2.0, least: 0.0, most: 1.5 };
        assert_eq!([-1.0, 0.5, 9.0].map(|figure| weight.answer(figure)), [0.0, 1.0, 3.0]);
    }

    #[test]
    fn uncertainty_is_greatest_in_the_middle() {
        assert_eq!((entropy(0.0), entropy(0.5), entropy(1.0)), (0.0, 1.0, 0.0));
    }
}
