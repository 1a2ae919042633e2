//! TLS of our own ports: who we are, and who may connect.
//!
//! What is believed of a client is decided once for each connection. So sessions are not resumed, which would skip that
//! decision, and a connection is renewed after `shutdown.max_connection_age`, whatever its certificate says.

mod clients;
mod port;

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

pub use clients::AllowedClients;
pub use port::{Protocol, TlsPort};

/// What a port that speaks TLS needs. Prints nothing of it.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// When our certificate ends (Unix seconds).
    pub not_after: i64,
}

/// Why files are of no use. Repeats nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Ours.
    #[error("it holds no certificate in PEM form")]
    Certificate,
    /// Ours.
    #[error("it holds no private key in PEM form that can be used")]
    Key,
    /// While two files are replaced one after the other, too.
    #[error("it is not the key of the certificate")]
    Mismatch,
    /// Of clients.
    #[error("it holds no certificate authority in PEM form")]
    Authority,
    /// Of clients.
    #[error("it is empty: nobody could connect. Write the URI or DNS name of Envoy's certificate")]
    Names,
    /// Of clients, by position.
    #[error(
        "it must be a DNS name or a URI such as spiffe://cluster.local/ns/istio-ingress/sa/gateway, written out"
    )]
    Name(usize),
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads PEM files. `clients`: who may connect; `None`: anybody.
    pub fn new(
        certificate: &[u8],
        key: &[u8],
        clients: Option<AllowedClients>,
    ) -> Result<Self, TlsError> {
        let provider = crypto();
        let chain = certificates(certificate).ok_or(TlsError::Certificate)?;
        let leaf = chain.first().ok_or(TlsError::Certificate)?;
        let (_, leaf) =
            X509Certificate::from_der(leaf).map_err(|_malformed| TlsError::Certificate)?;
        let not_after = leaf.validity().not_after.timestamp();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_malformed| TlsError::Key)?;
        let signer = provider.key_provider.load_private_key(key);
        let signer = signer.map_err(|_unusable| TlsError::Key)?;
        let certified = CertifiedKey::new(chain, signer);
        // Unknown: a kind of key that does not tell its public half. None of those that can be loaded is one.
        certified
            .keys_match()
            .map_err(|_mismatch_or_unknown| TlsError::Mismatch)?;

        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_no_common_suites| TlsError::Key)?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
            None => builder.with_no_client_auth(),
        };
        let ours = rustls::sign::SingleCertAndKey::from(certified);
        let mut config = builder.with_cert_resolver(Arc::new(ours));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            not_after,
        })
    }

    /// For a port that speaks this protocol.
    fn speaking(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Arc::new(config)
    }
}

/// No global: the one that this process uses everywhere.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// All certificates of a PEM file; `None`: there is none, or one is no certificate.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests;
