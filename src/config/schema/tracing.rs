//! The section `tracing`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spans of OpenTelemetry, sent to a collector over OTLP/gRPC: one for each check, one for each request to a provider
/// that a check causes, one for each fetch of keys; see docs/TRACING.md. Absent: nothing is traced. A collector that is
/// slow or gone delays no check: spans are dropped, and counted.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// The collector: `http://HOST:PORT` or `https://HOST:PORT`, and nothing after it. With `https` its certificate must
    /// be one that the system's certificate authorities vouch for.
    #[schemars(example = &"http://otel-collector.monitoring:4317")]
    pub otlp: String,
    /// The share of the traces that begin here which are recorded. A check that belongs to a trace already, Envoy's
    /// or the client's, is recorded if and only if that trace is.
    #[serde(default = "default_sample")]
    #[schemars(range(min = 0, max = 1))]
    pub sample: f64,
}

fn default_sample() -> f64 {
    0.01
}
