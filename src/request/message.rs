//! The part of a `CheckRequest` that is read, and how: without copying it.
//!
//! The numbers are those of `proto/`. On the wire, text is bytes and a map is a list of pairs, so texts that are only
//! compared stay where they came, and two entries for one key are not merged by a library before anybody has seen them.
//! What is not named here is skipped.

use std::fmt;

use bytes::Bytes;

use super::fields::{Fields, NoCheck, Place};

/// More header lines than most requests have.
const USUAL_LINES: usize = 24;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Check {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attributes {
    #[prost(message, optional, tag = "1")]
    pub(super) source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<HttpAttributes>,
    #[prost(message, repeated, tag = "10")]
    pub(super) context_extensions: Vec<Pair>,
}

/// `AttributeContext.Peer`, its `Address` and the `SocketAddress` in that.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Address {
    #[prost(message, optional, tag = "1")]
    pub(super) socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SocketAddress {
    #[prost(string, tag = "2")]
    pub(super) address: String,
}

/// `AttributeContext.Request`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpAttributes {
    /// An [`Http`]. In several pieces it is what they are together.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) http: Vec<Bytes>,
}

/// An entry of a map from text to text.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pair {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

/// `AttributeContext.HttpRequest`
#[derive(Clone, Debug, Default)]
pub(super) struct Http {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) lines: Lines,
}

/// The header lines of a request, where they came.
#[derive(Clone, Default)]
pub(super) struct Lines {
    /// In which they lie.
    pub(super) message: Bytes,
    /// `header_map`: as they were sent.
    pub(super) raw: Vec<Line>,
    /// `headers`: those of one name joined.
    pub(super) joined: Vec<Line>,
}

/// One of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) name: Place,
    pub(super) value: Place,
    /// The value is declared as text; otherwise as any bytes.
    pub(super) is_text: bool,
}

/// Without what they say.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lines")
            .field(&(self.raw.len() + self.joined.len()))
            .finish()
    }
}

impl Http {
    const METHOD: u32 = 2;
    const HEADERS: u32 = 3;
    const PATH: u32 = 4;
    const HOST: u32 = 5;
    const HEADER_MAP: u32 = 13;
    const READ: [u32; 5] = [
        Self::METHOD,
        Self::HEADERS,
        Self::PATH,
        Self::HOST,
        Self::HEADER_MAP,
    ];

    /// Reads the message that these pieces are together. Nothing that is repeated is merged.
    pub(super) fn decode(pieces: &[Bytes]) -> Result<Self, NoCheck> {
        let message = match pieces {
            [whole] => whole.clone(),
            pieces => pieces.concat().into(),
        };
        let mut http = Self::default();
        let mut fields = Fields::of(&message);
        while let Some((tag, place)) = fields.next(&Self::READ)? {
            match tag {
                Self::METHOD => http.method = text(&message, place)?,
                Self::PATH => http.path = text(&message, place)?,
                Self::HOST => http.host = text(&message, place)?,
                Self::HEADERS => push(&mut http.lines.joined, Line::pair(&message, place)?),
                Self::HEADER_MAP => http.lines.read_map(&message, place)?,
                _ => {}
            }
        }
        http.lines.message = message;
        Ok(http)
    }
}

impl Lines {
    const HEADERS: u32 = 1;

    fn read_map(&mut self, message: &[u8], place: Place) -> Result<(), NoCheck> {
        let mut entries = Fields::within(message, place);
        while let Some((_, place)) = entries.next(&[Self::HEADERS])? {
            push(&mut self.raw, Line::value(message, place)?);
        }
        Ok(())
    }
}

fn push(lines: &mut Vec<Line>, line: Line) {
    if lines.is_empty() {
        lines.reserve(USUAL_LINES);
    }
    lines.push(line);
}

impl Line {
    const NAME: u32 = 1;
    const VALUE: u32 = 2;
    const RAW_VALUE: u32 = 3;

    /// An entry of a map.
    fn pair(message: &[u8], place: Place) -> Result<Self, NoCheck> {
        Self::read(message, place, &[Self::NAME, Self::VALUE])
    }

    /// A `HeaderValue`.
    fn value(message: &[u8], place: Place) -> Result<Self, NoCheck> {
        let read = [Self::NAME, Self::VALUE, Self::RAW_VALUE];
        Self::read(message, place, &read)
    }

