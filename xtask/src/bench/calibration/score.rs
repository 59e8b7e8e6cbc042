//! How far probabilities hold.

use serde_json::{Value, json};

/// Bins of equal mass.
const BINS: usize = 15;

/// One prediction, what was so, and how much it weighs.
pub type Outcome = (f64, bool, f64);

/// The figures of one group of predictions.
#[derive(Clone, Debug)]
pub struct Score {
    pub count: usize,
    pub changed: f64,
    /// Mean squared error of the probabilities (Brier 1950).
    pub brier: f64,
    /// What always saying the group's own share would score: the peer that knows most and looks at least.
    pub brier_of_share: f64,
    /// Expected calibration error over bins of equal mass (Nixon and others 2019).
    pub error: f64,
    /// Of each bin the mean probability, the share that changed, and how many.
    pub bins: Vec<(f64, f64, usize)>,
}

pub fn score(mut outcomes: Vec<Outcome>) -> Option<Score> {
    outcomes.retain(|outcome| outcome.2 > 0.0);
    let count = outcomes.len();
    if count == 0 {
        return None;
    }
    outcomes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let value = |changed: bool| f64::from(u8::from(changed));
    let mass: f64 = outcomes.iter().map(|o| o.2).sum();
    let changed = outcomes.iter().map(|o| o.2 * value(o.1)).sum::<f64>() / mass;
    let brier = outcomes.iter().map(|o| o.2 * (o.0 - value(o.1)).powi(2)).sum::<f64>() / mass;
    let mut members: Vec<Vec<Outcome>> = vec![Vec::new(); BINS];
    let mut before = 0.0;
    for outcome in outcomes {
        let bin = (before / mass * BINS as f64) as usize;
        members[bin.min(BINS - 1)].push(outcome);
        before += outcome.2;
    }
    let (mut bins, mut error) = (Vec::new(), 0.0);
    for of in members.iter().filter(|of| !of.is_empty()) {
        let weight: f64 = of.iter().map(|o| o.2).sum();
        let said = of.iter().map(|o| o.2 * o.0).sum::<f64>() / weight;
        let found = of.iter().map(|o| o.2 * value(o.1)).sum::<f64>() / weight;
        error += (said - found).abs() * weight / mass;
        bins.push((said, found, of.len()));
    }
    Some(Score { count, changed, brier, brier_of_share: changed * (1.0 - changed), error, bins })
}

impl Score {
    pub fn json(&self) -> Value {
        json!({
            "pairs": self.count, "changed_share": self.changed, "brier": self.brier,
            "brier_of_share": self.brier_of_share, "ece": self.error,
            "reliability": self.bins.iter().map(|(p, is, of)| json!({ "probability": p, "changed": is, "pairs": of })).collect::<Vec<_>>(),
        })
    }

    /// The reliability diagram in text: said against found, bin by bin.
    pub fn diagram(&self) -> String {
        let bar = |share: f64, mark: &str| mark.repeat((share * 40.0).round() as usize);
        let line = |(p, is, of): &(f64, f64, usize)| {
            format!("    said {p:.3} {:<40}\n   found {is:.3} {:<40} ({of})\n", bar(*p, "-"), bar(*is, "#"))
        };
        self.bins.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_has_no_error() {
        let outcomes = (0..1500).map(|n| (0.5, n % 2 == 0, 1.0)).collect();
        let score = score(outcomes).unwrap();
        assert!(score.error < 0.02 && (score.brier - 0.25).abs() < 1e-9, "{score:?}");
    }

    #[test]
    fn what_is_too_sure_has() {
        let score = score((0..1500).map(|n| (0.9, n % 2 == 0, 1.0)).collect()).unwrap();
        assert!((score.error - 0.4).abs() < 0.02, "{score:?}");
    }

    #[test]
    fn what_weighs_nothing_does_not_count() {
        let outcomes = (0..1500).map(|n| (1.0, n < 750, if n < 750 { 1.0 } else { 0.0 })).collect();
        let score = score(outcomes).unwrap();
        assert!(score.error < 1e-9 && score.count == 750, "{score:?}");
    }
}
