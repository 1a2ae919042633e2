//! What is counted. Labels come from closed sets or from the configuration, never from a request.

mod labels;

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use labels::{
    ApplicationLabels, CacheLabels, DecisionLabels, FetchLabels, KeyLabels, Name, ProviderLabels,
    TokenLabels, VerdictLabels,
};

use crate::{
    desk::Census,
    pipeline::{CacheSizes, Decision},
    response,
    route::Enforcement,
};

/// From 50 µs: a cached check takes less, a first RS256 token about as much.
const DURATION_BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0,
];

/// All metrics of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    decisions: Family<DecisionLabels, Counter>,
    duration: Family<VerdictLabels, Histogram, fn() -> Histogram>,
    cache: Family<CacheLabels, Counter>,
    cache_identities: Gauge,
    cache_bytes: Gauge,
    fetches: Family<FetchLabels, Counter>,
    keys: Family<KeyLabels, Gauge>,
    checks: Family<FetchLabels, Counter>,
    circuits: Family<ProviderLabels, Gauge>,
    unbound: Family<ProviderLabels, Gauge>,
    relaxed: Family<ApplicationLabels, Gauge>,
    lookups: Family<CacheLabels, Counter>,
    own_tokens: Family<TokenLabels, Gauge>,
    dropped_notes: Counter,
    panics: Counter,
    replaced: Counter,
}

/// How one fetch of keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// A new document.
    Fetched,
    /// 304.
    NotModified,
    /// One word, from a closed set.
    Failed(&'static str),
}

/// How asking a provider about a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The token is good.
    Good,
    /// It is not.
    Bad,
    /// The provider does not say. One word, from a closed set.
    Failed(&'static str),
}

impl Metrics {
    /// Registers every metric once.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("atlassian_authz");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running version", build);
        let metrics = Self {
            registry: Arc::default(),
            decisions: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            cache: Family::default(),
            cache_identities: Gauge::default(),
            cache_bytes: Gauge::default(),
            fetches: Family::default(),
            keys: Family::default(),
            checks: Family::default(),
            circuits: Family::default(),
            unbound: Family::default(),
            relaxed: Family::default(),
            lookups: Family::default(),
            own_tokens: Family::default(),
            dropped_notes: Counter::default(),
            panics: Counter::default(),
            replaced: Counter::default(),
        };
        metrics.register(&mut registry);
        Self {
            registry: Arc::new(registry),
            ..metrics
        }
    }

    /// Names and explains every metric; the registry holds clones.
    fn register(&self, to: &mut Registry) {
        to.register(
            "decisions",
            "Checks answered, by outcome",
            self.decisions.clone(),
        );
        to.register(
            "check_duration_seconds",
            "Time from check to answer",
            self.duration.clone(),
        );
        to.register(
            "cache_requests",
            "Tokens looked up in the identity cache",
            self.cache.clone(),
        );
        to.register(
            "cache_identities",
            "Identities remembered",
            self.cache_identities.clone(),
        );
        to.register(
            "cache_bytes",
            "Bytes of identities remembered",
            self.cache_bytes.clone(),
        );
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
    }

    fn register_providers(&self, to: &mut Registry) {
        to.register(
            "provider_fetches",
            "Fetches of provider keys",
            self.fetches.clone(),
        );
        to.register(
            "provider_keys",
            "Usable keys of an issuer",
            self.keys.clone(),
        );
        to.register(
            "provider_checks",
            "Tokens that a provider was asked about",
            self.checks.clone(),
        );
        to.register(
            "provider_circuit_open",
            "1: fails too often and is left alone",
            self.circuits.clone(),
        );
        to.register(
            "provider_unbound",
            "1: takes tokens for any application",
            self.unbound.clone(),
        );
        to.register(
            "application_not_enforced",
            "1: denials are only reported, or nothing is decided",
            self.relaxed.clone(),
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
        let trail = &decision.trail;
        let application = trail.application.as_ref();
        let status = decision
            .verdict
            .as_ref()
            .map_or_else(|denial| denial.status().code(), |_| 200);
        self.decisions
            .get_or_create(&DecisionLabels {
                application: Name(application.map(|one| Arc::clone(&one.name))),
                provider: Name(trail.provider.clone()),
                status,
                reason: response::reason(&decision.verdict),
                enforcement: trail.enforcement.as_str(),
            })
            .inc();
        let verdict = match status {
            200 => "allow",
            503 => "undecided",
            _ => "deny",
        };
        self.duration
            .get_or_create(&VerdictLabels { verdict })
            .observe(took.as_secs_f64());
        if trail.token_id.is_some() {
            let result = if trail.cached { "hit" } else { "miss" };
            self.cache.get_or_create(&CacheLabels { result }).inc();
        }
    }

    /// Counts one fetch of keys.
    pub fn count_fetch(&self, provider: &str, outcome: FetchOutcome) {
        let outcome = match outcome {
            FetchOutcome::Fetched => "fetched",
            FetchOutcome::NotModified => "not_modified",
            FetchOutcome::Failed(reason) => reason,
        };
        self.fetches
            .get_or_create(&FetchLabels {
                provider: Name::new(provider),
                outcome,
            })
            .inc();
    }

    /// Counts one question to a provider.
    pub fn count_check(&self, provider: &str, outcome: CheckOutcome) {
        let outcome = match outcome {
            CheckOutcome::Good => "good",
            CheckOutcome::Bad => "bad",
            CheckOutcome::Failed(reason) => reason,
        };
        self.checks
            .get_or_create(&FetchLabels {
                provider: Name::new(provider),
                outcome,
            })
            .inc();
    }

    /// Makes a provider that is left alone visible.
    pub fn set_circuit_open(&self, provider: &str, open: bool) {
        let labels = ProviderLabels {
            provider: Name::new(provider),
        };
        self.circuits.get_or_create(&labels).set(open.into());
    }

    /// Sets the number of usable keys of an issuer.
    pub fn set_keys(&self, provider: &str, issuer: &str, keys: usize) {
        let labels = KeyLabels {
            provider: Name::new(provider),
            issuer: Name::new(issuer),
        };
        self.keys
            .get_or_create(&labels)
            .set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Makes a provider that accepts anybody's tokens visible.
    pub fn set_unbound(&self, provider: &str, unbound: bool) {
        let labels = ProviderLabels {
            provider: Name::new(provider),
        };
        self.unbound.get_or_create(&labels).set(unbound.into());
    }

    /// Makes an application for which decisions do not hold visible.
    pub fn set_enforcement(&self, application: &str, enforcement: Enforcement) {
        let labels = ApplicationLabels {
            application: Name::new(application),
            enforcement: enforcement.as_str(),
        };
        let relaxed = enforcement != Enforcement::Enforce;
        self.relaxed.get_or_create(&labels).set(relaxed.into());
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

    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub fn render(&self, sizes: CacheSizes) -> String {
        self.cache_identities
            .set(i64::try_from(sizes.identities).unwrap_or(i64::MAX));
        self.cache_bytes
            .set(i64::try_from(sizes.bytes).unwrap_or(i64::MAX));
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
