//! The memory of verified tokens: identities, never decisions.
//!
//! A hit is worth what the token is worth now: its expiry is compared with this request's time, its
//! key must still be published, and the policy runs again. Refusals are remembered apart, briefly,
//! and only when another verification is sure to say the same.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::{
    clock::Now,
    credential::BearerToken,
    identity::Identity,
    provider::{Provider, Selector},
    verdict::Denial,
    verify::Voucher,
};

/// Refused tokens that are remembered.
const REFUSED_ENTRIES: u64 = 10_000;
/// How long. Short: a mistake here locks a user out.
const REFUSED_TTL: Duration = Duration::from_secs(5);
/// The share of its life after which an answer is renewed.
const RENEWED_AFTER: f64 = 0.8;
/// What the cache itself needs for an entry, roughly: key, pointers, bookkeeping.
const ENTRY_OVERHEAD: usize = 256;

/// A user, and the provider whose policy applies to them.
pub(super) type Known = (Arc<Identity>, Arc<Provider>);

/// Remembers what tokens turned out to be.
pub struct TokenCache {
    secret: hmac::Key,
    ttl: Duration,
    verified: Cache<TokenKey, Verified, Hashed>,
    refused: Cache<TokenKey, Refused, Hashed>,
}

/// For keys that are their own hash.
type Hashed = BuildHasherDefault<Unhashed>;

/// HMAC-SHA-256 of a token and of the list of providers that it was meant for. The secret is made
/// anew for every cache, so a key says nothing outside of it, and the text of the token is never
/// kept. Which provider of the list judges a token follows from the token alone, so the list stands
/// for the provider here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

/// Eight bytes of a [`TokenKey`]: enough to find the requests of one token in the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Each of them two digits.
    hex: [u8; 16],
}

#[derive(Clone, Debug)]
struct Verified {
    known: Known,
    until: Instant,
    renewal: Option<Arc<Renewal>>,
}

/// The provider is asked again shortly before its answer is too old, so that no request has to wait
/// for it. Once: if it fails then, the next answer comes from a request that waits.
#[derive(Debug)]
struct Renewal {
    from: Instant,
    begun: AtomicBool,
}

#[derive(Clone, Debug)]
struct Refused {
    denial: Denial,
    provider: Option<Arc<Provider>>,
    until: Instant,
}

/// What a token turned out to be.
pub struct Remembered {
    /// Whose it is, or why it is refused.
    pub outcome: Result<Known, Denial>,
    /// Who judged it; `None`: it was refused before that.
    pub provider: Option<Arc<Provider>>,
    /// The provider should be asked again, by whoever reads this.
    pub is_due: bool,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct CacheSizes {
    /// Identities.
    pub identities: u64,
    /// Bytes they take, by estimate.
    pub bytes: u64,
    /// Refused tokens.
    pub refused: u64,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.sizes(), f)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenKey").finish_non_exhaustive()
    }
}

/// A keyed hash is not hashed once more: whoever does not know the secret cannot aim at its last eight bytes. The first
/// are in logs ([`Fingerprint`]).
impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (_, end) = self.0.split_at(self.0.len() - size_of::<u64>());
        state.write(end);
    }
}

/// Hands on the eight bytes that it is given.
#[derive(Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }
}

impl TokenKey {
    /// For logs.
    pub fn fingerprint(self) -> Fingerprint {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let mut hex = [0; 16];
        for (to, digit) in hex.iter_mut().zip(digits) {
            *to = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
        }
        Fingerprint { hex }
    }
}

impl Fingerprint {
    /// For logs.
    pub fn as_str(&self) -> &str {
        // Digits are text.
        str::from_utf8(&self.hex).unwrap_or_default()
    }
}

/// The limits of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Longest memory of an identity.
    pub ttl: Duration,
    /// Most identities.
    pub entries: u32,
    /// Most bytes.
    pub bytes: u64,
}

impl TokenCache {
    /// An empty cache. `secret` is 32 random bytes, used for nothing else.
    pub fn new(secret: &[u8; 32], limits: CacheLimits) -> Self {
        // moka bounds one sum. An entry weighs its bytes, but never less than its share: so both
        // the bytes and the number of entries are bounded.
        let share = limits.bytes / u64::from(limits.entries.max(1));
        let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
        Self {
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            ttl: limits.ttl,
            verified: Cache::builder()
                .max_capacity(limits.bytes)
                .weigher(move |_, entry: &Verified| {
                    let bytes = entry.known.0.weight() + ENTRY_OVERHEAD;
                    u32::try_from(bytes).unwrap_or(u32::MAX).max(share)
                })
                .time_to_live(limits.ttl)
                .build_with_hasher(Hashed::default()),
            refused: Cache::builder()
                .max_capacity(REFUSED_ENTRIES)
                .time_to_live(REFUSED_TTL)
                .build_with_hasher(Hashed::default()),
        }
    }

