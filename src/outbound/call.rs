//! A request that carries a token to its provider: one answer, of any status, or none.
//!
//! The token goes to the one URL that the operator has written and nowhere else: redirects are not
//! followed, and nothing is sent twice.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, RequestBuilder,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use url::{Url, form_urlencoded};

use super::{Exchange, Outbound, OutboundError, classify, read_body, text_header};

/// Largest accepted answer, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A request about a token. Has no `Debug`: nearly every member can be a secret.
pub struct Call<'a> {
    /// Already judged by [`super::UrlPolicy`]; judged again.
    pub url: Url,
    /// GET or POST, and what is posted.
    pub body: Body<'a>,
    /// `Authorization`.
    pub authorization: Authorization<'a>,
    /// Further headers, from the configuration.
    pub headers: &'a HeaderMap,
    /// From the first packet to the last byte.
    pub timeout: Duration,
}

/// What is sent.
pub enum Body<'a> {
    /// GET.
    None,
    /// POST of nothing.
    Empty,
    /// POST of parameters, encoded as RFC 6749 appendix B says.
    Form(Vec<(&'a str, &'a str)>),
    /// POST of a JSON document.
    Json(String),
}

impl Body<'_> {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::None => Method::GET,
            Self::Empty | Self::Form(_) | Self::Json(_) => Method::POST,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// Nobody, or somebody whom the body names.
    None,
    /// The token itself (RFC 6750).
    Bearer(&'a str),
    /// Our client identifier and secret (RFC 6749 §2.3.1).
    Basic(&'a str, &'a str),
}

/// A complete answer.
#[derive(Debug)]
pub struct Answered {
    /// As received.
    pub status: u16,
    /// The media type, without parameters, in lower case; empty if there is none.
    pub media_type: String,
    /// `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// Not yet parsed.
    pub body: Bytes,
}

#[cfg(test)]
impl Answered {
    /// JSON, as a provider would send it; `retry_after` in seconds.
    pub(crate) fn json(status: u16, retry_after: Option<u64>, body: &str) -> Self {
        Self {
            status,
            media_type: "application/json".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }
}

impl Outbound {
    pub(super) async fn call(
        &self,
        call: Call<'_>,
        exchange: &Exchange,
    ) -> Result<Answered, OutboundError> {
        self.urls
            .check(&call.url)
            .map_err(|_refused| OutboundError::AddressRefused)?;
        let timeout = call.timeout;
        let request = exchange.mark(self.request(call));
        tokio::time::timeout(timeout, answer(request))
            .await
            .map_err(|_elapsed| OutboundError::Timeout)?
    }

    fn request(&self, call: Call<'_>) -> RequestBuilder {
        let request = self
            .client
            .request(call.body.method(), call.url)
            .header(ACCEPT, JSON)
            // What is compressed cannot be bounded before it is read.
            .header(ACCEPT_ENCODING, "identity")
            .headers(call.headers.clone());
        let request = match call.authorization {
            Authorization::None => request,
            Authorization::Bearer(token) => request.bearer_auth(token),
            Authorization::Basic(id, secret) => {
                request.basic_auth(encoded(id), Some(encoded(secret)))
            }
        };
        match call.body {
            Body::None | Body::Empty => request,
            Body::Form(parameters) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(parameters);
                request.header(CONTENT_TYPE, FORM).body(form.finish())
            }
            Body::Json(document) => request.header(CONTENT_TYPE, JSON).body(document),
        }
    }
}

/// RFC 6749 §2.3.1: both are encoded before they meet the colon between them.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn answer(request: RequestBuilder) -> Result<Answered, OutboundError> {
    let response = request.send().await.map_err(|error| classify(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(OutboundError::Redirect(status.as_u16()));
    }
    let is_plain = text_header(&response, &CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if !is_plain {
        return Err(OutboundError::Broken);
    }
    let media_type = text_header(&response, &CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    let retry_after = text_header(&response, &RETRY_AFTER)
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    Ok(Answered {
        status: status.as_u16(),
        media_type,
        retry_after,
        body: read_body(response, ANSWER_LIMIT).await?,
    })
}
