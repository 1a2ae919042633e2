//! Who we are at an introspection endpoint, and how we prove it.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use crate::{
    clock::Now,
    outbound::Authorization,
    verify::{
        algorithm::{Algorithm, KeyKind},
        remote::CheckError,
    },
};

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion is used at once: it lives as long as two clocks may differ.
const ASSERTION_SECONDS: i64 = 60;

/// A client and the proof that we are it.
#[derive(Debug)]
pub enum ClientAuthentication {
    /// The secret in `Authorization: Basic` (RFC 6749 §2.3.1).
    SecretBasic {
        /// Our identifier.
        id: String,
        /// Our secret.
        secret: SecretString,
    },
    /// The secret in the form.
    SecretPost {
        /// Our identifier.
        id: String,
        /// Our secret.
        secret: SecretString,
    },
    /// A signed assertion (RFC 7523).
    PrivateKey {
        /// Our identifier.
        id: String,
        /// What signs.
        key: Box<AssertionKey>,
        /// For whom the assertion is; `None`: the endpoint.
        audience: Option<String>,
    },
}

/// Our own signing key. Has a `Debug` that shows nothing of it.
pub struct AssertionKey {
    key: EncodingKey,
    header: Header,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey").finish_non_exhaustive()
    }
}

/// A PEM text does not hold a private key for the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a PKCS #8 private key (PEM) for {0:?}")]
pub struct UnusableKey(Algorithm);

impl AssertionKey {
    /// Reads a key, and tries it: what cannot sign now never will.
    pub fn from_pem(
        pem: &[u8],
        algorithm: Algorithm,
        key_id: Option<String>,
    ) -> Result<Self, UnusableKey> {
        let key = match algorithm.key_kind() {
            KeyKind::Rsa => EncodingKey::from_rsa_pem(pem),
            KeyKind::P256 | KeyKind::P384 => EncodingKey::from_ec_pem(pem),
            KeyKind::Ed25519 => EncodingKey::from_ed_pem(pem),
        };
        let mut header = Header::new(algorithm.for_signature());
        header.kid = key_id;
        let key = Self {
            key: key.map_err(|_unusable| UnusableKey(algorithm))?,
            header,
        };
        key.sign(&"trial")
            .map_err(|_unusable| UnusableKey(algorithm))?;
        Ok(key)
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, CheckError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|_unusable| CheckError::Answer("our own assertion cannot be signed"))
    }
}

/// RFC 7523 §3.
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

/// What one request needs to prove who sends it.
pub(super) struct Proof<'a> {
    authorization: Authorization<'a>,
    id: Option<&'a str>,
    secret: Option<&'a str>,
    assertion: Option<String>,
}

impl ClientAuthentication {
    pub(super) fn prove(&self, endpoint: &Url, now: Now) -> Result<Proof<'_>, CheckError> {
        let nothing = Proof {
            authorization: Authorization::None,
            id: None,
            secret: None,
            assertion: None,
        };
        Ok(match self {
            Self::SecretBasic { id, secret } => Proof {
                authorization: Authorization::Basic(id, secret.expose_secret()),
                ..nothing
            },
            Self::SecretPost { id, secret } => Proof {
                id: Some(id),
                secret: Some(secret.expose_secret()),
                ..nothing
            },
            Self::PrivateKey { id, key, audience } => Proof {
                id: Some(id),
                assertion: Some(key.sign(&Assertion {
                    iss: id,
                    sub: id,
                    aud: audience.as_deref().unwrap_or(endpoint.as_str()),
                    jti: unique()?,
                    iat: now.unix_seconds,
                    exp: now.unix_seconds.saturating_add(ASSERTION_SECONDS),
                })?),
                ..nothing
            },
        })
    }
}

impl Proof<'_> {
    pub(super) fn authorization(&self) -> Authorization<'_> {
        self.authorization
    }

    pub(super) fn parameters(&self) -> Vec<(&str, &str)> {
        let assertion = self.assertion.as_deref();
        [
            ("client_id", self.id),
            ("client_secret", self.secret),
            ("client_assertion_type", assertion.map(|_| ASSERTION_TYPE)),
            ("client_assertion", assertion),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

fn unique() -> Result<String, CheckError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_unspecified| {
            CheckError::Answer("the operating system gives no random numbers")
        })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
