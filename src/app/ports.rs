//! The ports: bound first, so that a clash is loud, and served when there is something to say.

use std::io;

use axum::Router;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::pb::health_server::{Health, HealthServer};
use tracing::{info, warn};

use super::{ServeError, Surroundings};
use crate::{
    admin::listener::{Peer, SecureListener},
    config::Listen,
    grpc::listener::Listener,
    tls::{Protocol, TlsPort},
};

/// Bound.
pub(super) struct Ports {
    pub(super) grpc: Listener,
    pub(super) admin: TcpListener,
    pub(super) health: Option<TcpListener>,
}

/// How the ports speak TLS; `None`: they do not.
#[derive(Clone)]
pub(super) struct Secured {
    pub(super) grpc: Option<TlsPort>,
    pub(super) admin: Option<TlsPort>,
}

impl Ports {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, ServeError> {
        let grpc = Listener::bind(&listen.grpc).await;
        let grpc = grpc.map_err(refused("grpc", listen.grpc.to_string()))?;
        let admin = TcpListener::bind(listen.admin).await;
        let admin = admin.map_err(refused("admin", listen.admin.to_string()))?;
        let health = match listen.health {
            Some(address) => {
                let health = TcpListener::bind(address).await;
                Some(health.map_err(refused("health", address.to_string()))?)
            }
            None => None,
        };
        let local = |listener: &TcpListener| {
            let address = listener.local_addr();
            address.map_or_else(|_gone| String::new(), |address| address.to_string())
        };
        info!(
            grpc = grpc.address(),
            admin = local(&admin),
            health = health.as_ref().map(local),
            "listening"
        );
        Ok(Self {
            grpc,
            admin,
            health,
        })
    }
}

fn refused(setting: &'static str, address: String) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::Listen {
        address,
        setting,
        source,
    }
}

impl Secured {
    pub(super) fn of(listen: &Listen, surroundings: &Surroundings) -> Self {
        let port = |tls, protocol| TlsPort::new(tls, protocol, surroundings.metrics.clone());
        let (grpc, admin) = (listen.grpc_tls.as_ref(), listen.admin_tls.as_ref());
        Self {
            grpc: grpc.map(|tls| port(tls, Protocol::Http2)),
            admin: admin.map(|tls| port(tls, Protocol::Http1)),
        }
    }

    /// Takes up new certificates and new clients, from the next connections on.
    pub(super) fn replace(&self, listen: &Listen) {
        let pairs = [
            (&self.grpc, &listen.grpc_tls),
            (&self.admin, &listen.admin_tls),
        ];
        for (port, tls) in pairs {
            if let (Some(port), Some(tls)) = (port, tls) {
                port.replace(tls);
            }
        }
    }
}

/// Serves the operators' port until the runtime ends.
pub(super) async fn serve_admin(listener: TcpListener, tls: Option<TlsPort>, pages: Router) {
    let pages = pages.into_make_service_with_connect_info::<Peer>();
    let served = if let Some(tls) = tls {
        axum::serve(SecureListener::new(listener, tls), pages).await
    } else {
        axum::serve(listener, pages).await
    };
    if let Err(error) = served {
        warn!(%error, "the admin port has ended");
    }
}

/// Answers probes that cannot speak TLS, until the runtime ends: who drains is asked about it.
pub(super) async fn serve_health(listener: TcpListener, health: HealthServer<impl Health>) {
    let served = Server::builder()
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));
    if let Err(error) = served.await {
        warn!(%error, "the health port has ended");
    }
}
