//! What is counted. Labels come from closed sets or from the configuration, never from a request.

mod decisions;
mod labels;
mod present;
mod providers;
mod upkeep;

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use decisions::Decisions;
use labels::{CacheLabels, CheckLabels, FetchLabels, TokenLabels};
use present::Gauges;
pub use present::{KeysNow, Present, ProviderNow};
pub use providers::{CheckOutcome, FetchOutcome};
pub use upkeep::ReloadOutcome;
use upkeep::Upkeep;

use crate::{desk::Census, pipeline::Decision};

/// All metrics of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    decisions: Decisions,
    fetches: Family<FetchLabels, Counter>,
    checks: Family<CheckLabels, Counter>,
    lookups: Family<CacheLabels, Counter>,
    own_tokens: Family<TokenLabels, Gauge>,
    dropped_notes: Counter,
    panics: Counter,
    replaced: Counter,
    upkeep: Upkeep,
    gauges: Gauges,
    dropped_spans: Counter,
}

impl Metrics {
    /// Registers every metric once.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("atlassian_authz");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        let metrics = Self {
            registry: Arc::default(),
            decisions: Decisions::new(),
            fetches: Family::default(),
            checks: Family::default(),
            lookups: Family::default(),
            own_tokens: Family::default(),
            dropped_notes: Counter::default(),
            panics: Counter::default(),
            replaced: Counter::default(),
            upkeep: Upkeep::default(),
            gauges: Gauges::default(),
            dropped_spans: Counter::default(),
        };
        metrics.register(&mut registry);
        Self {
            registry: Arc::new(registry),
            ..metrics
        }
    }

    /// Names and explains every metric; the registry holds clones.
    fn register(&self, to: &mut Registry) {
        self.decisions.register(to);
        self.register_providers(to);
        self.register_own_tokens(to);
        to.register(
            "panics",
            "Checks that panicked and were answered 503",
            self.panics.clone(),
        );
        to.register(
            "replaced_errors",
            "gRPC errors answered 503 instead",
            self.replaced.clone(),
        );
        self.upkeep.register(to);
        self.gauges.register(to);
        to.register(
            "spans_dropped",
            "Spans that have not reached the collector",
            self.dropped_spans.clone(),
        );
    }

    fn register_own_tokens(&self, to: &mut Registry) {
        to.register(
            "api_token_lookups",
            "Ids of API tokens that the store was asked for",
            self.lookups.clone(),
        );
        to.register(
            "api_tokens",
            "API tokens that can be used; of them, those that end within 7 days, and those kept with a former pepper or one that is not configured",
            self.own_tokens.clone(),
        );
        to.register(
            "api_token_notes_dropped",
            "Uses of API tokens that were not taken down: the queue was full",
            self.dropped_notes.clone(),
        );
    }

    /// Counts one answered check.
    pub fn count_decision(&self, decision: &Decision, took: Duration) {
        self.decisions.count(decision, took);
    }

    /// Counts one question to the token store: `found`, `unknown` or `failed`.
    pub fn count_lookup(&self, result: &'static str) {
        self.lookups.get_or_create(&CacheLabels { result }).inc();
    }

    /// Sets how many API tokens there are.
    pub fn set_api_tokens(&self, census: &Census) {
        for (state, count) in [
            ("active", census.active),
            ("expiring", census.expiring_within_7_days),
            ("former_pepper", census.former_pepper),
            ("unknown_pepper", census.unknown_pepper),
        ] {
            self.own_tokens
                .get_or_create(&TokenLabels { state })
                .set(count);
        }
    }

    /// Counts a use of an API token that is not taken down.
    pub fn count_dropped_note(&self) {
        self.dropped_notes.inc();
    }

    /// Counts a check that panicked.
    pub fn count_panic(&self) {
        self.panics.inc();
    }

    /// Counts a gRPC error that was answered 503 instead.
    pub fn count_replaced_error(&self) {
        self.replaced.inc();
    }

    /// Counts spans that do not reach the collector.
    pub fn count_dropped_spans(&self, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.dropped_spans.inc_by(spans);
    }

    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub fn render(&self, present: &Present<'_>) -> String {
        let _one_at_a_time = self.gauges.set(present);
        if present.store_up.is_none() {
            self.own_tokens.clear();
        }
        let mut page = String::new();
        // Writing to a String cannot fail.
        text::encode(&mut page, &self.registry)
            .map(|()| page)
            .unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
