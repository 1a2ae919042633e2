//! Paths that need no credential.

use crate::request::CanonicalPath;

/// A rule about paths that need no credential. Compared on canonical paths only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicPath {
    /// This path.
    Exact(String),
    /// Everything below this path, which ends with `/`.
    Below(String),
}

impl PublicPath {
    /// Reads `/exact` or `/below/*`. `None` when it is not canonical or has another wildcard.
    pub fn parse(rule: &str) -> Option<Self> {
        let (path, below) = match rule.strip_suffix("/*") {
            Some(prefix) => (format!("{prefix}/"), true),
            None => (rule.to_owned(), false),
        };
        if path.contains('*') || path.contains('?') || CanonicalPath::parse(&path).is_none() {
            return None;
        }
        Some(if below {
            Self::Below(path)
        } else {
            Self::Exact(path)
        })
    }

    pub(super) fn matches(&self, path: CanonicalPath<'_>) -> bool {
        match self {
            Self::Exact(exact) => path.as_str() == exact,
            Self::Below(prefix) => path.as_str().starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(rule: &str, path: &str) -> bool {
        let rule = PublicPath::parse(rule).expect("a valid rule");
        CanonicalPath::parse(path).is_some_and(|path| rule.matches(path))
    }

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        assert!(matches("/status", "/status"));
        assert!(!matches("/status", "/status/"));
        assert!(!matches("/status", "/statusx"));
        assert!(matches("/public/*", "/public/a/b"));
        assert!(!matches("/public/*", "/public"));
        assert!(!matches("/public/*", "/publicx/a"));
    }

    #[test]
    fn a_path_that_leaves_the_public_prefix_for_some_reader_is_not_public() {
        for path in [
            "/public/..;/admin",
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/;/../admin",
            "/public//admin",
            "/public\\..\\admin",
            "/PUBLIC/a",
        ] {
            assert!(!matches("/public/*", path), "{path}");
        }
    }

    #[test]
    fn a_rule_that_no_canonical_path_can_match_is_refused() {
        for rule in [
            "", "status", "/a/../b", "/a*", "/a/*/b", "/a%2Fb", "/a?x", "//a", "*",
        ] {
            assert_eq!(PublicPath::parse(rule), None, "{rule}");
        }
        assert_eq!(
            PublicPath::parse("/*"),
            Some(PublicPath::Below("/".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn only_paths_under_the_prefix_are_public(path in "/[a-z.;%/]{0,20}") {
            if matches("/public/*", &path) {
                prop_assert!(path.starts_with("/public/"));
            }
        }
    }
}
