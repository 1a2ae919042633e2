//! A JSON Web Signature in compact form (RFC 7515 §3.1, §5.2, §7.1) that is a JWT (RFC 7519 §7.2).

use super::{
    Broken, House, Ruling, base64,
    json::{self, Json, Object, TOKEN},
};

pub struct Jws {
    pub algorithm: String,
    pub key_id: Option<String>,
    /// Lower case, without `application/`.
    pub typ: Option<String>,
    pub payload: Object,
    /// What the signature covers.
    pub signed: Vec<u8>,
    pub signature: Vec<u8>,
}

/// `Ok(None)`: something else than a JWS.
pub fn read(token: &str, broken: &mut Broken) -> Ruling<Option<Jws>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Ok(None);
    };
    if !begins_an_object(header) {
        return Ok(None);
    }
    let decode = |part: &str| base64::url(part.as_bytes()).ok_or("not base64url");
    let signature = decode(signature)?;
    if payload.is_empty() || signature.is_empty() {
        return Err("an empty part");
    }
    let header_members = json::object(&decode(header)?, TOKEN, broken)?;
    let payload_members = json::object(&decode(payload)?, TOKEN, broken)?;
    let (algorithm, key_id, typ) = read_header(&header_members, broken)?;
    Ok(Some(Jws {
        algorithm,
        key_id,
        typ,
        payload: payload_members,
        signed: format!("{header}.{payload}").into_bytes(),
        signature,
    }))
}

/// `eyJ` is how every `{"` begins; a blank before it is JSON, too.
fn begins_an_object(part: &str) -> bool {
    let decoded = base64::url(part.as_bytes()).unwrap_or_default();
    let mut text = decoded.iter().skip_while(|byte| byte.is_ascii_whitespace());
    part.starts_with("ey") || text.next() == Some(&b'{')
}

type Named = (String, Option<String>, Option<String>);

fn read_header(members: &Object, broken: &mut Broken) -> Ruling<Named> {
    // RFC 7515 §4.1.11: we understand no extension.
    if json::get(members, "crit").is_some() {
        return Err("an extension that must be understood");
    }
    for name in ["b64", "zip", "enc", "jku", "jwk", "x5u", "nonce"] {
        broken.add_if(json::get(members, name).is_some(), House::HeaderMember);
    }
    let algorithm = json::text(members, "alg")?.ok_or("no alg")?;
    // ADFS names its keys by their certificate alone (§4.1.7).
    let (kid, x5t) = (json::text(members, "kid")?, json::text(members, "x5t")?);
    let key_id = kid.or(x5t);
    broken.add_if(key_id.is_some_and(|id| id.len() > 256), House::KeyIdLength);
    let kind = json::text(members, "cty")?.map(media_type);
    broken.add_if(kind.as_deref() == Some("jwt"), House::NestedToken);
    let typ = json::text(members, "typ")?.map(media_type);
    Ok((algorithm.to_owned(), key_id.map(str::to_owned), typ))
}

/// §4.1.9.
fn media_type(value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    lower
        .strip_prefix("application/")
        .unwrap_or(&lower)
        .to_owned()
}

impl Jws {
    /// RFC 7519 §4.1.1: one string.
    pub fn issuer(&self) -> Ruling<&str> {
        match json::get(&self.payload, "iss") {
            Some(Json::Text(issuer)) => Ok(issuer),
            _ => Err("no issuer"),
        }
    }
}
