//! What is remembered of the store's records, and for how long it may be believed.
//!
//! A change of a token reaches every replica as (id, revision), in under a second. Should it not, no record is
//! believed for more than [`HARD_TTL`]; and while the feed of changes is silent, records older than
//! [`DOUBTED_AFTER`] are read again if the store can be asked: by one request each time, and not again before as
//! much time has passed, so that a store which does not answer does not slow down everybody.
//!
//! A record that was read just before a change must not be remembered after it. So changes are remembered too,
//! for longer than any reading takes: whoever comes second sees the other.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use super::{ApiTokenRejection, Holder};
use crate::{
    api_token::{ApiTokenId, TokenRecord},
    credential::Claim,
};

/// The promise: a revoked token is refused after this time, whatever fails.
const HARD_TTL: Duration = Duration::from_secs(30);
/// Records in use are read again before they must be forgotten, so that no request waits for it.
const RENEWED_AFTER: Duration = Duration::from_secs(24);
/// An id that nobody has is not looked up again for so long.
const UNKNOWN_TTL: Duration = Duration::from_secs(5);
/// The feed beats every five seconds; three missed beats are silence.
const SILENCE: Duration = Duration::from_secs(15);
/// While the feed is silent, records are believed for so long without asking. No record is asked about more often.
const DOUBTED_AFTER: Duration = Duration::from_secs(2);
/// Ids that nobody has: a flood of guesses must not take more memory than this.
const UNKNOWN_ENTRIES: u64 = 10_000;
/// Changes of the last minute. No reading of the store takes half as long.
const CHANGES: u64 = 100_000;
const CHANGES_TTL: Duration = Duration::from_mins(1);
/// What the cache itself needs for an entry, roughly.
const ENTRY_OVERHEAD: usize = 320;
/// A use from the same address is no news for so long, in seconds.
const SAME_NEWS: i64 = 60;

/// What is remembered of the store's records.
pub struct Memory {
    entries: Cache<ApiTokenId, Remembered>,
    unknown: Cache<ApiTokenId, Moment>,
    changes: Cache<ApiTokenId, i64>,
    /// Grows when everything must be forgotten.
    epoch: AtomicU64,
    started: Instant,
    /// When the feed was last known to be complete, in milliseconds since the start; 0: never.
    heard: AtomicU64,
    ever_heard: watch::Sender<bool>,
}

/// How much is remembered, and how far it can be relied on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryStatus {
    /// Records.
    pub records: u64,
    /// Bytes they take, by estimate.
    pub bytes: u64,
    /// Since the store's changes were last known to be complete: more than a few seconds, and revocations
    /// take longer.
    pub store_silent_for_seconds: u64,
}

/// When a reading began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    instant: Instant,
    epoch: u64,
}

#[derive(Clone)]
struct Remembered {
    entry: Arc<Entry>,
    read: Moment,
    /// When somebody was last told to read it again, in milliseconds since the start; 0: never.
    tried: Arc<AtomicU64>,
}

/// One record, ready to be judged by.
pub(super) struct Entry {
    pub(super) record: TokenRecord,
    holder: Result<Holder, ApiTokenRejection>,
    expired: bool,
    last_news: Mutex<Option<(i64, Option<IpAddr>)>>,
}

/// What the memory knows of an id.
pub(super) enum Recalled {
    /// Its record.
    Fresh(Arc<Entry>),
    /// Its record, which should be read again, by whoever is told so.
    Due(Arc<Entry>),
    /// Its record, to be used only if it cannot be read again.
    Doubtful(Arc<Entry>),
    /// There was none a moment ago.
    Unknown,
    /// It must be looked up.
    Nothing,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("entries", &self.entries.entry_count())
            .finish_non_exhaustive()
    }
}

impl Entry {
    pub(super) fn new(
        record: TokenRecord,
        holder: Result<Holder, ApiTokenRejection>,
        expired: bool,
    ) -> Self {
        Self {
            record,
            holder,
            expired,
            last_news: Mutex::default(),
        }
    }

    /// Everything but the secret. By our clock as well as by the store's at the time of reading: a clock that
    /// is wrong ends tokens early, never late.
    pub(super) fn judge(&self, claim: &Claim, now: i64) -> Result<Holder, ApiTokenRejection> {
        if self.record.revocation.is_some() {
            return Err(ApiTokenRejection::Revoked);
        }
        if self.expired || now >= self.record.expires_at {
            return Err(match self.record.replaced_by {
                Some(_) => ApiTokenRejection::Replaced,
                None => ApiTokenRejection::Expired,
            });
        }
        match claim {
            Claim::Nobody => {}
            // Byte for byte: a name that the product might read as the owner's is not the owner's here.
            Claim::User(user) if user == self.record.owner.as_str() => {}
            Claim::User(_) | Claim::Unreadable => return Err(ApiTokenRejection::OtherUser),
        }
        self.holder.clone()
    }

    /// Whether this use tells anything that the last one did not.
    pub(super) fn is_news(&self, source: Option<IpAddr>, now: i64) -> bool {
        let mut last = self
            .last_news
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_old = last.is_some_and(|(at, from)| {
            from == source && now.abs_diff(at) < SAME_NEWS.unsigned_abs()
        });
        if !is_old {
            *last = Some((now, source));
        }
        !is_old
    }

