//! Paths that are closed to callers with a token: where the products make credentials of their own, which would outlive
//! the token, its limits and its revocation.

use super::{ApiVersion, Product};
use crate::{api_token::PathPrefix, request::CanonicalPath};

/// Closed in every product: personal access tokens, sessions, OAuth of both kinds, the switch for passwords, and the
/// apps that make tokens.
const EVERYWHERE: [&str; 8] = [
    "/rest/pat",
    "/rest/auth",
    "/rest/oauth2",
    "/rest/basicauth",
    "/rest/ksso",
    "/plugins/servlet/oauth",
    "/plugins/servlet/oauth2",
    "/plugins/servlet/restauth",
];
/// Passwords.
const JIRA: [&str; 4] = [
    "/rest/api/2/myself/password",
    "/rest/api/2/user/password",
    "/rest/api/latest/myself/password",
    "/rest/api/latest/user/password",
];
/// HTTP access tokens and SSH keys, of users and of repositories.
const BITBUCKET: [&str; 3] = ["/rest/access-tokens", "/rest/keys", "/rest/ssh"];

/// What is closed in one application.
#[derive(Clone, Debug, Default)]
pub struct DeniedPaths {
    /// Below the context path.
    of_product: Vec<&'static str>,
    /// As the operator has written them.
    own: Vec<PathPrefix>,
}

impl DeniedPaths {
    /// These, and the product's defaults if they are wanted.
    pub fn new(product: Option<Product>, own: Vec<PathPrefix>) -> Self {
        let special: &[&str] = match product {
            Some(Product::Jira) => &JIRA,
            Some(Product::Bitbucket) => &BITBUCKET,
            Some(Product::Confluence) | None => &[],
        };
        let everywhere: &[&str] = if product.is_some() { &EVERYWHERE } else { &[] };
        Self {
            of_product: everywhere.iter().chain(special).copied().collect(),
            own,
        }
    }

    /// Nothing is closed: then no path has to have one reading.
    pub fn is_empty(&self) -> bool {
        self.of_product.is_empty() && self.own.is_empty()
    }

    /// Whether a path is closed. In any case of its letters: a servlet that does not tell them apart would be
    /// reached in a spelling that no list has.
    pub fn contain(&self, path: CanonicalPath<'_>, context_path: &str) -> bool {
        let path = path.as_str();
        let is_own = |prefix: &PathPrefix| below(path, prefix.as_str()).is_some();
        if self.own.iter().any(is_own) {
            return true;
        }
        let is_closed = |rest: &str| {
            self.of_product
                .iter()
                .any(|prefix| below(rest, prefix).is_some())
        };
        if !context_path.is_empty() {
            return below(path, context_path).is_some_and(is_closed);
        }
        // Without a context path in the configuration the product may still have one.
        let behind_first = path
            .get(1..)
            .and_then(|rest| rest.find('/'))
            .and_then(|at| path.get(at + 1..));
        is_closed(path) || behind_first.is_some_and(is_closed)
    }
}

