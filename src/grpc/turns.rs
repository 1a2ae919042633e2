//! How long a call has waited until it is answered, and behind how many others.
//!
//! A thread gives its connections turns. In one of them a connection reads what has come, finds the calls in it and
//! answers them, one after the other; a call that has to wait for somebody else lets the next ones pass.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::clock::Clock;

/// How many calls a thread has begun to answer. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(Arc<AtomicU64>);

/// The turns of a connection. Cheap to clone.
///
/// The clock is read once for each: hyper asks for the time at every frame, to know when the client was last heard of,
/// and every call has been read in the turn in which it is found.
#[derive(Clone)]
pub(super) struct Turns {
    clock: Arc<dyn Clock>,
    opened: Instant,
    /// When the last turn began, since the connection was opened.
    nanoseconds: Arc<AtomicU64>,
    begun: Begun,
}

/// A call that has been found.
#[derive(Debug)]
pub(super) struct Arrived {
    since: Instant,
    begun: Begun,
    /// How many calls had been begun.
    before: u64,
}

/// What a call has waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    /// When its headers were read, or shortly before.
    pub(super) since: Instant,
    /// How many calls had their turn before.
    pub(super) behind: u64,
}

impl Turns {
    /// A connection is opened on the thread that counts its calls like this.
    pub(super) fn new(clock: Arc<dyn Clock>, begun: Begun) -> Self {
        Self {
            opened: clock.instant(),
            clock,
            nanoseconds: Arc::default(),
            begun,
        }
    }

    /// Does the work of the connection.
    pub(super) fn take<F: Future + Unpin>(&self, work: &mut F) -> impl Future<Output = F::Output> {
        poll_fn(|context| {
            self.begin();
            work.poll_unpin(context)
        })
    }

    fn begin(&self) {
        let since = self.clock.instant().saturating_duration_since(self.opened);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.store(since, Ordering::Relaxed);
    }

    /// When the last turn began.
    pub(super) fn last(&self) -> Instant {
        self.opened + Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// A call has been found in what was read.
    pub(super) fn arrived(&self) -> Arrived {
        Arrived {
            since: self.last(),
            before: self.begun.0.load(Ordering::Relaxed),
            begun: self.begun.clone(),
        }
    }
}

impl Arrived {
    /// The turn of the call has come.
    pub(super) fn begin(self) -> Queued {
        let before = self.begun.0.fetch_add(1, Ordering::Relaxed);
        Queued {
            since: self.since,
            behind: before.saturating_sub(self.before),
        }
    }
}
