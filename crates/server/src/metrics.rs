//! A handful of Prometheus metrics.

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
        Self { registry, requests, request_seconds, verdicts, decisions, verify_seconds, log_size }
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
        }
        let decision = word(serde_json::to_value(verified.decision).unwrap_or_default());
        self.decisions.get_or_create(&RulingLabel { decision }).inc();
        self.verify_seconds.observe(verified.milliseconds / 1000.0);
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
