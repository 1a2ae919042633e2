//! Step 3: the request → the application it is for, and whether it needs a credential.

mod denied;

use std::{collections::HashMap, sync::Arc};

pub use denied::DeniedPaths;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    provider::Selector,
    request::{CanonicalPath, Host, Request},
};

/// The Atlassian Data Center products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Jira Software, Jira Service Management.
    Jira,
    /// Confluence.
    Confluence,
    /// Bitbucket.
    Bitbucket,
}

/// A product behind the gateway.
#[derive(Debug)]
pub struct Application {
    /// Unique; the value of Envoy's `context_extensions: { application: … }`.
    pub name: Arc<str>,
    /// What it is.
    pub product: Product,
    /// Where it begins: empty, or a canonical path that does not end in `/`.
    pub context_path: Box<str>,
    /// Lets requests without a credential pass, for the product to judge.
    pub takes_none: bool,
    /// Lets credentials of the product itself pass, for the product to judge.
    pub takes_foreign: bool,
    /// The providers whose tokens it accepts.
    pub providers: Arc<Selector>,
    /// Paths that anybody may read.
    pub public_paths: Vec<PublicPath>,
    /// Paths that no caller with a token may reach.
    pub denied_paths: DeniedPaths,
}

/// A rule about paths that need no credential. Compared on canonical paths only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicPath {
    /// This path.
    Exact(String),
    /// Everything below this path, which ends with `/`.
    Below(String),
}

/// Why a request is for no application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Neither the context extension nor the host names one.
    #[error("the request is for no configured application")]
    UnknownApplication,
    /// CONNECT or an upgrade: the connection would outlive the token.
    #[error("the request asks for a tunnel or an upgrade")]
    Tunnel,
}

/// What an application asks of a request.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// Nothing.
    Public,
    /// A token of one of these providers.
    Protected(&'a Selector),
}

/// All applications, by their two keys.
#[derive(Debug, Default)]
pub struct Routes {
    by_name: HashMap<Arc<str>, Arc<Application>>,
    by_host: HashMap<Host, Arc<Application>>,
}

impl Routes {
    /// Adds an application; the configuration has made sure that names and hosts are unique.
    pub fn insert(&mut self, application: Application, hosts: impl IntoIterator<Item = Host>) {
        let application = Arc::new(application);
        self.by_name
            .insert(Arc::clone(&application.name), Arc::clone(&application));
        for host in hosts {
            self.by_host.insert(host, Arc::clone(&application));
        }
    }

    /// Finds the application of a request. What Envoy's configuration says is believed before what
    /// the client says; a name that we do not know is not second-guessed by the host.
    pub fn find(&self, request: &Request) -> Result<&Arc<Application>, NoRoute> {
        if request.opens_tunnel() {
            return Err(NoRoute::Tunnel);
        }
        match &request.application {
            Some(name) => self.by_name.get(name.as_str()),
            None => self.by_host.get(&request.host),
        }
        .ok_or(NoRoute::UnknownApplication)
    }
}

impl Application {
    /// Whether the request needs a credential. A path that is not canonical always does.
    pub fn access(&self, request: &Request) -> Access<'_> {
        let public = request
            .path
            .canonical()
            .is_some_and(|path| self.public_paths.iter().any(|rule| rule.matches(path)));
        if public {
            Access::Public
        } else {
            Access::Protected(&self.providers)
        }
    }
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

    fn matches(&self, path: CanonicalPath<'_>) -> bool {
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
