//! How likely it is that a function whose code differs changed in meaning.
//!
//! A sum of small decision trees over the figures of a pair (`evidence.rs`), turned into a probability by
//! the logistic function (Friedman, "Greedy function approximation: a gradient boosting machine", 2001).
//! The trees in `weights.rs` are fitted by `cargo xtask bench delta-calibration --fit` on some projects
//! and compilers, and the bench without `--fit` says how far they hold on others.

use super::evidence::FIGURES;
use super::weights::{BASE, TREES};

/// Two levels of questions and four answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tree {
    /// Figure and threshold of the first question and of the two second ones; "yes" is at or above it.
    pub questions: [(usize, f64); 3],
    /// What is added to the logit for no-no, no-yes, yes-no, yes-yes.
    pub answers: [f64; 4],
}

impl Tree {
    /// What it adds for these figures.
    pub fn answer(&self, figures: &[f64; FIGURES]) -> f64 {
        let yes = |(figure, threshold): (usize, f64)| figures.get(figure).is_some_and(|f| *f >= threshold);
        let first = usize::from(yes(self.questions[0]));
        let second = usize::from(yes(self.questions[1 + first]));
        self.answers[2 * first + second]
    }
}

/// A probability from a logit.
pub fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Whether there are weights.
pub(super) fn is_fitted() -> bool {
    !TREES.is_empty()
}

/// The probability, 0 to 1, that a pair of functions with these figures changed in meaning.
pub fn probability(figures: &[f64; FIGURES]) -> f64 {
    logistic(BASE + TREES.iter().map(|tree| tree.answer(figures)).sum::<f64>())
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
    fn a_tree_asks_two_questions() {
        let tree = Tree { questions: [(0, 0.5), (1, 1.0), (1, 2.0)], answers: [1.0, 2.0, 3.0, 4.0] };
        let of = |a: f64, b: f64| {
            let mut figures = [0.0; FIGURES];
            (figures[0], figures[1]) = (a, b);
            tree.answer(&figures)
        };
        assert_eq!([of(0.0, 0.0), of(0.0, 1.0), of(1.0, 1.0), of(1.0, 2.0)], [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn uncertainty_is_greatest_in_the_middle() {
        assert_eq!((entropy(0.0), entropy(0.5), entropy(1.0)), (0.0, 1.0, 0.0));
    }
}
