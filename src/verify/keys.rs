//! JSON Web Keys (RFC 7517): the keys of one provider, parsed once, each bound to what it may do.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, crypto::aws_lc};
use serde_json::{Map, Value};

use super::{
    algorithm::{Algorithm, KeyKind},
    strict_json::{self, JsonError, Limits},
};

/// Most keys in one set; more is not a key set but an attack on our memory.
const MAX_KEYS: usize = 100;
/// Most keys tried for a token without `kid`.
const MAX_CANDIDATES: usize = 4;

/// A public key that may verify signatures of its kind, as long as its provider publishes it.
pub struct VerifyingKey {
    /// Microsoft's `issuer`, where there is one.
    issuer: Option<String>,
    key_id: Option<String>,
    kind: KeyKind,
    /// RFC 7517 §4.4: when the provider says which, only that.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
    /// The JWK's members that make the key; equal for equal keys only.
    material: Vec<String>,
    withdrawn: AtomicBool,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Whether this key made the signature. The algorithm is the caller's, never the token's own
    /// choice among several: [`KeySet::select`] has paired them.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &Vec<u8>) -> bool {
        if !self.may_verify(algorithm) {
            return false;
        }
        // What jsonwebtoken's own `verify` does with a signature that is not decoded yet.
        let make = aws_lc::DEFAULT_PROVIDER.verifier_factory;
        let verifier = make(&algorithm.for_signature(), &self.decoding);
        verifier.is_ok_and(|verifier| verifier.verify(signed.as_bytes(), signature).is_ok())
    }

    /// Whether the provider still publishes the key. A cached identity is worth no more than the
    /// key that vouched for it.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    fn may_verify(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.key_kind() && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// The usable keys of one key set.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
    refused: Vec<RefusedKey>,
}

/// What a key set has for a token.
#[derive(Debug)]
pub enum Candidates {
    /// These keys, at most four.
    Keys(Vec<Arc<VerifyingKey>>),
    /// The key is there and is for another algorithm: fetching again would not help.
    WrongAlgorithm,
    /// No such key.
    Unknown,
}

