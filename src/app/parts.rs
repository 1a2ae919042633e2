//! Providers, keyrings and applications, put together from a configuration.

use std::{collections::BTreeMap, sync::Arc};

use tracing::warn;

use crate::{
    clock::Clock,
    config::{ApplicationConfig, IssuerConfig, JudgeConfig, ProviderConfig},
    inspect::Inspector,
    metrics::Metrics,
    outbound::Outbound,
    provider::{Issuer, Judge, Provider, Selector, Taken},
    route::{Application, Enforcement, Routes as ApplicationRoutes},
    verify::{
        keyring::{KeyFetcher, Keyring},
        remote::{RemoteParts, RemoteVerifier},
    },
};

/// Providers and what belongs to them, while they are put together.
pub(super) struct Parts {
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    /// By their position in the configuration.
    providers: Vec<Found>,
    /// By their providers: equal lists share a selector, and so their cache entries.
    selectors: BTreeMap<Vec<usize>, Arc<Selector>>,
    pub(super) keyrings: Vec<(Arc<str>, Arc<Keyring>)>,
    pub(super) fetchers: Vec<(Arc<Keyring>, KeyFetcher)>,
}

/// A provider, and how its tokens find it.
struct Found {
    provider: Arc<Provider>,
    issuers: Vec<Issuer>,
    taken: Taken,
}

/// The keys of an issuer, and the claims that its tokens must have.
type IssuerParts = (Arc<Keyring>, Arc<BTreeMap<String, String>>);

/// What a [`JudgeConfig`] becomes.
struct Court {
    judge: Judge,
    issuers: Vec<IssuerParts>,
    taken: Taken,
}

impl Parts {
    pub(super) fn new(metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        Self {
            metrics,
            clock,
            providers: Vec::new(),
            selectors: BTreeMap::new(),
            keyrings: Vec::new(),
            fetchers: Vec::new(),
        }
    }

    pub(super) fn add_provider(&mut self, config: ProviderConfig, outbound: &Outbound) {
        let name: Arc<str> = config.name.into();
        self.metrics.set_unbound(&name, config.is_unbound);
        if config.is_unbound {
            warn!(
                provider = &*name,
                "accept_unbound_tokens: tokens made for any application are accepted"
            );
        }
        let court = self.court(&name, config.judge, outbound);
        let provider = Arc::new(Provider {
            name,
            judge: court.judge,
            mapping: config.mapping,
            keep: config.keep,
            unstable: config.unstable,
            required_scopes: config.required_scopes,
        });
        let issuer = |(keyring, required)| Issuer {
            provider: Arc::clone(&provider),
            keyring,
            required,
        };
        self.providers.push(Found {
            issuers: court.issuers.into_iter().map(issuer).collect(),
            taken: court.taken,
            provider,
        });
    }

    fn court(&mut self, name: &Arc<str>, config: JudgeConfig, outbound: &Outbound) -> Court {
        match config {
            JudgeConfig::Jwt {
                verifier,
                issuers,
                max_stale,
            } => Court {
                judge: Judge::Jwt(verifier),
                issuers: issuers
                    .into_iter()
                    .map(|issuer| {
                        let required = Arc::new(issuer.required.clone());
                        let keyring = Arc::new(Keyring::new(issuer.issuer.clone(), max_stale));
                        self.add_keyring(name, issuer, &keyring, outbound);
                        (keyring, required)
                    })
                    .collect(),
                taken: Taken::default(),
            },
            JudgeConfig::Remote {
                check,
                rules,
                believed_for,
                taken,
            } => Court {
                judge: Judge::Remote(Box::new(RemoteVerifier::new(RemoteParts {
                    provider: Arc::clone(name),
                    check,
                    rules,
                    believed_for,
                    outbound: outbound.clone(),
                    clock: Arc::clone(&self.clock),
                    metrics: self.metrics.clone(),
                }))),
                issuers: Vec::new(),
                taken,
            },
        }
    }

    fn add_keyring(
        &mut self,
        provider: &Arc<str>,
        issuer: IssuerConfig,
        keyring: &Arc<Keyring>,
        outbound: &Outbound,
    ) {
        let fetcher = KeyFetcher {
            provider: Arc::clone(provider),
            source: issuer.source,
            outbound: outbound.clone(),
            metrics: self.metrics.clone(),
            clock: Arc::clone(&self.clock),
            dice: rand::random,
        };
        self.keyrings
            .push((Arc::clone(provider), Arc::clone(keyring)));
        self.fetchers.push((Arc::clone(keyring), fetcher));
    }

    /// Each provider alone, for whoever wants to look at its tokens.
    pub(super) fn inspectors(&self) -> Vec<Inspector> {
        let inspector = |(position, found): (usize, &Found)| Inspector {
            provider: Arc::clone(&found.provider),
            selector: self.selector(0, &[position]),
        };
        self.providers.iter().enumerate().map(inspector).collect()
    }

    /// The applications, and what chooses them.
    pub(super) fn routes(&mut self, applications: Vec<ApplicationConfig>) -> ApplicationRoutes {
        let mut routes = ApplicationRoutes::default();
        for config in applications {
            self.tell_enforcement(&config);
            let application = Application {
                name: config.name.into(),
                product: config.product,
                context_path: config.context_path.into(),
                enforcement: config.enforcement,
                native: config.native,
                upgrades: config.upgrades,
                providers: self.shared_selector(config.providers),
                public_paths: config.public_paths,
                denied_paths: config.denied_paths,
                access: config.access,
                messages: config.messages,
            };
            routes.insert(application, config.hosts);
        }
        routes
    }

    /// Whoever forgets that nothing holds here shall be reminded.
    fn tell_enforcement(&self, config: &ApplicationConfig) {
        let enforcement = config.enforcement;
        self.metrics.set_enforcement(&config.name, enforcement);
        if enforcement != Enforcement::Enforce {
            warn!(
                application = config.name,
                enforcement = enforcement.as_str(),
                "decisions about this application are not enforced"
            );
        }
    }

    /// The selector of these providers, whoever else has them too.
    pub(super) fn shared_selector(&mut self, chosen: Vec<usize>) -> Arc<Selector> {
        if let Some(selector) = self.selectors.get(&chosen) {
            return Arc::clone(selector);
        }
        let next = u32::try_from(self.selectors.len()).unwrap_or(u32::MAX);
        let selector = Arc::new(self.selector(next, &chosen));
        self.selectors.insert(chosen, Arc::clone(&selector));
        selector
    }

    fn selector(&self, id: u32, chosen: &[usize]) -> Selector {
        let mut selector = Selector::new(id);
        let chosen = chosen.iter();
        for found in chosen.filter_map(|position| self.providers.get(*position)) {
            selector.add_remote(&found.provider, &found.taken);
            for issuer in &found.issuers {
                selector.add_issuer(issuer.clone());
            }
        }
        selector
    }
}
