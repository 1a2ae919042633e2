//! Step 5: credential → the one provider that may judge it, chosen without any network.
//!
//! A token is never shown to a provider that did not issue it: asking around would hand one
//! provider's tokens to all the others (RFC 9700 §4.9.1).

pub mod preset;

use std::{collections::HashMap, sync::Arc};

use crate::{
    credential::BearerToken,
    identity::Mapping,
    verify::{Rejection, jws::UnverifiedJws, jwt::JwtVerifier, keyring::Keyring},
};

/// Begins every API token that this service issues; such a string is ours alone and never leaves
/// the process, valid or not.
const OWN_TOKEN_PREFIXES: [&str; 2] = ["axt_", "axs_"];

/// An identity provider, ready to judge.
#[derive(Debug)]
pub struct Provider {
    /// Unique.
    pub name: Arc<str>,
    /// Judges its tokens.
    pub verifier: JwtVerifier,
    /// Names its users.
    pub mapping: Mapping,
    /// Scopes that every token must have.
    pub required_scopes: Vec<String>,
}

/// The providers that one application accepts, and how a token finds its own.
#[derive(Debug)]
pub struct Selector {
    /// Equal exactly for applications that accept the same providers.
    id: u32,
    issuers: HashMap<String, Issuer>,
}

/// One issuer of a provider, with its keys.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Whose issuer it is.
    pub provider: Arc<Provider>,
    /// The issuer's keys.
    pub keyring: Arc<Keyring>,
}

/// A token and the only provider that may judge it.
pub struct Selected<'s, 't> {
    /// The issuer that the token names.
    pub issuer: &'s Issuer,
    /// The token, parsed and still unverified.
    pub jws: UnverifiedJws<'t>,
}

/// Why no provider is responsible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProvider {
    /// One of our own API tokens; none are issued here.
    #[error("the token is an API token, and API tokens are not enabled")]
    OwnToken,
    /// Not a JWT, and no provider of the application takes opaque tokens.
    #[error("the token is not a JWT, and no provider of the application takes opaque tokens")]
    Opaque,
    /// No provider of the application has this issuer.
    #[error("the token's issuer is none of the application's providers")]
    UnknownIssuer,
}

impl NoProvider {
    /// One word, from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::OwnToken => "api_tokens_disabled",
            Self::Opaque => "no_provider_for_opaque_token",
            Self::UnknownIssuer => "unknown_issuer",
        }
    }
}

/// Why a token finds no provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSelected {
    /// Nobody is responsible.
    #[error(transparent)]
    NoProvider(#[from] NoProvider),
    /// It looks like a JWT and is not a good one.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Selector {
    /// The configuration has made sure that each issuer belongs to one provider of the list.
    pub fn new(id: u32, issuers: impl IntoIterator<Item = Issuer>) -> Self {
        let by_name = |issuer: Issuer| (issuer.keyring.issuer().to_owned(), issuer);
        Self {
            id,
            issuers: issuers.into_iter().map(by_name).collect(),
        }
    }

    /// Distinguishes lists of providers, for cache keys.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Finds the provider: by prefix, then by exact issuer (RFC 8725 §3.8: no prefix, no folding
    /// of slashes).
    pub fn select<'t>(&self, token: BearerToken<'t>) -> Result<Selected<'_, 't>, NotSelected> {
        if OWN_TOKEN_PREFIXES
            .iter()
            .any(|prefix| token.expose().starts_with(prefix))
        {
            return Err(NoProvider::OwnToken.into());
        }
        let jws = UnverifiedJws::parse(token.expose())?.ok_or(NoProvider::Opaque)?;
        let issuer = self
            .issuers
            .get(jws.unverified_issuer()?)
            .ok_or(NoProvider::UnknownIssuer)?;
        Ok(Selected { issuer, jws })
    }
}
