//! The load: so many who ask at the same time. Closed loop: each asks again when it is answered. Fixed
//! rate: calls fall due at fixed moments, whoever is free takes the next one, and its latency counts from the
//! moment when it fell due, so that a server which stalls cannot hide how many it kept waiting.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
    task::JoinSet,
};

use super::calls::Call;

/// Nanoseconds, to three digits, up to a minute.
const LONGEST: u64 = 60_000_000_000;

/// How many ask at the same time, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Load {
    pub connections: usize,
    /// On each connection.
    pub streams: usize,
    /// Calls that fall due each second; `None`: closed loop.
    pub rate: Option<u32>,
}

impl Load {
    pub const fn closed(connections: usize, streams: usize) -> Self {
        Self {
            connections,
            streams,
            rate: None,
        }
    }

    /// `4 x 32`, or `10000/s`.
    pub fn text(self) -> String {
        match self.rate {
            None => format!("{} x {}", self.connections, self.streams),
            Some(rate) => format!("{rate}/s on {} connections", self.connections),
        }
    }
}

/// One of those who ask: sends a call, reads the answer, and holds it against what it must be.
pub trait Ask: Send + 'static {
    fn ask(&mut self, call: &Call) -> impl Future<Output = Result<(), String>> + Send;
}

/// What was seen.
pub struct Seen {
    pub elapsed: Duration,
    /// Nanoseconds.
    pub latencies: Histogram<u64>,
}

/// Whose turn it is.
struct Turns {
    next: AtomicUsize,
    total: usize,
    begin: Instant,
    due: Option<Due>,
}

/// At a fixed rate.
struct Due {
    every: Duration,
    /// Calls that have fallen due and that nobody has taken.
    waiting: Semaphore,
}

impl Turns {
    /// The next call, and the moment from which its latency counts.
    async fn next(&self) -> Option<(usize, Instant)> {
        if let Some(due) = &self.due {
            due.waiting.acquire().await.ok()?.forget();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.total).then(|| {
            let due = self.due.as_ref().map(|due| self.begin + due.at(number));
            (number, due.unwrap_or_else(Instant::now))
        })
    }

    /// Lets calls fall due until all have, and then everybody go home.
    fn pace(&self, due: &Due, askers: usize) {
        for number in 0..self.total {
            let ahead = (self.begin + due.at(number)).saturating_duration_since(Instant::now());
            if !ahead.is_zero() {
                thread::sleep(ahead);
            }
            due.waiting.add_permits(1);
        }
        due.waiting.add_permits(askers);
    }
}

impl Due {
    fn at(&self, number: usize) -> Duration {
        Duration::from_nanos(self.every.as_nanos() as u64 * number as u64)
    }
}

/// The runtime of a client, on one thread.
pub fn runtime() -> Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Asks `total` times, the calls in turn. Gives back those who asked.
pub fn drive<A: Ask>(
    runtime: &Runtime,
    askers: Vec<A>,
    calls: &Arc<[Call]>,
    (total, rate): (usize, Option<u32>),
) -> (Seen, Vec<A>) {
    let count = askers.len();
    let turns = Arc::new(Turns {
        next: AtomicUsize::new(0),
        total,
        begin: Instant::now(),
        due: rate.map(|rate| Due {
            every: Duration::from_secs(1) / rate,
            waiting: Semaphore::new(0),
        }),
    });
    let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("good bounds");
    let latencies = Arc::new(Mutex::new(histogram));
    let pacer = turns.due.is_some().then(|| {
        let turns = Arc::clone(&turns);
        thread::spawn(move || turns.due.as_ref().map(|due| turns.pace(due, count)))
    });
    let askers = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for asker in askers {
            let work = (
                Arc::clone(&turns),
                Arc::clone(calls),
                Arc::clone(&latencies),
            );
            tasks.spawn(keep_asking(asker, work));
        }
        let mut askers = Vec::with_capacity(count);
        while let Some(done) = tasks.join_next().await {
            askers.push(done.expect("a right answer to every call"));
        }
        askers
    });
    let elapsed = turns.begin.elapsed();
    if let Some(pacer) = pacer {
        pacer.join().expect("kept the pace");
    }
    let latencies = latencies.lock().expect("nobody panicked").clone();
    (Seen { elapsed, latencies }, askers)
}

type Work = (Arc<Turns>, Arc<[Call]>, Arc<Mutex<Histogram<u64>>>);

async fn keep_asking<A: Ask>(mut asker: A, (turns, calls, latencies): Work) -> A {
    while let Some((number, since)) = turns.next().await {
        asker
            .ask(&calls[number % calls.len()])
            .await
            .unwrap_or_else(|error| panic!("call {number}: {error}"));
        let took = since.elapsed().as_nanos() as u64;
        let mut latencies = latencies.lock().expect("nobody panicked");
        latencies.saturating_record(took);
    }
    asker
}
