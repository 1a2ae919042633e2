//! Verifies a JWT access token locally: signature first, then every claim rule.
//!
//! The order is that of RFC 8725: shape, header, algorithm, issuer, key, signature, claims. Only
//! `iss` is read before the signature holds, and only to find the provider.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Rejection, TokenError,
    algorithm::Algorithm,
    claims::{ClaimRules, Claims, Facts},
    jws::UnverifiedJws,
    keyring::Keyring,
    keys::{Candidates, VerifyingKey},
};
use crate::clock::Now;

/// Longest wait for a key that is being fetched: the client's retry finds it.
const KEY_PATIENCE: Duration = Duration::from_millis(100);

/// The rules of one provider that issues JWTs.
#[derive(Debug)]
pub struct JwtVerifier {
    /// RFC 8725 §3.1; never empty.
    pub algorithms: Vec<Algorithm>,
    /// What the claims must say.
    pub rules: ClaimRules,
}

/// A token that its provider vouches for.
pub struct Verified {
    /// Its claims.
    pub claims: Claims,
    /// What the rules have established.
    pub facts: Facts,
    /// The key that signed it.
    pub key: Arc<VerifyingKey>,
}

impl JwtVerifier {
    /// Verifies a token of the issuer that `keyring` belongs to. Waits for keys until `deadline`
    /// at most.
    pub async fn verify(
        &self,
        jws: UnverifiedJws<'_>,
        keyring: &Keyring,
        now: Now,
        deadline: Instant,
    ) -> Result<Verified, TokenError> {
        let algorithm = jws.header().algorithm?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Rejection::Algorithm.into());
        }
        self.rules.accept_typ(jws.header().typ.as_deref())?;
        let key_id = jws.header().key_id.as_deref();
        let patience = deadline.min(now.instant + KEY_PATIENCE);
        let keys = match keyring.find(key_id, algorithm, now, patience).await? {
            Candidates::Keys(keys) => keys,
            Candidates::WrongAlgorithm => return Err(Rejection::KeyMismatch.into()),
            Candidates::Unknown => return Err(Rejection::UnknownKey.into()),
        };
        let (claims, key) = jws.verify(algorithm, &keys)?;
        let facts = self.rules.check(&claims, now)?;
        Ok(Verified { claims, facts, key })
    }
}
