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

    /// The same, for who compares in a way of their own.
    pub fn name_bytes(&self) -> &[u8] {
        &self.name
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
        let lines: Result<Vec<_>, _> = if raw.is_empty() {
            joined.into_iter().map(from_joined).collect()
        } else {
            raw.into_iter().map(from_raw).collect()
        };
        lines.map(Self)
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

fn from_raw(header: HeaderValue) -> Result<Header, MalformedRequest> {
    // Envoy fills `raw_value` and leaves `value` empty.
    let value = if header.raw_value.is_empty() {
        text(header.value)?
    } else {
        header.raw_value
    };
    let name = text(header.key)?;
    Ok(Header { name, value })
}

fn from_joined(Pair { key, value }: Pair) -> Result<Header, MalformedRequest> {
    let (name, value) = (text(key)?, text(value)?);
    Ok(Header { name, value })
}

/// What protobuf declares as text must be some.
fn text(bytes: Bytes) -> Result<Bytes, MalformedRequest> {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(MalformedRequest::NotText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &[u8] = b"\xff\xfe";

    fn raw(key: &'static [u8], value: &'static [u8], raw_value: &'static [u8]) -> HeaderMap {
        let header = HeaderValue {
            key: key.into(),
            value: value.into(),
            raw_value: raw_value.into(),
        };
        HeaderMap {
            headers: vec![header],
        }
    }

    fn pair(key: &'static [u8], value: &'static [u8]) -> Pair {
        Pair {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn text_that_is_no_text_is_refused_and_raw_values_may_be_any_bytes() {
        for (raw, joined) in [
            (Some(raw(BAD, b"", b"x")), vec![]),
            (Some(raw(b"x", BAD, b"")), vec![]),
            (None, vec![pair(BAD, b"x")]),
            (None, vec![pair(b"x", BAD)]),
        ] {
            let refused = Headers::from_check(raw, joined).err();
            assert_eq!(refused, Some(MalformedRequest::NotText));
        }
        let read = Headers::from_check(Some(raw(b"x", b"", BAD)), vec![]).expect("a header");
        assert_eq!(read.named("X").next().expect("a line").value, BAD);
    }

    /// Envoy joins lines of one name; two entries for one key come from somebody else, and stay two.
    #[test]
    fn two_entries_for_one_header_are_two_lines() {
        let twice = vec![pair(b"authorization", b"a"), pair(b"authorization", b"b")];
        let read = Headers::from_check(None, twice).expect("headers");
        assert_eq!(read.named("authorization").count(), 2);
    }
}
