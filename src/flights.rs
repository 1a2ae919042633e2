//! One question about a thing, however many ask it: about a token at its provider, about an id at the store.
//!
//! The first request starts a task; the others wait for what it finds. The task belongs to nobody:
//! a client that goes away cancels no one else's answer, and an answer that comes too late for its
//! request is remembered for the next one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};
use tokio_util::task::TaskTracker;

use crate::verify::Unavailable;

/// `None` until the question is answered.
type Answer<T, E> = watch::Receiver<Option<Result<T, E>>>;

/// The questions that are being asked, by what they are about.
pub struct Flights<K: Copy + Eq + Hash, T, E> {
    under_way: Mutex<HashMap<K, Answer<T, E>>>,
    tasks: TaskTracker,
    runtime: Option<Handle>,
}

/// Ends a flight, well or not: nobody could ask about the same thing again otherwise.
struct Landing<K: Copy + Eq + Hash, T, E> {
    flights: Arc<Flights<K, T, E>>,
    key: K,
}

impl<K: Copy + Eq + Hash, T, E> Drop for Landing<K, T, E> {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}

impl<K: Copy + Eq + Hash, T, E> fmt::Debug for Flights<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights").field(&self.tasks.len()).finish()
    }
}

impl<K, T, E> Flights<K, T, E>
where
    K: Copy + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + From<Unavailable> + Send + Sync + 'static,
{
    /// Questions run where they are asked first, or always on one `runtime`, to which what they use
    /// (connections) belongs.
    pub fn new(runtime: Option<Handle>) -> Self {
        Self {
            under_way: Mutex::default(),
            tasks: TaskTracker::new(),
            runtime,
        }
    }

    /// Waits for the answer, and asks the `question` if nobody does yet. The places to wait belong to
    /// whoever is asked: those who wait for a slow one take none from another.
    pub async fn join<F>(
        self: &Arc<Self>,
        key: K,
        places: &Semaphore,
        question: impl FnOnce() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
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
    pub fn begin<F>(self: &Arc<Self>, key: K, question: impl FnOnce() -> F) -> Answer<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
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
        let flight = async move {
            let outcome = question.await;
            // Whoever asks from here on finds the answer in the cache, or asks again.
            drop(landing);
            sender.send_replace(Some(outcome));
        };
        match &self.runtime {
            Some(runtime) => drop(self.tasks.spawn_on(flight, runtime)),
            None => drop(self.tasks.spawn(flight)),
        }
        answer
    }
}

impl<K: Copy + Eq + Hash, T, E> Flights<K, T, E> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<K, Answer<T, E>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
