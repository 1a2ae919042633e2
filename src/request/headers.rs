//! The request's headers, in whichever of Envoy's two encodings they came.

use std::fmt;

use bytes::Bytes;

use super::{
    MalformedRequest,
    message::{HeaderMap, HeaderValue, Pair},
};

/// All headers of one request. Order and repetition are kept when Envoy sends them.
pub struct Headers(Vec<Header>);

/// One header line. Values are never printed: they are credentials until proved otherwise.
pub struct Header {
    /// As received. UTF-8.
    name: Bytes,
    /// Raw bytes, not necessarily UTF-8.
    pub value: Bytes,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(Header::name))
            .finish()
    }
}

impl Header {
    /// Whether this is the header `name` (RFC 9110 §5.1: names are case-insensitive).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The name as received; to compare names there is [`Header::is`].
    pub fn name(&self) -> &str {
        // It has been looked at before.
        std::str::from_utf8(&self.name).unwrap_or_default()
    }
}

impl Headers {
    /// Takes `header_map` when Envoy filled it (`encode_raw_headers: true`), else the joined map.
    /// Never both: two readings of one request are how requests are smuggled.
    pub(super) fn from_check(
        raw: Option<HeaderMap>,
        joined: Vec<Pair>,
    ) -> Result<Self, MalformedRequest> {
        let raw = raw.unwrap_or_default().headers;
        let lines: Vec<_> = if raw.is_empty() {
            joined.into_iter().map(from_joined).collect()
        } else {
            raw.into_iter().map(from_raw).collect()
        };
        let is_text = |line: &Header| std::str::from_utf8(&line.name).is_ok();
        if lines.iter().all(is_text) {
            Ok(Self(lines))
        } else {
            Err(MalformedRequest::NotText)
        }
    }

    /// Every line of the header `name`, in order.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Header> {
        self.0.iter().filter(move |header| header.is(name))
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.0
            .iter()
            .map(|header| header.name.len() + header.value.len())
            .sum()
    }

    /// The correlation id, unless it could break a log line (CVE-2024-45808).
    pub(super) fn request_id(&self) -> Option<String> {
        let header = self.named("x-request-id").next()?;
        let safe = (1..=64).contains(&header.value.len())
            && header
                .value
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        safe.then(|| String::from_utf8_lossy(&header.value).into_owned())
    }
}

fn from_raw(header: HeaderValue) -> Header {
    // Envoy fills `raw_value` and leaves `value` empty.
    let value = if header.raw_value.is_empty() {
        header.value
    } else {
        header.raw_value
    };
    Header {
        name: header.key,
        value,
    }
}

fn from_joined(Pair { key, value }: Pair) -> Header {
    Header { name: key, value }
}
