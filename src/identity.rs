//! Step 7: claims → who the product shall believe it is.

mod groups;
mod mapping;
mod stability;
mod username;

use std::sync::Arc;

pub use groups::{GroupFormat, GroupRule, Groups};
pub use mapping::{Mapping, MappingError, UsernameRule};
pub use stability::{Stability, Unstable};
pub(crate) use username::anchored;
pub use username::{Username, UsernameError, UsernamePolicy};

use crate::verify::{Verified, Voucher};

/// A user whom a provider vouches for. Everything later steps may rely on.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The value of `X-Remote-User`.
    pub username: Username,
    /// The provider that vouches.
    pub provider: Arc<str>,
    /// Who obtained the token.
    pub client: Option<String>,
    /// What the token may be used for.
    pub scopes: Vec<String>,
    /// The identity ends before this moment (Unix seconds).
    pub valid_until: i64,
    /// The identity ends when its provider takes this back.
    pub voucher: Voucher,
    /// What the user belongs to.
    pub groups: Groups,
}

impl Identity {
    /// Establishes the user of a verified token.
    pub fn establish(
        verified: Verified,
        provider: Arc<str>,
        mapping: &Mapping,
        groups: Option<&GroupRule>,
    ) -> Result<Self, MappingError> {
        let username = mapping.username(&verified)?;
        let groups = groups.map_or(Groups::Unknown, |rule| rule.read(&verified.claims));
        Ok(Self {
            username,
            groups,
            provider,
            client: verified.facts.client,
            scopes: verified.facts.scopes,
            valid_until: verified.facts.valid_until,
            voucher: verified.voucher,
        })
    }

    /// Bytes that a cached identity occupies, roughly.
    pub(crate) fn weight(&self) -> usize {
        let scopes: usize = self
            .scopes
            .iter()
            .map(|scope| scope.len() + size_of::<String>())
            .sum();
        size_of::<Self>()
            + self.username.as_str().len()
            + self.client.as_ref().map_or(0, String::len)
            + scopes
            + self.groups.weight()
    }
}
