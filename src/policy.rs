//! Step 8: may this identity do this? Pure: no network, no clock but the request's.
//!
//! Runs on every request, cached identity or not, so that nothing that was allowed once stays
//! allowed (CVE-2021-32701).

mod operation;

use crate::{
    api_token::Scope, identity::Identity, provider::Provider, request::Request, route::Application,
};

/// Why a known user may not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RFC 6750 §3.1 `insufficient_scope`.
    #[error("the token lacks the scope {scope:?}")]
    InsufficientScope {
        /// The missing scope, as the configuration names it.
        scope: String,
    },
    /// A path that is closed to callers with a token.
    #[error("the path is closed to callers with a token (denied_paths)")]
    DeniedPath,
    /// An API token for other applications.
    #[error("the API token is not for this application")]
    OtherApplication,
    /// An API token that may be used from elsewhere only.
    #[error("the API token may not be used from this address")]
    OtherNetwork,
    /// An API token for other paths.
    #[error("the API token is not for this path")]
    OtherPath,
    /// An API token that may only read.
    #[error("the API token may only read")]
    ReadOnly,
    /// A rule must decide on a path that two readers could read differently.
    #[error("a rule must decide on the path, and two readers could read it differently")]
    PathNotCanonical,
}

impl Refusal {
    /// The public word: what the caller may do is no secret from the caller.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::OtherApplication | Self::OtherNetwork | Self::OtherPath | Self::ReadOnly => {
                "api_token_scope"
            }
            Self::DeniedPath => "path_denied",
            Self::PathNotCanonical => "path_not_canonical",
        }
    }

    /// The public sentence.
    pub fn message(&self) -> &'static str {
        match self {
            Self::InsufficientScope { .. } => "The access token lacks a required scope.",
            Self::DeniedPath => "This path is not open to callers with a token.",
            Self::OtherApplication => "The API token is not for this application.",
            Self::OtherNetwork => "The API token may not be used from this address.",
            Self::OtherPath => "The API token is not for this path.",
            Self::ReadOnly => "The API token may only read.",
            Self::PathNotCanonical => {
                "The path must be written plainly: no '..', '//', ';' or needless escapes."
            }
        }
    }

    /// One word, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::DeniedPath => "path_denied",
            Self::OtherApplication => "api_token_application",
            Self::OtherNetwork => "api_token_network",
            Self::OtherPath => "api_token_path",
            Self::ReadOnly => "api_token_read_only",
            Self::PathNotCanonical => "path_not_canonical",
        }
    }
}

/// Checks every policy; the first refusal is the answer.
pub fn decide(identity: &Identity, provider: &Provider) -> Result<(), Refusal> {
    provider
        .required_scopes
        .iter()
        .find(|scope| !identity.scopes.contains(scope))
        .map_or(Ok(()), |scope| {
            Err(Refusal::InsufficientScope {
                scope: scope.clone(),
            })
        })
}

/// Checks whether the path is open to callers with a token.
pub fn reaches(request: &Request, application: &Application) -> Result<(), Refusal> {
    if application.denied_paths.is_empty() {
        return Ok(());
    }
    let path = request.path.canonical();
    let path = path.ok_or(Refusal::PathNotCanonical)?;
    if application
        .denied_paths
        .contain(path, &application.context_path)
    {
        return Err(Refusal::DeniedPath);
    }
    Ok(())
}

/// Checks what is asked for against the limits of an API token.
pub fn within(scope: &Scope, request: &Request, application: &Application) -> Result<(), Refusal> {
    if !scope.applications.contains(&*application.name) {
        return Err(Refusal::OtherApplication);
    }
    if !scope.takes_address(request.source) {
        return Err(Refusal::OtherNetwork);
    }
    if !scope.needs_canonical_path() {
        return Ok(());
    }
    let path = request.path.canonical();
    let path = path.ok_or(Refusal::PathNotCanonical)?;
    if !scope.takes_path(path) {
        return Err(Refusal::OtherPath);
    }
    if scope.access < operation::needed(request, path, application) {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
