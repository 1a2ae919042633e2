//! The one task that fetches the keys of an issuer and swaps them in.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status},
};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use url::Url;

use super::{Keyring, Loaded};
use crate::{
    clock::{Clock, Now},
    metrics::{FetchOutcome, Metrics},
    outbound::{Fetched, Get, Outbound, OutboundError, Way},
    telemetry::trace::{Ended, Span, Tracer},
    verify::{
        discovery::{Discovery, DiscoveryError},
        keys::{KeySet, KeySetError, RefusedKey},
        schedule::{Failure, Schedule},
    },
};

const DISCOVERY_LIMIT: usize = 64 * 1024;
const KEY_SET_LIMIT: usize = 512 * 1024;
/// The discovery document is read again after this time.
const DISCOVERY_INTERVAL: Duration = Duration::from_hours(1);
/// A set without usable keys is believed when it is still empty after this time.
const EMPTY_SET_CONFIRMATION: Duration = Duration::from_mins(1);

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `jwks_uri` is configured.
    Fixed(Url),
    /// `jwks_uri` is asked of the issuer.
    Discovered(Discovery),
}

/// Why the keys could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// See [`OutboundError`].
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// See [`DiscoveryError`].
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// See [`KeySetError`].
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// A valid set without a usable key; believed only when it stays so.
    #[error("the key set has no usable key")]
    Empty,
    /// A defect of ours.
    #[error("internal error")]
    Internal,
}

impl FetchError {
    fn outcome(self) -> FetchOutcome {
        match self {
            Self::Outbound(error) => FetchOutcome::Failed(error.reason()),
            Self::Discovery(_) => FetchOutcome::Failed("discovery_refused"),
            Self::KeySet(_) => FetchOutcome::Failed("key_set_refused"),
            Self::Empty => FetchOutcome::Failed("key_set_empty"),
            Self::Internal => FetchOutcome::Failed("internal_error"),
        }
    }

    /// How long the provider wants to be left alone, or we want to wait before a second look.
    fn retry_after(self, have_keys: bool) -> Option<Duration> {
        match self {
            Self::Outbound(OutboundError::Status { retry_after, .. }) => retry_after,
            Self::Empty if have_keys => Some(EMPTY_SET_CONFIRMATION),
            Self::Outbound(_)
            | Self::Discovery(_)
            | Self::KeySet(_)
            | Self::Empty
            | Self::Internal => None,
        }
    }
}

/// Fetches the keys of one issuer and remembers what the last answers said.
pub struct KeyFetcher {
    /// For logs and metrics.
    pub provider: Arc<str>,
    /// Where the keys are.
    pub source: KeySource,
    /// How to get there.
    pub outbound: Outbound,
    /// Counts fetches.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers in `0.0..1.0`.
    pub dice: fn() -> f64,
    /// Traces fetches, if anything is traced.
    pub tracer: Option<Tracer>,
}

#[derive(Default)]
struct Memory {
    schedule: Schedule,
    discovered: Option<(Url, Instant)>,
    /// Why the address of the keys could not be confirmed, if it could not. The keys there are
    /// still good; whether others are elsewhere is not known.
    unconfirmed: Option<FetchError>,
    etag: Option<String>,
    empty_since: Option<Instant>,
}

enum News {
    Confirmed,
    Replaced(KeySet),
}

impl Keyring {
    /// Fetches now, then whenever the schedule or a request asks for it, for as long as somebody else holds the keyring.
    pub fn keep_fresh(
        self: &Arc<Self>,
        mut fetcher: KeyFetcher,
    ) -> impl Future<Output = ()> + use<> {
        let (keyring, wake) = (Arc::downgrade(self), Arc::clone(&self.wake));
        async move {
            let mut memory = Memory::default();
            while let Some(keyring) = keyring.upgrade() {
                let next = keyring.refresh(&mut fetcher, &mut memory).await;
                drop(keyring);
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = wake.notified() => {}
                }
            }
        }
    }

    /// Ends the span of one fetch.
    fn tell(&self, span: Span, fetcher: &KeyFetcher, error: Option<FetchError>) {
        span.end(|| Ended {
            name: "fetch keys".into(),
            kind: SpanKind::Internal,
            status: error.map_or(Status::Unset, |error| Status::error(error.to_string())),
            attributes: vec![
                KeyValue::new("atlassian_authz.provider", Arc::clone(&fetcher.provider)),
                KeyValue::new("atlassian_authz.issuer", self.issuer.clone()),
            ],
        });
    }

    /// Fetches once; when to fetch again.
    async fn refresh(&self, fetcher: &mut KeyFetcher, memory: &mut Memory) -> Instant {
        self.set_refreshing(true);
        let span = fetcher.tracer.as_ref().map(Tracer::root);
        let fetch = fetcher.fetch(&self.issuer, memory, span.as_ref());
        let fetched = AssertUnwindSafe(fetch).catch_unwind().await;
        let fetched = fetched.unwrap_or(Err(FetchError::Internal));
        if let Some(span) = span {
            self.tell(span, fetcher, fetched.as_ref().err().copied());
        }
        self.settle(fetched, fetcher, memory)
    }

    /// Publishes the outcome of one fetch, then lets waiting requests see it.
    fn settle(
        &self,
        fetched: Result<(News, Option<Duration>), FetchError>,
        fetcher: &mut KeyFetcher,
        memory: &mut Memory,
    ) -> Instant {
        let Now {
            instant: now,
            unix_seconds,
        } = fetcher.clock.now();
        let before = self.keys.load_full();
        let dice = (fetcher.dice)();
        let (loaded, next) = match fetched {
            Ok((news, max_age)) => {
                fetcher
                    .metrics
                    .count_fetch(&fetcher.provider, &self.issuer, news.outcome());
                let keys = self.renewed(news, &before, &fetcher.provider);
                let loaded = Loaded {
                    keys,
                    confirmed: Some(now),
                    confirmed_at: unix_seconds,
                    error: memory.unconfirmed,
                };
                (loaded, memory.schedule.after_success(now, max_age, dice))
            }
            Err(error) => {
                fetcher
                    .metrics
                    .count_fetch(&fetcher.provider, &self.issuer, error.outcome());
                let have_keys = !before.keys.is_empty();
                let retry_after = error.retry_after(have_keys);
                let failure = Failure {
                    have_keys,
                    retry_after,
                };
                let next = memory.schedule.after_failure(now, failure, dice);
                warn!(
                    provider = &*fetcher.provider,
                    issuer = self.issuer,
                    failures = memory.schedule.failures(),
                    %error,
                    "provider keys not refreshed"
                );
                (
                    Loaded {
                        error: Some(error),
                        ..(*before).clone()
                    },
                    next,
                )
            }
        };
        self.keys.store(Arc::new(loaded));
        self.set_refreshing(false);
        self.finished.send_modify(|count| *count += 1);
        next
    }

    fn renewed(&self, news: News, before: &Loaded, provider: &str) -> Arc<KeySet> {
        match news {
            News::Confirmed => Arc::clone(&before.keys),
            News::Replaced(keys) => {
                let first = before.confirmed.is_none();
                let keys = keys.of_issuer(&self.issuer).succeed(&before.keys);
                if first {
                    info!(
                        provider,
                        issuer = self.issuer,
                        keys = keys.len(),
                        "provider keys loaded"
                    );
                }
                Arc::new(keys)
            }
        }
    }
}

