//! The load: closed loop, a number of connections with a number of streams each, on one thread. HTTP/2
//! without a gRPC library on top, because the client must cost less than what it measures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use atlassian_authz::pb::envoy::service::auth::v3::CheckResponse;
use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::Request;
use prost::Message;
use tokio::{
    net::TcpStream,
    runtime::{self, Runtime},
    task::JoinSet,
};

use super::calls::{Answerer, Call};

/// As large as Envoy's: flow control is not what is measured.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// How many ask at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    pub connections: usize,
    /// On each connection.
    pub streams: usize,
}

/// Connections to one server.
pub struct Client {
    runtime: Runtime,
    shape: Shape,
    answerer: Answerer,
    connections: Vec<SendRequest<Bytes>>,
    request: Request<()>,
}

/// What the client saw.
pub struct Seen {
    pub elapsed: Duration,
    /// Of every call, in nanoseconds, ascending.
    pub latencies: Vec<u64>,
}

impl Client {
    pub fn connect(address: &str, shape: Shape, answerer: Answerer) -> Self {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let connect = async {
            let mut connections = Vec::new();
            for _ in 0..shape.connections {
                connections.push(connection(address).await);
            }
            connections
        };
        let connections = runtime.block_on(connect);
        let uri = format!("http://{address}/envoy.service.auth.v3.Authorization/Check");
        let request = Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "10S")
            .header("x-envoy-internal", "true")
            .header("x-forwarded-for", "10.0.0.7")
            .body(())
            .expect("a request");
        Self {
            runtime,
            shape,
            answerer,
            connections,
            request,
        }
    }

    /// Asks `total` times, the calls in turn, and checks every answer.
    pub fn run(&self, calls: &Arc<[Call]>, total: usize) -> Seen {
        let next = Arc::new(AtomicUsize::new(0));
        let stream = |connection: &SendRequest<Bytes>| Stream {
            connection: connection.clone(),
            request: self.request.clone(),
            answerer: self.answerer,
            calls: Arc::clone(calls),
            next: Arc::clone(&next),
        };
        self.runtime.block_on(async {
            let mut streams = JoinSet::new();
            let begin = Instant::now();
            // The n-th stream of every connection before the next one of any.
            for connection in (0..self.shape.streams).flat_map(|_| &self.connections) {
                streams.spawn(stream(connection).run(total));
            }
            let mut latencies = Vec::with_capacity(total);
            while let Some(done) = streams.join_next().await {
                latencies.extend(done.expect("a right answer to every call"));
            }
            let elapsed = begin.elapsed();
            latencies.sort_unstable();
            Seen { elapsed, latencies }
        })
    }
}

async fn connection(address: &str) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("TCP");
    let (sender, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(stream)
        .await
        .expect("HTTP/2");
    tokio::spawn(async move {
        // The streams notice, and say more.
        drop(connection.await);
    });
    sender
}

/// One of those who ask.
struct Stream {
    connection: SendRequest<Bytes>,
    request: Request<()>,
    answerer: Answerer,
    calls: Arc<[Call]>,
    next: Arc<AtomicUsize>,
}

impl Stream {
    async fn run(mut self, total: usize) -> Vec<u64> {
        let mut latencies = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= total {
                return latencies;
            }
            let calls = Arc::clone(&self.calls);
            let call = &calls[number % calls.len()];
            let begin = Instant::now();
            let answer = self
                .ask(call)
                .await
                .unwrap_or_else(|error| panic!("call {number}: {error}"));
            latencies.push(begin.elapsed().as_nanos() as u64);
            assert!(
                call.judge(self.answerer, &answer),
                "call {number}: a wrong answer: {answer:?}"
            );
        }
    }

    async fn ask(&mut self, call: &Call) -> Result<CheckResponse, String> {
        let text = |error: h2::Error| error.to_string();
        let (answer, mut message) = self
            .connection
            .send_request(self.request.clone(), false)
            .map_err(text)?;
        message.send_data(call.frame.clone(), true).map_err(text)?;
        let answer = answer.await.map_err(text)?;
        if answer.status() != 200 {
            return Err(format!("HTTP {}", answer.status()));
        }
        read(answer.into_body()).await
    }
}

async fn read(mut body: RecvStream) -> Result<CheckResponse, String> {
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| error.to_string())?;
        body.flow_control()
            .release_capacity(data.len())
            .map_err(|error| error.to_string())?;
        message.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.map_err(|error| error.to_string())?;
    let status = trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"));
    if status.is_none_or(|status| status != "0") {
        return Err(format!("gRPC status {status:?}"));
    }
    let payload = message.get(5..).ok_or("no message")?;
    CheckResponse::decode(payload).map_err(|error| error.to_string())
}
