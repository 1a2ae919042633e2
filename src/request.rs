//! Step 2: `CheckRequest` → [`Request`]. Protobuf ends here.
//!
//! Everything in a check except `context_extensions` is written by the client, who may be an
//! attacker. What cannot be read in exactly one way is refused.

mod client;
mod fields;
mod headers;
mod host;
mod message;
mod path;
pub(crate) mod percent;
#[cfg(test)]
mod plain;

pub use fields::NoCheck;
pub use headers::{Header, Headers};
pub use host::{Host, HostError};
pub use path::{CanonicalPath, RequestPath};

use std::net::IpAddr;

use bytes::Bytes;
use prost::Message;

use crate::pb::envoy::service::auth::v3::CheckRequest;

/// Longest accepted path with its query, in bytes.
pub const MAX_PATH_BYTES: usize = 8 * 1024;
/// Largest accepted sum of header names and values, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The key of Envoy's `context_extensions` that names the application.
const APPLICATION_EXTENSION: &[u8] = b"application";

/// A `CheckRequest` as it came, and nothing understood of it yet.
#[derive(Clone, Default)]
pub struct Check {
    attributes: message::Attributes,
    http: Option<message::Http>,
}

impl Check {
    /// Decodes a message, and keeps its bytes for what is in it.
    pub fn decode(message: Bytes) -> Result<Self, NoCheck> {
        let check = message::Check::decode(message)?;
        let mut attributes = check.attributes.unwrap_or_default();
        let http = attributes.request.take().map(|request| request.http);
        let pieces = http.filter(|pieces| !pieces.is_empty());
        let http = pieces.map(|it| message::Http::decode(&it)).transpose()?;
        Ok(Self { attributes, http })
    }
}

/// For those who make checks themselves.
impl From<CheckRequest> for Check {
    fn from(check: CheckRequest) -> Self {
        // What prost has written it can read; if it could not, this would be no check, and be refused.
        Self::decode(check.encode_to_vec().into()).unwrap_or_default()
    }
}

/// What the later steps may know about the HTTP request.
#[derive(Debug)]
pub struct Request {
    /// `x-request-id`, when it is safe to log: 1 to 64 of `[A-Za-z0-9-]`.
    pub id: Option<String>,
    /// As sent; HTTP methods are case-sensitive.
    pub method: String,
    /// Normalised, unambiguous.
    pub host: Host,
    /// The target exactly as the upstream will get it.
    pub path: RequestPath,
    /// All headers, pseudo headers included.
    pub headers: Headers,
    /// The application that Envoy's route names; a client cannot forge it.
    pub application: Option<String>,
    /// Where the request comes from: the other end of Envoy's connection, or what trusted proxies say.
    pub source: Option<IpAddr>,
}

/// A connection that outlives the decision about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// CONNECT (RFC 9110 §9.3.6): what flows through it is seen by nobody.
    Connect,
    /// RFC 6455.
    WebSocket,
    /// Any other upgrade, such as `h2c`: requests in it would not be checked.
    Other,
}

/// Why a check cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRequest {
    /// The check is about something else than an HTTP request.
    #[error("the check carries no HTTP request")]
    NoHttp,
    /// Protobuf's text is UTF-8.
    #[error("a name in the check is not text")]
    NotText,
    /// Neither `headers` nor `header_map`.
    #[error("the check carries no headers")]
    NoHeaders,
    /// More than [`MAX_HEADER_BYTES`].
    #[error("the headers are larger than {MAX_HEADER_BYTES} bytes")]
    HeadersTooLarge,
    /// More than [`MAX_PATH_BYTES`].
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    PathTooLong,
    /// Not an origin-form target (RFC 9112 §3.2.1).
    #[error("the path does not begin with '/'")]
    PathNotAbsolute,
    /// See [`HostError`].
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Request {
    /// Reads one check that came through so many trusted proxies, Envoy among them if it adds an address.
    pub fn parse(check: impl Into<Check>, trusted_hops: u8) -> Result<Self, MalformedRequest> {
        let Check { attributes, http } = check.into();
        let peer = attributes.source.and_then(address_of);
        let application = application(attributes.context_extensions)?;
        let http = http.ok_or(MalformedRequest::NoHttp)?;
        let request = Self::from_http(http, application)?;
        let source = match trusted_hops {
            0 => peer,
            hops => client::forwarded(&request.headers, hops),
        };
        Ok(Self { source, ..request })
    }

    fn from_http(
        http: message::Http,
        application: Option<String>,
    ) -> Result<Self, MalformedRequest> {
        let headers = Headers::from_check(http.lines)?;
        if headers.is_empty() {
            return Err(MalformedRequest::NoHeaders);
        }
        if headers.byte_len() > MAX_HEADER_BYTES {
            return Err(MalformedRequest::HeadersTooLarge);
        }
        if http.path.len() > MAX_PATH_BYTES {
            return Err(MalformedRequest::PathTooLong);
        }
        // CONNECT has an authority, no path (RFC 9110 §9.3.6); a later step refuses it by name.
        if !http.path.starts_with('/') && http.method != "CONNECT" {
            return Err(MalformedRequest::PathNotAbsolute);
        }
        Ok(Self {
            id: headers.request_id(),
            method: http.method,
            host: Host::parse(&http.host)?,
            path: RequestPath::new(http.path),
            headers,
            application,
            source: None,
        })
    }

    /// Whether the request asks for a connection that would outlive the decision about it, and for which.
    pub fn tunnel(&self) -> Option<Tunnel> {
        if self.method == "CONNECT" {
            return Some(Tunnel::Connect);
        }
        // HTTP/2 extended CONNECT arrives as GET with an `upgrade` header.
        let mut upgrades = self.headers.named("upgrade");
        let first = upgrades.next()?;
        let is_websocket = first.value.eq_ignore_ascii_case(b"websocket");
        Some(if is_websocket && upgrades.next().is_none() {
            Tunnel::WebSocket
        } else {
            Tunnel::Other
        })
    }

    /// Whether a browser asks what a script may do, before the script's own request (Fetch standard, "CORS-preflight
    /// request"). Browsers send no credential with it, so a request that has a cookie is none.
    pub fn is_preflight(&self) -> bool {
        let has = |name| self.headers.named(name).next().is_some();
        self.method == "OPTIONS"
            && has("origin")
            && has("access-control-request-method")
            && !has("cookie")
    }
}

fn application(extensions: Vec<message::Pair>) -> Result<Option<String>, MalformedRequest> {
    let mut extensions = extensions.into_iter();
    // Of two entries for one key protobuf's maps keep the last.
    let named = extensions.rfind(|extension| extension.key == APPLICATION_EXTENSION);
    let text = |extension: message::Pair| String::from_utf8(extension.value.into());
    let application = named.map(text).transpose();
    application.map_err(|_not_utf8| MalformedRequest::NotText)
}

/// An IPv4 client of a dual-stack listener is an IPv4 client.
fn address_of(peer: message::Peer) -> Option<IpAddr> {
    let address: IpAddr = peer.address?.socket_address?.address.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
