//! The vocabulary of the walk: a request ends as a [`Grant`] or as a [`Denial`], never as nothing.
//!
//! A denial has two faces. [`Denial::status`], [`Denial::code`] and [`Denial::message`] are public:
//! stable words that tell a client what to do and an attacker nothing. [`Denial::reason`] and
//! `Display` are for the log, the metrics and Envoy's metadata.

use std::sync::Arc;

use crate::{
    credential::{Foreign, MalformedCredential},
    holder::{ApiTokenError, ApiTokenRejection},
    identity::{Identity, MappingError},
    policy::Refusal,
    provider::{NoProvider, NotSelected},
    request::MalformedRequest,
    route::{Enforcement, NoRoute},
    verify::{Rejection, TokenError, Unavailable},
};

/// The outcome of the walk.
pub type Verdict = Result<Grant, Denial>;

/// Permission to pass. The only thing that can be encoded as OK.
#[derive(Clone, Debug)]
pub enum Grant {
    /// Let through as nobody: the identity header is removed, whoever sent it.
    Anonymous,
    /// Let through as nobody, and whatever else it carries is the product's business.
    Native(Native),
    /// Let through as this user.
    As(Arc<Identity>),
}

/// Why a request is left to the product.
#[derive(Clone, Debug)]
pub enum Native {
    /// The application leaves requests with such a credential, or with none, to the product.
    Credential,
    /// A browser's preflight, which the application leaves to the product.
    Preflight,
    /// Nothing is decided about this application.
    Unchecked,
    /// It would have been denied, if denials were enforced.
    Reported(Box<Denial>),
}

/// What is done with a verdict. Never makes an identity.
pub fn enforced(verdict: Verdict, enforcement: Enforcement) -> Verdict {
    match (enforcement, verdict) {
        (Enforcement::Enforce, verdict) => verdict,
        (Enforcement::ReportOnly, Err(denial)) => {
            Ok(Grant::Native(Native::Reported(denial.into())))
        }
        (Enforcement::ReportOnly, granted) => granted,
        (Enforcement::Off, _) => Ok(Grant::Native(Native::Unchecked)),
    }
}

impl Grant {
    /// The user, if the request passes as one.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::As(identity) => Some(identity),
            Self::Anonymous | Self::Native(_) => None,
        }
    }

    /// One word, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Anonymous => "public_path",
            Self::Native(Native::Credential) => "native",
            Self::Native(Native::Preflight) => "preflight",
            Self::Native(Native::Unchecked) => "not_enforced",
            Self::Native(Native::Reported(denial)) => denial.reason(),
            Self::As(_) => "token_valid",
        }
    }
}

/// The denial of a verdict, enforced or only reported.
pub fn denial(verdict: &Verdict) -> Option<&Denial> {
    match verdict {
        Err(denial) => Some(denial),
        Ok(Grant::Native(Native::Reported(denial))) => Some(denial),
        Ok(_) => None,
    }
}

