//! The two ways of not verifying a token.

use super::strict_json::JsonError;

/// Why a token is not verified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The rules refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Whether the rules refuse it cannot be found out now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The rule that a token breaks. Names claims and limits, never their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// RFC 7515 §3.1: three non-empty base64url parts without padding.
    #[error("the token is not a compact JWS")]
    MalformedJws,
    /// Header or payload is not one strict JSON object.
    #[error("the token's {part} is not acceptable JSON: {error}")]
    Json {
        /// `header` or `payload`.
        part: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// A header member that we refuse (RFC 7515 §4.1.11 `crit`, embedded keys, encryption, …).
    #[error("the token's header has {0}, which is not accepted")]
    HeaderMember(&'static str),
    /// `kid` or `typ` of another type or size than RFC 7515 gives it.
    #[error("the token's header has an unusable {0}")]
    HeaderValue(&'static str),
    /// RFC 8725 §3.1: not among the provider's algorithms.
    #[error("the token's algorithm is not allowed by the provider's configuration")]
    Algorithm,
    /// RFC 8725 §3.11: the header's `typ` is not that of an access token.
    #[error("the token's typ is not accepted (at+jwt is; JWT only with jwt.typ: legacy)")]
    Typ,
    /// The provider's current key set has no such key.
    #[error("the provider has no key with the token's kid")]
    UnknownKey,
    /// The key is for another algorithm (RFC 8725 §3.1, key confusion).
    #[error("the token's key is not for the token's algorithm")]
    KeyMismatch,
    /// No key of the provider made this signature.
    #[error("the signature is wrong")]
    BadSignature,
    /// A claim is there with a type that its definition does not allow.
    #[error("the claim {0} has the wrong type")]
    ClaimType(&'static str),
    /// A required registered claim is absent.
    #[error("the claim {0} is missing")]
    ClaimMissing(&'static str),
    /// `aud` names others, not us (RFC 7519 §4.1.3).
    #[error("the token is meant for another audience")]
    Audience,
    /// More entries than any real token has.
    #[error("the claim aud has more than 16 entries")]
    TooManyAudiences,
    /// RFC 7519 §4.1.4.
    #[error("the token is expired")]
    Expired,
    /// RFC 7519 §4.1.5 and a future `iat`.
    #[error("the token is not valid yet: its {0} is in the future")]
    NotYetValid(&'static str),
    /// It outlives `max_lifetime`.
    #[error("the token lives longer than max_lifetime")]
    LifetimeTooLong,
    /// An ID token, refresh token, logout token, … (RFC 8725 §2.8).
    #[error("the token is not an access token: {0}")]
    NotAnAccessToken(&'static str),
    /// RFC 9449 §7.2, RFC 8705 §3: a bound token must not pass as a bearer token.
    #[error("the token is bound to its sender (cnf) and cannot be used as a bearer token")]
    SenderConstrained,
    /// The party that obtained the token is not in `clients`.
    #[error("the token was obtained by a client that is not allowed")]
    Client,
    /// The provider's answer is about a token of another issuer.
    #[error("the token has another issuer than its provider")]
    Issuer,
    /// Two claims that must agree do not: the answers may be about two users.
    #[error("two claims that must be equal are not")]
    ClaimsDiffer,
    /// The provider says so: expired, revoked, unknown, or another client's.
    #[error("the provider says that the token is not valid")]
    Inactive,
    /// A claim that the provider's configuration demands has another value.
    #[error("a claim demanded by the provider's configuration is absent or different")]
    RequiredClaim,
}

impl Rejection {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::MalformedJws | Self::Json { .. } => "malformed_token",
            Self::HeaderMember(_) | Self::HeaderValue(_) => "header_refused",
            Self::Algorithm => "algorithm_not_allowed",
            Self::Typ => "typ_not_accepted",
            Self::UnknownKey => "unknown_key",
            Self::KeyMismatch => "key_mismatch",
            Self::BadSignature => "bad_signature",
            Self::ClaimType(_) => "claim_type",
            Self::ClaimMissing(_) => "claim_missing",
            Self::Audience | Self::TooManyAudiences => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::NotAnAccessToken(_) => "not_an_access_token",
            Self::SenderConstrained => "sender_constrained",
            Self::Client => "client_not_allowed",
            Self::Issuer => "wrong_issuer",
            Self::ClaimsDiffer => "claims_differ",
            Self::Inactive => "token_inactive",
            Self::RequiredClaim => "required_claim",
        }
    }

    /// Whether the same token is sure to be refused again in a few seconds. A token that is not
    /// valid yet, or whose key is still to come, must not be remembered as bad.
    pub fn is_definite(self) -> bool {
        !matches!(
            self,
            Self::NotYetValid(_) | Self::UnknownKey | Self::LifetimeTooLong
        )
    }
}

/// Why a verdict cannot be reached. Always answered 503, never cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The provider's keys have not been loaded once.
    #[error("the provider's keys have not been loaded yet")]
    NoKeys,
    /// The keys are older than they may be used.
    #[error("the provider's keys are too old to be trusted")]
    StaleKeys,
    /// The token's key may be new, and the provider does not answer.
    #[error("the token names a new key and the provider's keys cannot be refreshed")]
    NoRefresh,
    /// Too many requests wait for the same provider or store.
    #[error("too many requests wait for the same provider or store")]
    Overloaded,
    /// The provider refuses us, not the token: our own credentials there are wrong.
    #[error("the provider refuses our own credentials")]
    CredentialsRefused,
    /// The provider asks us to slow down.
    #[error("the provider asks us to come back later")]
    Throttled,
    /// The provider answers something that is no answer.
    #[error("the provider fails, or does not answer as it should")]
    ProviderError,
    /// The provider does not answer in time.
    #[error("the provider does not answer in time")]
    ProviderTimeout,
    /// The provider has failed so often that it is left alone for a moment.
    #[error("the provider has failed too often and is not asked for a moment")]
    CircuitOpen,
    /// The token store cannot be reached, or does not answer in time.
    #[error("the token store cannot be reached")]
    StoreAway,
    /// The token store answers something that is no answer.
    #[error("the token store fails, or holds a record that cannot be read")]
    StoreError,
    /// The digest was made with a pepper that the configuration does not have.
    #[error(
        "the API token is kept with a pepper that is not configured (api_tokens.former_peppers)"
    )]
    UnknownPepper,
    /// The time for this check is over.
    #[error("the deadline of the check has passed")]
    Deadline,
    /// A defect of ours; the request is not let through because of it.
    #[error("internal error")]
    Internal,
}

impl Unavailable {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoKeys => "provider_keys_not_loaded",
            Self::StaleKeys => "provider_keys_stale",
            Self::NoRefresh => "provider_keys_not_refreshed",
            Self::Overloaded => "overloaded",
            Self::CredentialsRefused => "provider_credentials_refused",
            Self::Throttled => "provider_throttled",
            Self::ProviderError => "provider_error",
            Self::ProviderTimeout => "provider_timeout",
            Self::CircuitOpen => "provider_circuit_open",
            Self::StoreAway => "token_store_away",
            Self::StoreError => "token_store_error",
            Self::UnknownPepper => "pepper_unknown",
            Self::Deadline => "deadline",
            Self::Internal => "internal_error",
        }
    }
}
