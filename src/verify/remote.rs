//! Verifies a token by asking its provider.
//!
//! The provider says whether the token is good; whether it is good *here* is decided by the same
//! claim rules as for a JWT. Three things keep one bad provider from harming anybody else: few
//! requests at a time, a breaker, and a time limit.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, TryAcquireError};
use tracing::warn;

use super::{
    Rejection, TokenError, Unavailable, Verified, Voucher,
    breaker::{Breaker, IsOpen},
    claims::{ClaimRules, Claims},
    http_check::HttpCheck,
    introspection::Introspection,
};
use crate::{
    clock::Clock,
    clock::Now,
    metrics::{CheckOutcome, Metrics},
    outbound::{Outbound, OutboundError},
    telemetry::trace::Span,
};

/// Requests under way to one provider (bulkhead).
const MAX_CALLS: usize = 64;
/// Checks that may wait for answers of one provider.
const MAX_WAITING: usize = 1024;

/// How a provider is asked.
#[derive(Debug)]
pub enum RemoteCheck {
    /// RFC 7662.
    Introspection(Introspection),
    /// Any other endpoint.
    Http(HttpCheck),
}

/// A provider that judges its tokens itself.
pub struct RemoteVerifier {
    /// How it is asked.
    pub check: RemoteCheck,
    /// What its answer must say.
    pub rules: ClaimRules,
    /// How long an answer is believed.
    pub believed_for: Duration,
    provider: Arc<str>,
    outbound: Outbound,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    calls: Semaphore,
    waiting: Semaphore,
    breaker: Mutex<Breaker>,
}

/// How it goes with asking a provider, for people.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct RemoteStatus {
    /// It fails too often, and is left alone but for one question now and then.
    pub circuit_open: bool,
    /// Questions under way.
    pub calls: usize,
}

/// Why a provider's answer is not the claims of a good token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The token is bad: the provider says so, or its answer breaks a rule.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// 401 or 403 to our own credentials.
    #[error("it refuses our own credentials (status {0})")]
    CredentialsRefused(u16),
    /// 429, or another status with `Retry-After`.
    #[error("it asks us to come back later")]
    Throttled(Option<Duration>),
    /// A status that means nothing here.
    #[error("its answer has the unexpected status {0}")]
    Status(u16),
    /// Not JSON, or JSON that does not say what it must.
    #[error("its answer is not understood: {0}")]
    Answer(&'static str),
    /// See [`OutboundError`].
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

impl std::fmt::Debug for RemoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteVerifier")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// How a provider is asked, and what it takes to ask.
pub struct RemoteParts {
    /// The provider's name.
    pub provider: Arc<str>,
    /// How it is asked.
    pub check: RemoteCheck,
    /// What its answer must say.
    pub rules: ClaimRules,
    /// How long an answer is believed.
    pub believed_for: Duration,
    /// The way to it.
    pub outbound: Outbound,
    /// For the breaker.
    pub clock: Arc<dyn Clock>,
    /// Counts the requests.
    pub metrics: Metrics,
}

impl RemoteVerifier {
    /// A verifier that has not failed yet.
    pub fn new(parts: RemoteParts) -> Self {
        let RemoteParts {
            provider,
            check,
            rules,
            believed_for,
            outbound,
            clock,
            metrics,
        } = parts;
        Self {
            check,
            rules,
            believed_for,
            provider,
            outbound,
            clock,
            metrics,
            calls: Semaphore::new(MAX_CALLS),
            waiting: Semaphore::new(MAX_WAITING),
            breaker: Mutex::default(),
        }
    }

    /// The places of those who wait for its answers.
    pub fn waiting(&self) -> &Semaphore {
        &self.waiting
    }

    /// For the operator.
    pub fn status(&self) -> RemoteStatus {
        RemoteStatus {
            circuit_open: self.breaker().is_open(),
            calls: MAX_CALLS.saturating_sub(self.calls.available_permits()),
        }
    }

    /// Asks the provider about a token. Ends within the time limit of the calls.
    pub async fn verify(
        &self,
        token: &str,
        now: Now,
        span: Option<&Span>,
    ) -> Result<Verified, TokenError> {
        let claims = self.claims(token, now, span).await?;
        let facts = self.rules.check(&claims, now)?;
        Ok(Verified {
            claims,
            facts,
            voucher: Voucher::Answer(self.believed_for),
        })
    }

    /// What the provider says of a good token, before any rule has judged it.
    pub async fn claims(
        &self,
        token: &str,
        now: Now,
        span: Option<&Span>,
    ) -> Result<Claims, TokenError> {
        let _place = self.calls.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits | TryAcquireError::Closed => Unavailable::Overloaded,
        })?;
        self.breaker()
            .admit(now.instant)
            .map_err(|IsOpen| Unavailable::CircuitOpen)?;
        let way = self.outbound.in_the_name_of(span);
        let asked = match &self.check {
            RemoteCheck::Introspection(check) => check.ask(way, token, now).await,
            RemoteCheck::Http(check) => check.ask(way, token, now).await,
        };
        self.settle(asked)
    }

    /// Tells the breaker, the metrics and the log how a request went.
    fn settle(&self, asked: Result<Claims, CheckError>) -> Result<Claims, TokenError> {
        let (outcome, error) = match &asked {
            Ok(_) => (CheckOutcome::Good, None),
            Err(CheckError::Rejected(_)) => (CheckOutcome::Bad, None),
            Err(error) => (CheckOutcome::Failed(error.reason()), Some(error)),
        };
        self.metrics.count_check(&self.provider, outcome);
        let mut breaker = self.breaker();
        match error {
            None => breaker.answered(),
            Some(error) => breaker.failed(self.clock.now().instant, error.retry_after()),
        }
        drop(breaker);
        if let Some(error) = error {
            warn!(provider = &*self.provider, %error, "provider cannot check a token");
        }
        asked.map_err(TokenError::from)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckError {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason(),
            Self::CredentialsRefused(_) => "credentials_refused",
            Self::Throttled(_) => "throttled",
            Self::Status(_) => "status",
            Self::Answer(_) => "answer",
            Self::Outbound(error) => error.reason(),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled(retry_after) => retry_after,
            Self::Rejected(_)
            | Self::CredentialsRefused(_)
            | Self::Status(_)
            | Self::Answer(_)
            | Self::Outbound(_) => None,
        }
    }
}

impl From<CheckError> for TokenError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Rejected(rejection) => rejection.into(),
            CheckError::CredentialsRefused(_) => Unavailable::CredentialsRefused.into(),
            CheckError::Throttled(_) => Unavailable::Throttled.into(),
            CheckError::Outbound(OutboundError::Timeout) => Unavailable::ProviderTimeout.into(),
            CheckError::Status(_) | CheckError::Answer(_) | CheckError::Outbound(_) => {
                Unavailable::ProviderError.into()
            }
        }
    }
}

#[cfg(test)]
mod tests;
