//! What is counted of providers.

use prometheus_client::registry::Registry;

use super::{
    Metrics,
    labels::{CheckLabels, FetchLabels, Name},
};

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
    pub(super) fn register_providers(&self, to: &mut Registry) {
        to.register(
            "provider_fetches",
            "Fetches of provider keys",
            self.fetches.clone(),
        );
        to.register(
            "provider_checks",
            "Tokens that a provider was asked about",
            self.checks.clone(),
        );
    }

    /// Counts one fetch of keys.
    pub fn count_fetch(&self, provider: &str, issuer: &str, outcome: FetchOutcome) {
        let outcome = match outcome {
            FetchOutcome::Fetched => "fetched",
            FetchOutcome::NotModified => "not_modified",
            FetchOutcome::Failed(reason) => reason,
        };
        self.fetches
            .get_or_create(&FetchLabels {
                provider: Name::new(provider),
                issuer: Name::new(issuer),
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
            .get_or_create(&CheckLabels {
                provider: Name::new(provider),
                outcome,
            })
            .inc();
    }
}
