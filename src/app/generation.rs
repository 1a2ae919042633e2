//! One configuration at work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use futures_util::future;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::{AppError, Surroundings, api, parts::Parts, tokens::OwnTokens};
use crate::{
    admin::api::Api,
    clock::Now,
    config::{Config, Edition, Limits, Shutdown},
    grpc::Checks,
    inspect::Inspector,
    pipeline::{CacheLimits, Pipeline, TokenCache, TokenMemory},
    provider::Provider,
    route::Enforcement,
    verify::keyring::Keyring,
};

/// A dead provider must not keep the service from starting, nor a slow one: after this time it is
/// ready all the same, and that provider's tokens are answered 503. The same holds for a new configuration.
const LONGEST_START: Duration = Duration::from_secs(5);

/// All that one configuration has made. The next one takes over what it does not change.
pub(super) struct Generation {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) edition: Edition,
    pub(super) begun: Now,
    pub(super) checks: Arc<Checks>,
    pub(super) api: Option<Arc<Api>>,
    pub(super) shutdown: Shutdown,
    pub(super) own_tokens: Option<OwnTokens>,
    pub(super) inspectors: Arc<Vec<Inspector>>,
    parts: Parts,
    memory: TokenMemory,
    memory_limits: CacheLimits,
    /// What is done with decisions about each application.
    pub(super) enforcements: Arc<BTreeMap<String, Enforcement>>,
}

impl Generation {
    /// Builds everything that a configuration describes, and starts nothing. Must be called on the control runtime.
    pub(super) fn build(
        config: Config,
        surroundings: &Surroundings,
        before: Option<&Self>,
    ) -> Result<Self, AppError> {
        let begun = surroundings.clock.now();
        let accepted = api::accepted_at(&config);
        let parts_before = before.map(|before| &before.parts);
        let mut parts = Parts::new(surroundings.clone(), config.urls, parts_before);
        parts.add_providers(config.providers, parts_before)?;
        let applications = config.applications.iter();
        let enforcements: BTreeMap<_, _> = applications
            .map(|one| (one.name.clone(), one.enforcement))
            .collect();
        let bytes = config.limits.cache_bytes;
        let tokens_before = before.and_then(|before| before.own_tokens.as_ref());
        let own_tokens = config
            .api_tokens
            .map(|api_tokens| {
                let names = enforcements.keys().cloned();
                OwnTokens::build(api_tokens, names, bytes, surroundings, tokens_before)
            })
            .transpose()?;
        let routes = parts.routes(config.applications);
        let selector = config
            .admin
            .as_ref()
            .map(|rights| parts.shared_selector(&rights.providers));
        parts.finish();
        let memory_limits = config.limits.into();
        let memory = token_memory(memory_limits, before)?;
        let judge = own_tokens.as_ref().map(|own| own.judge.clone());
        let checks = Arc::new(Checks {
            pipeline: Pipeline::new(routes, memory.clone(), judge, config.enforcement),
            identity_header: Arc::new(config.identity_header),
            trusted_hops: config.trusted_hops,
            check_timeout: config.limits.check_timeout,
            clock: Arc::clone(&surroundings.clock),
        });
        let inspectors = Arc::new(parts.inspectors());
        let api = config.admin.zip(selector).map(|(rights, selector)| {
            Arc::new(Api {
                rights,
                selector,
                applications: accepted,
                trials: checks.for_trials(),
                checks: Arc::clone(&checks),
                inspectors: Arc::clone(&inspectors),
                desk: own_tokens.as_ref().map(|own| own.desk.clone()),
            })
        });
        Ok(Self {
            number: before.map_or(1, |before| before.number + 1),
            edition: config.edition,
            begun,
            checks,
            api,
            shutdown: config.shutdown,
            own_tokens,
            inspectors,
            parts,
            memory,
            memory_limits,
            enforcements: Arc::new(enforcements),
        })
    }

    /// Starts what is new, on the current runtime.
    pub(super) fn start(&mut self, tasks: &TaskTracker) {
        self.keep_keys_fresh(tasks);
        if let Some(own_tokens) = &self.own_tokens {
            own_tokens.start(tasks);
        }
    }

    /// Starts to fetch keys that nobody fetches yet.
    pub(super) fn keep_keys_fresh(&mut self, tasks: &TaskTracker) {
        for (keyring, fetcher) in self.parts.take_fetchers() {
            drop(tasks.spawn(keyring.keep_fresh(fetcher)));
        }
    }

    /// Waits until every provider has been asked for its keys once and the token store has answered, but not for
    /// ever.
    pub(super) async fn tried(&self) {
        future::join(self.providers_tried(), self.store_tried()).await;
    }

    /// Waits until every provider has been asked for its keys once, but not for ever.
    pub(super) async fn providers_tried(&self) {
        let all = async {
            for (_, keyring) in self.parts.keyrings() {
                keyring.tried_once().await;
            }
        };
        if timeout(LONGEST_START, all).await.is_err() {
            warn!("starting without the keys of a provider that does not answer");
        }
    }

    async fn store_tried(&self) {
        if let Some(api_tokens) = self.checks.pipeline.api_tokens()
            && timeout(LONGEST_START, api_tokens.memory().heard_once())
                .await
                .is_err()
        {
            warn!("starting without the token store, which does not answer");
        }
    }

    /// Every keyring, with the name of its provider.
    pub(super) fn keyrings(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Keyring>)> {
        self.parts.keyrings()
    }

    /// Every provider.
    pub(super) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.parts.providers()
    }

    /// Reminds whoever reads the log of what holds from now on and is easily forgotten.
    pub(super) fn announce(&self) {
        for provider in self.providers().filter(|provider| provider.is_unbound) {
            warn!(
                provider = &*provider.name,
                "accept_unbound_tokens: tokens made for any application are accepted"
            );
        }
        for (application, enforcement) in self.enforcements.iter() {
            if *enforcement != Enforcement::Enforce {
                warn!(
                    application,
                    enforcement = enforcement.as_str(),
                    "decisions about this application are not enforced"
                );
            }
        }
    }
}

/// What was known goes on being known, unless its limits have changed.
fn token_memory(limits: CacheLimits, before: Option<&Generation>) -> Result<TokenMemory, AppError> {
    match before.filter(|before| before.memory_limits == limits) {
        Some(before) => Ok(before.memory.clone()),
        None => Ok(TokenMemory::new(TokenCache::new(&random()?, limits))),
    }
}

fn random() -> Result<[u8; 32], AppError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_unspecified| AppError::NoRandomness)?;
    Ok(bytes)
}

impl From<Limits> for CacheLimits {
    fn from(limits: Limits) -> Self {
        Self {
            ttl: limits.cache_ttl,
            entries: limits.cache_entries,
            bytes: limits.cache_bytes,
        }
    }
}
