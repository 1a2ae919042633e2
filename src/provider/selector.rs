//! Which provider a token belongs to.

use std::{collections::HashMap, sync::Arc};

use super::{Issuer, Provider, prefixes};
use crate::{
    api_token,
    credential::BearerToken,
    verify::{
        Rejection,
        jws::{self, UnverifiedJws},
    },
};

/// The providers that one application accepts, and how a token finds its own.
#[derive(Debug, Default)]
pub struct Selector {
    /// Equal exactly for applications that accept the same providers.
    id: u64,
    issuers: HashMap<String, Issuer>,
    /// Issuers of JWTs that only the provider itself may judge.
    remote_issuers: HashMap<String, Arc<Provider>>,
    /// Longest first.
    prefixes: Vec<(String, Arc<Provider>)>,
    opaque: Option<Arc<Provider>>,
}

/// Which tokens a provider takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those that begin so.
    pub prefixes: Vec<String>,
    /// JWTs with one of these issuers.
    pub issuers: Vec<String>,
    /// Those that are no JWT and have no known prefix.
    pub opaque: bool,
}

/// A token and the only provider that may judge it.
pub enum Selected<'s, 't> {
    /// It is verified here.
    Jwt {
        /// The issuer that the token names.
        issuer: &'s Issuer,
        /// The token, parsed and still unverified.
        jws: UnverifiedJws<'t>,
    },
    /// Its provider is asked.
    Remote(&'s Arc<Provider>),
}

/// Why no provider is responsible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProvider {
    /// One of our own API tokens; none are issued here.
    #[error("the token is an API token, and API tokens are not enabled (api_tokens)")]
    OwnToken,
    /// Its prefix names a product that is none of the application's providers.
    #[error(
        "the token is one of a known product (by its prefix) that the application does not take"
    )]
    ForeignPrefix,
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
            Self::ForeignPrefix => "foreign_token",
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
    /// A selector that finds nobody. `id` distinguishes lists of providers.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Adds an issuer whose tokens are verified here. The configuration has made sure that each
    /// issuer belongs to one provider of the list; the same holds for what is taken below.
    pub fn add_issuer(&mut self, issuer: Issuer) {
        self.issuers
            .insert(issuer.keyring.issuer().to_owned(), issuer);
    }

    /// Adds a provider that judges its tokens itself.
    pub fn add_remote(&mut self, provider: &Arc<Provider>, taken: &Taken) {
        for issuer in &taken.issuers {
            self.remote_issuers
                .insert(issuer.clone(), Arc::clone(provider));
        }
        for prefix in &taken.prefixes {
            self.prefixes.push((prefix.clone(), Arc::clone(provider)));
        }
        self.prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if taken.opaque {
            self.opaque = Some(Arc::clone(provider));
        }
    }

    /// Distinguishes lists of providers, for cache keys.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Finds the provider: by prefix, then by exact issuer (RFC 8725 §3.8: no prefix, no folding
    /// of slashes), then the one that takes what is left.
    pub fn select<'t>(&self, token: BearerToken<'t>) -> Result<Selected<'_, 't>, NotSelected> {
        let text = token.expose();
        // An API token does not get here; should it, it goes no further.
        if api_token::is_own(text) {
            return Err(NoProvider::OwnToken.into());
        }
        let named = |(prefix, _): &&(String, Arc<Provider>)| text.starts_with(prefix.as_str());
        if let Some((_, provider)) = self.prefixes.iter().find(named) {
            return Ok(Selected::Remote(provider));
        }
        if prefixes::is_well_known(text) {
            return Err(NoProvider::ForeignPrefix.into());
        }
        if let Some(provider) = self.remote_issuer(text)? {
            return Ok(Selected::Remote(provider));
        }
        let Some(jws) = UnverifiedJws::parse(text)? else {
            let opaque = self.opaque.as_ref();
            return Ok(Selected::Remote(opaque.ok_or(NoProvider::Opaque)?));
        };
        let issuer = self
            .issuers
            .get(jws.unverified_issuer()?)
            .ok_or(NoProvider::UnknownIssuer)?;
        Ok(Selected::Jwt { issuer, jws })
    }

    /// Asked before the token is parsed as one that we verify: tokens that only their provider
    /// understands may have a header that we refuse, as those of Microsoft Graph do.
    fn remote_issuer(&self, token: &str) -> Result<Option<&Arc<Provider>>, Rejection> {
        if self.remote_issuers.is_empty() {
            return Ok(None);
        }
        let issuer = jws::unverified_issuer(token)?;
        Ok(issuer.and_then(|issuer| self.remote_issuers.get(&issuer)))
    }
}

#[cfg(test)]
mod tests;
