//! The service as a process: its ports, its health, its limits, its end, and what it writes.
#![expect(
    clippy::too_many_lines,
    clippy::cognitive_complexity,
    clippy::excessive_nesting,
    clippy::wildcard_enum_match_arm,
    clippy::needless_collect,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::float_cmp,
    reason = "many cases share the servers of one test; counts are small and exact"
)]

mod admin;
mod canary;
mod deadlines;
mod descriptors;
mod drain;
mod h2;
mod health;
mod limits;
mod listening;
mod log_lines;
mod panics;
mod quiet;
mod tls;
mod tracing;

use std::path::PathBuf;

use atlassian_authz::pb::envoy::service::auth::v3::CheckResponse;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::UnixStream, runtime::Runtime};
use tonic::{
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::ServiceExt;

use crate::support::{children::Running, eventually};

/// The path of the one method.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Waits for the end of a process and for the text that is to be in its output: how it ended, and
/// what it has written.
fn end_of(process: &mut Running, text: &str) -> (Option<i32>, String) {
    let status = process.wait();
    // Its last lines may still be on their way to us.
    let output = eventually(&format!("the end of the output, '{text}'"), || {
        let output = process.output();
        output.contains(text).then_some(output)
    });
    (status.code(), output)
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// A connection to `host:port` or `unix:/path`.
async fn connect(address: &str) -> Channel {
    try_connect(address).await.expect("connects")
}

async fn try_connect(address: &str) -> Result<Channel, tonic::transport::Error> {
    let Some(path) = address.strip_prefix("unix:").map(PathBuf::from) else {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        return endpoint.expect("an address").connect().await;
    };
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
}

/// An answer, before any library has judged it.
#[derive(Debug)]
struct Raw {
    status: StatusCode,
    /// From the trailers, or from the headers of an answer without a body.
    grpc_status: Option<String>,
    body: Vec<u8>,
}

impl Raw {
    /// The one message of the answer.
    fn message(&self) -> CheckResponse {
        assert_eq!(self.status, 200);
        assert_eq!(self.grpc_status.as_deref(), Some("0"), "{self:?}");
        unframed(&self.body)
    }
}

/// Posts these bytes, with `content-type: application/grpc` unless the headers have their own.
async fn post(channel: &Channel, path: &str, headers: &[(&str, &[u8])], body: Vec<u8>) -> Raw {
    let mut request = Request::post(path).header("te", "trailers");
    if headers.iter().all(|(name, _)| *name != "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::from(body))).expect("valid");
    let answer = channel.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let grpc_status = |headers: &HeaderMap| {
        let status = headers.get("grpc-status")?;
        Some(status.to_str().expect("a number").to_owned())
    };
    let in_headers = grpc_status(answer.headers());
    let collected = answer.into_body().collect().await.expect("a whole answer");
    let in_trailers = collected.trailers().and_then(grpc_status);
    Raw {
        status,
        grpc_status: in_headers.or(in_trailers),
        body: collected.to_bytes().to_vec(),
    }
}

/// One uncompressed message as gRPC frames it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame
}

fn unframed(frame: &[u8]) -> CheckResponse {
    let (head, message) = frame.split_at(5);
    assert_eq!(head[0], 0, "not compressed");
    assert_eq!(head[1..], (message.len() as u32).to_be_bytes());
    CheckResponse::decode(message).expect("a CheckResponse")
}