/// Why a key of a set is not used. The set's other keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedKey {
    /// `kty: oct`, or private members: the provider leaks a secret.
    #[error("a key holds secret material (an incident at the provider)")]
    Secret,
    /// Two keys with one `kid`: which one is meant cannot be said.
    #[error("several keys share one kid")]
    DuplicateKeyId,
    /// `use: enc`, or `key_ops` without `verify`.
    #[error("a key is not for signatures")]
    NotForSignatures,
    /// The key says whose it is, and it is another issuer's.
    #[error("a key belongs to another issuer")]
    OtherIssuer,
    /// A type, curve, size or algorithm that we do not take.
    #[error("a key is of an unsupported or weak kind")]
    Unsupported,
}

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// See [`JsonError`].
    #[error("the key set is refused: {0}")]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("the key set has no array 'keys'")]
    NoKeys,
    /// More than 100.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot be used are left out and remembered in `refused`.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let members = strict_json::parse_object(document, Limits::DOCUMENT)?;
        let Some(Value::Array(jwks)) = members.get("keys") else {
            return Err(KeySetError::NoKeys);
        };
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut set = Self::default();
        for jwk in jwks {
            match jwk
                .as_object()
                .ok_or(RefusedKey::Unsupported)
                .and_then(parse_key)
            {
                Ok(key) => set.keys.push(Arc::new(key)),
                Err(refused) => set.refused.push(refused),
            }
        }
        set.refuse_shared_key_ids();
        Ok(set)
    }

    /// Leaves out the keys that name another issuer. Microsoft publishes one set for many tenants and
    /// writes into a key whose tokens it may sign: the tenant of personal accounts has its own. A
    /// template such as `https://login.microsoftonline.com/{tenantid}/v2.0` names nobody.
    #[must_use]
    pub fn of_issuer(mut self, issuer: &str) -> Self {
        let before = self.keys.len();
        self.keys.retain(|key| {
            let named = key.issuer.as_deref();
            named.is_none_or(|named| named == issuer || named.contains("{tenantid}"))
        });
        let refused = before - self.keys.len();
        self.refused
            .extend(std::iter::repeat_n(RefusedKey::OtherIssuer, refused));
        self
    }

    /// Number of usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that were left out.
    pub fn refused(&self) -> &[RefusedKey] {
        &self.refused
    }

    /// Chooses the keys that may have signed a token with this `kid` and algorithm.
    pub fn select(&self, key_id: Option<&str>, algorithm: Algorithm) -> Candidates {
        let Some(key_id) = key_id else {
            return self.without_key_id(algorithm);
        };
        match self
            .keys
            .iter()
            .find(|key| key.key_id.as_deref() == Some(key_id))
        {
            Some(key) if key.may_verify(algorithm) => Candidates::Keys(vec![Arc::clone(key)]),
            Some(_) => Candidates::WrongAlgorithm,
            None => Candidates::Unknown,
        }
    }

    /// Takes this set's place after `old`: a key that is in both stays the same object, a key that
    /// is gone is withdrawn from every identity that it vouched for.
    #[must_use]
    pub fn succeed(mut self, old: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(same) = old.keys.iter().find(|old| old.material == key.material) {
                *key = Arc::clone(same);
            }
        }
        old.withdraw_all_but(&self);
        self
    }

    fn withdraw_all_but(&self, kept: &Self) {
        for key in &self.keys {
            if !kept.keys.iter().any(|other| Arc::ptr_eq(key, other)) {
                key.withdrawn.store(true, Ordering::Release);
            }
        }
    }

    fn without_key_id(&self, algorithm: Algorithm) -> Candidates {
        let fitting = self.keys.iter().filter(|key| key.may_verify(algorithm));
        let keys: Vec<_> = fitting.take(MAX_CANDIDATES).cloned().collect();
        if keys.is_empty() {
            Candidates::Unknown
        } else {
            Candidates::Keys(keys)
        }
    }

    fn refuse_shared_key_ids(&mut self) {
        let mut count: HashMap<String, usize> = HashMap::new();
        for key_id in self.keys.iter().filter_map(|key| key.key_id.clone()) {
            *count.entry(key_id).or_default() += 1;
        }
        let before = self.keys.len();
        let shared = |key: &VerifyingKey| {
            key.key_id
                .as_ref()
                .is_some_and(|id| count.get(id).is_some_and(|times| *times > 1))
        };
        self.keys.retain(|key| !shared(key));
        let refused = before - self.keys.len();
        self.refused
            .extend(std::iter::repeat_n(RefusedKey::DuplicateKeyId, refused));
    }
}

fn parse_key(jwk: &Map<String, Value>) -> Result<VerifyingKey, RefusedKey> {
    const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if PRIVATE_MEMBERS
        .into_iter()
        .any(|member| jwk.contains_key(member))
    {
        return Err(RefusedKey::Secret);
    }
    if !is_for_signatures(jwk) {
        return Err(RefusedKey::NotForSignatures);
    }
    let (kind, decoding) = match (text(jwk, "kty")?, text(jwk, "crv").ok()) {
        ("RSA", _) => (KeyKind::Rsa, rsa(text(jwk, "n")?, text(jwk, "e")?)?),
        ("EC", Some("P-256")) => (KeyKind::P256, ec(jwk, 32, &ECDSA_P256_SHA256_FIXED)?),
        ("EC", Some("P-384")) => (KeyKind::P384, ec(jwk, 48, &ECDSA_P384_SHA384_FIXED)?),
        ("OKP", Some("Ed25519")) => (KeyKind::Ed25519, ed25519(text(jwk, "x")?)?),
        _ => return Err(RefusedKey::Unsupported),
    };
    let algorithm: Option<Algorithm> = match jwk.get("alg") {
        None => None,
        Some(name) => {
            let name = name.as_str().ok_or(RefusedKey::Unsupported)?;
            Some(name.parse().map_err(|_unknown| RefusedKey::Unsupported)?)
        }
    };
    if algorithm.is_some_and(|algorithm| algorithm.key_kind() != kind) {
        return Err(RefusedKey::Unsupported);
    }
    let name = ["kid", "x5t"]
        .into_iter()
        .find(|name| jwk.contains_key(*name));
    let key_id = name
        .map(|name| text(jwk, name).map(str::to_owned))
        .transpose()?;
    let issuer = jwk.get("issuer").and_then(Value::as_str);
    Ok(VerifyingKey {
        issuer: issuer.map(str::to_owned),
        material: material(jwk),
        key_id,
        kind,
        algorithm,
        decoding,
        withdrawn: AtomicBool::new(false),
    })
}

