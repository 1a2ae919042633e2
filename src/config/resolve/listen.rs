//! The section `listen`.

use std::{net::SocketAddr, path::PathBuf};

use super::Resolver;
use crate::{
    config::{GrpcAddress, Listen, schema},
    tls::{AllowedClients, ServerTls, TlsError},
};

impl Resolver<'_> {
    pub(super) fn listen(&mut self, written: &schema::Listen) -> Option<Listen> {
        let grpc = self.grpc_address(&written.grpc);
        let admin = self.address("admin", &written.admin, "127.0.0.1:9002");
        let health = written
            .health
            .as_ref()
            .map(|written| self.address("health", written, "0.0.0.0:9003"));
        if let (Some(GrpcAddress::Unix(_)), Some(_)) = (&grpc, &written.grpc_tls) {
            self.problem(
                "/listen/grpc_tls",
                "'listen.grpc_tls' is for TCP: who may use the socket of 'listen.grpc' is decided by its directory",
            );
        }
        let [grpc_tls, admin_tls] = [
            (&written.grpc_tls, "grpc_tls"),
            (&written.admin_tls, "admin_tls"),
        ]
        .map(|(written, member)| {
            written
                .as_ref()
                .map(|written| self.server_tls(member, written))
        });
        let listen = Listen {
            grpc: grpc?,
            // A problem has been found where there is nothing inside.
            grpc_tls: grpc_tls.flatten(),
            admin: admin?,
            admin_tls: admin_tls.flatten(),
            health: health.flatten(),
        };
        self.different(&listen);
        Some(listen)
    }

    fn grpc_address(&mut self, written: &str) -> Option<GrpcAddress> {
        let grpc = match written.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Some(GrpcAddress::Unix(PathBuf::from(path))),
            Some(_) => None,
            None => written.parse().ok().map(GrpcAddress::Tcp),
        };
        if grpc.is_none() {
            self.problem(
                "/listen/grpc",
                format!(
                    "'listen.grpc' must be IP:PORT such as 0.0.0.0:9001, or unix:/path, not '{written}'"
                ),
            );
        }
        grpc
    }

    fn address(&mut self, member: &str, written: &str, example: &str) -> Option<SocketAddr> {
        let address = written.parse().ok();
        if address.is_none() {
            self.problem(
                &format!("/listen/{member}"),
                format!("'listen.{member}' must be IP:PORT such as {example}, not '{written}'"),
            );
        }
        address
    }

    /// Port 0 is another port each time.
    fn different(&mut self, listen: &Listen) {
        let mut taken = vec![("grpc", listen.grpc.clone())];
        let others = [("admin", Some(listen.admin)), ("health", listen.health)];
        for (member, address) in others {
            let Some(address) = address.filter(|address| address.port() != 0) else {
                continue;
            };
            let address = GrpcAddress::Tcp(address);
            if let Some((other, _)) = taken.iter().find(|(_, taken)| *taken == address) {
                self.problem(
                    &format!("/listen/{member}"),
                    format!("'listen.{member}' must be another address than 'listen.{other}'"),
                );
            }
            taken.push((member, address));
        }
    }

    fn server_tls(&mut self, member: &str, written: &schema::ServerTls) -> Option<ServerTls> {
        let pointer = format!("/listen/{member}");
        let certificate = self.pem(&pointer, "certificate", &written.certificate);
        let key = self.pem(&pointer, "key", &written.key);
        let clients = match &written.clients {
            Some(clients) => Some(self.allowed_clients(&format!("{pointer}/clients"), clients)?),
            None => None,
        };
        match ServerTls::new(&certificate?, &key?, clients) {
            Ok(tls) => Some(tls),
            Err(error) => {
                let member = match error {
                    TlsError::Certificate => "certificate",
                    TlsError::Key | TlsError::Mismatch => "key",
                    TlsError::Authority | TlsError::Names | TlsError::Name(_) => "clients",
                };
                self.tls_problem(&format!("{pointer}/{member}"), &error);
                None
            }
        }
    }

    fn allowed_clients(
        &mut self,
        pointer: &str,
        written: &schema::TlsClients,
    ) -> Option<AllowedClients> {
        let authorities = self.pem(pointer, "ca", &written.ca)?;
        match AllowedClients::new(&authorities, &written.names) {
            Ok(clients) => Some(clients),
            Err(error) => {
                let pointer = match error {
                    TlsError::Name(at) => format!("{pointer}/names/{at}"),
                    TlsError::Names => format!("{pointer}/names"),
                    TlsError::Certificate
                    | TlsError::Key
                    | TlsError::Mismatch
                    | TlsError::Authority => format!("{pointer}/ca"),
                };
                self.tls_problem(&pointer, &error);
                None
            }
        }
    }

    fn pem(&mut self, pointer: &str, member: &str, file: &str) -> Option<Vec<u8>> {
        let read = self.inputs.file(&self.path(file));
        read.map_err(|error| {
            self.tls_problem(
                &format!("{pointer}/{member}"),
                &format_args!("the file {file} cannot be read: {error}"),
            );
        })
        .ok()
    }

    fn tls_problem(&mut self, pointer: &str, why: &dyn std::fmt::Display) {
        let member = pointer.trim_start_matches('/').replace('/', ".");
        self.problem(pointer, format!("'{member}': {why}"));
    }
}

#[cfg(test)]
mod tests;
