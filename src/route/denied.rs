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
    of_product: Closed,
    /// As the operator has written them.
    own: Closed,
}

/// Prefixes of whole segments, as a tree of them: every request is held against all prefixes.
#[derive(Clone, Debug, Default)]
struct Closed(Vec<Segment>);

#[derive(Clone, Debug)]
struct Segment {
    text: Box<str>,
    /// Of an API: it comes after `rest` and the name of the API. `latest` is every version.
    is_version: bool,
    /// Here a prefix ends.
    is_last: bool,
    below: Closed,
}

impl Closed {
    fn of(prefixes: &[&str]) -> Self {
        let mut closed = Self::default();
        for prefix in prefixes {
            let segments: Vec<_> = prefix
                .strip_prefix('/')
                .unwrap_or(prefix)
                .split('/')
                .collect();
            let is_rest = |segment: &&str| segment.eq_ignore_ascii_case("rest");
            let version = segments.iter().position(is_rest).map(|rest| rest + 2);
            closed.add(&segments, version);
        }
        closed
    }

    /// Adds one prefix, which has a version in that place.
    fn add(&mut self, segments: &[&str], version: Option<usize>) {
        let Some((text, below)) = segments.split_first() else {
            return;
        };
        // Of segments in one place of the tree either all are versions or none.
        let is_version = version == Some(0);
        let same = |it: &Segment| it.text.eq_ignore_ascii_case(text);
        let place = self.0.iter().position(same).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push(Segment {
                text: (*text).into(),
                is_version,
                is_last: false,
                below: Self::default(),
            });
        }
        if let Some(segment) = self.0.get_mut(place) {
            segment.is_last |= below.is_empty();
            let version = version.and_then(|place| place.checked_sub(1));
            segment.below.add(below, version);
        }
    }

    /// Whether one of the prefixes begins this path.
    fn begin(&self, path: &str) -> bool {
        self.0.iter().any(|segment| {
            let rest = segment.behind(path);
            rest.is_some_and(|rest| segment.is_last || segment.below.begin(rest))
        })
    }
}

impl Segment {
    /// What follows it at the beginning of a path.
    fn behind<'p>(&self, path: &'p str) -> Option<&'p str> {
        let same = behind(path, &self.text);
        same.or_else(|| {
            if self.is_version {
                self.behind_other(path)
            } else {
                None
            }
        })
    }

    /// What follows another spelling of this version.
    fn behind_other<'p>(&self, path: &'p str) -> Option<&'p str> {
        let path = path.strip_prefix('/')?;
        let end = path.find('/').unwrap_or(path.len());
        let (segment, rest) = path.split_at_checked(end)?;
        ApiVersion::may_be_one(segment, &self.text).then_some(rest)
    }
}

impl DeniedPaths {
    /// These, and the product's defaults if they are wanted.
    pub fn new(product: Option<Product>, own: &[PathPrefix]) -> Self {
        let special: &[&str] = match product {
            Some(Product::Jira) => &JIRA,
            Some(Product::Bitbucket) => &BITBUCKET,
            Some(Product::Confluence) | None => &[],
        };
        let everywhere: &[&str] = if product.is_some() { &EVERYWHERE } else { &[] };
        let own: Vec<_> = own.iter().map(PathPrefix::as_str).collect();
        Self {
            of_product: Closed::of(&[everywhere, special].concat()),
            own: Closed::of(&own),
        }
    }

    /// Nothing is closed: then no path has to have one reading.
    pub fn is_empty(&self) -> bool {
        self.of_product.0.is_empty() && self.own.0.is_empty()
    }

    /// Whether a path is closed. In any case of its letters: a servlet that does not tell them apart would be
    /// reached in a spelling that no list has.
    pub fn contain(&self, path: CanonicalPath<'_>, context_path: &str) -> bool {
        let path = path.as_str();
        if self.own.begin(path) {
            return true;
        }
        if let Some(context) = context_path.strip_prefix('/') {
            let below = context.split('/').try_fold(path, behind);
            return below.is_some_and(|rest| self.of_product.begin(rest));
        }
        // Without a context path in the configuration the product may still have one.
        let behind_first = path
            .get(1..)
            .and_then(|rest| rest.find('/'))
            .and_then(|at| path.get(at + 1..));
        self.of_product.begin(path) || behind_first.is_some_and(|rest| self.of_product.begin(rest))
    }
}

/// What follows this segment at the beginning of a path.
fn behind<'p>(path: &'p str, wanted: &str) -> Option<&'p str> {
    let (segment, rest) = path.strip_prefix('/')?.split_at_checked(wanted.len())?;
    let ends = rest.is_empty() || rest.starts_with('/');
    (ends && segment.eq_ignore_ascii_case(wanted)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn denied(product: Product, context: &str, path: &str) -> bool {
        let denied = DeniedPaths::new(Some(product), &[]);
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
        let alone = DeniedPaths::new(None, &own());
        assert!(alone.contain(path("/rest/admin/x"), "") && !alone.contain(path("/rest/pat"), ""));
        let both = DeniedPaths::new(Some(Product::Jira), &own());
        assert!(both.contain(path("/Rest/Admin"), "") && both.contain(path("/rest/pat"), ""));
        assert!(DeniedPaths::new(None, &[]).is_empty());
    }

    #[test]
    fn the_latest_version_of_an_api_is_every_version() {
        let denied = |rule: &str, path: &str| {
            let denied = DeniedPaths::new(None, &[PathPrefix::parse(rule).expect("a path")]);
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
        fn prefixes_close_together_what_each_closes_alone(
            prefixes in proptest::collection::vec("(/(rest|REST|api|a|2|3|latest)){1,5}", 0..6),
            path in "(/(rest|Rest|api|a|2|3|latest|x)){1,6}/?",
        ) {
            let prefixes: Vec<_> = prefixes.iter().map(String::as_str).collect();
            let alone = |prefix: &&str| Closed::of(&[prefix]).begin(&path);
            prop_assert_eq!(Closed::of(&prefixes).begin(&path), prefixes.iter().any(alone));
        }

        #[test]
        fn looking_never_panics_and_a_longer_list_never_opens_a_path(path in "/[a-z/.%é]{0,30}", more in "/[a-z]{1,4}") {
            if let Some(path) = CanonicalPath::parse(&path) {
                let few = DeniedPaths::new(Some(Product::Jira), &[]);
                let more: Vec<_> = PathPrefix::parse(&more).into_iter().collect();
                let many = DeniedPaths::new(Some(Product::Jira), &more);
                prop_assert!(!few.contain(path, "") || many.contain(path, ""));
            }
        }
    }
}
