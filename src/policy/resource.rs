//! A path without what does not tell resources apart: where the product begins, and the version of its API.
//!
//! `/jira/rest/api/2/user` and `/jira/rest/api/latest/user` are one resource. A rule that names only one of the two paths
//! would be evaded with the other.

use std::borrow::Cow;

use crate::{request::CanonicalPath, route::ApiVersion};

/// `/rest/NAME/VERSION/…` becomes `/rest/NAME/…`. `None`: the path is not below the context path.
pub(super) fn resource<'p>(path: CanonicalPath<'p>, context_path: &str) -> Option<Cow<'p, str>> {
    let path = path.as_str().strip_prefix(context_path)?;
    if !path.starts_with('/') {
        return path.is_empty().then_some("/".into());
    }
    Some(without_version(path).map_or_else(|| path.into(), Cow::from))
}

fn without_version(path: &str) -> Option<String> {
    let (rest, path) = path.strip_prefix('/')?.split_once('/')?;
    let (name, path) = path
        .split_once('/')
        .filter(|_| rest.eq_ignore_ascii_case("rest"))?;
    let (version, below) = match path.split_once('/') {
        Some((version, below)) => (version, Some(below)),
        None => (path, None),
    };
    ApiVersion::parse(version)?;
    Some(match below {
        Some(below) => format!("/{rest}/{name}/{below}"),
        None => format!("/{rest}/{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, context_path: &str) -> Option<String> {
        let path = CanonicalPath::parse(path).expect("canonical");
        resource(path, context_path).map(Cow::into_owned)
    }

    #[test]
    fn one_resource_has_one_spelling() {
        for path in [
            "/jira/rest/api/2/user",
            "/jira/rest/api/latest/user",
            "/jira/rest/api/2.0.alpha1/user",
        ] {
            assert_eq!(
                read(path, "/jira").as_deref(),
                Some("/rest/api/user"),
                "{path}"
            );
        }
        assert_eq!(
            read("/REST/Api/LATEST/user", "").as_deref(),
            Some("/REST/Api/user")
        );
        assert_eq!(read("/rest/api/1.0/", "").as_deref(), Some("/rest/api/"));
        assert_eq!(read("/rest/api/1.0", "").as_deref(), Some("/rest/api"));
        assert_eq!(
            read("/rest/api/content/1", "").as_deref(),
            Some("/rest/api/content/1")
        );
        assert_eq!(read("/scm/p/r.git", "").as_deref(), Some("/scm/p/r.git"));
        assert_eq!(read("/jira", "/jira").as_deref(), Some("/"));
    }

    #[test]
    fn what_is_not_below_the_context_path_is_no_resource() {
        assert_eq!(read("/rest/api/2/user", "/jira"), None);
        assert_eq!(read("/jirax/rest", "/jira"), None);
    }
}
