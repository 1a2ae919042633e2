//! The serving threads: one acceptor, one single-threaded runtime per core.
//!
//! A check is microseconds of work. On a runtime that shares its tasks between threads the sharing
//! costs more than the work, so each connection lives on one thread (docs/adr/0004).

use std::{io, sync::Arc, thread, time::Duration};

use futures_util::{StreamExt, future::ready, stream::BoxStream};
use tokio::{
    runtime::{self, Handle},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

use super::{
    FailClosed,
    http2::Http2,
    listener::{Accepted, Listener},
    stream::Stream,
};
use crate::{clock::Clock, tls::TlsPort};

/// Connections accepted and not yet taken by their thread.
const BACKLOG: usize = 1024;
/// Wait after a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Shares of the configured connection age, in turn: a gateway that restarts opens all its connections at once, and they
/// must not all be renewed at once.
const AGES: [f64; 5] = [0.8, 0.9, 1.0, 1.1, 1.2];

/// What every connection is served with.
#[derive(Clone)]
pub struct Served {
    /// Answers calls.
    pub calls: FailClosed,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Age at which a connection is asked to renew, ±20 %.
    pub max_connection_age: Duration,
    /// Who secures connections; `None`: they are plain.
    pub tls: Option<TlsPort>,
}

/// The serving threads.
pub struct Workers {
    lanes: Vec<mpsc::Sender<Accepted>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts one thread for each core, beside the current runtime. `stop` sends GOAWAY on every connection and lets them
    /// finish.
    pub fn start(served: &Served, stop: &CancellationToken) -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Self {
            lanes: Vec::new(),
            threads: Vec::new(),
        };
        for number in 0..count {
            let (lane, accepted) = mpsc::channel(BACKLOG);
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (served, stop, timers) = (served.clone(), stop.clone(), Handle::current());
            let run = move || runtime.block_on(serve(&served, accepted, timers, &stop));
            workers.threads.push(
                thread::Builder::new()
                    .name(format!("check-{number}"))
                    .spawn(run)?,
            );
            workers.lanes.push(lane);
        }
        Ok(workers)
    }

    /// Hands connections out in turn until `stop`. The listener is closed then.
    pub async fn accept(&self, listener: Listener, stop: CancellationToken) {
        let mut lanes = self.lanes.iter().cycle();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match (accepted, lanes.next()) {
                (Ok(connection), Some(lane)) => hand_over(connection, lane).await,
                (Ok(_), None) => return,
                (Err(error), _) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits for the threads to end.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                error!("a serving thread has panicked");
            }
        }
    }
}

async fn hand_over(connection: Accepted, lane: &mpsc::Sender<Accepted>) {
    if lane.send(connection).await.is_err() {
        error!("a serving thread is gone");
    }
}

/// Serves the connections of one thread until `stop`, then until every one of them is done.
async fn serve(
    served: &Served,
    accepted: mpsc::Receiver<Accepted>,
    timers: Handle,
    stop: &CancellationToken,
) {
    let http2 = Http2::new(&served.calls, &served.clock, timers);
    let mut shares = AGES.iter().cycle();
    let connections = TaskTracker::new();
    let mut ready = attached(accepted, served.tls.clone());
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            stream = ready.next() => stream,
        };
        let (Some(stream), Some(share)) = (stream, shares.next()) else {
            break;
        };
        let age = served.max_connection_age.mul_f64(*share);
        connections.spawn(http2.serve(stream, age, stop.clone()));
    }
    drop(ready);
    connections.close();
    connections.wait().await;
}

/// Connections on this thread, as soon as they can be served.
fn attached(
    accepted: mpsc::Receiver<Accepted>,
    tls: Option<TlsPort>,
) -> BoxStream<'static, Stream> {
    // A connection that cannot be attached is gone.
    let plain = ReceiverStream::new(accepted).filter_map(|accepted| ready(accepted.attach().ok()));
    let Some(port) = tls else {
        return plain.boxed();
    };
    let tcp = plain.filter_map(|stream| {
        ready(match stream {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(_) | Stream::Tls(_) => None,
        })
    });
    let secured = port.secure(tcp);
    secured.map(|stream| Stream::Tls(Box::new(stream))).boxed()
}
