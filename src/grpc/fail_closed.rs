//! The last line: nothing but a `CheckResponse` leaves the method `Check`.
//!
//! To Envoy every gRPC error is "no answer", and with `failure_mode_allow: true` the request then
//! passes with the client's own identity header. So whatever goes wrong below — a panic, a message
//! that is too large or no protobuf, a time-out of the server — is answered with a 503 denial.

use std::{
    any::Any,
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{error, warn};

use crate::{
    clock::Clock,
    metrics::Metrics,
    pipeline::Decision,
    response::{self, IdentityHeader},
    verify::Unavailable,
};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const GRPC_STATUS: &str = "grpc-status";

/// When a call's headers came. Its message may come much later, and Envoy counts from the headers.
#[derive(Clone, Copy)]
pub(super) struct Arrived(pub(super) Instant);

/// Wraps a gRPC server.
#[derive(Clone)]
pub struct FailClosedLayer {
    fallback: Fallback,
    clock: Arc<dyn Clock>,
}

/// A gRPC server, wrapped.
#[derive(Clone)]
pub struct FailClosed<S> {
    inner: S,
    fallback: Fallback,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Fallback {
    /// A complete gRPC message.
    message: Bytes,
    metrics: Metrics,
}

impl FailClosedLayer {
    /// Prepares the answer.
    pub fn new(identity: &IdentityHeader, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        let undecided = Decision::denied(Unavailable::Internal);
        let answer = response::encode(&undecided, None, identity);
        Self {
            fallback: Fallback {
                message: frame(&answer),
                metrics,
            },
            clock,
        }
    }
}

impl<S> Layer<S> for FailClosedLayer {
    type Service = FailClosed<S>;

    fn layer(&self, inner: S) -> FailClosed<S> {
        FailClosed {
            inner,
            fallback: self.fallback.clone(),
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<S> Service<Request<Body>> for FailClosed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let is_check = request.uri().path() == CHECK;
        // The clone takes the place of the service that `poll_ready` has prepared.
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let fallback = self.fallback.clone();
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            let answered = AssertUnwindSafe(async {
                let arrived = Arrived(clock.now().instant);
                request.extensions_mut().insert(arrived);
                ready.call(request).await
            });
            match answered.catch_unwind().await {
                Ok(Ok(response)) if is_check && is_grpc_error(&response) => {
                    Ok(fallback.instead_of(&response))
                }
                Ok(response) => response,
                Err(panic) => Ok(fallback.after(&*panic)),
            }
        })
    }
}

impl Fallback {
    fn instead_of(&self, response: &Response<Body>) -> Response<Body> {
        // The number only: an error's text may quote the message that could not be read.
        let status = response.headers().get(GRPC_STATUS);
        let grpc_status = status.and_then(|status| status.to_str().ok());
        warn!(grpc_status, "a check could not be read and is answered 503");
        self.metrics.count_replaced_error();
        self.response()
    }

    fn after(&self, panic: &(dyn Any + Send)) -> Response<Body> {
        // The message of a panic may hold a value: only its size is logged. The panic hook has
        // already logged the place.
        error!(
            payload_bytes = size_of_val(panic),
            "a check panicked and is answered 503"
        );
        self.metrics.count_panic();
        self.response()
    }

    fn response(&self) -> Response<Body> {
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        let body = Full::new(self.message.clone()).with_trailers(async move { Some(Ok(trailers)) });
        let mut response = Response::new(Body::new(body));
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, grpc);
        response
    }
}

/// A unary call that fails answers with headers only, and the status among them.
fn is_grpc_error(response: &Response<Body>) -> bool {
    let is_grpc = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let failed = response
        .headers()
        .get(GRPC_STATUS)
        .is_some_and(|status| status != "0");
    failed || !is_grpc || !response.status().is_success()
}

/// gRPC over HTTP/2, `Length-Prefixed-Message`: not compressed, length, message.
fn frame(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut frame = BytesMut::with_capacity(5 + bytes.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.put_slice(&bytes);
    frame.freeze()
}