/// Why a request does not pass.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denial {
    /// The check or the request in it cannot be read in exactly one way.
    #[error(transparent)]
    MalformedRequest(#[from] MalformedRequest),
    /// No application of the configuration is meant.
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    /// The request needs a credential and has none.
    #[error("no credential was sent")]
    NoCredential,
    /// What was sent is not a credential.
    #[error(transparent)]
    MalformedCredential(#[from] MalformedCredential),
    /// A credential of the product, which the application does not take.
    #[error("{} of the product are not taken (foreign_credentials)", in_words(*.0))]
    ForeignCredential(Foreign),
    /// One of our own tokens, and a bad one.
    #[error(transparent)]
    BadApiToken(#[from] ApiTokenRejection),
    /// No provider of the application issues such tokens.
    #[error(transparent)]
    NoProvider(#[from] NoProvider),
    /// The provider's rules refuse the token.
    #[error(transparent)]
    InvalidToken(#[from] Rejection),
    /// The token is good, but stands for nobody the product may know.
    #[error(transparent)]
    NoUser(#[from] MappingError),
    /// The user is known and may not do this.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Whether the request may pass cannot be found out now.
    #[error(transparent)]
    Undecided(#[from] Unavailable),
}

/// Every [`Denial::code`] of a request to a known application, for those who want to say it in their own words.
pub const CODES: [&str; 18] = [
    "upgrade_not_allowed",
    "no_credential",
    "unsupported_scheme",
    "malformed_credential",
    "password_not_accepted",
    "product_token_not_accepted",
    "token_expired_or_invalid",
    "user_not_mapped",
    "insufficient_scope",
    "api_token_scope",
    "path_denied",
    "path_not_canonical",
    "user_not_allowed",
    "read_only",
    "network_not_allowed",
    "method_not_allowed",
    "access_rule",
    "temporarily_unavailable",
];

/// The HTTP statuses of denials. No other can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialStatus {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 503
    ServiceUnavailable,
}

impl DenialStatus {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::ServiceUnavailable => 503,
        }
    }
}

impl Denial {
    /// 400 malformed, 401 no or bad credential, 403 not permitted, 503 cannot tell.
    pub fn status(&self) -> DenialStatus {
        match self {
            Self::MalformedCredential(MalformedCredential::UnsupportedScheme)
            | Self::NoCredential
            | Self::ForeignCredential(_)
            | Self::BadApiToken(_)
            | Self::NoProvider(_)
            | Self::InvalidToken(_) => DenialStatus::Unauthorized,
            Self::MalformedRequest(_)
            | Self::MalformedCredential(_)
            | Self::Refused(Refusal::PathNotCanonical) => DenialStatus::BadRequest,
            Self::NoRoute(_) | Self::NoUser(_) | Self::Refused(_) => DenialStatus::Forbidden,
            Self::Undecided(_) => DenialStatus::ServiceUnavailable,
        }
    }

    /// The stable public word of the answer's body. All bad tokens share one: which check failed
    /// is nobody's business but the operator's (RFC 7662 §4, token scanning).
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedRequest(_) => "malformed_request",
            Self::NoRoute(NoRoute::UnknownApplication) => "unknown_application",
            Self::NoRoute(NoRoute::Tunnel) => "upgrade_not_allowed",
            Self::NoCredential => "no_credential",
            Self::MalformedCredential(MalformedCredential::UnsupportedScheme) => {
                "unsupported_scheme"
            }
            Self::MalformedCredential(_) => "malformed_credential",
            Self::ForeignCredential(Foreign::Password) => "password_not_accepted",
            Self::ForeignCredential(Foreign::ProductToken) => "product_token_not_accepted",
            Self::BadApiToken(_) | Self::NoProvider(_) | Self::InvalidToken(_) => {
                "token_expired_or_invalid"
            }
            Self::NoUser(_) => "user_not_mapped",
            Self::Refused(refusal) => refusal.code(),
            Self::Undecided(_) => "temporarily_unavailable",
        }
    }

    /// The fixed sentence of the answer's body.
    pub fn message(&self) -> &'static str {
        match self {
            Self::MalformedRequest(_) => "The request is malformed.",
            Self::NoRoute(NoRoute::UnknownApplication) => "No application is configured for it.",
            Self::NoRoute(NoRoute::Tunnel) => "Upgraded connections are not allowed.",
            Self::NoCredential => "An access token is required.",
            Self::MalformedCredential(MalformedCredential::UnsupportedScheme) => {
                "The authentication scheme is not supported. Use a Bearer token."
            }
            Self::MalformedCredential(_) => {
                "Send exactly one credential: Authorization: Bearer <token>."
            }
            Self::ForeignCredential(Foreign::Password) => {
                "Passwords are not accepted here. Use an access token or an API token."
            }
            Self::ForeignCredential(Foreign::ProductToken) => {
                "Tokens of the product are not accepted here. Use an access token or an API token."
            }
            Self::BadApiToken(_) | Self::NoProvider(_) | Self::InvalidToken(_) => {
                "The access token is expired or invalid."
            }
            Self::NoUser(_) => "The access token belongs to no user of this application.",
            Self::Refused(refusal) => refusal.message(),
            Self::Undecided(_) => "The access token cannot be checked right now. Try again.",
        }
    }

    /// The private word, from a closed set: metric label, log field, metadata.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadApiToken(rejection) => rejection.reason(),
            Self::NoProvider(no_provider) => no_provider.reason(),
            Self::Refused(refusal) => refusal.reason(),
            Self::InvalidToken(rejection) => rejection.reason(),
            Self::NoUser(error) => error.reason(),
            Self::Undecided(unavailable) => unavailable.reason(),
            Self::MalformedRequest(_)
            | Self::NoRoute(_)
            | Self::NoCredential
            | Self::ForeignCredential(_)
            | Self::MalformedCredential(_) => self.code(),
        }
    }
}

fn in_words(foreign: Foreign) -> &'static str {
    match foreign {
        Foreign::Password => "passwords",
        Foreign::ProductToken => "tokens",
    }
}

impl From<NotSelected> for Denial {
    fn from(error: NotSelected) -> Self {
        match error {
            NotSelected::NoProvider(no_provider) => no_provider.into(),
            NotSelected::Rejected(rejection) => rejection.into(),
        }
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Rejected(rejection) => rejection.into(),
            TokenError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<ApiTokenError> for Denial {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::Rejected(rejection) => rejection.into(),
            ApiTokenError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

#[cfg(test)]
mod tests;
