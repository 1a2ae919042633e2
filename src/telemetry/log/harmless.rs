//! Text of a client in a log line.

use std::{borrow::Cow, fmt};

/// Longest piece of a request in a log line, in characters.
const LONGEST_VALUE: usize = 256;

/// A path without what may be a credential in it: the values of `;parameters` (`;jsessionid=…`), and
/// a fragment.
pub(super) struct Path<'a>(pub(super) &'a str);

impl<'a> Path<'a> {
    /// The path itself, if it is shown as it is.
    pub(super) fn as_is(&self) -> Option<&'a str> {
        let hides = |byte| matches!(byte, b';' | b'#');
        Harmless(self.0)
            .as_is()
            .filter(|path| !path.bytes().any(hides))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.as_is() {
            return f.write_str(path);
        }
        let path = self.0.split('#').next().unwrap_or(self.0);
        let segments: Vec<_> = path.split('/').map(without_parameters).collect();
        Harmless(&segments.join("/")).fmt(f)
    }
}

fn without_parameters(segment: &str) -> Cow<'_, str> {
    match segment.split_once(';') {
        Some((name, parameters)) if !parameters.is_empty() => format!("{name};...").into(),
        Some(_) | None => segment.into(),
    }
}

/// Text of a client, fit for a log: escaped, cut, on one line.
pub(super) struct Harmless<'a>(pub(super) &'a str);

impl<'a> Harmless<'a> {
    /// The text itself, if it is shown as it is: almost every one.
    pub(super) fn as_is(&self) -> Option<&'a str> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        let is_harmless = self.0.len() <= LONGEST_VALUE && self.0.bytes().all(is_plain);
        is_harmless.then_some(self.0)
    }
}

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.as_is() {
            return f.write_str(text);
        }
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST_VALUE) {
            if character.is_ascii_graphic() && character != '\\' {
                write!(f, "{character}")?;
            } else {
                write!(f, "{}", character.escape_default())?;
            }
        }
        if characters.next().is_some() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_client_stays_on_its_line_and_is_cut() {
        assert_eq!(Harmless("/rest/api").to_string(), "/rest/api");
        assert_eq!(
            Harmless("/a\r\n{\"user\":\"x\"}\u{1b}[31m\u{e9}\\").to_string(),
            "/a\\r\\n{\"user\":\"x\"}\\u{1b}[31m\\u{e9}\\\\"
        );
        assert_eq!(
            Harmless(&"a".repeat(300)).to_string(),
            format!("{}...", "a".repeat(256))
        );
    }

    #[test]
    fn a_session_in_the_path_is_not_shown() {
        for (path, shown) in [
            ("/browse;jsessionid=1A2B/x", "/browse;.../x"),
            ("/a;b;jsessionid=1", "/a;..."),
            ("/public/..;/admin", "/public/..;/admin"),
            ("/x#access_token=1", "/x"),
            ("/rest/api/2/myself", "/rest/api/2/myself"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(Path(path).to_string(), shown, "{path}");
            // JSON takes the short way where there is one.
            let hides = path.contains([';', '#']);
            assert_eq!(Path(path).as_is(), (!hides).then_some(path), "{path}");
        }
    }
}
