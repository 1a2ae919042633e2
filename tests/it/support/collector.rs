//! A collector: an OTLP/gRPC receiver that keeps what it gets.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::eventually;

type Requests = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// Receives until it is dropped.
pub struct Collector {
    /// `host:port`
    pub address: String,
    received: Requests,
    _stop: oneshot::Sender<()>,
}

/// A received span.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `service.name` of its resource.
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty: it is the root.
    pub parent: String,
    pub state: String,
    pub kind: i32,
    /// 0 unset, 2 error.
    pub status: i32,
    pub message: String,
    pub attributes: BTreeMap<String, String>,
    /// Nanoseconds.
    pub began: u64,
    pub ended: u64,
}

pub const SERVER: i32 = 2;
pub const CLIENT: i32 = 3;
pub const ERROR: i32 = 2;

impl Collector {
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    /// On a port that is known beforehand, as a collector that comes back is.
    pub fn on(listener: TcpListener) -> Self {
        Self::serve(listener, None)
    }

    /// With TLS.
    pub fn with_certificate(certificate: &str, key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let identity = Identity::from_pem(certificate, key);
        Self::serve(listener, Some(ServerTlsConfig::new().identity(identity)))
    }

    fn serve(listener: TcpListener, tls: Option<ServerTlsConfig>) -> Self {
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("bound").to_string();
        let received = Requests::default();
        let keeper = Keeper(Arc::clone(&received));
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).expect("a certificate and its key");
        }
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let served = server
                    .add_service(TraceServiceServer::new(keeper))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                // Cut short: whoever is connected sees it go.
                tokio::select! {
                    _ = served => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            received,
            _stop: stop,
        }
    }

    /// The section of a configuration that sends everything here.
    pub fn section(&self, sample: &str) -> String {
        format!(
            "tracing: {{ otlp: 'http://{}', sample: {sample} }}\n",
            self.address
        )
    }

    /// Everything received so far.
    pub fn spans(&self) -> Vec<Seen> {
        let requests = self.requests();
        let resources = requests.iter().flat_map(|one| &one.resource_spans);
        let spans = resources.flat_map(|resource| {
            let about = resource.resource.as_ref().map(|it| texts(&it.attributes));
            let service = about.unwrap_or_default().remove("service.name");
            let service = service.unwrap_or_default();
            let scopes = resource.scope_spans.iter();
            scopes
                .flat_map(|scope| &scope.spans)
                .map(move |span| Seen::of(&service, span))
        });
        spans.collect()
    }

    /// Those of this name.
    pub fn named(&self, name: &str) -> Vec<Seen> {
        let spans = self.spans().into_iter();
        spans.filter(|span| span.name == name).collect()
    }

    /// Waits for so many spans of a name.
    pub fn wait_for(&self, name: &str, count: usize) -> Vec<Seen> {
        eventually(&format!("{count} spans '{name}'"), || {
            let found = self.named(name);
            (found.len() >= count).then_some(found)
        })
    }

    /// Every byte of every message.
    pub fn bytes(&self) -> Vec<u8> {
        let requests = self.requests();
        requests.iter().flat_map(Message::encode_to_vec).collect()
    }

    /// The messages about a trace as OTLP's JSON.
    pub fn json(&self, trace: &str) -> String {
        let mut requests = self.requests();
        for resource in requests.iter_mut().flat_map(|it| &mut it.resource_spans) {
            for scope in &mut resource.scope_spans {
                scope.spans.retain(|span| hex(&span.trace_id) == trace);
            }
            resource.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        let resources = requests.into_iter().flat_map(|it| it.resource_spans);
        let resources: Vec<_> = resources.filter(|it| !it.scope_spans.is_empty()).collect();
        serde_json::to_string_pretty(&resources).expect("JSON")
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.received.lock().expect("not poisoned").clone()
    }
}

impl Seen {
    fn of(service: &str, span: &Span) -> Self {
        let status = span.status.clone().unwrap_or_default();
        Self {
            service: service.to_owned(),
            name: span.name.clone(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            state: span.trace_state.clone(),
            kind: span.kind,
            status: status.code,
            message: status.message,
            attributes: texts(&span.attributes),
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
        }
    }

    /// An attribute as text; empty when it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// What it passes on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        if let Value::StringValue(text) = value {
            text.clone()
        } else if let Value::BoolValue(value) = value {
            value.to_string()
        } else if let Value::IntValue(value) = value {
            value.to_string()
        } else {
            format!("{value:?}")
        }
    };
    attributes
        .iter()
        .filter_map(|one| Some((one.key.clone(), text(one.value.as_ref()?.value.as_ref()?))))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Keeper(Requests);

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let request = request.into_inner();
        self.0.lock().expect("not poisoned").push(request);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}
