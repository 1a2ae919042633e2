//! The request target, and the one form of it that rules may match.
//!
//! Tomcat drops `;params`, decodes, then resolves dot segments; Envoy normalises differently. Two
//! normalisers always differ somewhere, so nothing here normalises: a path is either already
//! canonical, then every reader agrees on it, or no rule matches it and it stays protected
//! (CVE-2022-0540, CVE-2026-73551, GHSA-p224-6x5r-fjpm).

use std::fmt;

use super::percent::take_escape;

/// The raw target: a path and perhaps a query. Split at the first `?` only, never parsed as a URL
/// (`//host/x` is a path; CVE-2026-26205).
#[derive(Clone)]
pub struct RequestPath {
    target: String,
    /// Bytes before the first `?`.
    path_bytes: usize,
    /// Asked several times for each request, and found out once.
    is_canonical: bool,
}

/// Without the query, where clients put passwords.
impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.path(), f)
    }
}

impl RequestPath {
    pub(super) fn new(target: String) -> Self {
        let path = target.split('?').next().unwrap_or(&target);
        let (path_bytes, is_canonical) = (path.len(), CanonicalPath::parse(path).is_some());
        Self {
            target,
            path_bytes,
            is_canonical,
        }
    }

    /// The target up to the query.
    pub fn path(&self) -> &str {
        self.split().0
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.split().1.strip_prefix('?')
    }

    fn split(&self) -> (&str, &str) {
        self.target
            .split_at_checked(self.path_bytes)
            .unwrap_or((&self.target, ""))
    }

    /// The path, when every reader of HTTP would read the same segments in it.
    pub fn canonical(&self) -> Option<CanonicalPath<'_>> {
        self.is_canonical.then(|| CanonicalPath(self.path()))
    }
}

/// A path that means the same to Envoy, to us and to Tomcat: no decoding, no dot segments, no
/// parameters, no empty segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a>(&'a str);

impl<'a> CanonicalPath<'a> {
    /// `None` when the path is not canonical.
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path
            .strip_prefix('/')?
            .as_bytes()
            .split(|byte| *byte == b'/');
        let unambiguous = !path.contains("//")
            && segments.all(|segment| segment != b"." && !segment.starts_with(b".."))
            && only_plain_bytes_and_needed_escapes(path);
        unambiguous.then_some(Self(path))
    }

    /// The path, byte for byte as it was sent.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Every byte stands for itself, and an escape is used only where a byte could not.
fn only_plain_bytes_and_needed_escapes(path: &str) -> bool {
    if path.bytes().all(is_plain) {
        return true;
    }
    let mut rest = path.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            if !is_plain(byte) {
                return false;
            }
            decoded.push(byte);
            continue;
        }
        let Some((value, after)) = take_escape(rest) else {
            return false;
        };
        rest = after;
        if !needs_escape(value) {
            return false;
        }
        decoded.push(value);
    }
    // A decoded byte sequence that is not UTF-8 is read differently by different readers.
    String::from_utf8(decoded).is_ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte)
}

/// Escaping these is either needless (then it is a disguise) or changes the structure once decoded.
fn needs_escape(value: u8) -> bool {
    let disguise = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
    let structure = b"/\\;%".contains(&value) || value.is_ascii_control();
    !disguise && !structure
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded_segment(segment: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut rest = segment.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let (pair, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
            rest = after;
        }
        String::from_utf8(bytes).ok()
    }

    /// What Tomcat makes of a path (Servlet 6 §3.5.1): parameters dropped, decoded, then empty and
    /// dot segments resolved. The slow, obvious reference.
    fn as_tomcat_reads(path: &str) -> Option<String> {
        let mut segments: Vec<String> = Vec::new();
        for segment in path.strip_prefix('/')?.split('/') {
            let bare = segment.split(';').next()?;
            match decoded_segment(bare)?.as_str() {
                "" | "." => {}
                ".." => drop(segments.pop()?),
                name => segments.push(name.to_owned()),
            }
        }
        Some(format!("/{}", segments.join("/")))
    }

    fn decoded(path: &str) -> String {
        as_tomcat_reads(path).expect("canonical paths decode")
    }

    #[test]
    fn ordinary_atlassian_paths_are_canonical() {
        for path in [
            "/",
            "/status",
            "/rest/api/2/issue/ABC-1",
            "/rest/api/latest/user/",
            "/a%20b",
            "/a%C3%A9",
            "/rest/a..b",
            "/x~y",
            "/a:b@c",
        ] {
            assert!(CanonicalPath::parse(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_path_that_two_readers_could_read_differently_is_not_canonical() {
        for path in [
            "",
            "status",
            "//status",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/.",
            "/public/..;/admin",
            "/public/..;x=1/admin",
            "/x/%2e%2E;/bar",
            "/rest/%2e%2e;/admin",
            "/;/foo",
            "/a;jsessionid=1",
            "/a%3Bx=1/b",
            "/a%2Fb",
            "/a%5Cb",
            "/a\\b",
            "/%61dmin",
            "/a%252fb",
            "/a%zz",
            "/a%0",
            "/a%",
            "/a/%c0%af/b",
            "/a%00b",
            "/a%0d%0ab",
            "/a\u{e9}",
            "/a b",
            "/a#b",
            "/...",
            "/..a",
        ] {
            assert!(CanonicalPath::parse(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_query_never_takes_part_in_a_match() {
        let target = RequestPath::new("/status?x=/../admin".to_owned());
        assert_eq!(
            target.canonical().map(CanonicalPath::as_str),
            Some("/status")
        );
        assert_eq!(target.query(), Some("x=/../admin"));
        assert_eq!(RequestPath::new("//evil/x".to_owned()).path(), "//evil/x");
    }

    proptest! {
        /// Whatever we call canonical, Tomcat resolves to the very same segments: nothing moves.
        #[test]
        fn tomcat_reads_a_canonical_path_as_it_stands(path in "/(([a-b.;%/\\\\~]|%2[eEfF5]|%3[bB]|%5[cC]|%20|\\.\\.;?)*/?){0,6}") {
            if CanonicalPath::parse(&path).is_some() {
                let stands = path.replace("%20", " ");
                prop_assert_eq!(decoded(&path), stands.strip_suffix('/').filter(|s| !s.is_empty()).unwrap_or(&stands));
            }
        }

        #[test]
        fn parsing_never_panics(path in "\\PC*") {
            let _ = CanonicalPath::parse(&path);
        }
    }
}
