//! The section `listen` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the service listens. Host names are not resolved: write an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Envoy's checks, gRPC health and reflection: `IP:PORT`, or `unix:/path` of a socket.
    #[schemars(example = &"0.0.0.0:9001", example = &"unix:/run/atlassian-authz/grpc.sock")]
    pub grpc: String,
    /// `/metrics`, `/livez`, `/readyz`, `/statusz`, and the admin API if there is a section `admin`: `IP:PORT`. Never
    /// expose it to clients of the products.
    #[schemars(example = &"127.0.0.1:9002")]
    pub admin: String,
    /// gRPC health alone, never with TLS: `IP:PORT`. For probes of Kubernetes, which cannot speak TLS, where `grpc`
    /// does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"0.0.0.0:9003")]
    pub health: Option<String>,
    /// `grpc` speaks TLS only. The files are read again when they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_tls: Option<ServerTls>,
    /// `admin` speaks TLS only. The files are read again when they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_tls: Option<ServerTls>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            grpc: "0.0.0.0:9001".to_owned(),
            admin: "127.0.0.1:9002".to_owned(),
            health: None,
            grpc_tls: None,
            admin_tls: None,
        }
    }
}

/// A port that speaks TLS 1.2 and 1.3. Relative paths are relative to the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// A PEM file: our certificate, then those between it and its authority.
    #[schemars(example = &"/run/tls/tls.crt")]
    pub certificate: String,
    /// A PEM file: the key of our certificate.
    #[schemars(example = &"/run/tls/tls.key")]
    pub key: String,
    /// Who may connect (mutual TLS). Absent: whoever reaches the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<TlsClients>,
}

/// Who may connect: those whose certificate an authority has signed, and that has one of the names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsClients {
    /// A PEM file of the authorities that sign the certificates of clients.
    #[schemars(example = &"/run/tls/ca.crt")]
    pub ca: String,
    /// Subject alternative names, one of which a client must have: URIs such as a SPIFFE id, or DNS names. They are
    /// compared whole; a star stands for nothing. The authorities of a mesh sign every workload of it, so at least one
    /// name is required.
    #[schemars(example = ["spiffe://cluster.local/ns/istio-ingress/sa/gateway"])]
    pub names: Vec<String>,
}
