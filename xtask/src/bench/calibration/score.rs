//! How far probabilities hold.

use serde_json::{Value, json};

/// Bins of equal mass.
const BINS: usize = 15;

/// One prediction and what was so.
pub type Outcome = (f64, bool);

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
    let count = outcomes.len();
    if count == 0 {
        return None;
    }
    outcomes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let value = |changed: bool| f64::from(u8::from(changed));
    let changed = outcomes.iter().map(|o| value(o.1)).sum::<f64>() / count as f64;
    let brier = outcomes.iter().map(|o| (o.0 - value(o.1)).powi(2)).sum::<f64>() / count as f64;
    let bins: Vec<(f64, f64, usize)> = (0..BINS)
        .filter_map(|bin| {
            let of = &outcomes[count * bin / BINS..count * (bin + 1) / BINS];
            let mean = |what: &dyn Fn(&Outcome) -> f64| of.iter().map(what).sum::<f64>() / of.len() as f64;
            (!of.is_empty()).then(|| (mean(&|o| o.0), mean(&|o| value(o.1)), of.len()))
        })
        .collect();
    let error = bins.iter().map(|(p, is, of)| (p - is).abs() * *of as f64).sum::<f64>() / count as f64;
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
        let outcomes = (0..1500).map(|n| (0.5, n % 2 == 0)).collect();
        let score = score(outcomes).unwrap();
        assert!(score.error < 0.02 && (score.brier - 0.25).abs() < 1e-9, "{score:?}");
    }

    #[test]
    fn what_is_too_sure_has() {
        let score = score((0..1500).map(|n| (0.9, n % 2 == 0)).collect()).unwrap();
        assert!((score.error - 0.4).abs() < 0.02, "{score:?}");
    }
}
