//! What a request does: read, or change something.
//!
//! By method alone for everything but git, where a GET begins a push and a POST is how one fetches. What is
//! not known to be reading is writing.

use crate::{
    api_token::AccessLevel,
    request::{CanonicalPath, Request},
    route::{Application, Product},
};

/// Methods that change nothing (RFC 9110 §9.2.1), as REST clients use them. Case-sensitive.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Git asks for the references of a repository with exactly this query before it fetches.
const FETCH_QUERY: &str = "service=git-upload-pack";

/// The access that a request needs.
pub(super) fn needed(
    request: &Request,
    path: CanonicalPath<'_>,
    application: &Application,
) -> AccessLevel {
    let is_safe = SAFE_METHODS.contains(&request.method.as_str());
    let reads = match service(path, application) {
        Some(Service::References) => is_safe && request.path.query() == Some(FETCH_QUERY),
        Some(Service::Fetch) => is_safe || request.method == "POST",
        None => is_safe,
    };
    if reads {
        AccessLevel::Read
    } else {
        AccessLevel::Write
    }
}

/// The services of git's HTTP protocol that are not what their method says.
enum Service {
    /// `info/refs`: begins a fetch or a push, as its query says.
    References,
    /// `git-upload-pack`: sends objects to the client.
    Fetch,
}

/// Only below Bitbucket's `/scm/`: elsewhere a user may choose the last segment of a path, and `POST` there
/// is a change (`/rest/api/1.0/projects/P/repos/git-upload-pack` makes a fork).
fn service(path: CanonicalPath<'_>, application: &Application) -> Option<Service> {
    if application.product != Product::Bitbucket {
        return None;
    }
    let repository = path
        .as_str()
        .strip_prefix(&*application.context_path)?
        .strip_prefix("/scm/")?;
    let mut segments = repository.split('/').skip(2);
    match (segments.next()?, segments.next(), segments.next()) {
        ("info", Some("refs"), None) => Some(Service::References),
        ("git-upload-pack", None, None) => Some(Service::Fetch),
        _ => None,
    }
}
