//! An authorizer that says whatever a test wants it to say, right or wrong, and keeps what it was
//! asked. It states the wire contract itself: with the fields that the service never writes.

use std::{
    convert::Infallible,
    future::{Future, pending},
    net::TcpListener,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use atlassian_authz::pb::envoy::service::auth::v3::{CheckRequest, attribute_context::HttpRequest};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::runtime::Runtime;
use tonic::{
    body::Body,
    server::NamedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::{Service, ServiceExt};

/// `envoy.service.auth.v3.CheckResponse`; nothing keeps its parts from contradicting each other.
#[derive(Clone, PartialEq, Message)]
pub struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    pub ok: Option<Allowed>,
    #[prost(message, optional, tag = "5")]
    pub error: Option<Denied>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `DeniedHttpResponse`, the type of `denied_response` and of `error_response`.
#[derive(Clone, PartialEq, Message)]
pub struct Denied {
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
}

/// `OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Allowed {
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<SetHeader>,
    #[prost(string, repeated, tag = "5")]
    pub remove: Vec<String>,
}

/// `HeaderValueOption`.
#[derive(Clone, PartialEq, Message)]
pub struct SetHeader {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Line>,
    /// `google.protobuf.BoolValue`: unset and false are different things.
    #[prost(message, optional, tag = "2")]
    pub append: Option<bool>,
    #[prost(int32, tag = "3")]
    pub append_action: i32,
}

/// `HeaderValue`.
#[derive(Clone, PartialEq, Message)]
pub struct Line {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub raw_value: Vec<u8>,
}

impl CheckResponse {
    /// Status 0 and these changes to the request.
    pub fn allow(headers: Vec<SetHeader>, remove: &[&str]) -> Self {
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        Self {
            status: Some(Status { code: 0 }),
            ok: Some(Allowed { headers, remove }),
            ..Self::default()
        }
    }

    /// `PERMISSION_DENIED`, shown to the client as this HTTP status.
    pub fn deny(http: i32) -> Self {
        Self {
            status: Some(Status { code: 7 }),
            denied: Some(Denied::with(http)),
            ..Self::default()
        }
    }
}

impl Denied {
    pub fn with(http: i32) -> Self {
        Self {
            status: Some(HttpStatus { code: http }),
        }
    }
}

impl SetHeader {
    /// As the service writes it: overwrite, `append` unset.
    pub fn new(key: &str, value: &str) -> Self {
        let header = Line {
            key: key.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        };
        Self {
            header: Some(header),
            append: None,
            append_action: 2,
        }
    }
}

/// What to do with a check.
#[derive(Clone)]
pub enum Reply {
    Message(CheckResponse),
    /// A gRPC error, by its number.
    Error(i32),
    /// No answer at all.
    Nothing,
    /// Whatever the real service answers.
    Forward(Channel),
}

/// One recorded check.
#[derive(Clone, Debug)]
pub struct Asked {
    pub http: HttpRequest,
    /// The gRPC metadata of the call.
    pub metadata: HeaderMap,
}

struct Shared {
    reply: Mutex<Reply>,
    asked: Mutex<Vec<Asked>>,
}

/// The server; gone when the value is.
pub struct Authorizer {
    pub address: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Authorizer {
    /// Allows everything and changes nothing, until told otherwise.
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("bound").to_string();
        let shared = Arc::new(Shared {
            reply: Mutex::new(Reply::Message(CheckResponse::allow(vec![], &[]))),
            asked: Mutex::new(Vec::new()),
        });
        let handler = Handler(Arc::clone(&shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            // An answer is several small writes: without this each waits for the last one's receipt.
            let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(handler);
            let _ = server.serve_with_incoming(connections).await;
        });
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Stands before the real service and only listens.
    pub fn before(service: &str) -> Self {
        let authorizer = Self::start();
        let endpoint = Endpoint::from_shared(format!("http://{service}")).expect("an address");
        let runtime = authorizer.runtime.as_ref().expect("running");
        let channel = runtime.block_on(endpoint.connect()).expect("connects");
        authorizer.reply(Reply::Forward(channel));
        authorizer
    }

    pub fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// Takes what was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Authorizer {
    fn drop(&mut self) {
        // A check that is never answered must not keep the test waiting.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Handler(Arc<Shared>);

impl NamedService for Handler {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(handle(&shared, request).await) })
    }
}

async fn handle(shared: &Shared, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let frame = body.collect().await.expect("a whole check").to_bytes();
    let check = CheckRequest::decode(&frame[5..]).expect("a CheckRequest");
    let asked = Asked {
        http: check.attributes.unwrap().request.unwrap().http.unwrap(),
        metadata: head.headers.clone(),
    };
    shared.asked.lock().unwrap().push(asked);
    let reply = shared.reply.lock().unwrap().clone();
    match reply {
        Reply::Message(message) => respond(&message.encode_to_vec()),
        Reply::Error(code) => grpc_error(code),
        Reply::Nothing => pending().await,
        Reply::Forward(service) => {
            let request = Request::from_parts(head, Body::new(Full::from(frame)));
            service.oneshot(request).await.expect("an answer")
        }
    }
}

fn respond(message: &[u8]) -> Response<Body> {
    let mut frame = vec![0];
    let length = u32::try_from(message.len()).expect("short");
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(0))]);
    let body = Full::from(frame).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .expect("valid")
}

fn grpc_error(code: i32) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", code)
        .body(Body::empty())
        .expect("valid")
}