impl News {
    fn outcome(&self) -> FetchOutcome {
        match self {
            Self::Confirmed => FetchOutcome::NotModified,
            Self::Replaced(_) => FetchOutcome::Fetched,
        }
    }
}

impl KeyFetcher {
    async fn fetch(
        &self,
        issuer: &str,
        memory: &mut Memory,
        span: Option<&Span>,
    ) -> Result<(News, Option<Duration>), FetchError> {
        let way = self.outbound.in_the_name_of(span);
        let url = self.key_set_url(issuer, memory, way).await?;
        let get = Get {
            url: &url,
            etag: memory.etag.as_deref(),
            limit: KEY_SET_LIMIT,
        };
        match way.get(get).await? {
            Fetched::NotModified { max_age } => {
                // What we hold is current again: an empty set seen before was a mistake.
                memory.empty_since = None;
                Ok((News::Confirmed, max_age))
            }
            Fetched::Document {
                body,
                etag,
                max_age,
            } => {
                let keys = KeySet::parse(&body)?;
                // Said even when no key is left to use: somebody else may use this one.
                if keys.refused().contains(&RefusedKey::Secret) {
                    warn!(
                        provider = &*self.provider,
                        "provider publishes secret key material"
                    );
                }
                self.believe(&keys, memory)?;
                memory.etag = etag;
                Ok((News::Replaced(keys), max_age))
            }
        }
    }

    /// A provider may withdraw all keys on purpose; more often an empty set is a mistake of a
    /// minute. The second look decides.
    fn believe(&self, keys: &KeySet, memory: &mut Memory) -> Result<(), FetchError> {
        if !keys.is_empty() {
            memory.empty_since = None;
            return Ok(());
        }
        let now = self.clock.now().instant;
        let since = *memory.empty_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= EMPTY_SET_CONFIRMATION {
            warn!(
                provider = &*self.provider,
                "provider has withdrawn all its keys"
            );
            return Ok(());
        }
        Err(FetchError::Empty)
    }

    async fn key_set_url(
        &self,
        issuer: &str,
        memory: &mut Memory,
        way: Way<'_>,
    ) -> Result<Url, FetchError> {
        let discovery = match &self.source {
            KeySource::Fixed(url) => return Ok(url.clone()),
            KeySource::Discovered(discovery) => discovery,
        };
        let now = self.clock.now().instant;
        let current = memory.discovered.as_ref().filter(|(_, then)| {
            now.saturating_duration_since(*then) < DISCOVERY_INTERVAL
                && !memory.schedule.wants_rediscovery()
        });
        if let Some((url, _)) = current {
            return Ok(url.clone());
        }
        match (discover(discovery, way).await, &memory.discovered) {
            (Ok(url), before) => {
                if before.as_ref().is_some_and(|(before, _)| *before != url) {
                    memory.etag = None;
                }
                memory.discovered = Some((url.clone(), now));
                memory.unconfirmed = None;
                Ok(url)
            }
            // A document that is gone or lies about its issuer changes nothing: the keys are where
            // they were, and rotation must still be seen.
            (Err(error), Some((known, _))) => {
                warn!(provider = &*self.provider, %error, "discovery failed, its last answer is used");
                self.metrics
                    .count_fetch(&self.provider, issuer, error.outcome());
                memory.unconfirmed = Some(error);
                Ok(known.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

async fn discover(discovery: &Discovery, way: Way<'_>) -> Result<Url, FetchError> {
    Ok(discovery.jwks_uri(&discovery_document(discovery, way).await?)?)
}

async fn discovery_document(discovery: &Discovery, way: Way<'_>) -> Result<Bytes, FetchError> {
    let url = discovery.document_url()?;
    let get = Get {
        url: &url,
        etag: None,
        limit: DISCOVERY_LIMIT,
    };
    match way.get(get).await? {
        Fetched::Document { body, .. } => Ok(body),
        Fetched::NotModified { .. } => Err(OutboundError::Broken.into()),
    }
}
