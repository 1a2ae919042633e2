//! Those who ask: gRPC over HTTP/2, as Envoy speaks to the service, without a gRPC library on top, because the
//! client must cost less than what it measures; or HTTP/1.1.

use std::{mem, sync::Arc};

use atlassian_authz::pb::envoy::service::auth::v3::CheckResponse;
use bytes::{Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::Request;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    runtime::Runtime,
};

use super::{
    calls::{Answerer, Call, Wire},
    http1::Connection,
    load::{self, Ask, Load, Seen},
};

/// As large as Envoy's: flow control is not what is measured.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// Whom to ask, and what may be expected.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// `host:port`, or `unix:/path`.
    pub address: &'a str,
    pub wire: Wire,
    pub answerer: Answerer,
}

/// Connections to one server.
pub struct Client {
    runtime: Runtime,
    rate: Option<u32>,
    askers: Askers,
}

enum Askers {
    Grpc(Vec<Stream>),
    Http1(Vec<Connection>),
}

impl Client {
    pub fn connect(target: Target<'_>, load: Load) -> Self {
        let runtime = load::runtime();
        let askers = runtime.block_on(async {
            match target.wire {
                Wire::Grpc => Askers::Grpc(Stream::open(target, load).await),
                Wire::Http1 => Askers::Http1(Connection::open(target, load).await),
            }
        });
        Self {
            runtime,
            rate: load.rate,
            askers,
        }
    }

    /// Asks `total` times as fast as answers come.
    pub fn run(&mut self, calls: &Arc<[Call]>, total: usize) -> Seen {
        self.drive(calls, (total, None))
    }

    /// Asks `total` times, at the rate of the load if it has one.
    pub fn run_load(&mut self, calls: &Arc<[Call]>, total: usize) -> Seen {
        self.drive(calls, (total, self.rate))
    }

    fn drive(&mut self, calls: &Arc<[Call]>, often: (usize, Option<u32>)) -> Seen {
        match &mut self.askers {
            Askers::Grpc(streams) => {
                let (seen, back) = load::drive(&self.runtime, mem::take(streams), calls, often);
                *streams = back;
                seen
            }
            Askers::Http1(connections) => {
                let lent = mem::take(connections);
                let (seen, back) = load::drive(&self.runtime, lent, calls, often);
                *connections = back;
                seen
            }
        }
    }
}

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection to `host:port` or `unix:/path`.
pub async fn dial(address: &str) -> Box<dyn Io> {
    if let Some(path) = address.strip_prefix("unix:") {
        return Box::new(UnixStream::connect(path).await.expect("the server listens"));
    }
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("TCP");
    Box::new(stream)
}

/// A stream of an HTTP/2 connection.
#[derive(Clone)]
struct Stream {
    connection: SendRequest<Bytes>,
    request: Request<()>,
    answerer: Answerer,
}

impl Stream {
    /// The n-th stream of every connection before the next one of any.
    async fn open(target: Target<'_>, load: Load) -> Vec<Self> {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Self::connect(target).await);
        }
        let rounds = (0..load.streams).flat_map(|_| &connections);
        rounds.cloned().collect()
    }

    async fn connect(target: Target<'_>) -> Self {
        let (connection, driver) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(dial(target.address).await)
            .await
            .expect("HTTP/2");
        tokio::spawn(async move {
            // The streams notice, and say more.
            drop(driver.await);
        });
        let request = Request::post("http://authz/envoy.service.auth.v3.Authorization/Check")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "10S")
            .header("x-envoy-internal", "true")
            .header("x-forwarded-for", "10.0.0.7")
            .body(())
            .expect("a request");
        Self {
            connection,
            request,
            answerer: target.answerer,
        }
    }
}

impl Ask for Stream {
    async fn ask(&mut self, call: &Call) -> Result<(), String> {
        let text = |error: h2::Error| error.to_string();
        let (answer, mut message) = self
            .connection
            .send_request(self.request.clone(), false)
            .map_err(text)?;
        message.send_data(call.bytes.clone(), true).map_err(text)?;
        let answer = answer.await.map_err(text)?;
        if answer.status() != 200 {
            return Err(format!("HTTP {}", answer.status()));
        }
        let answer = read(answer.into_body()).await?;
        if call.judge(self.answerer, &answer) {
            Ok(())
        } else {
            Err(format!("a wrong answer: {answer:?}"))
        }
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
