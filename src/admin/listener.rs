//! The operators' port with TLS.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use futures_util::{Stream, StreamExt, stream::unfold};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::tls::TlsPort;

/// The other end of a connection, whether it is secure or not.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, SecureListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, SecureListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Yields connections whose handshake has succeeded.
pub struct SecureListener {
    local: io::Result<SocketAddr>,
    connections: Pin<Box<dyn Stream<Item = TlsStream<TcpStream>> + Send>>,
}

impl SecureListener {
    /// Connections of this listener, secured.
    pub fn new(listener: TcpListener, tls: TlsPort) -> Self {
        let local = listener.local_addr();
        let accepted = unfold(listener, |mut listener| async {
            // The one of axum, which waits when there are no file descriptors left.
            let (connection, _peer) = Listener::accept(&mut listener).await;
            Some((connection, listener))
        });
        Self {
            local,
            connections: Box::pin(tls.secure(accepted)),
        }
    }
}

impl Listener for SecureListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.next().await {
            Some(connection) => {
                // Gone already: whoever writes to it will see.
                let peer = connection.get_ref().0.peer_addr();
                let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                (connection, peer.unwrap_or(nobody))
            }
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        match &self.local {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}
