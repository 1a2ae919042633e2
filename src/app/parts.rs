//! Providers, keyrings and applications, put together from a configuration; whatever has not changed is taken over
//! from the one before, with all that it has learnt.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{ApplicationConfig, Edition, IssuerConfig, JudgeConfig, ProviderConfig},
    inspect::Inspector,
    outbound::{ExtraAuthorities, Outbound, UnusableCertificates, UrlPolicy},
    provider::{Issuer, Judge, Provider, Selector, Taken},
    route::{Application, Routes as ApplicationRoutes},
    verify::{
        keyring::{KeyFetcher, KeySource, Keyring},
        remote::{RemoteParts, RemoteVerifier},
    },
};

use super::{AppError, Surroundings};

/// Providers and what belongs to them.
pub(super) struct Parts {
    surroundings: Surroundings,
    urls: UrlPolicy,
    /// By their position in the configuration.
    providers: Vec<Arc<Found>>,
    /// By the editions of their providers: equal lists share a selector, and so their cache entries.
    selectors: Selectors,
    /// Those of the configuration before.
    inherited: Selectors,
    /// No number is given twice: it stands for the providers in the cache's keys.
    next_selector: u64,
    keyrings: Vec<KeptKeyring>,
    /// Not started yet.
    fetchers: Vec<(Arc<Keyring>, KeyFetcher)>,
}

type Selectors = BTreeMap<Vec<Edition>, Arc<Selector>>;

/// A provider, and how its tokens find it.
struct Found {
    edition: Edition,
    provider: Arc<Provider>,
    issuers: Vec<Issuer>,
    taken: Taken,
}

/// A keyring, and all that decides what is in it.
#[derive(Clone)]
struct KeptKeyring {
    provider: Arc<str>,
    source: KeySource,
    authorities: ExtraAuthorities,
    urls: UrlPolicy,
    max_stale: Duration,
    keyring: Arc<Keyring>,
}

/// The keys of an issuer, and the claims that its tokens must have.
type IssuerParts = (Arc<Keyring>, Arc<BTreeMap<String, String>>);

/// What a [`JudgeConfig`] becomes.
struct Court {
    judge: Judge,
    issuers: Vec<IssuerParts>,
    taken: Taken,
}

/// How a provider is reached.
struct Way {
    outbound: Outbound,
    authorities: ExtraAuthorities,
}

impl Parts {
    pub(super) fn new(surroundings: Surroundings, urls: UrlPolicy, before: Option<&Self>) -> Self {
        Self {
            surroundings,
            urls,
            providers: Vec::new(),
            selectors: Selectors::new(),
            inherited: before.map_or_else(Selectors::new, |before| before.selectors.clone()),
            next_selector: before.map_or(0, |before| before.next_selector),
            keyrings: Vec::new(),
            fetchers: Vec::new(),
        }
    }

    pub(super) fn add_providers(
        &mut self,
        configs: Vec<ProviderConfig>,
        before: Option<&Self>,
    ) -> Result<(), AppError> {
        for config in configs {
            let provider = config.name.clone();
            self.add_provider(config, before)
                .map_err(|source| AppError::Certificates { provider, source })?;
        }
        Ok(())
    }

    fn add_provider(
        &mut self,
        config: ProviderConfig,
        before: Option<&Self>,
    ) -> Result<(), UnusableCertificates> {
        if let Some(before) = before
            && let Some(same) = before.found(config.edition)
        {
            self.providers.push(Arc::clone(same));
            let keyrings = before.keyrings.iter();
            let own = keyrings.filter(|kept| kept.provider == same.provider.name);
            self.keyrings.extend(own.cloned());
            return Ok(());
        }
        let name: Arc<str> = config.name.into();
        let way = Way {
            outbound: Outbound::new(self.urls, config.authorities.clone())?,
            authorities: config.authorities,
        };
        let court = self.court(&name, config.judge, &way, before);
        let provider = Arc::new(Provider {
            name,
            judge: court.judge,
            mapping: config.mapping,
            keep: config.keep,
            unstable: config.unstable,
            required_scopes: config.required_scopes,
            is_unbound: config.is_unbound,
        });
        let issuer = |(keyring, required)| Issuer {
            provider: Arc::clone(&provider),
            keyring,
            required,
        };
        self.providers.push(Arc::new(Found {
            edition: config.edition,
            issuers: court.issuers.into_iter().map(issuer).collect(),
            taken: court.taken,
            provider,
        }));
        Ok(())
    }

    fn found(&self, edition: Edition) -> Option<&Arc<Found>> {
        let mut providers = self.providers.iter();
        providers.find(|found| found.edition == edition)
    }

