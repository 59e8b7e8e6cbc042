//! One line of a bench's table.

use serde::Serialize;
use serde_json::{Map, Value};

/// What was measured, beside its budget and its peer.
///
/// A figure that was not obtained is `None`, never 0, and is within no budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    what: String,
    ours: Option<f64>,
    peer: Option<f64>,
    ratio: Option<f64>,
    budget: Option<f64>,
    within: Option<bool>,
    unit: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Row {
    /// A figure without a budget.
    pub fn new(what: impl Into<String>, ours: impl Into<Option<f64>>, unit: impl Into<String>) -> Self {
        let ours = ours.into().filter(|ours| ours.is_finite());
        Self { what: what.into(), ours, unit: unit.into(), ..Self::default() }
    }

    /// The other side's figure from the same run.
    pub fn peer(mut self, peer: impl Into<Option<f64>>) -> Self {
        self.peer = peer.into().filter(|peer| peer.is_finite());
        self.ratio = self.ours.zip(self.peer).map(|(ours, peer)| ours / peer);
        self
    }

    /// The figure may be so much.
    pub fn at_most(self, budget: f64) -> Self {
        let within = self.ours.map(|ours| ours <= budget);
        self.judged(Some(budget), within)
    }

    /// The figure must be so much.
    pub fn at_least(self, budget: f64) -> Self {
        let within = self.ours.map(|ours| ours >= budget);
        self.judged(Some(budget), within)
    }

    /// The figure may be so many times the peer's.
    pub fn ratio_at_most(self, budget: f64) -> Self {
        let within = self.ratio.map(|ratio| ratio <= budget);
        self.judged(Some(budget), within)
    }

    /// Judged by a rule of the bench's own.
    pub fn judged(self, budget: Option<f64>, within: Option<bool>) -> Self {
        Self { budget, within, ..self }
    }

    /// Something else that the document says of it.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_obtained_is_within_nothing() {
        for row in [Row::new("a", None, "ms"), Row::new("a", f64::NAN, "ms"), Row::new("a", 1.0 / 0.0, "ms")]
        {
            assert_eq!((row.clone().at_most(1.0).within, row.at_least(1.0).within), (None, None));
        }
        assert_eq!(Row::new("a", 3.0, "ms").ratio_at_most(9.0).within, None);
    }

    #[test]
    fn budgets() {
        assert_eq!(Row::new("a", 3.0, "ms").at_most(2.0).within, Some(false));
        assert_eq!(Row::new("a", 3.0, "ms").at_least(2.0).within, Some(true));
        let row = Row::new("a", 3.0, "ms").peer(2.0).ratio_at_most(1.5);
        assert_eq!((row.ratio, row.within), (Some(1.5), Some(true)));
        let document = serde_json::to_value(row.with("runs", 7)).unwrap();
        assert_eq!((document["runs"].as_u64(), document["budget"].as_f64()), (Some(7), Some(1.5)));
    }
}
