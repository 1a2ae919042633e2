//! Verifies a JWT access token locally: signature first, then every claim rule.
//!
//! The order is that of RFC 8725: shape, header, algorithm, issuer, key, signature, claims. Only
//! `iss` is read before the signature holds, and only to find the provider.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Rejection, TokenError,
    algorithm::Algorithm,
    claims::{ClaimRules, Claims},
    jws::UnverifiedJws,
    keyring::Keyring,
    keys::{Candidates, VerifyingKey},
    verified::{Verified, Voucher},
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

/// What is known of the issuer that a token names.
#[derive(Clone, Copy, Debug)]
pub struct IssuerKeys<'i> {
    /// Its keys.
    pub keyring: &'i Keyring,
    /// Claims that its tokens must have.
    pub required: &'i BTreeMap<String, String>,
}

impl JwtVerifier {
    /// Verifies a token of one issuer. Waits for keys until `deadline` at most.
    pub async fn verify(
        &self,
        jws: UnverifiedJws<'_>,
        issuer: IssuerKeys<'_>,
        now: Now,
        deadline: Instant,
    ) -> Result<Verified, TokenError> {
        let (claims, key) = self.signed(jws, issuer, now, deadline).await?;
        let facts = self.rules.check(&claims, now)?;
        Ok(Verified {
            claims,
            facts,
            voucher: Voucher::Key(key),
        })
    }

    /// The claims that the issuer has signed, before the rules have judged them.
    pub async fn signed(
        &self,
        jws: UnverifiedJws<'_>,
        issuer: IssuerKeys<'_>,
        now: Now,
        deadline: Instant,
    ) -> Result<(Claims, Arc<VerifyingKey>), TokenError> {
        let algorithm = jws.header().algorithm?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Rejection::Algorithm.into());
        }
        self.rules.accept_typ(jws.header().typ.as_deref())?;
        let key_id = jws.header().key_id.as_deref();
        let patience = deadline.min(now.instant + KEY_PATIENCE);
        let keys = match issuer
            .keyring
            .find(key_id, algorithm, now, patience)
            .await?
        {
            Candidates::Keys(keys) => keys,
            Candidates::WrongAlgorithm => return Err(Rejection::KeyMismatch.into()),
            Candidates::Unknown => return Err(Rejection::UnknownKey.into()),
        };
        let (claims, key) = jws.verify(algorithm, &keys)?;
        claims.require(issuer.required)?;
        Ok((claims, key))
    }
}

#[cfg(test)]
mod tests;