    /// The key of a token. Lengths go in first: no two inputs share a byte string.
    pub fn key(&self, token: BearerToken<'_>, selector: &Selector) -> TokenKey {
        let token = token.expose().as_bytes();
        let mut mac = hmac::Context::with_key(&self.secret);
        mac.update(&u64::try_from(token.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(token);
        mac.update(&selector.id().to_be_bytes());
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(mac.sign().as_ref()) {
            *to = *from;
        }
        TokenKey(key)
    }

    /// What is known of a token and still true.
    pub fn get(&self, key: TokenKey, now: Now) -> Option<Remembered> {
        if let Some(entry) = self.verified.get(&key) {
            if entry.is_good(now) {
                return Some(Remembered {
                    provider: Some(Arc::clone(&entry.known.1)),
                    is_due: entry.renewal.is_some_and(|renewal| renewal.is_mine(now)),
                    outcome: Ok(entry.known),
                });
            }
            self.verified.invalidate(&key);
            return None;
        }
        let Refused {
            denial,
            provider,
            until,
        } = self.refused.get(&key)?;
        (now.instant < until).then_some(Remembered {
            outcome: Err(denial),
            provider,
            is_due: false,
        })
    }

    /// Remembers an identity until it may have changed, or a refusal that is sure to be repeated,
    /// with the provider that refused.
    pub fn remember(
        &self,
        key: TokenKey,
        outcome: &Result<Known, Denial>,
        provider: Option<&Arc<Provider>>,
        now: Now,
    ) {
        match outcome {
            Ok(known) => {
                // Measured once, by the clock that never goes back: whatever the wall clock says
                // later, the entry does not outlive the token.
                let left = known.0.valid_until.saturating_sub(now.unix_seconds);
                let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
                let (believed, renewal) = match known.0.voucher {
                    Voucher::Key(_) | Voucher::Record => (left, None),
                    Voucher::Answer(believed) => (
                        left.min(believed),
                        Some(Renewal::of(believed.min(self.ttl), now)),
                    ),
                };
                let entry = Verified {
                    known: known.clone(),
                    until: now.instant + self.ttl.min(believed),
                    renewal: renewal.map(Arc::new),
                };
                self.verified.insert(key, entry);
            }
            Err(denial) if is_definite(denial) => {
                let until = now.instant + REFUSED_TTL;
                // A token that was good a moment ago and has been revoked.
                self.verified.invalidate(&key);
                self.refused.insert(
                    key,
                    Refused {
                        denial: denial.clone(),
                        provider: provider.cloned(),
                        until,
                    },
                );
            }
            Err(_) => {}
        }
    }

    /// How much is remembered.
    pub fn sizes(&self) -> CacheSizes {
        // moka counts when it tidies up, and without requests it never would.
        self.verified.run_pending_tasks();
        self.refused.run_pending_tasks();
        CacheSizes {
            identities: self.verified.entry_count(),
            bytes: self.verified.weighted_size(),
            refused: self.refused.entry_count(),
        }
    }
}

impl Verified {
    fn is_good(&self, now: Now) -> bool {
        let identity = &self.known.0;
        now.instant < self.until
            && now.unix_seconds < identity.valid_until
            && !identity.voucher.is_withdrawn()
    }
}

impl Renewal {
    fn of(believed: Duration, now: Now) -> Self {
        Self {
            from: now.instant + believed.mul_f64(RENEWED_AFTER),
            begun: AtomicBool::new(false),
        }
    }

    /// True once.
    fn is_mine(&self, now: Now) -> bool {
        now.instant >= self.from && !self.begun.swap(true, Ordering::AcqRel)
    }
}

/// Failures are never remembered, nor what a moment could change.
fn is_definite(denial: &Denial) -> bool {
    match denial {
        Denial::InvalidToken(rejection) => rejection.is_definite(),
        Denial::NoUser(_) => true,
        Denial::MalformedRequest(_)
        | Denial::NoRoute(_)
        | Denial::NoCredential
        | Denial::ForeignCredential(_)
        | Denial::BadApiToken(_)
        | Denial::MalformedCredential(_)
        | Denial::NoProvider(_)
        | Denial::Refused(_)
        | Denial::Undecided(_) => false,
    }
}

#[cfg(test)]
mod tests;
