//! Providers, keyrings and applications, put together from a configuration.

use std::{collections::BTreeMap, sync::Arc};

use tracing::warn;

use crate::{
    clock::Clock,
    config::{ApplicationConfig, ProviderConfig},
    metrics::Metrics,
    outbound::Outbound,
    provider::{Issuer, Provider, Selector},
    route::{Application, Routes as ApplicationRoutes},
    verify::{
        claims::Audiences,
        keyring::{KeyFetcher, Keyring},
    },
};

/// Providers and what belongs to them, while they are put together.
#[derive(Default)]
pub(super) struct Parts {
    /// By their position in the configuration: the issuers of each provider.
    issuers: Vec<Vec<Issuer>>,
    pub(super) keyrings: Vec<(Arc<str>, Arc<Keyring>)>,
    pub(super) fetchers: Vec<(Arc<Keyring>, KeyFetcher)>,
}

impl Parts {
    pub(super) fn add_provider(
        &mut self,
        config: ProviderConfig,
        outbound: &Outbound,
        metrics: &Metrics,
        clock: &Arc<dyn Clock>,
    ) {
        let name: Arc<str> = config.name.into();
        let unbound = config.verifier.rules.audiences == Audiences::Unbound;
        metrics.set_unbound(&name, unbound);
        if unbound {
            warn!(
                provider = &*name,
                "accept_unbound_tokens: tokens made for any application are accepted"
            );
        }
        let provider = Arc::new(Provider {
            name: Arc::clone(&name),
            verifier: config.verifier,
            mapping: config.mapping,
            required_scopes: config.required_scopes,
        });
        let mut issuers = Vec::new();
        for issuer in config.issuers {
            let keyring = Arc::new(Keyring::new(issuer.issuer, config.max_stale));
            let fetcher = KeyFetcher {
                provider: Arc::clone(&name),
                source: issuer.source,
                outbound: outbound.clone(),
                metrics: metrics.clone(),
                clock: Arc::clone(clock),
                dice: rand::random,
            };
            self.keyrings
                .push((Arc::clone(&name), Arc::clone(&keyring)));
            self.fetchers.push((Arc::clone(&keyring), fetcher));
            issuers.push(Issuer {
                provider: Arc::clone(&provider),
                keyring,
            });
        }
        self.issuers.push(issuers);
    }

    /// Applications that accept the same providers share a selector, and so their cache entries.
    pub(super) fn routes(&self, applications: Vec<ApplicationConfig>) -> ApplicationRoutes {
        let mut selectors: BTreeMap<Vec<usize>, Arc<Selector>> = BTreeMap::new();
        let mut routes = ApplicationRoutes::default();
        for config in applications {
            let next = u32::try_from(selectors.len()).unwrap_or(u32::MAX);
            let issuers = config
                .providers
                .iter()
                .filter_map(|position| self.issuers.get(*position));
            let issuers: Vec<Issuer> = issuers.flatten().cloned().collect();
            let selector = selectors
                .entry(config.providers)
                .or_insert_with(|| Arc::new(Selector::new(next, issuers)));
            let application = Application {
                name: config.name.into(),
                providers: Arc::clone(selector),
                public_paths: config.public_paths,
            };
            routes.insert(application, config.hosts);
        }
        routes
    }
}
