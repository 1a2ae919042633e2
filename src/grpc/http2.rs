//! One connection of HTTP/2, from its first byte to its last.
//!
//! hyper serves it, as it does below tonic. What tonic puts between the two, around every call, is not needed for a call
//! whose answer is a `CheckResponse` whatever happens (docs/adr/0018).

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    FailClosed,
    calls::{Calls, Running},
    connection::Connection,
    stream::Stream,
    timers::Timers,
    turns::{Begun, Turns},
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
    begun: Begun,
    timers: Handle,
}

impl Http2 {
    /// `timers` is a runtime that looks after the timers of connections.
    pub(super) fn new(calls: &FailClosed, clock: &Arc<dyn Clock>, timers: Handle) -> Self {
        Self {
            calls: calls.clone(),
            clock: Arc::clone(clock),
            begun: Begun::default(),
            timers,
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
        let turns = Turns::new(Arc::clone(&self.clock), self.begun.clone());
        let timers = Timers::new(self.timers.clone(), turns.clone());
        let old = timers.pass(age);
        let found_in = turns.clone();
        let answer = service_fn(move |call| {
            // In a box: hyper moves what it is given several times.
            Box::pin(calls.clone().answer(call, found_in.arrived())).map(Ok::<_, Infallible>)
        });
        let found = Calls::default();
        let stream = TokioIo::new(Connection(stream));
        let served = server(found.clone(), timers).serve_connection(stream, answer);
        let mut served = Running::new(served, found);
        async move {
            let renewed = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = old => {}
                }
            };
            let ended = tokio::select! {
                biased;
                ended = turns.take(&mut served) => ended,
                () = renewed => {
                    served.connection().graceful_shutdown();
                    turns.take(&mut served).await
                }
            };
            if let Err(error) = ended {
                // hyper says what kind of error it is, h2 which.
                debug!(%error, cause = error.source(), "a connection has ended");
            }
        }
    }
}

fn server(calls: Calls, timers: Timers) -> http2::Builder<Calls> {
    let mut server = http2::Builder::new(calls);
    server
        .timer(timers)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_BEFORE_ACCEPT)
        .max_header_list_size(MAX_GRPC_HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        // Nobody reads it.
        .auto_date_header(false);
    server
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        time::timeout,
    };
    use tokio_util::task::TaskTracker;
    use tonic::service::Routes;

    use super::*;
    use crate::{
        clock::SystemClock, grpc::service::tests::service_without_applications,
        response::IdentityHeader,
    };

    /// RFC 9113 §3.4, and empty SETTINGS.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    const ACK: u8 = 1;
    const LONG: Duration = Duration::from_hours(1);

    /// A client that opens a connection and asks for nothing.
    struct Client(UnixStream);

    /// A connection is open, and nobody asks for anything on it.
    async fn connected(age: Duration, stop: &CancellationToken) -> Client {
        let identity = IdentityHeader::new("x-remote-user", &[]).expect("a name");
        let service = service_without_applications();
        let calls = FailClosed::new(service, &identity, Routes::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let http2 = Http2::new(&calls, &clock, Handle::current());
        let (mut client, server) = UnixStream::pair().expect("a pair");
        client.write_all(PREFACE).await.expect("written");
        let served = TaskTracker::new();
        served.spawn(http2.serve(Stream::Unix(server), age, stop.clone()));
        Client(client)
    }

    impl Client {
        /// The kind of the next frame; `None`: the connection is closed.
        async fn next(&mut self, answers_pings: bool) -> Option<u8> {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [_, high, low, kind, flags, ..] = head;
            let mut rest = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.0.read_exact(&mut rest).await.ok()?;
            if answers_pings && kind == PING && flags & ACK == 0 {
                head[4] = ACK;
                let answer = [&head[..], &rest].concat();
                self.0.write_all(&answer).await.expect("written");
            }
            Some(kind)
        }

        async fn until_closed(&mut self, answers_pings: bool) {
            while self.next(answers_pings).await.is_some() {}
        }

        /// When the connection was closed, if it was within this time.
        async fn closed(mut self, within: Duration, answers_pings: bool) -> Option<Duration> {
            let opened = SystemClock.instant();
            timeout(within, self.until_closed(answers_pings))
                .await
                .ok()?;
            Some(SystemClock.instant() - opened)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_gone_is_let_go_when_it_has_not_answered_a_ping() {
        let client = connected(LONG, &CancellationToken::new()).await;

        let closed = client.closed(LONG, false).await.expect("closed");

        let silence = KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT;
        assert!(closed >= silence && closed < silence * 2, "{closed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_pings_is_kept() {
        let client = connected(LONG * 2, &CancellationToken::new()).await;

        assert_eq!(client.closed(LONG, true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_its_age_is_closed_and_so_is_one_that_shall_stop() {
        let age = Duration::from_secs(5);
        let client = connected(age, &CancellationToken::new()).await;
        let closed = client.closed(LONG, true).await.expect("closed");
        assert!(closed >= age && closed < age * 2, "{closed:?}");

        let stop = CancellationToken::new();
        let mut client = connected(LONG, &stop).await;
        stop.cancel();
        while client.next(true).await.expect("a frame") != GOAWAY {}
        let closed = client.closed(LONG, true).await.expect("closed");
        assert!(closed < age, "{closed:?}");
    }
}
