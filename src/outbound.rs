//! The only way out: a request to a provider, with every limit that an untrusted server calls for
//! (RFC 9700 §4.12, CVE class SSRF).
//!
//! Redirects are never followed, proxies of the environment are ignored, bodies are capped while
//! they arrive, and addresses are judged after the name is resolved, at the moment of connecting.

mod address;
mod call;
mod way;

use std::{fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{Certificate, Client, Response, StatusCode, header, redirect, tls};
use url::Url;

use address::GuardedResolver;
pub use address::{UrlError, UrlPolicy};
pub use call::{Answered, Authorization, Body, Call};
use way::Exchange;
pub use way::Way;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the first packet to the last header.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// From the last header to the last byte, however slowly they drip.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections kept to one provider.
const IDLE_CONNECTIONS: usize = 16;

/// An HTTP client for one provider: its own connections, its own certificate authorities.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    urls: UrlPolicy,
}

/// A GET request.
#[derive(Debug)]
pub struct Get<'a> {
    /// Already judged by [`UrlPolicy`]; judged again.
    pub url: &'a Url,
    /// The `ETag` of what we have.
    pub etag: Option<&'a str>,
    /// Largest accepted body, in bytes.
    pub limit: usize,
}

/// A useful answer.
#[derive(Debug)]
pub enum Fetched {
    /// 304: what we have is current.
    NotModified {
        /// How long it stays current.
        max_age: Option<Duration>,
    },
    /// 200 and a complete body.
    Document {
        /// Not yet parsed.
        body: Bytes,
        /// For the next conditional request.
        etag: Option<String>,
        /// How long it stays current.
        max_age: Option<Duration>,
    },
}

/// Why there is no useful answer. Holds no URL and no text of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The URL or the address it resolves to is not allowed.
    #[error("the address is not allowed (loopback, link-local or metadata address, or not https)")]
    AddressRefused,
    /// No connection: name, route, port or TLS.
    #[error("cannot connect (name resolution, network, or TLS certificate)")]
    Connect,
    /// One of the time limits.
    #[error("no complete answer within the time limit")]
    Timeout,
    /// 3xx. Following it would take a token or our trust elsewhere.
    #[error("the server answered with a redirect ({0}), which is never followed")]
    Redirect(u16),
    /// Any other status than 200 and 304.
    #[error("the server answered with status {status}")]
    Status {
        /// As received.
        status: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<Duration>,
    },
    /// The body is longer than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or what came is not HTTP.
    #[error("the answer is incomplete or malformed")]
    Broken,
}

impl OutboundError {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AddressRefused => "address_refused",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Redirect(_) => "redirect",
            Self::Status { .. } => "status",
            Self::TooLarge(_) => "too_large",
            Self::Broken => "broken",
        }
    }
}

/// The client cannot be built from these certificates.
#[derive(Debug, thiserror::Error)]
#[error("what is in it cannot be used as a certificate authority")]
pub struct UnusableCertificates(#[source] reqwest::Error);

/// Certificate authorities in PEM form, besides those of the system.
#[derive(Clone, Default)]
pub struct ExtraAuthorities {
    certificates: Vec<Certificate>,
    pem: Vec<u8>,
}

impl PartialEq for ExtraAuthorities {
    /// The same text: a certificate of reqwest cannot be compared.
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

impl Eq for ExtraAuthorities {}

impl fmt::Debug for ExtraAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtraAuthorities")
            .field(&self.certificates.len())
            .finish()
    }
}

impl ExtraAuthorities {
    /// Reads one or more PEM certificates.
    pub fn from_pem(pem: &[u8]) -> Result<Self, UnusableCertificates> {
        let certificates = Certificate::from_pem_bundle(pem).map_err(UnusableCertificates)?;
        Ok(Self {
            certificates,
            pem: pem.to_vec(),
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }
}

impl Outbound {
    /// Builds a client. There is no switch that turns certificate checks off.
    #[expect(clippy::disallowed_methods, reason = "this is where clients are made")]
    pub fn new(
        urls: UrlPolicy,
        authorities: ExtraAuthorities,
    ) -> Result<Self, UnusableCertificates> {
        let client = Client::builder()
            .user_agent(concat!("atlassian-authz/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tls_version_min(tls::Version::TLS_1_2)
            .tls_certs_merge(authorities.certificates)
            .dns_resolver(Arc::new(GuardedResolver::new(urls)))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(UnusableCertificates)?;
        Ok(Self { client, urls })
    }

    async fn get(&self, get: Get<'_>, exchange: &Exchange) -> Result<Fetched, OutboundError> {
        // A literal IP address never meets the resolver, so the URL itself is judged too.
        self.urls
            .check(get.url)
            .map_err(|_refused| OutboundError::AddressRefused)?;
        let mut request = self
            .client
            .get(get.url.clone())
            .header(header::ACCEPT, "application/json");
        if let Some(etag) = get.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = exchange.mark(request);
        let response = tokio::time::timeout(HEADERS_TIMEOUT, request.send())
            .await
            .map_err(|_elapsed| OutboundError::Timeout)?
            .map_err(|error| classify(&error))?;
        let max_age = max_age(&response);
        match response.status() {
            StatusCode::OK => {
                let etag = text_header(&response, &header::ETAG).map(str::to_owned);
                let body = tokio::time::timeout(BODY_TIMEOUT, read_body(response, get.limit))
                    .await
                    .map_err(|_elapsed| OutboundError::Timeout)??;
                Ok(Fetched::Document {
                    body,
                    etag,
                    max_age,
                })
            }
            StatusCode::NOT_MODIFIED if get.etag.is_some() => Ok(Fetched::NotModified { max_age }),
            // Nothing that we asked for: we have no document that could be current.
            StatusCode::NOT_MODIFIED => Err(OutboundError::Broken),
            status if status.is_redirection() => Err(OutboundError::Redirect(status.as_u16())),
            status => Err(OutboundError::Status {
                status: status.as_u16(),
                retry_after: text_header(&response, &header::RETRY_AFTER)
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            }),
        }
    }
}

async fn read_body(mut response: Response, limit: usize) -> Result<Bytes, OutboundError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(OutboundError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn classify(error: &reqwest::Error) -> OutboundError {
    if address::is_refusal(error) {
        OutboundError::AddressRefused
    } else if error.is_timeout() {
        OutboundError::Timeout
    } else if error.is_connect() {
        OutboundError::Connect
    } else {
        OutboundError::Broken
    }
}

fn max_age(response: &Response) -> Option<Duration> {
    let control = text_header(response, &header::CACHE_CONTROL)?;
    control
        .split(',')
        .find_map(|directive| directive.trim().strip_prefix("max-age="))
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs)
}

fn text_header<'a>(response: &'a Response, name: &header::HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
