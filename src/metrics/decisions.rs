//! What is counted at every check. Series of which there are a few are there from the beginning, and found without a
//! search.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::labels::{CacheLabels, DecisionLabels, Name, VerdictLabels};
use crate::{pipeline::Decision, response};

/// From 50 µs: a cached check takes less, a first RS256 token about as much.
const DURATION_BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0,
];

#[derive(Clone, Debug)]
pub(super) struct Decisions {
    answered: Family<DecisionLabels, Counter>,
    durations: Family<VerdictLabels, Histogram, fn() -> Histogram>,
    allow: Histogram,
    deny: Histogram,
    undecided: Histogram,
    looked_up: Family<CacheLabels, Counter>,
    hit: Counter,
    miss: Counter,
}

impl Decisions {
    pub(super) fn new() -> Self {
        let new: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let durations = Family::new_with_constructor(new);
        let duration =
            |verdict| Histogram::clone(&durations.get_or_create(&VerdictLabels { verdict }));
        let looked_up = Family::<CacheLabels, Counter>::default();
        let result = |result| Counter::clone(&looked_up.get_or_create(&CacheLabels { result }));
        Self {
            answered: Family::default(),
            allow: duration("allow"),
            deny: duration("deny"),
            undecided: duration("undecided"),
            durations,
            hit: result("hit"),
            miss: result("miss"),
            looked_up,
        }
    }

    pub(super) fn register(&self, to: &mut Registry) {
        to.register(
            "decisions",
            "Checks answered, by outcome",
            self.answered.clone(),
        );
        to.register(
            "check_duration_seconds",
            "Time from check to answer",
            self.durations.clone(),
        );
        to.register(
            "cache_requests",
            "Tokens looked up in the identity cache",
            self.looked_up.clone(),
        );
    }

    pub(super) fn count(&self, decision: &Decision, took: Duration) {
        let trail = &decision.trail;
        let application = trail.application.as_ref();
        let status = decision
            .verdict
            .as_ref()
            .map_or_else(|denial| denial.status().code(), |_| 200);
        self.answered
            .get_or_create(&DecisionLabels {
                application: Name(application.map(|one| Arc::clone(&one.name))),
                provider: Name(trail.provider.clone()),
                status,
                reason: response::reason(&decision.verdict),
                enforcement: trail.enforcement.as_str(),
            })
            .inc();
        let duration = match status {
            200 => &self.allow,
            503 => &self.undecided,
            _ => &self.deny,
        };
        duration.observe(took.as_secs_f64());
        if trail.token_id.is_some() {
            let result = if trail.cached { &self.hit } else { &self.miss };
            result.inc();
        }
    }
}