fn material(jwk: &Map<String, Value>) -> Vec<String> {
    ["kid", "kty", "alg", "crv", "n", "e", "x", "y"]
        .into_iter()
        .map(|member| jwk.get(member).map(Value::to_string).unwrap_or_default())
        .collect()
}

/// RFC 7517 §4.2 and §4.3.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let usage = jwk.get("use").is_none_or(|usage| usage == "sig");
    let operations = jwk.get("key_ops").is_none_or(|operations| {
        operations
            .as_array()
            .is_some_and(|list| list.iter().any(|entry| entry == "verify"))
    });
    usage && operations
}

/// 2048 to 8192 bits and an odd exponent of at most 32 bits: weaker is broken, larger is a way to
/// burn our processor (RFC 8725 §3.5, RFC 7518 §3.3).
fn rsa(modulus: &str, exponent: &str) -> Result<DecodingKey, RefusedKey> {
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
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_bad| RefusedKey::Unsupported)?;
    DecodingKey::from_rsa_components(modulus, exponent).map_err(|_bad| RefusedKey::Unsupported)
}

fn leading_zeros(byte: u8) -> usize {
    usize::try_from(byte.leading_zeros()).unwrap_or_default()
}

fn ec(
    jwk: &Map<String, Value>,
    coordinate_bytes: usize,
    curve: &'static dyn VerificationAlgorithm,
) -> Result<DecodingKey, RefusedKey> {
    /// SEC 1 §2.3.3: an uncompressed point follows.
    const UNCOMPRESSED: [u8; 1] = [4];
    let (x, y) = (text(jwk, "x")?, text(jwk, "y")?);
    let (raw_x, raw_y) = (decode(x)?, decode(y)?);
    if [raw_x.len(), raw_y.len()] != [coordinate_bytes; 2] {
        return Err(RefusedKey::Unsupported);
    }
    load(curve, &[&UNCOMPRESSED[..], &raw_x, &raw_y].concat())?;
    DecodingKey::from_ec_components(x, y).map_err(|_bad| RefusedKey::Unsupported)
}

fn ed25519(x: &str) -> Result<DecodingKey, RefusedKey> {
    let raw = decode(x)?;
    if raw.len() != 32 {
        return Err(RefusedKey::Unsupported);
    }
    load(&ED25519, &raw)?;
    DecodingKey::from_ed_components(x).map_err(|_bad| RefusedKey::Unsupported)
}

/// Refuses what is not a point of the curve.
fn load(algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> Result<(), RefusedKey> {
    ParsedPublicKey::new(algorithm, key)
        .map(drop)
        .map_err(|_bad| RefusedKey::Unsupported)
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Result<&'a str, RefusedKey> {
    jwk.get(member)
        .and_then(Value::as_str)
        .ok_or(RefusedKey::Unsupported)
}

fn decode(encoded: &str) -> Result<Vec<u8>, RefusedKey> {
    URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_malformed| RefusedKey::Unsupported)
}

#[cfg(test)]
pub(crate) mod tests;
