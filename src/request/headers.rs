//! The request's headers, in whichever of Envoy's two encodings they came.

use std::fmt;

use bytes::Bytes;

use super::{
    MalformedRequest,
    fields::Place,
    message::{Line, Lines},
};

/// All headers of one request. Order and repetition are kept when Envoy sends them.
pub struct Headers {
    /// In which they lie.
    message: Bytes,
    lines: Vec<Line>,
}

/// One header line. Values are never printed: they are credentials until proved otherwise.
#[derive(Clone, Copy)]
pub struct Header<'h> {
    /// As received. UTF-8.
    name: &'h [u8],
    /// Raw bytes, not necessarily UTF-8.
    pub value: &'h [u8],
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(Header::name))
            .finish()
    }
}

impl<'h> Header<'h> {
    /// Whether this is the header `name` (RFC 9110 §5.1: names are case-insensitive).
    pub fn is(self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The name as received; to compare names there is [`Header::is`].
    pub fn name(self) -> &'h str {
        // It has been looked at before.
        str::from_utf8(self.name).unwrap_or_default()
    }

    /// The same, for who compares in a way of their own.
    pub fn name_bytes(self) -> &'h [u8] {
        self.name
    }
}

impl Headers {
    /// Takes `header_map` when Envoy filled it (`encode_raw_headers: true`), else the joined map.
    /// Never both: two readings of one request are how requests are smuggled.
    pub(super) fn from_check(lines: Lines) -> Result<Self, MalformedRequest> {
        let Lines {
            message,
            raw,
            joined,
        } = lines;
        let lines = if raw.is_empty() { joined } else { raw };
        let headers = Self { message, lines };
        for line in &headers.lines {
            // Almost all of it is ASCII, which is sooner found out.
            let is_text = |place| {
                let bytes = headers.at(place);
                bytes.is_ascii() || str::from_utf8(bytes).is_ok()
            };
            if !is_text(&line.name) || line.is_text && !is_text(&line.value) {
                return Err(MalformedRequest::NotText);
            }
        }
        Ok(headers)
    }

    fn at(&self, place: &Place) -> &[u8] {
        self.message.get(place.clone()).unwrap_or_default()
    }

    /// Every line of the header `name`, in order.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Header<'a>> {
        self.iter().filter(move |header| header.is(name))
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        self.lines.iter().map(|line| Header {
            name: self.at(&line.name),
            value: self.at(&line.value),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn byte_len(&self) -> usize {
        self.lines
            .iter()
            .map(|line| line.name.len() + line.value.len())
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
        safe.then(|| String::from_utf8_lossy(header.value).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &[u8] = b"\xff\xfe";

    /// Lines that lie behind each other. `true`: the value is declared as text.
    fn lines(lines: &[(&[u8], &[u8], bool)]) -> (Bytes, Vec<Line>) {
        let mut message = Vec::new();
        let mut place = |bytes: &[u8]| {
            let begin = message.len();
            message.extend_from_slice(bytes);
            begin..message.len()
        };
        let lines = lines.iter().map(|&(name, value, is_text)| Line {
            name: place(name),
            value: place(value),
            is_text,
        });
        let lines = lines.collect();
        (message.into(), lines)
    }

    fn raw(name: &[u8], value: &[u8], is_text: bool) -> Lines {
        let (message, raw) = lines(&[(name, value, is_text)]);
        Lines {
            message,
            raw,
            joined: Vec::new(),
        }
    }

    fn joined(of: &[(&[u8], &[u8], bool)]) -> Lines {
        let (message, joined) = lines(of);
        Lines {
            message,
            raw: Vec::new(),
            joined,
        }
    }

    #[test]
    fn text_that_is_no_text_is_refused_and_raw_values_may_be_any_bytes() {
        for lines in [
            raw(BAD, b"x", false),
            raw(b"x", BAD, true),
            joined(&[(BAD, b"x", true)]),
            joined(&[(b"x", BAD, true)]),
        ] {
            let refused = Headers::from_check(lines).err();
            assert_eq!(refused, Some(MalformedRequest::NotText));
        }
        let read = Headers::from_check(raw(b"x", BAD, false)).expect("a header");
        assert_eq!(read.named("X").next().expect("a line").value, BAD);
    }

    #[test]
    fn lines_as_they_were_sent_are_the_only_ones_where_there_are_any() {
        let mut both = raw(b"x", b"y", false);
        both.joined = vec![Line::default(); 2];
        let read = Headers::from_check(both).expect("headers");
        assert_eq!(read.iter().map(Header::name).collect::<Vec<_>>(), ["x"]);
    }

    /// Envoy joins lines of one name; two entries for one key come from somebody else, and stay two.
    #[test]
    fn two_entries_for_one_header_are_two_lines() {
        let twice: [(&[u8], &[u8], bool); 2] = [
            (b"authorization", b"a", true),
            (b"authorization", b"b", true),
        ];
        let read = Headers::from_check(joined(&twice)).expect("headers");
        assert_eq!(read.named("authorization").count(), 2);
    }
}
