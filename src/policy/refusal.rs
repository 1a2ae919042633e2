//! Why a known user may not pass.

use std::sync::Arc;

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
    /// Not one of the users who may.
    #[error("the user may not use this application (access.users)")]
    User,
    /// In none of the groups that may.
    #[error("the user is in none of the groups that may use this application (access.groups)")]
    Group,
    /// Nobody knows in which groups.
    #[error("it is unknown which groups the user is in (access.groups)")]
    GroupsUnknown,
    /// In a group that may only read.
    #[error("the user is in a group that may only read (access.groups.read_only)")]
    ReadOnlyGroup,
    /// From elsewhere.
    #[error("requests from this address are not taken (access.networks)")]
    Network,
    /// Another method.
    #[error("requests with this method are not taken (access.methods)")]
    Method,
    /// A rule of the operator.
    #[error("the rule {name:?} {} (access.rules)", in_words(*.failed))]
    Rule {
        /// As the configuration calls it.
        name: Arc<str>,
        /// It could not be evaluated.
        failed: bool,
    },
}

/// How a refusal looks to the caller.
struct Face {
    code: &'static str,
    message: &'static str,
    reason: &'static str,
}

impl Refusal {
    /// The public word: what the caller may do is no secret from the caller.
    pub fn code(&self) -> &'static str {
        self.face().code
    }

    /// The public sentence.
    pub fn message(&self) -> &'static str {
        self.face().message
    }

    /// One word, from a closed set.
    pub fn reason(&self) -> &'static str {
        self.face().reason
    }

    /// The rule that refuses, if it is one of the operator's.
    pub fn rule(&self) -> Option<&str> {
        if let Self::Rule { name, .. } = self {
            Some(name)
        } else {
            None
        }
    }

    /// Whether the limits of an API token are what refuses.
    pub fn is_of_api_token(&self) -> bool {
        self.code() == API_TOKEN_SCOPE
    }

    fn face(&self) -> Face {
        match self {
            Self::InsufficientScope { .. } => SCOPE,
            Self::DeniedPath => DENIED_PATH,
            Self::PathNotCanonical => NOT_CANONICAL,
            Self::OtherApplication => api_token(
                "api_token_application",
                "The API token is not for this application.",
            ),
            Self::OtherNetwork => api_token(
                "api_token_network",
                "The API token may not be used from this address.",
            ),
            Self::OtherPath => api_token("api_token_path", "The API token is not for this path."),
            Self::ReadOnly => api_token("api_token_read_only", "The API token may only read."),
            Self::User => user("access_users"),
            Self::Group => user("access_groups"),
            Self::GroupsUnknown => user("access_groups_unknown"),
            Self::ReadOnlyGroup => READ_ONLY,
            Self::Network => NETWORK,
            Self::Method => METHOD,
            Self::Rule { failed: false, .. } => rule("access_rule"),
            Self::Rule { failed: true, .. } => rule("access_rule_failed"),
        }
    }
}

const API_TOKEN_SCOPE: &str = "api_token_scope";
const SCOPE: Face = Face {
    code: "insufficient_scope",
    message: "The access token lacks a required scope.",
    reason: "insufficient_scope",
};
const DENIED_PATH: Face = Face {
    code: "path_denied",
    message: "This path is not open to callers with a token.",
    reason: "path_denied",
};
const NOT_CANONICAL: Face = Face {
    code: "path_not_canonical",
    message: "The path must be written plainly: no '..', '//', ';' or needless escapes.",
    reason: "path_not_canonical",
};
const READ_ONLY: Face = Face {
    code: "read_only",
    message: "User may only read.",
    reason: "access_read_only",
};
const NETWORK: Face = Face {
    code: "network_not_allowed",
    message: "Requests from this address are not allowed.",
    reason: "access_networks",
};
const METHOD: Face = Face {
    code: "method_not_allowed",
    message: "Requests with this method are not allowed.",
    reason: "access_methods",
};

fn api_token(reason: &'static str, message: &'static str) -> Face {
    Face {
        code: API_TOKEN_SCOPE,
        message,
        reason,
    }
}

fn user(reason: &'static str) -> Face {
    Face {
        code: "user_not_allowed",
        message: "User is not allowed to use this application.",
        reason,
    }
}

fn rule(reason: &'static str) -> Face {
    Face {
        code: "access_rule",
        message: "The request is not allowed.",
        reason,
    }
}

fn in_words(failed: bool) -> &'static str {
    if failed {
        "cannot be evaluated, and refuses"
    } else {
        "refuses"
    }
}

#[cfg(test)]
mod tests;
