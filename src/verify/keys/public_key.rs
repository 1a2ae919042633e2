//! The mathematics of a key: taken apart once, not for every signature.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{RefusedKey, text};
use crate::verify::algorithm::Algorithm;

/// SEC 1 §2.3.3: an uncompressed point follows.
const UNCOMPRESSED: [u8; 1] = [4];
const ED25519_BYTES: usize = 32;

/// What verifies signatures. Every algorithm has a key of its own, which can do nothing else.
pub(super) struct PublicKey(Vec<(Algorithm, ParsedPublicKey)>);

/// The algorithms alone.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = self.0.iter().map(|(algorithm, _)| algorithm);
        f.debug_list().entries(algorithms).finish()
    }
}

impl PublicKey {
    /// Reads the key of a JWK, for the algorithm that its provider names, or for all that its type can do.
    pub(super) fn of(
        jwk: &Map<String, Value>,
        only: Option<Algorithm>,
    ) -> Result<Self, RefusedKey> {
        let mut verifiers = match (text(jwk, "kty")?, text(jwk, "crv").ok()) {
            ("RSA", _) => rsa(text(jwk, "n")?, text(jwk, "e")?)?,
            ("EC", Some("P-256")) => {
                let point = point(jwk, 32)?;
                vec![(Algorithm::ES256, load(&ECDSA_P256_SHA256_FIXED, &point)?)]
            }
            ("EC", Some("P-384")) => {
                let point = point(jwk, 48)?;
                vec![(Algorithm::ES384, load(&ECDSA_P384_SHA384_FIXED, &point)?)]
            }
            ("OKP", Some("Ed25519")) => {
                let x = decode(text(jwk, "x")?)?;
                if x.len() != ED25519_BYTES {
                    return Err(RefusedKey::Unsupported);
                }
                vec![(Algorithm::EdDSA, load(&ED25519, &x)?)]
            }
            _ => return Err(RefusedKey::Unsupported),
        };
        verifiers.retain(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
        if verifiers.is_empty() {
            // The provider names an algorithm for which this is no key.
            return Err(RefusedKey::Unsupported);
        }
        Ok(Self(verifiers))
    }

    /// Whether this key made the signature with this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let verifier = self.verifier(algorithm);
        verifier.is_some_and(|key| key.verify_sig(signed, signature).is_ok())
    }

    /// Whether it could have.
    pub(super) fn may_verify(&self, algorithm: Algorithm) -> bool {
        self.verifier(algorithm).is_some()
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let mut verifiers = self.0.iter();
        let found = verifiers.find(|(known, _)| *known == algorithm);
        found.map(|(_, key)| key)
    }
}

/// 2048 to 8192 bits and an odd exponent of at most 32 bits: weaker is broken, larger is a way to
/// burn our processor (RFC 8725 §3.5, RFC 7518 §3.3).
fn rsa(modulus: &str, exponent: &str) -> Result<Vec<(Algorithm, ParsedPublicKey)>, RefusedKey> {
    let algorithms: [(Algorithm, &'static RsaParameters); 6] = [
        (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
        (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
        (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
    ];
    let n = decode(modulus)?;
    let e = decode(exponent)?;
    let bits = n
        .first()
        .map_or(0, |first| n.len() * 8 - leading_zeros(*first));
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let exponent_fits = e.len() <= 4 && odd(&e) && e != [1] && e.first() != Some(&0);
    if !(2048..=8192).contains(&bits) || !odd(&n) || !exponent_fits {
        return Err(RefusedKey::Unsupported);
    }
    // A key that cannot be loaded would refuse every token as badly signed: it is no key at all.
    let components = RsaPublicKeyComponents { n: &n, e: &e };
    let load = |(algorithm, parameters)| {
        let key = components.to_parsed_public_key(parameters);
        let key = key.map_err(|_bad| RefusedKey::Unsupported)?;
        Ok((algorithm, key))
    };
    algorithms.into_iter().map(load).collect()
}

fn leading_zeros(byte: u8) -> usize {
    usize::try_from(byte.leading_zeros()).unwrap_or_default()
}

fn point(jwk: &Map<String, Value>, coordinate_bytes: usize) -> Result<Vec<u8>, RefusedKey> {
    let (x, y) = (decode(text(jwk, "x")?)?, decode(text(jwk, "y")?)?);
    if [x.len(), y.len()] != [coordinate_bytes; 2] {
        return Err(RefusedKey::Unsupported);
    }
    Ok([&UNCOMPRESSED[..], &x, &y].concat())
}

/// Refuses what is not a point of the curve.
fn load(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
) -> Result<ParsedPublicKey, RefusedKey> {
    ParsedPublicKey::new(algorithm, key).map_err(|_bad| RefusedKey::Unsupported)
}

fn decode(encoded: &str) -> Result<Vec<u8>, RefusedKey> {
    URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_malformed| RefusedKey::Unsupported)
}
