//! What there is at this moment. Read from the configuration that holds when somebody asks, and never noted down before:
//! what is gone leaves no series behind that would keep an alert burning, whatever is still under way for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::labels::{ApplicationLabels, KeyLabels, Name, NoLabels, ProviderLabels};
use crate::{pipeline::CacheSizes, route::Enforcement};

/// What there is at this moment.
#[derive(Debug, Default)]
pub struct Present<'a> {
    /// Which configuration holds.
    pub generation: u64,
    /// How much is remembered of tokens.
    pub cache: CacheSizes,
    /// The keys of each issuer.
    pub keys: Vec<KeysNow<'a>>,
    /// Each provider.
    pub providers: Vec<ProviderNow<'a>>,
    /// What is done with decisions about each application.
    pub applications: Vec<(&'a str, Enforcement)>,
    /// Whether the token store's changes are heard of; `None`: there is no store.
    pub store_up: Option<bool>,
}

/// The keys of an issuer.
#[derive(Clone, Copy, Debug)]
pub struct KeysNow<'a> {
    /// Whose issuer it is.
    pub provider: &'a str,
    /// As configured.
    pub issuer: &'a str,
    /// Usable keys.
    pub keys: usize,
    /// When they were last confirmed (Unix seconds); 0: never.
    pub confirmed: i64,
}

/// A provider.
#[derive(Clone, Copy, Debug)]
pub struct ProviderNow<'a> {
    /// Its name.
    pub name: &'a str,
    /// It takes tokens for any application.
    pub is_unbound: bool,
    /// It is left alone; `None`: it is never asked about tokens.
    pub circuit_open: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    /// Held while they are set and read: two who ask at once would see half of each other's.
    setting: Arc<Mutex<()>>,
    generation: Gauge,
    cache_identities: Gauge,
    cache_bytes: Gauge,
    keys: Family<KeyLabels, Gauge>,
    confirmed: Family<KeyLabels, Gauge>,
    circuits: Family<ProviderLabels, Gauge>,
    unbound: Family<ProviderLabels, Gauge>,
    relaxed: Family<ApplicationLabels, Gauge>,
    store_up: Family<NoLabels, Gauge>,
}

impl Gauges {
    pub(super) fn register(&self, to: &mut Registry) {
        to.register(
            "config_generation",
            "Configurations taken up since the start",
            self.generation.clone(),
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
        to.register(
            "token_store_up",
            "0: changes in the token store are not heard of",
            self.store_up.clone(),
        );
    }

    /// They are what is present for as long as the guard lives.
    pub(super) fn set(&self, present: &Present<'_>) -> MutexGuard<'_, ()> {
        let guard = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.set(whole(present.generation));
        self.cache_identities.set(whole(present.cache.identities));
        self.cache_bytes.set(whole(present.cache.bytes));
        self.set_keys(&present.keys);
        self.set_providers(&present.providers);
        self.relaxed.clear();
        for (application, enforcement) in &present.applications {
            let labels = ApplicationLabels {
                application: Name::new(application),
                enforcement: enforcement.as_str(),
            };
            let relaxed = *enforcement != Enforcement::Enforce;
            self.relaxed.get_or_create(&labels).set(relaxed.into());
        }
        self.store_up.clear();
        if let Some(up) = present.store_up {
            self.store_up.get_or_create(&NoLabels {}).set(up.into());
        }
        guard
    }

    fn set_keys(&self, keys: &[KeysNow<'_>]) {
        self.keys.clear();
        self.confirmed.clear();
        for now in keys {
            let labels = KeyLabels {
                provider: Name::new(now.provider),
                issuer: Name::new(now.issuer),
            };
            self.keys.get_or_create(&labels).set(whole(now.keys));
            self.confirmed.get_or_create(&labels).set(now.confirmed);
        }
    }

    fn set_providers(&self, providers: &[ProviderNow<'_>]) {
        self.unbound.clear();
        self.circuits.clear();
        for now in providers {
            let labels = ProviderLabels {
                provider: Name::new(now.name),
            };
            let unbound = self.unbound.get_or_create(&labels);
            unbound.set(now.is_unbound.into());
            if let Some(open) = now.circuit_open {
                self.circuits.get_or_create(&labels).set(open.into());
            }
        }
    }
}

fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
