//! The keys of one issuer, kept fresh.
//!
//! Requests read; one task ([`Keyring::keep_fresh`]) fetches. With a single fetcher there is a
//! single flight by construction, an older answer cannot overtake a newer one, and a client that
//! goes away cancels nobody's fetch.

mod fetcher;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, timeout_at},
};

pub use fetcher::{FetchError, KeyFetcher, KeySource};

use super::{
    Unavailable,
    algorithm::Algorithm,
    keys::{Candidates, KeySet},
};
use crate::clock::Now;

/// A token with an unknown `kid` causes at most one fetch in this time (OIDC Core §10.1.1 asks for
/// the fetch, an attacker for many). It also serves as the memory of unknown `kid`s: whatever was
/// unknown after the last forced fetch stays unknown without another one.
const FORCED_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Requests that may wait for one fetch.
const MAX_WAITING: usize = 1024;

/// The keys of one issuer.
pub struct Keyring {
    issuer: String,
    max_stale: Duration,
    keys: ArcSwap<Loaded>,
    gate: Mutex<Gate>,
    wake: Arc<Notify>,
    /// Counts finished fetches; waiting requests watch it.
    finished: watch::Sender<u64>,
    waiting: Semaphore,
}

/// What requests see.
#[derive(Clone, Debug, Default)]
struct Loaded {
    keys: Arc<KeySet>,
    /// When these keys were last confirmed; `None`: never.
    confirmed: Option<Instant>,
    /// The same on the wall (Unix seconds); 0: never.
    confirmed_at: i64,
    /// How the last fetch failed, if it did: of the keys, or of their address.
    error: Option<FetchError>,
}

#[derive(Debug)]
struct Gate {
    /// A fetch is under way or about to be.
    refreshing: bool,
    last_forced: Option<Instant>,
}

/// The state of a keyring, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KeyringStatus {
    /// The issuer as configured.
    pub issuer: String,
    /// Usable keys.
    pub keys: usize,
    /// Keys of the set that are not used.
    pub refused_keys: usize,
    /// Seconds since the keys were last confirmed; absent before the first time.
    pub age_seconds: Option<u64>,
    /// When that was (Unix seconds); 0: never.
    pub confirmed_unix_seconds: i64,
    /// Why the last fetch failed; absent when it did not.
    pub last_error: Option<String>,
}

impl Drop for Keyring {
    /// Nobody needs the keys any more: the task that fetches them ends.
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// An empty keyring. Until [`Keyring::keep_fresh`] has loaded it, every answer is
    /// [`Unavailable::NoKeys`]: there are no built-in keys.
    pub fn new(issuer: String, max_stale: Duration) -> Self {
        Self {
            issuer,
            max_stale,
            keys: ArcSwap::default(),
            gate: Mutex::new(Gate {
                refreshing: true,
                last_forced: None,
            }),
            wake: Arc::default(),
            finished: watch::Sender::new(0),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// One that has been loaded just now and that nobody keeps fresh, for tests.
    #[cfg(test)]
    pub(crate) fn loaded(issuer: &str, keys: KeySet, now: Now) -> Self {
        let keyring = Self::new(issuer.to_owned(), Duration::from_hours(24));
        keyring.keys.store(Arc::new(Loaded {
            keys: Arc::new(keys),
            confirmed: Some(now.instant),
            ..Loaded::default()
        }));
        keyring.set_refreshing(false);
        keyring
    }

    /// The issuer as configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys for a token. Waits, until `patience` at most, when a fetch may bring the key.
    pub async fn find(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: Now,
        patience: Instant,
    ) -> Result<Candidates, Unavailable> {
        let first = self.look_up(key_id, algorithm, now);
        if matches!(first, Ok(Candidates::Keys(_) | Candidates::WrongAlgorithm)) {
            return first;
        }
        // Subscribed before the gate is asked: a fetch that ends in between is not missed.
        let mut finished = self.finished.subscribe();
        if self.join_refresh(now.instant) {
            let _place = self
                .waiting
                .try_acquire()
                .map_err(|_full| Unavailable::Overloaded)?;
            let waited = timeout_at(patience, finished.changed()).await;
            if waited.is_err() {
                return Err(first.err().unwrap_or(Unavailable::NoRefresh));
            }
        }
        self.final_answer(key_id, algorithm, now)
    }

    /// Waits until the first fetch has ended, well or not.
    pub async fn tried_once(&self) {
        let mut finished = self.finished.subscribe();
        // Fails only when the keyring is gone, and then nobody waits for it.
        drop(finished.wait_for(|count| *count > 0).await);
    }

    /// For the status page.
    pub fn status(&self, now: Instant) -> KeyringStatus {
        let loaded = self.keys.load();
        KeyringStatus {
            issuer: self.issuer.clone(),
            keys: loaded.keys.len(),
            refused_keys: loaded.keys.refused().len(),
            age_seconds: loaded
                .confirmed
                .map(|then| now.saturating_duration_since(then).as_secs()),
            confirmed_unix_seconds: loaded.confirmed_at,
            last_error: loaded.error.map(|error| error.to_string()),
        }
    }

    fn look_up(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: Now,
    ) -> Result<Candidates, Unavailable> {
        let loaded = self.keys.load();
        let confirmed = loaded.confirmed.ok_or(Unavailable::NoKeys)?;
        if now.instant.saturating_duration_since(confirmed) > self.max_stale {
            return Err(Unavailable::StaleKeys);
        }
        if loaded.keys.is_empty() {
            return Err(Unavailable::NoKeys);
        }
        Ok(loaded.keys.select(key_id, algorithm))
    }

    /// "Unknown" is an answer only if the provider has just said so.
    fn final_answer(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        now: Now,
    ) -> Result<Candidates, Unavailable> {
        let answer = self.look_up(key_id, algorithm, now)?;
        if matches!(answer, Candidates::Unknown) && self.keys.load().error.is_some() {
            return Err(Unavailable::NoRefresh);
        }
        Ok(answer)
    }

    /// Joins the fetch under way, or starts one if enough time has passed since the last forced one.
    fn join_refresh(&self, now: Instant) -> bool {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.refreshing {
            return true;
        }
        let cooled_down = gate
            .last_forced
            .is_none_or(|then| now.saturating_duration_since(then) >= FORCED_REFRESH_INTERVAL);
        if cooled_down {
            gate.last_forced = Some(now);
            gate.refreshing = true;
            self.wake.notify_one();
        }
        cooled_down
    }

    fn set_refreshing(&self, refreshing: bool) {
        self.gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refreshing = refreshing;
    }
}

#[cfg(test)]
pub(super) mod tests;
