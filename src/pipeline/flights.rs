//! One question to a provider for each token, however many requests ask it.
//!
//! The first request starts a task; the others wait for what it finds. The task belongs to nobody:
//! a client that goes away cancels no one else's answer, and an answer that comes too late for its
//! request is remembered for the next one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use super::cache::{Known, TokenKey};
use crate::{verdict::Denial, verify::Unavailable};

/// What a token turned out to be.
pub(super) type Outcome = Result<Known, Denial>;

/// `None` until the question is answered.
type Answer = watch::Receiver<Option<Outcome>>;

/// The questions that are being asked.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<TokenKey, Answer>>,
    tasks: TaskTracker,
}

/// Ends a flight, well or not: nobody could ask about the token again otherwise.
struct Landing {
    flights: Arc<Flights>,
    key: TokenKey,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights").field(&self.tasks.len()).finish()
    }
}

impl Flights {
    /// Waits for the answer about a token, and asks the `question` if nobody does yet. The places
    /// to wait are the provider's: those who wait for a slow one take none from another.
    pub(super) async fn join<F>(
        self: &Arc<Self>,
        key: TokenKey,
        places: &Semaphore,
        question: impl FnOnce() -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let _place = places
            .try_acquire()
            .map_err(|_full| Unavailable::Overloaded)?;
        let mut answer = self.begin(key, question);
        let answered = answer.wait_for(Option::is_some).await;
        // Without an answer the task has panicked, or its runtime has ended.
        answered
            .ok()
            .and_then(|outcome| outcome.clone())
            .unwrap_or(Err(Unavailable::Internal.into()))
    }

    /// Asks the `question` unless somebody does already.
    pub(super) fn begin<F>(self: &Arc<Self>, key: TokenKey, question: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut under_way = self.under_way();
        let vacant = match under_way.entry(key) {
            Entry::Occupied(flight) => return flight.get().clone(),
            Entry::Vacant(vacant) => vacant,
        };
        let (sender, answer) = watch::channel(None);
        vacant.insert(answer.clone());
        drop(under_way);
        let landing = Landing {
            flights: Arc::clone(self),
            key,
        };
        let question = question();
        self.tasks.spawn(async move {
            let outcome = question.await;
            // Whoever asks from here on finds the answer in the cache, or asks again.
            drop(landing);
            sender.send_replace(Some(outcome));
        });
        answer
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<TokenKey, Answer>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