    fn read(message: &[u8], place: Place, read: &[u32]) -> Result<Self, NoCheck> {
        let (mut name, mut value, mut raw_value) = <(Place, Place, Place)>::default();
        let mut fields = Fields::within(message, place);
        while let Some((tag, place)) = fields.next(read)? {
            match tag {
                Self::NAME => name = place,
                Self::VALUE => value = place,
                _ => raw_value = place,
            }
        }
        // Envoy fills one of the two.
        let is_text = raw_value.is_empty();
        Ok(Self {
            name,
            value: if is_text { value } else { raw_value },
            is_text,
        })
    }
}

/// Protobuf's text is UTF-8.
fn text(message: &[u8], place: Place) -> Result<String, NoCheck> {
    let text = message.get(place).map(str::from_utf8);
    text.and_then(Result::ok).map(str::to_owned).ok_or(NoCheck)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use prost::Message;

    use super::*;
    use crate::pb::envoy::{
        config::core::v3::{HeaderMap, HeaderValue},
        service::auth::v3::attribute_context::HttpRequest,
    };

    /// A request, and apart from it the lines of its map.
    type Read = (HttpRequest, Vec<(String, Vec<u8>)>);

    /// What was read, as prost would have it; of lines with both kinds of value, the one that counts.
    fn read(pieces: &[Bytes]) -> Option<Read> {
        let http = Http::decode(pieces).ok()?;
        let message = &http.lines.message;
        let bytes = |place: &Place| message[place.clone()].to_vec();
        let text = |place: &Place| String::from_utf8(bytes(place)).expect("text");
        let joined = http.lines.joined.iter();
        let raw = http.lines.raw.iter();
        let lines = raw.map(|line| (text(&line.name), bytes(&line.value)));
        let lines = lines.collect();
        let request = HttpRequest {
            headers: joined
                .map(|line| (text(&line.name), text(&line.value)))
                .collect(),
            method: http.method,
            path: http.path,
            host: http.host,
            ..HttpRequest::default()
        };
        Some((request, lines))
    }

    fn as_prost_reads(message: &[u8]) -> Option<Read> {
        let mut http = HttpRequest::decode(message).ok()?;
        let lines = http.header_map.take().unwrap_or_default().headers;
        let lines = lines.into_iter().map(|line| {
            let is_text = line.raw_value.is_empty();
            let value = if is_text {
                line.value.into_bytes()
            } else {
                line.raw_value.to_vec()
            };
            (line.key, value)
        });
        let lines = lines.collect();
        Some((http, lines))
    }

    fn request() -> impl Strategy<Value = HttpRequest> {
        let value = ("[a-z:]{0,4}", "[a-z\u{e9}]{0,3}", vec(any::<u8>(), 0..3));
        let value = value.prop_map(|(key, value, raw_value)| HeaderValue {
            key,
            value,
            raw_value: raw_value.into(),
        });
        let headers = vec(("[a-z]{0,3}", "[a-z]{0,3}"), 0..3);
        let map = proptest::option::of(vec(value, 0..4));
        ("[A-Z]{0,4}", "[/a-z]{0,9}", "[a-z.]{0,9}", headers, map).prop_map(
            |(method, path, host, headers, map)| HttpRequest {
                method,
                path,
                host,
                headers: headers.into_iter().collect(),
                header_map: map.map(|headers| HeaderMap { headers }),
                ..HttpRequest::default()
            },
        )
    }

    #[test]
    fn only_a_raw_value_may_be_anything_but_text() {
        let line = |value: &str, raw_value: &'static [u8]| HeaderValue {
            key: "x".to_owned(),
            value: value.to_owned(),
            raw_value: raw_value.into(),
        };
        let map = HeaderMap {
            headers: vec![line("a", b""), line("", b"a"), line("a", b"b")],
        };
        let http = HttpRequest {
            headers: [("x".to_owned(), "a".to_owned())].into(),
            header_map: Some(map),
            ..HttpRequest::default()
        };
        let lines = Http::decode(&[http.encode_to_vec().into()])
            .expect("a request")
            .lines;
        let is_text = |lines: &[Line]| lines.iter().map(|line| line.is_text).collect::<Vec<_>>();
        assert_eq!(is_text(&lines.raw), [true, false, false]);
        assert_eq!(is_text(&lines.joined), [true]);
    }

    proptest! {
        /// A message that comes twice is what both are together: what is single is replaced, what is repeated is added.
        #[test]
        fn what_is_read_here_is_what_prost_reads(one in request(), other in request(), cut in 0..200_usize) {
            let pieces = [one.encode_to_vec().into(), other.encode_to_vec().into()];
            let whole = pieces.concat();
            prop_assert_eq!(read(&pieces), as_prost_reads(&whole));
            let cut = whole.get(..cut).unwrap_or(&whole);
            prop_assert_eq!(read(&[Bytes::copy_from_slice(cut)]), as_prost_reads(cut));
        }
    }
}