    fn weight(&self) -> usize {
        let record = &self.record;
        let texts = [
            record.name.len(),
            record.created_by.len(),
            record.owner.as_str().len(),
        ];
        // The scope is there twice.
        size_of::<Self>() + texts.iter().sum::<usize>() + 2 * record.scope.weight() + ENTRY_OVERHEAD
    }
}

impl Memory {
    /// Remembers no more than so many bytes, roughly.
    pub fn new(bytes: u64, started: Instant) -> Self {
        Self {
            entries: Cache::builder()
                .max_capacity(bytes)
                .weigher(|_, remembered: &Remembered| {
                    u32::try_from(remembered.entry.weight()).unwrap_or(u32::MAX)
                })
                .time_to_live(HARD_TTL)
                .build(),
            unknown: Cache::builder()
                .max_capacity(UNKNOWN_ENTRIES)
                .time_to_live(UNKNOWN_TTL)
                .build(),
            changes: Cache::builder()
                .max_capacity(CHANGES)
                .time_to_live(CHANGES_TTL)
                .build(),
            epoch: AtomicU64::new(0),
            started,
            heard: AtomicU64::new(0),
            ever_heard: watch::Sender::new(false),
        }
    }

    /// Now, as a beginning of a reading.
    pub(super) fn moment(&self, instant: Instant) -> Moment {
        Moment {
            instant,
            epoch: self.epoch.load(Ordering::Acquire),
        }
    }

    /// What is known of an id, and how far it may be believed.
    pub(super) fn recall(&self, id: ApiTokenId, now: Instant) -> Recalled {
        let epoch = self.epoch.load(Ordering::Acquire);
        let age = |read: Moment| now.saturating_duration_since(read.instant);
        if let Some(Remembered { entry, read, tried }) = self.entries.get(&id) {
            let age = age(read);
            return if read.epoch != epoch || age >= HARD_TTL {
                Recalled::Nothing
            } else if age >= DOUBTED_AFTER && self.is_silent(now) && self.is_mine(&tried, now) {
                Recalled::Doubtful(entry)
            } else if age >= RENEWED_AFTER && self.is_mine(&tried, now) {
                Recalled::Due(entry)
            } else {
                Recalled::Fresh(entry)
            };
        }
        match self.unknown.get(&id) {
            Some(read) if read.epoch == epoch && age(read) < UNKNOWN_TTL => Recalled::Unknown,
            Some(_) | None => Recalled::Nothing,
        }
    }

    /// Remembers what the store said, unless it has changed since.
    pub(super) fn remember(&self, id: ApiTokenId, entry: Option<&Arc<Entry>>, read: Moment) {
        let Some(entry) = entry else {
            self.entries.invalidate(&id);
            self.unknown.insert(id, read);
            return;
        };
        self.entries.insert(
            id,
            Remembered {
                entry: Arc::clone(entry),
                read,
                tried: Arc::default(),
            },
        );
        if self.is_outdated(entry) {
            self.entries.invalidate(&id);
        }
    }

    /// Whether a record has changed since it was read.
    pub(super) fn is_outdated(&self, entry: &Entry) -> bool {
        let change = self.changes.get(&entry.record.id);
        change.is_some_and(|change| change > entry.record.revision)
    }

    /// The store's record of an id has changed: it had this revision then.
    pub fn changed(&self, id: ApiTokenId, revision: i64) {
        self.changes.insert(id, revision);
        self.entries.invalidate(&id);
        self.unknown.invalidate(&id);
    }

    /// Nobody knows what has changed.
    pub fn forget_everything(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.entries.invalidate_all();
        self.unknown.invalidate_all();
    }

    /// All changes up to this moment are known.
    pub fn heard(&self, now: Instant) {
        self.heard
            .fetch_max(self.since_start(now), Ordering::AcqRel);
        self.ever_heard
            .send_if_modified(|ever| !std::mem::replace(ever, true));
    }

    /// Waits until the feed has been heard for the first time.
    pub async fn heard_once(&self) {
        let mut heard = self.ever_heard.subscribe();
        // The sender is ours: it is not gone.
        drop(heard.wait_for(|ever| *ever).await);
    }

    /// How long nothing has been heard of the store's changes.
    pub fn silence(&self, now: Instant) -> Duration {
        let heard = self.started + Duration::from_millis(self.heard.load(Ordering::Acquire));
        now.saturating_duration_since(heard)
    }

    /// For the operator.
    pub fn status(&self, now: Instant) -> MemoryStatus {
        // moka counts when it tidies up, and without requests it never would.
        self.entries.run_pending_tasks();
        MemoryStatus {
            records: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            store_silent_for_seconds: self.silence(now).as_secs(),
        }
    }

    /// Whether the asker should read a record again: true for one of all who ask at about the same time.
    fn is_mine(&self, tried: &AtomicU64, now: Instant) -> bool {
        let pause = u64::try_from(DOUBTED_AFTER.as_millis()).unwrap_or(u64::MAX);
        let (last, now) = (tried.load(Ordering::Acquire), self.since_start(now));
        (last == 0 || now.saturating_sub(last) >= pause)
            && tried
                .compare_exchange(last, now, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Milliseconds, never 0.
    fn since_start(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }

    /// Nothing is heard of the store's changes: they arrive late.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silence(now) >= SILENCE
    }
}

#[cfg(test)]
mod tests;
