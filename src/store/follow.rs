//! What others change, heard soon: so that a revoked token ends everywhere, not only where it was revoked.

mod postgres;
mod sqlite;

use std::{convert::Infallible, time::Duration};

use rand::RngExt;
use tokio::time::sleep;

use super::{Changes, Store, StoreError, location::Place};
use crate::api_token::ApiTokenId;

/// Whoever remembers tokens.
pub trait Follower: Send + Sync {
    /// A token has changed. What was read of it before this revision is out of date.
    fn changed(&self, id: ApiTokenId, revision: i64);
    /// Nobody knows what has changed: all of it is out of date.
    fn forget_everything(&self);
    /// Until this moment, everything that has changed has been told.
    fn heard(&self);
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the follower knows.
struct Known<'a> {
    follower: &'a dyn Follower,
    revision: i64,
    /// The session has begun: everything was forgotten, and nothing has been missed since.
    follows: bool,
}

impl Store {
    /// Tells the follower of every change until it is dropped. A session that breaks is replaced; with each new
    /// one everything is forgotten, for it may lead to another server, or to a restored backup that by now has as
    /// many changes as the lost one had, but others.
    pub async fn follow(&self, follower: &dyn Follower) -> Infallible {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let mut known = Known {
                follower,
                revision: 0,
                follows: false,
            };
            let ended = match &self.sessions.place {
                Place::Sqlite(path) => sqlite::session(&self.sessions, path, &mut known).await,
                Place::Postgres(url) => postgres::session(&self.sessions, url, &mut known).await,
            };
            let Err(error) = ended;
            tracing::warn!(%error, "changes of API tokens are not heard of: trying again");
            // The connections of others lead where this one led.
            self.sessions.give_up();
            pause = if known.follows {
                SHORTEST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
            // Replicas that lost the same server do not come back all at once.
            let spread = rand::rng().random_range(0.5..1.0);
            sleep(pause.mul_f64(spread)).await;
        }
    }
}

impl Known<'_> {
    /// Begins with what is there now.
    fn begin(&mut self, changes: &Changes) {
        self.revision = changes.revision;
        self.follows = true;
        self.follower.forget_everything();
        self.follower.heard();
    }

    /// Takes the answer to "what has changed since the revision that is known".
    fn take(&mut self, changes: &Changes) {
        if changes.revision < self.revision {
            self.follower.forget_everything();
        } else {
            for (id, revision) in &changes.ids {
                self.follower.changed(*id, *revision);
            }
        }
        self.revision = changes.revision;
        self.follower.heard();
    }
}

/// What a new session asks: the revision, and nothing that has changed.
const NOTHING_SINCE: i64 = i64::MAX;

/// Why a session ended, for those who read along.
type Ended = Result<Infallible, StoreError>;
