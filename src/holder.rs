//! Steps 5 to 7 for our own tokens: id → record, from memory or from the store; then secret, state and user →
//! the holder. No provider takes part.
//!
//! The memory holds records, not proofs: the secret is compared on every request, so a wrong secret with a
//! right id never meets an answer that was meant for the right one, and a revocation finds what it ends by id.

mod memory;

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tracing::warn;

pub use memory::Memory;
use memory::{Entry, Recalled};

use crate::{
    api_token::{ApiToken, ApiTokenId, Match, NotAnApiToken, Peppers, Scope, TokenRecord},
    clock::Now,
    credential::Claim,
    flights::Flights,
    identity::{Groups, Identity, KeptClaims, Username, UsernameError, UsernamePolicy},
    metrics::Metrics,
    store::{Found, Store, StoreError},
    usage::{Note, Notes},
    verify::{Unavailable, Voucher},
};

/// The provider of identities that stand on one of our own tokens.
pub const ISSUER: &str = "api_token";
/// Requests that wait for the store at once. Beyond that a flood of guessed ids is answered 503, and the
/// tokens that are known already are not affected.
const WAITING: usize = 256;

/// A request waits so long for a better record than the one that is remembered.
const DOUBT: Duration = Duration::from_millis(100);

/// Judges our own tokens. Cheap to clone.
#[derive(Clone)]
pub struct ApiTokens(Arc<Court>, Notes);

struct Court {
    store: Arc<Store>,
    peppers: Arc<Peppers>,
    usernames: UsernamePolicy,
    issuer: Arc<str>,
    memory: Arc<Memory>,
    flights: Arc<Flights<ApiTokenId, Option<Arc<Entry>>, Unavailable>>,
    waiting: Semaphore,
    metrics: Metrics,
}

/// Everything that is needed to judge our own tokens.
pub struct ApiTokenParts {
    /// Where the records are.
    pub store: Arc<Store>,
    /// What their digests were made with.
    pub peppers: Arc<Peppers>,
    /// Whom a token may stand for.
    pub usernames: UsernamePolicy,
    /// What is remembered of the records.
    pub memory: Arc<Memory>,
    /// Takes down who was seen.
    pub notes: Notes,
    /// Counts questions to the store.
    pub metrics: Metrics,
    /// Where the store's connections live.
    pub runtime: Handle,
}

/// The user whom a token stands for, and what it may do.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The user.
    pub identity: Arc<Identity>,
    /// The limits.
    pub scope: Arc<Scope>,
}

/// What is known of an id.
pub struct Known {
    entry: Option<Arc<Entry>>,
    /// From memory: the store was not asked for this request.
    pub cached: bool,
}

/// Why one of our own tokens is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiTokenRejection {
    /// It cannot be one.
    #[error(transparent)]
    Malformed(#[from] NotAnApiToken),
    /// There is no token of this id.
    #[error("there is no API token of this id")]
    Unknown,
    /// Right id, wrong secret.
    #[error("the API token's secret is wrong")]
    WrongSecret,
    /// It has been ended.
    #[error("the API token is revoked")]
    Revoked,
    /// Its time is over.
    #[error("the API token is expired")]
    Expired,
    /// It has been replaced, and its time is over: whoever still has it may have stolen it.
    #[error("the API token has been replaced by another one and is expired")]
    Replaced,
    /// `Basic` names another user than the token's.
    #[error("the user beside the API token is not its owner")]
    OtherUser,
    /// The owner's name may not be given to the product.
    #[error("the API token's owner is refused: {0}")]
    Owner(#[from] UsernameError),
}

impl ApiTokenRejection {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "api_token_malformed",
            Self::Unknown => "api_token_unknown",
            Self::WrongSecret => "api_token_wrong_secret",
            Self::Revoked => "api_token_revoked",
            Self::Expired => "api_token_expired",
            Self::Replaced => "api_token_replaced",
            Self::OtherUser => "api_token_other_user",
            Self::Owner(_) => "api_token_owner_refused",
        }
    }
}

/// A token is refused, or nobody can tell.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum ApiTokenError {
    /// It is refused.
    #[error(transparent)]
    Rejected(#[from] ApiTokenRejection),
    /// Nobody can tell.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl fmt::Debug for ApiTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiTokens").field(&self.0.peppers).finish()
    }
}

impl ApiTokens {
    /// Puts the parts together.
    pub fn new(parts: ApiTokenParts) -> Self {
        let court = Court {
            store: parts.store,
            peppers: parts.peppers,
            usernames: parts.usernames,
            issuer: ISSUER.into(),
            memory: parts.memory,
            flights: Arc::new(Flights::new(Some(parts.runtime))),
            waiting: Semaphore::new(WAITING),
            metrics: parts.metrics,
        };
        Self(Arc::new(court), parts.notes)
    }

