//! A port that speaks TLS: connections come in, and those whose handshake succeeds go on.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::{Stream, StreamExt, future::ready};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, warn};

use super::ServerTls;
use crate::metrics::Metrics;

/// From the first byte to the last of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way on one stream of connections: a client that dawdles keeps nobody else from connecting.
const MAX_HANDSHAKES: usize = 1024;

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Http2,
    /// For operators.
    Http1,
}

impl Protocol {
    /// RFC 7301.
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }

    /// The port's name in metrics and logs.
    fn port(self) -> &'static str {
        match self {
            Self::Http2 => "grpc",
            Self::Http1 => "admin",
        }
    }
}

/// One port. The certificate can be replaced while it is open. Cheap to clone.
#[derive(Clone)]
pub struct TlsPort {
    current: Arc<ArcSwap<ServerConfig>>,
    protocol: Protocol,
    metrics: Metrics,
}

impl TlsPort {
    /// A port with its first certificate.
    pub fn new(tls: &ServerTls, protocol: Protocol, metrics: Metrics) -> Self {
        metrics.set_certificate_end(protocol.port(), tls.not_after);
        Self {
            current: Arc::new(ArcSwap::new(tls.speaking(protocol))),
            protocol,
            metrics,
        }
    }

    /// From the next connection on.
    pub fn replace(&self, tls: &ServerTls) {
        self.metrics
            .set_certificate_end(self.protocol.port(), tls.not_after);
        self.current.store(tls.speaking(self.protocol));
    }

    /// The connections whose handshake has succeeded, in the order in which it did.
    pub fn secure(
        self,
        connections: impl Stream<Item = TcpStream>,
    ) -> impl Stream<Item = TlsStream<TcpStream>> {
        connections
            .map(move |connection| self.clone().handshake(connection))
            .buffer_unordered(MAX_HANDSHAKES)
            .filter_map(ready)
    }

    async fn handshake(self, connection: TcpStream) -> Option<TlsStream<TcpStream>> {
        let peer = connection.peer_addr().ok();
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let shaken = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await;
        match shaken.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.failed(peer, &error);
                None
            }
        }
    }

    fn failed(&self, peer: Option<SocketAddr>, error: &io::Error) {
        let port = self.protocol.port();
        self.metrics.count_failed_handshake(port);
        let peer = peer.map(tracing::field::display);
        // Whoever looks whether the port is open says nothing and goes.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            debug!(port, peer, "a connection ended before its TLS handshake");
        } else {
            warn!(port, peer, %error, "a TLS handshake failed");
        }
    }
}
