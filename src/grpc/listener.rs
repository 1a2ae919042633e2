//! Where connections come from: TCP or a Unix socket. Accepted on one runtime, served on another.

use std::{
    io,
    os::unix::{fs::FileTypeExt, net},
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::stream::Stream;
use crate::{config::GrpcAddress, tls::TlsPort};

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// `host:port`
    Tcp(TcpListener),
    /// `unix:/path`, removed when the listener goes.
    Unix(UnixListener, SocketFile),
}

/// Removes the file of a Unix socket.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing is lost if somebody else was faster.
        drop(std::fs::remove_file(&self.0));
    }
}

/// A connection on its way from the accepting runtime to a serving one.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a Unix socket.
    Unix(net::UnixStream),
}

impl Listener {
    /// Binds. A Unix socket that nobody answers any more is replaced; one in use is an error.
    pub async fn bind(address: &GrpcAddress) -> io::Result<Self> {
        match address {
            GrpcAddress::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            GrpcAddress::Unix(path) => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                remove_stale_socket(path)?;
                Ok(Self::Unix(
                    UnixListener::bind(path)?,
                    SocketFile(path.clone()),
                ))
            }
        }
    }

    /// Who secures its connections: TLS is for TCP.
    pub fn secured_by(&self, tls: Option<TlsPort>) -> Option<TlsPort> {
        match self {
            Self::Tcp(_) => tls,
            Self::Unix(..) => None,
        }
    }

    /// The address, for people.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map(|address| address.to_string())
                .unwrap_or_default(),
            Self::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    /// The next connection, detached from this runtime.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                // Delayed small packets would delay answers. A connection that is gone by now fails
                // where it is served; it must not make accepting fail.
                drop(stream.set_nodelay(true));
                Ok(Accepted::Tcp(stream.into_std()?))
            }
            Self::Unix(listener, _) => {
                let (stream, _peer) = listener.accept().await?;
                Ok(Accepted::Unix(stream.into_std()?))
            }
        }
    }
}

/// A file of another kind stays, and binding then says what is wrong.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Accepted {
    /// Attaches a connection to the current runtime.
    pub fn attach(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        }
    }
}
