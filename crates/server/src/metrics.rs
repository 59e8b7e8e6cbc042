//! A handful of Prometheus metrics.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: String,
    mode: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RulingLabel {
    decision: String,
}

/// The metrics of one process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram>,
    verdicts: Family<VerdictLabels, Counter>,
    decisions: Family<RulingLabel, Counter>,
    verify_seconds: Histogram,
    log_size: Gauge,
    index_age: Gauge<f64, AtomicU64>,
    verify_ms: Histogram,
    replay_success_ratio: Gauge<f64, AtomicU64>,
    score_variance: Gauge<f64, AtomicU64>,
    replays: Mutex<Replays>,
}

/// What this process's replays showed, from which the ratios are made.
#[derive(Debug, Default)]
struct Replays {
    asked: u64,
    conclusive: u64,
    compared: u64,
    differing: u64,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("assay");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 18));
        let request_seconds = Family::new_with_constructor(histogram);
        registry.register("http_request_seconds", "Time to answer a request", request_seconds.clone());
        let verdicts = Family::default();
        registry.register("verdicts", "Verdicts given", verdicts.clone());
        let decisions = Family::default();
        registry.register("decisions", "Decisions made", decisions.clone());
        let verify_seconds = histogram();
        registry.register("verify_seconds", "Time to verify a release", verify_seconds.clone());
        let log_size = Gauge::default();
        registry.register("log_size", "Leaves under the newest head that this process saw", log_size.clone());
        let index_age = Gauge::<f64, AtomicU64>::default();
        let help = "Age of the oldest artifact that waits for the delta index, of those this process knows";
        registry.register("delta_index_age_seconds", help, index_age.clone());
        let verify_ms = Histogram::new(exponential_buckets(0.5, 2.0, 20));
        registry.register("verify_time_ms", "Milliseconds to come by one verdict", verify_ms.clone());
        let replay_success_ratio = Gauge::<f64, AtomicU64>::default();
        let help = "Share of verdicts that are conclusive, of those that this process gave";
        registry.register("replay_success_ratio", help, replay_success_ratio.clone());
        let score_variance = Gauge::<f64, AtomicU64>::default();
        let help = "Share of checking replays whose observation differs from the witness's own";
        registry.register("deterministic_score_variance", help, score_variance.clone());
        replay_success_ratio.set(1.0);
        Self {
            registry,
            requests,
            request_seconds,
            verdicts,
            decisions,
            verify_seconds,
            log_size,
            index_age,
            verify_ms,
            replay_success_ratio,
            score_variance,
            replays: Mutex::default(),
        }
    }

    pub fn request(&self, route: &str, status: u16, seconds: f64) {
        let labels = RequestLabels { route: route.to_owned(), status: u32::from(status) };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&RouteLabel { route: route.to_owned() }).observe(seconds);
    }

    pub fn verified(&self, verified: &assay_control::Verified) {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        for verdict in &verified.verdicts {
            let labels = VerdictLabels {
                verdict: word(serde_json::to_value(verdict.verdict).unwrap_or_default()),
                mode: word(serde_json::to_value(verdict.mode).unwrap_or_default()),
            };
            self.verdicts.get_or_create(&labels).inc();
            self.verify_ms.observe(verdict.milliseconds);
        }
        let conclusive =
            verified.verdicts.iter().filter(|verdict| verdict.verdict != assay_gate::Verdict::Inconclusive);
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        replays.asked += verified.verdicts.len() as u64;
        replays.conclusive += conclusive.count() as u64;
        if replays.asked > 0 {
            self.replay_success_ratio.set(replays.conclusive as f64 / replays.asked as f64);
        }
        drop(replays);
        let decision = word(serde_json::to_value(verified.decision).unwrap_or_default());
        self.decisions.get_or_create(&RulingLabel { decision }).inc();
        self.verify_seconds.observe(verified.milliseconds / 1000.0);
    }

    /// Counts the replays of a check.
    pub fn checked(&self, outcome: &assay_verify::CheckOutcome) {
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        replays.compared += u64::from(outcome.replays - outcome.replays_elsewhere);
        replays.differing += u64::from(outcome.replays_differing);
        if replays.compared > 0 {
            self.score_variance.set(replays.differing as f64 / replays.compared as f64);
        }
    }

    /// For how long the oldest artifact waits, whoever's it is.
    pub fn index_age(&self, seconds: f64) {
        self.index_age.set(seconds);
    }

    pub fn head(&self, size: u64) {
        self.log_size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