    fn court(
        &mut self,
        name: &Arc<str>,
        config: JudgeConfig,
        way: &Way,
        before: Option<&Self>,
    ) -> Court {
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
                        let kept = KeptKeyring {
                            provider: Arc::clone(name),
                            source: issuer.source.clone(),
                            authorities: way.authorities.clone(),
                            urls: self.urls,
                            max_stale,
                            keyring: Arc::new(Keyring::new(issuer.issuer.clone(), max_stale)),
                        };
                        (self.keyring(kept, issuer, way, before), required)
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
                    outbound: way.outbound.clone(),
                    clock: Arc::clone(&self.surroundings.clock),
                    metrics: self.surroundings.metrics.clone(),
                }))),
                issuers: Vec::new(),
                taken,
            },
        }
    }

    /// The keyring that is there already, or the new one: whoever changes the audience of a provider must not lose
    /// its keys.
    fn keyring(
        &mut self,
        new: KeptKeyring,
        issuer: IssuerConfig,
        way: &Way,
        before: Option<&Self>,
    ) -> Arc<Keyring> {
        let mut before = before.iter().flat_map(|before| &before.keyrings);
        if let Some(same) = before.find(|kept| kept.holds_what(&new)) {
            self.keyrings.push(same.clone());
            return Arc::clone(&same.keyring);
        }
        let fetcher = KeyFetcher {
            provider: Arc::clone(&new.provider),
            source: issuer.source,
            outbound: way.outbound.clone(),
            metrics: self.surroundings.metrics.clone(),
            clock: Arc::clone(&self.surroundings.clock),
            dice: rand::random,
            tracer: self.surroundings.tracer.clone(),
        };
        let keyring = Arc::clone(&new.keyring);
        self.keyrings.push(new);
        self.fetchers.push((Arc::clone(&keyring), fetcher));
        keyring
    }

    /// Keyrings whose keys nobody fetches yet.
    pub(super) fn take_fetchers(&mut self) -> Vec<(Arc<Keyring>, KeyFetcher)> {
        std::mem::take(&mut self.fetchers)
    }

    /// Every keyring, with the name of its provider.
    pub(super) fn keyrings(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Keyring>)> {
        let keyrings = self.keyrings.iter();
        keyrings.map(|kept| (&kept.provider, &kept.keyring))
    }

    /// Every provider.
    pub(super) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.iter().map(|found| &found.provider)
    }

    /// Each provider alone, for whoever wants to look at its tokens.
    pub(super) fn inspectors(&self) -> Vec<Inspector> {
        let inspector = |found: &Arc<Found>| Inspector {
            provider: Arc::clone(&found.provider),
            selector: selector(0, &[found]),
        };
        self.providers.iter().map(inspector).collect()
    }

    /// The applications, and what chooses them.
    pub(super) fn routes(&mut self, applications: Vec<ApplicationConfig>) -> ApplicationRoutes {
        let mut routes = ApplicationRoutes::default();
        for config in applications {
            let application = Application {
                name: config.name.into(),
                product: config.product,
                context_path: config.context_path.into(),
                enforcement: config.enforcement,
                native: config.native,
                upgrades: config.upgrades,
                providers: self.shared_selector(&config.providers),
                public_paths: config.public_paths,
                denied_paths: config.denied_paths,
                access: config.access,
                messages: config.messages,
            };
            routes.insert(application, config.hosts);
        }
        routes
    }

    /// The selector of these providers (by position), whoever else has them too.
    pub(super) fn shared_selector(&mut self, chosen: &[usize]) -> Arc<Selector> {
        let chosen = chosen.iter();
        let chosen: Vec<_> = chosen
            .filter_map(|position| self.providers.get(*position))
            .collect();
        let editions: Vec<_> = chosen.iter().map(|found| found.edition).collect();
        let known = self.selectors.get(&editions);
        if let Some(selector) = known.or_else(|| self.inherited.get(&editions)) {
            let selector = Arc::clone(selector);
            self.selectors.insert(editions, Arc::clone(&selector));
            return selector;
        }
        let chosen: Vec<_> = chosen.into_iter().map(|found| &**found).collect();
        let selector = Arc::new(selector(self.next_selector, &chosen));
        self.next_selector += 1;
        self.selectors.insert(editions, Arc::clone(&selector));
        selector
    }

    /// Nothing more is taken over.
    pub(super) fn finish(&mut self) {
        self.inherited.clear();
    }
}

impl KeptKeyring {
    fn holds_what(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.keyring.issuer() == other.keyring.issuer()
            && self.source == other.source
            && self.authorities == other.authorities
            && self.urls == other.urls
            && self.max_stale == other.max_stale
    }
}

fn selector(id: u64, chosen: &[&Found]) -> Selector {
    let mut selector = Selector::new(id);
    for found in chosen {
        selector.add_remote(&found.provider, &found.taken);
        for issuer in &found.issuers {
            selector.add_issuer(issuer.clone());
        }
    }
    selector
}
