//! What is counted of providers, and what is told of applications.

use prometheus_client::registry::Registry;

use super::{
    Metrics,
    labels::{ApplicationLabels, CheckLabels, FetchLabels, KeyLabels, Name, ProviderLabels},
};
use crate::route::Enforcement;

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
            "provider_keys",
            "Usable keys of an issuer",
            self.keys.clone(),
        );
        to.register(
            "provider_keys_confirmed_timestamp_seconds",
            "When the keys of an issuer were last confirmed; 0: never",
            self.confirmed.clone(),
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

    /// Makes a provider that is left alone visible.
    pub fn set_circuit_open(&self, provider: &str, open: bool) {
        let labels = ProviderLabels {
            provider: Name::new(provider),
        };
        self.circuits.get_or_create(&labels).set(open.into());
    }

    /// Sets the number of usable keys of an issuer, and when they were last confirmed (Unix seconds; 0: never).
    pub fn set_keys(&self, provider: &str, issuer: &str, keys: usize, confirmed: i64) {
        let labels = KeyLabels {
            provider: Name::new(provider),
            issuer: Name::new(issuer),
        };
        self.keys
            .get_or_create(&labels)
            .set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.confirmed.get_or_create(&labels).set(confirmed);
    }

    /// Nobody looks after these keys any more.
    pub fn forget_keys(&self, provider: &str, issuer: &str) {
        let labels = KeyLabels {
            provider: Name::new(provider),
            issuer: Name::new(issuer),
        };
        self.keys.remove(&labels);
        self.confirmed.remove(&labels);
    }

    /// There is no such provider any more.
    pub fn forget_provider(&self, provider: &str) {
        let labels = ProviderLabels {
            provider: Name::new(provider),
        };
        self.unbound.remove(&labels);
        self.circuits.remove(&labels);
    }

    /// There is no such application any more, or other things are done with decisions about it.
    pub fn forget_enforcement(&self, application: &str, enforcement: Enforcement) {
        self.relaxed.remove(&ApplicationLabels {
            application: Name::new(application),
            enforcement: enforcement.as_str(),
        });
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
}