/// What follows a prefix of whole segments: nothing, or what begins with `/`. `latest` is every version of an API.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let mut rest = path;
    // Whether the next segment is a version: it comes after `rest` and the name of the API.
    let mut after_rest = None;
    for wanted in prefix.strip_prefix('/')?.split('/') {
        let segment = rest.strip_prefix('/')?;
        let end = segment.find('/').unwrap_or(segment.len());
        let (segment, behind) = segment.split_at_checked(end)?;
        let is_version = after_rest == Some(1);
        let is_same = segment.eq_ignore_ascii_case(wanted);
        let is_alike = is_version && ApiVersion::may_be_one(segment, wanted);
        if !is_same && !is_alike {
            return None;
        }
        after_rest = match after_rest {
            Some(count) => Some(count + 1),
            None => segment.eq_ignore_ascii_case("rest").then_some(0),
        };
        rest = behind;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn denied(product: Product, context: &str, path: &str) -> bool {
        let denied = DeniedPaths::new(Some(product), Vec::new());
        CanonicalPath::parse(path).is_some_and(|path| denied.contain(path, context))
    }

    #[test]
    fn where_credentials_are_made_no_token_gets() {
        for path in [
            "/rest/pat/latest/tokens",
            "/rest/pat/1.0/tokens",
            "/rest/pat",
            "/rest/pat/",
            "/REST/Pat/latest/tokens",
            "/rest/auth/1/session",
            "/rest/auth/latest/session",
            "/rest/oauth2/latest/token",
            "/plugins/servlet/oauth/request-token",
            "/rest/api/2/user/password",
            "/jira/rest/pat/latest/tokens",
        ] {
            assert!(denied(Product::Jira, "", path), "{path}");
        }
        for path in [
            "/rest/access-tokens/1.0/users/alice",
            "/rest/ssh/1.0/keys",
            "/bitbucket/rest/keys/1.0/projects/P/ssh",
        ] {
            assert!(denied(Product::Bitbucket, "", path), "{path}");
        }
        assert!(denied(
            Product::Jira,
            "/jira",
            "/jira/rest/pat/latest/tokens"
        ));
    }

    #[test]
    fn everything_else_is_open() {
        for path in [
            "/",
            "/rest",
            "/rest/patx/latest",
            "/rest/api/2/myself",
            "/rest/api/2/user",
            "/rest/api/2/issue/rest/pat",
            "/plugins/servlet/oauthx",
            "/browse/PAT-1",
        ] {
            assert!(!denied(Product::Jira, "", path), "{path}");
        }
        // A directory of somebody's repository.
        let source = "/rest/api/1.0/projects/P/repos/r/browse/src/rest/auth/Session.java";
        assert!(!denied(Product::Bitbucket, "", source));
        assert!(!denied(Product::Jira, "/jira", "/wiki/rest/pat"));
    }

    #[test]
    fn the_operators_own_paths_count_with_and_without_the_defaults() {
        let own = || vec![PathPrefix::parse("/rest/admin").expect("a path")];
        let path = |text| CanonicalPath::parse(text).expect("canonical");
        let alone = DeniedPaths::new(None, own());
        assert!(alone.contain(path("/rest/admin/x"), "") && !alone.contain(path("/rest/pat"), ""));
        let both = DeniedPaths::new(Some(Product::Jira), own());
        assert!(both.contain(path("/Rest/Admin"), "") && both.contain(path("/rest/pat"), ""));
        assert!(DeniedPaths::new(None, Vec::new()).is_empty());
    }

    #[test]
    fn the_latest_version_of_an_api_is_every_version() {
        let denied = |rule: &str, path: &str| {
            let denied = DeniedPaths::new(None, vec![PathPrefix::parse(rule).expect("a path")]);
            denied.contain(CanonicalPath::parse(path).expect("canonical"), "")
        };
        for (rule, path) in [
            ("/rest/api/2/user", "/rest/api/latest/user/x"),
            ("/jira/rest/api/2/user", "/jira/rest/api/Latest/user"),
            ("/rest/api/latest/user", "/rest/api/2/user"),
            ("/rest/api/latest/user", "/rest/api/2.0.alpha1/user"),
        ] {
            assert!(denied(rule, path), "{rule} {path}");
        }
        for (rule, path) in [
            ("/rest/api/2/user", "/rest/api/3/user"),
            ("/rest/api/2/user", "/rest/api/latest/users"),
            ("/rest/2/api", "/rest/latest/api"),
            ("/rest/api/user/2", "/rest/api/user/latest"),
            ("/rest/api/2/user", "/rest/api/2"),
        ] {
            assert!(!denied(rule, path), "{rule} {path}");
        }
    }

    proptest! {
        #[test]
        fn looking_never_panics_and_a_longer_list_never_opens_a_path(path in "/[a-z/.%é]{0,30}", more in "/[a-z]{1,4}") {
            if let Some(path) = CanonicalPath::parse(&path) {
                let few = DeniedPaths::new(Some(Product::Jira), Vec::new());
                let many = DeniedPaths::new(Some(Product::Jira), PathPrefix::parse(&more).into_iter().collect());
                prop_assert!(!few.contain(path, "") || many.contain(path, ""));
            }
        }
    }
}
