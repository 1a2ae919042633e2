//! Step 5: credential → the one provider that may judge it, chosen without any network.
//!
//! A token is never shown to a provider that did not issue it: asking around would hand one
//! provider's tokens to all the others (RFC 9700 §4.9.1).

#[cfg(test)]
mod plain;
mod prefixes;
pub mod preset;
mod selector;

use std::{collections::BTreeMap, sync::Arc};

pub use prefixes::is_well_known;
pub use selector::{NoProvider, NotSelected, Selected, Selector, Taken};

use crate::{
    identity::{Keep, Mapping, Unstable},
    verify::{
        jwt::JwtVerifier,
        keyring::Keyring,
        remote::{RemoteStatus, RemoteVerifier},
    },
};

/// An identity provider, ready to judge.
#[derive(Debug)]
pub struct Provider {
    /// Unique.
    pub name: Arc<str>,
    /// Judges its tokens.
    pub judge: Judge,
    /// Names its users.
    pub mapping: Mapping,
    /// Keeps more than the names.
    pub keep: Keep,
    /// Claims of it that are no names to rely on.
    pub unstable: &'static [Unstable],
    /// Scopes that every token must have.
    pub required_scopes: Vec<String>,
    /// Tokens that were made for somebody else are accepted, because the operator said so.
    pub is_unbound: bool,
}

impl Provider {
    /// How it goes with asking it about tokens; `None`: they are verified here.
    pub fn asked(&self) -> Option<RemoteStatus> {
        match &self.judge {
            Judge::Jwt(_) => None,
            Judge::Remote(verifier) => Some(verifier.status()),
        }
    }
}

/// Who judges the tokens of a provider.
#[derive(Debug)]
pub enum Judge {
    /// We do, with its published keys.
    Jwt(JwtVerifier),
    /// It does, when asked.
    Remote(Box<RemoteVerifier>),
}

/// One issuer of a provider, with its keys.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Whose issuer it is.
    pub provider: Arc<Provider>,
    /// The issuer's keys.
    pub keyring: Arc<Keyring>,
    /// Claims that its tokens must have.
    pub required: Arc<BTreeMap<String, String>>,
}
