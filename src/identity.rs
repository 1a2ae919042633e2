//! Step 7: claims → who the product shall believe it is.

mod groups;
mod mapping;
mod stability;
mod username;

use std::{collections::BTreeMap, fmt, sync::Arc};

pub use groups::{GroupFormat, GroupRule, Groups};
pub use mapping::{Mapping, MappingError, UsernameRule};
pub use stability::{Stability, Unstable};
pub(crate) use username::anchored;
pub use username::{Username, UsernameError, UsernamePolicy};

use serde_json::Value;

use crate::verify::{Verified, Voucher, claims::ClaimPath};

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
    /// Claims that rules may read, by the name under which the operator has asked to keep them.
    pub claims: KeptClaims,
}

/// Claims by name. Their values are never printed.
#[derive(Clone, Default)]
pub struct KeptClaims(pub BTreeMap<String, Value>);

impl fmt::Debug for KeptClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is kept of a token's claims, besides the user's name.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Finds the groups; `None`: such tokens do not tell.
    pub groups: Option<GroupRule>,
    /// Claims for rules, by the name that rules have for them.
    pub claims: Vec<(String, ClaimPath)>,
}

impl Identity {
    /// Establishes the user of a verified token.
    pub fn establish(
        verified: Verified,
        provider: Arc<str>,
        mapping: &Mapping,
        keep: &Keep,
    ) -> Result<Self, MappingError> {
        let username = mapping.username(&verified)?;
        let claims = &verified.claims;
        let groups = keep.groups.as_ref();
        let groups = groups.map_or(Groups::Untold, |rule| rule.read(claims));
        let kept = keep.claims.iter().filter_map(|(name, path)| {
            let value = claims.at(path)?;
            Some((name.clone(), value.to_value()))
        });
        Ok(Self {
            username,
            groups,
            claims: KeptClaims(kept.collect()),
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
        let claims = self.claims.0.iter();
        let claims: usize = claims
            .map(|(name, value)| name.len() + size_of::<String>() + weight_of(value))
            .sum();
        size_of::<Self>()
            + self.username.as_str().len()
            + self.client.as_ref().map_or(0, String::len)
            + scopes
            + self.groups.weight()
            + claims
    }
}

/// Bytes of a claim in memory, roughly.
fn weight_of(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight_of).sum(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| name.len() + weight_of(value))
                .sum()
        }
    };
    inside + size_of::<Value>()
}

#[cfg(test)]
mod tests;
