//! One connection of HTTP/2, from its first byte to its last.
//!
//! hyper serves it, as it does below tonic. What tonic puts between the two, around every call, is not needed for a call
//! whose answer is a `CheckResponse` whatever happens (docs/adr/0018).

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    FailClosed,
    calls::{Calls, Running},
    connection::{Connection, LastRead, Turns},
    stream::Stream,
};
use crate::clock::Clock;

const MAX_STREAMS: u32 = 1024;
/// Calls that Envoy gives up before we have seen them. h2 closes the connection beyond 20, and with
/// it all other calls: clients of the gateway that come and go quickly could cut everybody off.
const MAX_RESET_BEFORE_ACCEPT: usize = 1024;
/// Headers of a call. More is refused by HTTP/2 itself, which is an error to Envoy and lets the request pass where
/// Envoy fails open. A client can add to them: an Envoy that traces passes its `tracestate` on, and takes 60 KiB of
/// headers by default.
const MAX_GRPC_HEADER_BYTES: u32 = 128 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How the connections of one thread are served.
pub(super) struct Http2 {
    calls: FailClosed,
    clock: Arc<dyn Clock>,
    turns: Turns,
}

impl Http2 {
    pub(super) fn new(calls: &FailClosed, clock: &Arc<dyn Clock>) -> Self {
        Self {
            calls: calls.clone(),
            clock: Arc::clone(clock),
            turns: Turns::default(),
        }
    }

    /// Serves a connection until it is closed. At its age, or at `stop`, the client is asked to close it when its calls
    /// are answered (GOAWAY).
    pub(super) fn serve(
        &self,
        stream: Stream,
        age: Duration,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let calls = self.calls.clone();
        let read = LastRead::new(self.clock.instant(), self.turns.clone());
        let stream = Connection::new(stream, read.clone(), Arc::clone(&self.clock));
        let answer = service_fn(move |call| {
            // In a box: hyper moves what it is given several times.
            Box::pin(calls.clone().answer(call, read.arrived())).map(Ok::<_, Infallible>)
        });
        let found = Calls::default();
        let served = server(found.clone()).serve_connection(TokioIo::new(stream), answer);
        let mut served = Running::new(served, found);
        async move {
            let renewed = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(age) => {}
                }
            };
            let ended = tokio::select! {
                biased;
                ended = &mut served => ended,
                () = renewed => {
                    served.connection().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                // hyper says what kind of error it is, h2 which.
                debug!(%error, cause = error.source(), "a connection has ended");
            }
        }
    }
}

fn server(calls: Calls) -> http2::Builder<Calls> {
    let mut server = http2::Builder::new(calls);
    server
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_BEFORE_ACCEPT)
        .max_header_list_size(MAX_GRPC_HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        // Nobody reads it.
        .auto_date_header(false);
    server
}
