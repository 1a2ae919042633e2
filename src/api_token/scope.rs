//! What a token may do, at most. Everything here restricts; nothing adds.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::request::CanonicalPath;

/// The limits of a token. As JSON in the store: a limit that this version does not know makes the token
/// unreadable instead of wider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What it may do.
    pub access: AccessLevel,
    /// Where: names of applications. Never empty.
    pub applications: BTreeSet<String>,
    /// Below which paths; empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPrefix>,
    /// From which networks; empty: from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
}

/// Reading, or everything.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AccessLevel {
    /// GET, HEAD and OPTIONS, and what git needs for a fetch.
    #[default]
    Read,
    /// Everything that the user may do.
    Write,
}

/// A path and everything below it, in whole segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PathPrefix(String);

/// Not a path that a rule can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path must be plain, as /rest/api/2/project: no '/' at its end, no '..', '//', ';', '?', wildcards or needless escapes"
)]
pub struct PathPrefixError;

impl AccessLevel {
    /// `read` or `write`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for AccessLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PathPrefix {
    /// Takes a canonical path that does not end in `/`.
    pub fn parse(path: &str) -> Result<Self, PathPrefixError> {
        if path.ends_with('/') || path.contains(['*', '?']) || CanonicalPath::parse(path).is_none()
        {
            return Err(PathPrefixError);
        }
        Ok(Self(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path itself, or one below it.
    pub fn covers(&self, path: CanonicalPath<'_>) -> bool {
        path.as_str()
            .strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = PathPrefixError;

    fn try_from(path: String) -> Result<Self, PathPrefixError> {
        Self::parse(&path)
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scope {
    /// Whether a request from this address is within the networks. An address that is not known is in none.
    pub fn takes_address(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || address.is_some_and(|address| {
                self.networks
                    .iter()
                    .any(|network| network.contains(&address))
            })
    }

    /// Whether paths take part in the decision at all.
    pub fn needs_canonical_path(&self) -> bool {
        self.access == AccessLevel::Read || !self.paths.is_empty()
    }

    /// Whether the path is within the limits.
    pub fn takes_path(&self, path: CanonicalPath<'_>) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|prefix| prefix.covers(path))
    }

    /// Bytes that it occupies, roughly.
    pub(crate) fn weight(&self) -> usize {
        let applications: usize = self
            .applications
            .iter()
            .map(|name| name.len() + size_of::<String>())
            .sum();
        let paths: usize = self
            .paths
            .iter()
            .map(|path| path.0.len() + size_of::<String>())
            .sum();
        applications + paths + self.networks.len() * size_of::<IpNet>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, path: &str) -> bool {
        let prefix = PathPrefix::parse(prefix).expect("a prefix");
        CanonicalPath::parse(path).is_some_and(|path| prefix.covers(path))
    }

    #[test]
    fn a_prefix_covers_whole_segments_of_canonical_paths() {
        assert!(covers("/rest/api/2/project", "/rest/api/2/project"));
        assert!(covers("/rest/api/2/project", "/rest/api/2/project/P/x"));
        for path in [
            "/rest/api/2/projects",
            "/rest/api/2/project;x/P",
            "/rest/api/2/project/../user",
            "/rest/api/2/project/..;/user",
            "/rest/api/2/project/%2e%2e/user",
            "/rest/api/2/project//P",
            "/rest/api/2/Project/P",
            "/x/rest/api/2/project",
        ] {
            assert!(!covers("/rest/api/2/project", path), "{path}");
        }
    }

    #[test]
    fn what_no_canonical_path_can_match_is_no_prefix() {
        for path in [
            "", "/", "rest", "/a/", "/a/*", "/a?b", "/a/../b", "/a;b", "/a%2Fb", "//a",
        ] {
            assert_eq!(PathPrefix::parse(path), Err(PathPrefixError), "{path}");
        }
    }

    #[test]
    fn an_unknown_limit_makes_a_scope_unreadable_instead_of_wider() {
        let known = r#"{"access":"read","applications":["jira"],"paths":["/rest"],"networks":["10.0.0.0/8"]}"#;
        assert!(serde_json::from_str::<Scope>(known).is_ok());
        for unknown in [
            r#"{"access":"read","applications":["jira"],"methods":["GET"]}"#,
            r#"{"access":"admin","applications":["jira"]}"#,
            r#"{"access":"read","applications":["jira"],"paths":["/a/../b"]}"#,
            r#"{"access":"read","applications":["jira"],"networks":["10.0.0.0/33"]}"#,
            r#"{"applications":["jira"]}"#,
        ] {
            assert!(serde_json::from_str::<Scope>(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn an_access_level_is_called_as_in_the_configuration() {
        for level in [AccessLevel::Read, AccessLevel::Write] {
            assert_eq!(serde_json::json!(level), level.as_str());
            assert_eq!(level.to_string(), level.as_str());
        }
    }

    #[test]
    fn a_prefix_is_shown_as_it_is_written() {
        let prefix = PathPrefix::parse("/rest/api").expect("a prefix");
        assert_eq!(
            (prefix.as_str(), &*prefix.to_string()),
            ("/rest/api", "/rest/api")
        );
    }

    #[test]
    fn a_scope_weighs_every_limit_that_it_has() {
        let scope: Scope = serde_json::from_str(
            r#"{"access":"read","applications":["jira","wiki2"],"paths":["/rest","/a"],"networks":["10.0.0.0/8","fd00::/8"]}"#,
        )
        .expect("a scope");
        let texts = "jira".len() + "wiki2".len() + "/rest".len() + "/a".len();
        let expected = texts + 4 * size_of::<String>() + 2 * size_of::<IpNet>();
        assert_eq!(scope.weight(), expected);
    }

    #[test]
    fn an_unknown_address_is_in_no_network() {
        let mut scope: Scope = serde_json::from_str(
            r#"{"access":"read","applications":["jira"],"networks":["10.0.0.0/8","fd00::/8"]}"#,
        )
        .expect("a scope");
        let address = |text: &str| Some(text.parse().expect("an address"));
        assert!(
            scope.takes_address(address("10.1.2.3")) && scope.takes_address(address("fd00::1"))
        );
        assert!(!scope.takes_address(address("11.0.0.1")) && !scope.takes_address(None));
        scope.networks.clear();
        assert!(scope.takes_address(None));
    }
}
