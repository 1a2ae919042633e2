//! Serves gRPC: one acceptor, one single-threaded runtime per core.
//!
//! A check is microseconds of work. On a runtime that shares its tasks between threads the sharing
//! costs more than the work, so each connection lives on one thread (docs/adr/0004). Each thread runs
//! a few servers that differ in the age at which they ask connections to renew, because tonic has
//! no jitter of its own and all connections of a restarted gateway would renew at once.

use std::{io, sync::Arc, thread, time::Duration};

use futures_util::{
    StreamExt,
    future::{join_all, ready},
};
use tokio::{runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tracing::{error, warn};

use super::{
    FailClosedLayer,
    connection::{Connection, Turns},
    listener::{Accepted, Kind, Listener, Stream},
};
use crate::{clock::Clock, tls::TlsPort};

const MAX_STREAMS: u32 = 1024;
/// Calls that Envoy gives up before we have seen them. h2 closes the connection beyond 20, and with
/// it all other calls: clients of the gateway that come and go quickly could cut everybody off.
const MAX_RESET_BEFORE_ACCEPT: usize = 1024;
const MAX_CONCURRENT_PER_CONNECTION: usize = 512;
/// Headers of a call. More is refused by HTTP/2 itself, which is an error to Envoy and lets the request pass where
/// Envoy fails open. A client can add to them: an Envoy that traces passes its `tracestate` on, and takes 60 KiB of
/// headers by default.
const MAX_GRPC_HEADER_BYTES: u32 = 128 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections accepted and not yet taken by their thread.
const BACKLOG: usize = 256;
/// Wait after a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Shares of the configured connection age, one server each.
const AGES: [f64; 5] = [0.8, 0.9, 1.0, 1.1, 1.2];

/// What every connection is served with.
#[derive(Clone)]
pub struct Served {
    /// Answers checks, and nothing but answers.
    pub checks: FailClosedLayer,
    /// The other gRPC services.
    pub others: Routes,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Age at which a connection is asked to renew, ±20 %.
    pub max_connection_age: Duration,
}

/// The serving threads.
pub struct Workers {
    lanes: Vec<mpsc::Sender<Accepted>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts one thread for each core. `stop` sends GOAWAY on every connection and lets them finish.
    pub fn start(served: &Served, kind: &Kind, stop: &CancellationToken) -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Self {
            lanes: Vec::new(),
            threads: Vec::new(),
        };
        for number in 0..count {
            let (lanes, incoming): (Vec<_>, Vec<_>) =
                AGES.iter().map(|_| mpsc::channel(BACKLOG)).unzip();
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (served, kind, stop) = (served.clone(), kind.clone(), stop.clone());
            let run = move || runtime.block_on(serve_kind(&served, incoming, kind, &stop));
            workers.threads.push(
                thread::Builder::new()
                    .name(format!("check-{number}"))
                    .spawn(run)?,
            );
            workers.lanes.extend(lanes);
        }
        interleave(&mut workers.lanes, count);
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

/// Neighbouring lanes belong to different threads, so that a few connections use all cores.
fn interleave(lanes: &mut Vec<mpsc::Sender<Accepted>>, threads: usize) {
    let per_thread = AGES.len();
    let mut turned = Vec::with_capacity(lanes.len());
    for age in 0..per_thread {
        turned.extend(
            (0..threads).filter_map(|thread| lanes.get(thread * per_thread + age).cloned()),
        );
    }
    *lanes = turned;
}

async fn serve_kind(
    served: &Served,
    incoming: Vec<mpsc::Receiver<Accepted>>,
    kind: Kind,
    stop: &CancellationToken,
) {
    let incoming = incoming.into_iter().map(ReceiverStream::new);
    match kind {
        Kind::Tcp => {
            let attached = incoming.map(|lane| lane.map(Accepted::into_tcp));
            serve(served, attached, stop).await;
        }
        Kind::Unix => {
            let attached = incoming.map(|lane| lane.map(Accepted::into_unix));
            serve(served, attached, stop).await;
        }
        Kind::Tls(port) => {
            let secured = incoming.map(|lane| {
                let attached = lane.filter_map(|accepted| ready(accepted.into_tcp().ok()));
                TlsPort::clone(&port).secure(attached).map(Ok)
            });
            serve(served, secured, stop).await;
        }
    }
}

/// Runs one server for each age until `stop`, then until every connection is done.
async fn serve<S: Stream>(
    served: &Served,
    lanes: impl Iterator<Item = impl futures_util::Stream<Item = io::Result<S>>>,
    stop: &CancellationToken,
) {
    let stop = Arc::new(stop.clone());
    let turns = Turns::default();
    let servers = lanes.zip(AGES).map(|(connections, share)| {
        let (stop, clock) = (Arc::clone(&stop), Arc::clone(&served.clock));
        let turns = turns.clone();
        let connections = connections.map(move |connection| {
            connection.map(|stream| Connection::new(stream, Arc::clone(&clock), turns.clone()))
        });
        Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .concurrency_limit_per_connection(MAX_CONCURRENT_PER_CONNECTION)
            .http2_max_pending_accept_reset_streams(Some(MAX_RESET_BEFORE_ACCEPT))
            .http2_max_header_list_size(MAX_GRPC_HEADER_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            // Without a grace period: with one, tonic 0.14.9 never sends GOAWAY and cuts the
            // connection under the calls in flight.
            .max_connection_age(served.max_connection_age.mul_f64(share))
            .layer(served.checks.clone())
            .add_routes(served.others.clone())
            .serve_with_incoming_shutdown(connections, async move { stop.cancelled().await })
    });
    for ended in join_all(servers).await {
        if let Err(error) = ended {
            error!(%error, "a gRPC server has ended");
        }
    }
}
