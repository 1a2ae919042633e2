//! A JSON Web Signature in compact form (RFC 7515 §3.1), parsed by hand and before anything is
//! believed.
//!
//! [`UnverifiedJws`] gives away the issuer, for routing, and the header, for choosing a key. Its
//! claims come out of [`UnverifiedJws::verify`] only.

use std::sync::Arc;

use super::{
    Rejection,
    algorithm::Algorithm,
    claims::Claims,
    keys::VerifyingKey,
    strict_json::{self, Json, Limits, Object},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Longest `kid`, in bytes.
const MAX_KEY_ID_BYTES: usize = 256;

/// Header members that end the verification. `crit` and `b64` change the meaning of the token,
/// `zip` and `enc` hide it, `jku`, `jwk` and `x5u` bring their own key (CVE-2018-0114), and `nonce`
/// marks a Microsoft Graph token, whose signature covers other bytes than the ones we see.
const REFUSED_HEADER_MEMBERS: [&str; 8] =
    ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "nonce"];

/// The JOSE header of a token whose signature is not checked yet.
#[derive(Debug)]
pub struct Header {
    /// The algorithm that the token claims to be signed with.
    pub algorithm: Result<Algorithm, Rejection>,
    /// RFC 7515 §4.1.4; opaque.
    pub key_id: Option<String>,
    /// RFC 7515 §4.1.9, lower case, without `application/`.
    pub typ: Option<String>,
}

/// A token of the right shape. Nothing in it is true yet. Has no `Debug`.
pub struct UnverifiedJws<'a> {
    header: Header,
    payload: Object,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> UnverifiedJws<'a> {
    /// `Ok(None)`: the token is something else than a JWS, for its provider to understand.
    pub fn parse(token: &'a str) -> Result<Option<Self>, Rejection> {
        let Some((header, payload, signature)) = split(token) else {
            return Ok(None);
        };
        // From here on it is a JWS and must be a good one: it is never taken for an opaque token.
        let signed = token
            .strip_suffix(signature)
            .and_then(|rest| rest.strip_suffix('.'))
            .ok_or(Rejection::MalformedJws)?;
        let signature = decode(signature)?;
        if payload.is_empty() || signature.is_empty() {
            return Err(Rejection::MalformedJws);
        }
        Ok(Some(Self {
            header: Header::parse(&object("header", header)?)?,
            payload: object("payload", payload)?,
            signed,
            signature,
        }))
    }

    /// What the token says about its key and kind.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The unverified `iss`: good for choosing whom to ask, for nothing else. Must be a string
    /// (RFC 7519 §4.1.1); an array that contains a known issuer is not one.
    pub fn unverified_issuer(&self) -> Result<&str, Rejection> {
        self.payload
            .get("iss")
            .ok_or(Rejection::ClaimMissing("iss"))?
            .as_str()
            .ok_or(Rejection::ClaimType("iss"))
    }

    /// Checks the signature against each candidate; the claims belong to the key that fits.
    pub fn verify(
        self,
        algorithm: Algorithm,
        candidates: &[Arc<VerifyingKey>],
    ) -> Result<(Claims, Arc<VerifyingKey>), Rejection> {
        let key = candidates
            .iter()
            .find(|key| key.verifies(algorithm, self.signed, &self.signature))
            .ok_or(Rejection::BadSignature)?;
        Ok((Claims::new(self.payload), Arc::clone(key)))
    }
}

/// The `iss` of a JWT that we do not verify ourselves; good for choosing whom to ask, for nothing
/// else. `None`: it is no JWT, or has no issuer.
pub fn unverified_issuer(token: &str) -> Result<Option<String>, Rejection> {
    let Some((_, payload, _)) = split(token) else {
        return Ok(None);
    };
    let payload = object("payload", payload)?;
    let issuer = payload.get("iss").and_then(Json::as_str);
    Ok(issuer.map(str::to_owned))
}

impl Header {
    fn parse(members: &Object) -> Result<Self, Rejection> {
        if let Some(refused) = REFUSED_HEADER_MEMBERS
            .into_iter()
            .find(|name| members.get(name).is_some())
        {
            return Err(Rejection::HeaderMember(refused));
        }
        let text = |name: &'static str| match members.get(name) {
            None => Ok(None),
            Some(Json::Text(value)) => Ok(Some(value)),
            Some(_) => Err(Rejection::HeaderValue(name)),
        };
        let algorithm = text("alg")?.ok_or(Rejection::HeaderValue("alg"))?;
        // ADFS names its keys by their certificate alone (RFC 7515 §4.1.7).
        let key_id = text("kid")?.or(text("x5t")?);
        if key_id.is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES) {
            return Err(Rejection::HeaderValue("kid"));
        }
        // A JWT inside a JWT (RFC 7519 §5.2) is not an access token.
        if text("cty")?.is_some_and(|cty| media_type(cty) == "jwt") {
            return Err(Rejection::HeaderMember("cty"));
        }
        Ok(Self {
            algorithm: algorithm.parse().map_err(|_unknown| Rejection::Algorithm),
            key_id: key_id.map(str::to_owned),
            typ: text("typ")?.map(media_type),
        })
    }
}

/// RFC 7515 §4.1.9: case-insensitive, and `application/` may be left out.
fn media_type(value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(subtype) => subtype.to_owned(),
        None => lower,
    }
}

/// The three parts, when there are three and the first looks like a JSON object. GitHub's
/// installation tokens have two dots and are no JWS.
fn split(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let starts_as_object =
        header.starts_with("ey") || decode(header).ok()?.trim_ascii_start().starts_with(b"{");
    starts_as_object.then_some((header, payload, signature))
}

fn object(part: &'static str, encoded: &str) -> Result<Object, Rejection> {
    strict_json::read_object(&decode(encoded)?, Limits::TOKEN)
        .map_err(|error| Rejection::Json { part, error })
}

/// Strict base64url: no padding, no other alphabet, no stray trailing bits.
fn decode(encoded: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_malformed| Rejection::MalformedJws)
}

#[cfg(test)]
pub(crate) mod tests;
