//! Key sets (RFC 7517, RFC 7518 §6, RFC 8037 §2) and signatures (RFC 7518 §3, RFC 8725 §3.1): which key, for which
//! algorithm, and whether it made the signature. The arithmetic is that of aws-lc.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::{
    Broken, House, Ruling, base64,
    json::{self, DOCUMENT, Json, Object},
    jws::Jws,
};

#[derive(Clone, Debug)]
pub struct Key {
    id: Option<String>,
    material: Material,
    /// §4.4: for this algorithm alone.
    only: Option<String>,
    issuer: Option<String>,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// All that is asymmetric, and which kind of key it takes.
fn kind_for(algorithm: &str) -> Option<&'static str> {
    Some(match algorithm {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => "RSA",
        "ES256" => "P-256",
        "ES384" => "P-384",
        "EdDSA" | "Ed25519" => "Ed25519",
        _ => return None,
    })
}

/// RFC 9864 gives Ed25519 a second name.
fn one_name(algorithm: &str) -> &str {
    if algorithm == "Ed25519" {
        "EdDSA"
    } else {
        algorithm
    }
}

/// The usable keys of a document.
pub fn read(document: &[u8], broken: &mut Broken) -> Ruling<Vec<Key>> {
    let members = json::object(document, DOCUMENT, broken)?;
    let Some(Json::List(list)) = json::get(&members, "keys") else {
        return Err("no array keys");
    };
    broken.add_if(list.len() > 100, House::ManyKeys);
    let keys: Vec<Key> = list.iter().filter_map(read_key).collect();
    let shared = |key: &Key| {
        let same = keys.iter().filter(|other| other.id == key.id);
        key.id.is_some() && same.count() > 1
    };
    Ok(keys.iter().filter(|key| !shared(key)).cloned().collect())
}

/// Those that do not say that they are another issuer's. Microsoft writes `{tenantid}` for "of any tenant".
pub fn of_issuer(keys: Vec<Key>, issuer: &str) -> Vec<Key> {
    let ours = |key: &Key| {
        let named = key.issuer.as_deref();
        named.is_none_or(|named| named == issuer || named.contains("{tenantid}"))
    };
    keys.into_iter().filter(ours).collect()
}

fn read_key(jwk: &Json) -> Option<Key> {
    let Json::Object(jwk) = jwk else {
        return None;
    };
    let secret = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if secret.iter().any(|name| json::get(jwk, name).is_some()) || !is_for_signatures(jwk) {
        return None;
    }
    let material = read_material(jwk)?;
    let only = match json::get(jwk, "alg") {
        None => None,
        Some(Json::Text(name)) if kind_for(name) == Some(material.kind()) => {
            Some(one_name(name).to_owned())
        }
        Some(_) => return None,
    };
    let id = match (json::get(jwk, "kid"), json::get(jwk, "x5t")) {
        (Some(Json::Text(id)), _) | (None, Some(Json::Text(id))) => Some(id.clone()),
        (None, None) => None,
        _ => return None,
    };
    let issuer = json::text(jwk, "issuer").ok().flatten();
    Some(Key {
        id,
        material,
        only,
        issuer: issuer.map(str::to_owned),
    })
}

/// §4.2, §4.3.
fn is_for_signatures(jwk: &Object) -> bool {
    let usage = match json::get(jwk, "use") {
        None => true,
        Some(usage) => *usage == Json::Text("sig".to_owned()),
    };
    let operations = match json::get(jwk, "key_ops") {
        None => true,
        Some(Json::List(list)) => list.contains(&Json::Text("verify".to_owned())),
        Some(_) => false,
    };
    usage && operations
}

fn read_material(jwk: &Object) -> Option<Material> {
    let text = |name: &str| json::text(jwk, name).ok().flatten();
    let bytes = |name: &str| base64::url(text(name)?.as_bytes());
    // RFC 7518 §6.2.1: coordinates have the full length; SEC 1 §2.3.3: 4 stands before an uncompressed point.
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa {
            n: bytes("n").filter(|n| is_safe_modulus(n))?,
            e: bytes("e").filter(|e| is_safe_exponent(e))?,
        },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    material.is_on_its_curve().then_some(material)
}

/// RFC 7518 §3.3: 2048 bits or more, and no more than anybody computes with.
fn is_safe_modulus(n: &[u8]) -> bool {
    let leading = n.first().map_or(0, |byte| byte.leading_zeros());
    let bits = (n.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0));
    n.first() != Some(&0)
        && (2048..=8192).contains(&bits)
        && n.last().is_some_and(|last| last % 2 == 1)
}

/// An odd number of at most 32 bits that is not 1, written without leading zeros (RFC 7518 §2).
fn is_safe_exponent(e: &[u8]) -> bool {
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    (1..=4).contains(&e.len()) && e[0] != 0 && odd && e != [1]
}

impl Material {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA",
            Self::P256(_) => "P-256",
            Self::P384(_) => "P-384",
            Self::Ed25519(_) => "Ed25519",
        }
    }

    fn is_on_its_curve(&self) -> bool {
        match self {
            Self::Rsa { n, e } => {
                let components = RsaPublicKeyComponents { n, e };
                components
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .is_ok()
            }
            Self::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok(),
            Self::P384(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).is_ok(),
            Self::Ed25519(point) => ParsedPublicKey::new(&ED25519, point).is_ok(),
        }
    }

    fn verifies(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        let curve = |with: &'static dyn VerificationAlgorithm, point: &[u8]| {
            let key = ParsedPublicKey::new(with, point);
            key.is_ok_and(|key| key.verify_sig(signed, signature).is_ok())
        };
        match (self, one_name(algorithm)) {
            (Self::Rsa { n, e }, name) => {
                let with = match name {
                    "RS256" => &RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &RSA_PSS_2048_8192_SHA256,
                    "PS384" => &RSA_PSS_2048_8192_SHA384,
                    "PS512" => &RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                RsaPublicKeyComponents { n, e }
                    .verify(with, signed, signature)
                    .is_ok()
            }
            (Self::P256(point), "ES256") => curve(&ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), "ES384") => curve(&ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(point), "EdDSA") => curve(&ED25519, point),
            _ => false,
        }
    }
}

/// RFC 7515 §5.2 and §6: by `kid` when there is one, else whatever fits.
pub fn verify(keys: &[Key], jws: &Jws, broken: &mut Broken) -> Ruling<()> {
    let algorithm = jws.algorithm.as_str();
    let kind = kind_for(algorithm).ok_or("an algorithm that needs no private key, or none")?;
    let fits = |key: &&Key| {
        let only = key.only.as_deref();
        key.material.kind() == kind && only.is_none_or(|only| only == one_name(algorithm))
    };
    let named = |key: &&Key| jws.key_id.is_none() || key.id == jws.key_id;
    let mut candidates = keys.iter().filter(named).filter(fits);
    let signer = candidates
        .position(|key| {
            key.material
                .verifies(algorithm, &jws.signed, &jws.signature)
        })
        .ok_or("no key made this signature")?;
    broken.add_if(signer >= 4, House::ManyCandidates);
    Ok(())
}