    /// Judges alike, and takes nothing down.
    #[must_use]
    pub fn for_trials(&self) -> Self {
        Self(Arc::clone(&self.0), Notes::nowhere(self.0.metrics.clone()))
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Finds the record of an id, in memory or in the store.
    pub async fn find(&self, id: ApiTokenId, now: Now) -> Result<Known, Unavailable> {
        let recalled = self.0.memory.recall(id, now.instant);
        let entry = match recalled {
            Recalled::Nothing => {
                let question = || self.first_question(id, now);
                // In a box, as below: most tokens are remembered, and their checks would take the room of waiting.
                let asked = Box::pin(self.0.flights.join(id, &self.0.waiting, question));
                return Ok(Known {
                    entry: asked.await?,
                    cached: false,
                });
            }
            Recalled::Doubtful(old) => match timeout(DOUBT, Box::pin(self.load(id, now))).await {
                Ok(Ok(entry)) => {
                    return Ok(Known {
                        entry,
                        cached: false,
                    });
                }
                // Old, and younger than the bound that is promised for revocations.
                Ok(Err(_)) | Err(_) => Some(old),
            },
            Recalled::Due(entry) => {
                drop(self.0.flights.begin(id, || self.question(id, now)));
                Some(entry)
            }
            Recalled::Fresh(entry) => Some(entry),
            Recalled::Unknown => None,
        };
        Ok(Known {
            entry,
            cached: true,
        })
    }

    async fn load(&self, id: ApiTokenId, now: Now) -> Result<Option<Arc<Entry>>, Unavailable> {
        let question = || self.question(id, now);
        self.0.flights.join(id, &self.0.waiting, question).await
    }

    /// Asks, unless somebody else's question has been answered since the memory was looked at.
    fn first_question(
        &self,
        id: ApiTokenId,
        now: Now,
    ) -> impl Future<Output = Result<Option<Arc<Entry>>, Unavailable>> + Send + 'static {
        let asked = self.question(id, now);
        let memory = Arc::clone(&self.0.memory);
        async move {
            match memory.recall(id, now.instant) {
                Recalled::Fresh(entry) => Ok(Some(entry)),
                Recalled::Unknown => Ok(None),
                Recalled::Nothing | Recalled::Doubtful(_) | Recalled::Due(_) => asked.await,
            }
        }
    }

    /// Asks the store and remembers what it says, whether or not anybody still waits for it.
    fn question(
        &self,
        id: ApiTokenId,
        now: Now,
    ) -> impl Future<Output = Result<Option<Arc<Entry>>, Unavailable>> + Send + 'static {
        let court = Arc::clone(&self.0);
        let moment = court.memory.moment(now.instant);
        async move {
            let mut entry = court.read(id).await?;
            // Somebody may wait who began after the change that the reading has just missed.
            if entry
                .as_ref()
                .is_some_and(|entry| court.memory.is_outdated(entry))
            {
                entry = court.read(id).await?;
            }
            court.memory.remember(id, entry.as_ref(), moment);
            Ok(entry)
        }
    }

    /// Judges a token by what is known of its id. Every outcome but the first is a comparison of two digests:
    /// the time tells nothing.
    pub fn judge(
        &self,
        token: ApiToken<'_>,
        claim: &Claim,
        known: &Known,
        now: Now,
    ) -> Result<Holder, ApiTokenError> {
        let Some(entry) = &known.entry else {
            self.0.peppers.compare_with_nothing(token);
            return Err(ApiTokenRejection::Unknown.into());
        };
        match self.0.peppers.compare(token, &entry.record.digest) {
            Match::Current => {}
            Match::Former(instead) => self.1.take(Note::KeptWithFormerPepper {
                id: token.id,
                from: entry.record.digest.pepper.clone(),
                instead,
            }),
            Match::Wrong => return Err(ApiTokenRejection::WrongSecret.into()),
            Match::UnknownPepper => return Err(Unavailable::UnknownPepper.into()),
        }
        let judged = entry.judge(claim, now.unix_seconds);
        if judged.as_ref().err() == Some(&ApiTokenRejection::Replaced) {
            self.1.take(Note::UsedAfterReplacement {
                id: token.id,
                owner: entry.record.owner.clone(),
            });
        }
        Ok(judged?)
    }

    /// Takes down that a token was used. Waits for nothing.
    pub fn used(&self, known: &Known, source: Option<IpAddr>, now: Now) {
        if let Some(entry) = &known.entry
            && entry.is_news(source, now.unix_seconds)
        {
            self.1.take(Note::Used {
                id: entry.record.id,
                at: now.unix_seconds,
                from: source,
            });
        }
    }

    /// Takes down that a token was used for what it may not do. Waits for nothing.
    pub fn exceeded(&self, known: &Known, reason: &'static str) {
        if let Some(entry) = &known.entry {
            self.1.take(Note::Exceeded {
                id: entry.record.id,
                owner: entry.record.owner.clone(),
                reason,
            });
        }
    }
}

impl Court {
    async fn read(&self, id: ApiTokenId) -> Result<Option<Arc<Entry>>, Unavailable> {
        let found = self.store.find(id).await;
        self.metrics.count_lookup(match &found {
            Ok(Some(_)) => "found",
            Ok(None) => "unknown",
            Err(_) => "failed",
        });
        let found = found.map_err(|error| unavailable(&error))?;
        Ok(found.map(|found| Arc::new(self.entry(found))))
    }

    fn entry(&self, found: Found) -> Entry {
        let Found { record, expired } = found;
        let user = Username::parse(record.owner.as_str(), &self.usernames);
        let holder = user.map(|username| self.holder(username, &record));
        Entry::new(record, holder.map_err(ApiTokenRejection::Owner), expired)
    }

    fn holder(&self, username: Username, record: &TokenRecord) -> Holder {
        Holder {
            identity: Arc::new(Identity {
                username,
                provider: Arc::clone(&self.issuer),
                client: None,
                scopes: Vec::new(),
                valid_until: record.expires_at,
                voucher: Voucher::Record,
                groups: Groups::Untold,
                claims: KeptClaims::default(),
            }),
            scope: Arc::new(record.scope.clone()),
        }
    }
}

/// Whether the store is away or answers nonsense, the request cannot be decided.
fn unavailable(error: &StoreError) -> Unavailable {
    warn!(%error, "the token store cannot be asked");
    match error {
        StoreError::Unreachable(_) | StoreError::Timeout => Unavailable::StoreAway,
        StoreError::Schema(_) | StoreError::Refused(_) | StoreError::Corrupt(_) => {
            Unavailable::StoreError
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
