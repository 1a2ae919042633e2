//! Gathers notes and writes them to the store, a batch at a time.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Note;
use crate::{
    api_token::{ApiTokenId, Digest, Owner, PepperId},
    audit,
    clock::Clock,
    metrics::Metrics,
    store::{Event, EventKind, Store, StoreError, Usage},
};

/// Different things that are gathered at most: while the store is away, the rest is dropped and counted.
const GATHERED: usize = 100_000;
/// When the service stops, the last batch may take this long.
const LAST_BATCH: Duration = Duration::from_secs(5);

/// Writes what was taken down.
pub struct Writer {
    /// What to gather.
    pub notes: mpsc::Receiver<Note>,
    /// Where to write.
    pub store: Arc<Store>,
    /// How often.
    pub interval: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counts what is dropped.
    pub metrics: Metrics,
}

/// Notes that say the same are one.
#[derive(Default)]
struct Gathered {
    used: HashMap<(ApiTokenId, Option<IpAddr>), i64>,
    observed: HashMap<(ApiTokenId, Owner, EventKind, &'static str), u32>,
    rehashed: HashMap<ApiTokenId, (PepperId, Digest)>,
}

/// Why that is an event.
const AFTER_REPLACEMENT: &str = "api_token_replaced";

impl Writer {
    /// Writes until `stop`, then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut gathered = Gathered::default();
        let mut ticks = time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                note = self.notes.recv() => match note {
                    Some(note) => self.gather(&mut gathered, note),
                    None => break,
                },
                _ = ticks.tick() => self.flush(&mut gathered).await,
                () = stop.cancelled() => break,
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.gather(&mut gathered, note);
        }
        if timeout(LAST_BATCH, self.flush(&mut gathered))
            .await
            .is_err()
        {
            warn!("the last uses of API tokens were not written down");
        }
    }

    fn gather(&self, gathered: &mut Gathered, note: Note) {
        let kept = match note {
            Note::Used { id, at, from } => {
                merge(&mut gathered.used, (id, from), |last| *last = at.max(*last))
            }
            Note::Exceeded { id, owner, reason } => merge(
                &mut gathered.observed,
                (id, owner, EventKind::DeniedByScope, reason),
                |count| *count = count.saturating_add(1),
            ),
            Note::UsedAfterReplacement { id, owner } => {
                warn!(token_id = %id, "an API token was used after it had been replaced and ended");
                merge(
                    &mut gathered.observed,
                    (id, owner, EventKind::UsedAfterRotation, AFTER_REPLACEMENT),
                    |count| *count = count.saturating_add(1),
                )
            }
            Note::KeptWithFormerPepper { id, from, instead } => {
                let has_room = gathered.rehashed.len() < GATHERED;
                if has_room {
                    gathered.rehashed.insert(id, (from, instead));
                }
                has_room
            }
        };
        if !kept {
            self.metrics.count_dropped_note();
        }
    }

    /// What cannot be written now is kept for the next time.
    async fn flush(&self, gathered: &mut Gathered) {
        let written = async {
            self.write_uses(gathered).await?;
            self.write_observations(gathered).await?;
            self.write_digests(gathered).await
        };
        if let Err(error) = written.await {
            warn!(%error, "uses of API tokens cannot be written down now");
        }
    }

    async fn write_uses(&self, gathered: &mut Gathered) -> Result<(), StoreError> {
        let used = gathered.used.iter();
        let used: Vec<_> = used
            .map(|((id, from), at)| Usage {
                id: *id,
                at: *at,
                from: *from,
            })
            .collect();
        if !used.is_empty() {
            self.store
                .record_usage(&used)
                .await?
                .iter()
                .for_each(audit::log);
            gathered.used.clear();
        }
        Ok(())
    }

    async fn write_observations(&self, gathered: &mut Gathered) -> Result<(), StoreError> {
        let at = self.clock.now().unix_seconds;
        let observed = gathered.observed.iter();
        let events: Vec<_> = observed
            .map(|((id, owner, kind, reason), count)| Event {
                at,
                kind: *kind,
                actor: None,
                token: Some(*id),
                owner: Some(owner.clone()),
                source: None,
                detail: json!({ "reason": reason, "count": count }),
            })
            .collect();
        if !events.is_empty() {
            self.store.note(&events).await?;
            events.iter().for_each(audit::log);
            gathered.observed.clear();
        }
        Ok(())
    }

    async fn write_digests(&self, gathered: &mut Gathered) -> Result<(), StoreError> {
        for (id, (from, digest)) in &gathered.rehashed {
            self.store.rehash(*id, from, digest).await?;
        }
        gathered.rehashed.clear();
        Ok(())
    }
}

/// False when there is no room for another key.
fn merge<K: Eq + Hash, V: Default>(
    into: &mut HashMap<K, V>,
    key: K,
    change: impl FnOnce(&mut V),
) -> bool {
    let is_full = into.len() >= GATHERED;
    match into.entry(key) {
        Entry::Occupied(mut entry) => change(entry.get_mut()),
        Entry::Vacant(_) if is_full => return false,
        Entry::Vacant(entry) => change(entry.insert(V::default())),
    }
    true
}
