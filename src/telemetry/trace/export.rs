//! The way of spans to the collector: a bounded queue, and one task that empties it.
//!
//! The SDK's own batch processor has a thread of its own, waits without a limit for a collector that
//! does not answer, and does not tell how many spans it has dropped.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    resource::EnvResourceDetector,
    trace::{SpanData, SpanExporter},
};
use tokio::{
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
    },
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tracing::{info, warn};

use crate::{config::TracingConfig, metrics::Metrics};

/// Spans that wait, about 1 KiB each. Further ones are dropped: no check waits for a collector.
const QUEUED_SPANS: usize = 4096;
/// Spans in one message.
const BATCH: usize = 512;
/// How long a span waits for others.
const INTERVAL: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the first try to the last byte.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which nothing comes back for so long is given up, and the next message has another.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// The collector cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// Its address, or TLS: most likely there are no certificate authorities on the system.
    #[error("cannot prepare the connection to the collector")]
    Connection(#[from] tonic::transport::Error),
    /// The environment has settings of OpenTelemetry that do not fit.
    #[error("cannot prepare the exporter")]
    Exporter(#[from] ExporterBuildError),
}

/// Where ended spans are put.
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    enough: Arc<Notify>,
    metrics: Metrics,
}

/// What is in it.
pub(super) struct Queued {
    pub(super) spans: mpsc::Receiver<SpanData>,
    enough: Arc<Notify>,
    metrics: Metrics,
}

/// Sends what is in the queue.
pub struct Exporter {
    queued: Queued,
    otlp: OtlpExporter,
    failing: bool,
}

/// Connects when there is something to send.
fn otlp(config: &TracingConfig) -> Result<OtlpExporter, TracingError> {
    let mut endpoint = Endpoint::from_shared(config.collector.to_string())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    if config.collector.scheme() == "https" {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let mut otlp = OtlpExporter::builder()
        .with_tonic()
        .with_channel(endpoint.connect_lazy())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    otlp.set_resource(&resource());
    Ok(otlp)
}

/// Who we are. What the operator says in `OTEL_RESOURCE_ATTRIBUTES` comes after, and wins.
fn resource() -> Resource {
    Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

impl Queue {
    pub(super) fn new(metrics: Metrics) -> (Self, Queued) {
        let (sender, spans) = mpsc::channel(QUEUED_SPANS);
        let enough = Arc::new(Notify::new());
        let queue = Self {
            spans: sender,
            enough: Arc::clone(&enough),
            metrics: metrics.clone(),
        };
        let queued = Queued {
            spans,
            enough,
            metrics,
        };
        (queue, queued)
    }

    /// Never waits.
    pub(super) fn put(&self, span: SpanData) {
        match self.spans.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.metrics.count_dropped_spans(1);
            }
        }
        if QUEUED_SPANS - self.spans.capacity() >= BATCH {
            self.enough.notify_one();
        }
    }
}

impl Exporter {
    pub(super) fn new(queued: Queued, config: &TracingConfig) -> Result<Self, TracingError> {
        Ok(Self {
            queued,
            otlp: otlp(config)?,
            failing: false,
        })
    }

    /// Sends spans until `stop`, then those that are left.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = self.queued.enough.notified() => {}
                () = stop.cancelled() => {}
            }
            self.send_all().await;
            if stop.is_cancelled() {
                return;
            }
        }
    }

    async fn send_all(&mut self) {
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Ok(span) = self.queued.spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        let sent = timeout(EXPORT_TIMEOUT, self.otlp.export(batch)).await;
        let sent = sent.unwrap_or(Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)));
        match &sent {
            Ok(()) if self.failing => info!("spans reach the collector again"),
            Ok(()) => {}
            Err(error) => {
                self.queued.metrics.count_dropped_spans(spans);
                if !self.failing {
                    warn!(%error, "spans do not reach the collector and are dropped");
                }
            }
        }
        self.failing = sent.is_err();
    }
}
