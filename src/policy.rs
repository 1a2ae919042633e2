//! Step 8: may this identity do this? Pure: no network, no clock but the request's.
//!
//! Runs on every request, cached identity or not, so that nothing that was allowed once stays
//! allowed (CVE-2021-32701).

use crate::{identity::Identity, provider::Provider};

/// Why a known user may not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RFC 6750 §3.1 `insufficient_scope`.
    #[error("the token lacks the scope {scope:?}")]
    InsufficientScope {
        /// The missing scope, as the configuration names it.
        scope: String,
    },
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
