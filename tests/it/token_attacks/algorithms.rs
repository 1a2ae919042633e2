//! `alg`: none, HMAC with the public key, one signature passed off as another (RFC 8725 §2.1).

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    signature::{
        KeyPair, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{APPLICATION, Gate, provider, token_of, usual_provider};
use crate::support::{
    idp::{Answer, Idp, jwks},
    keys::{SigningKey, base64url, shared_es256, shared_rs256},
    tokens::Token,
};

/// Header and payload, ready to be signed.
pub fn message(token: &Token) -> String {
    let (header, payload) = (token.header.to_string(), token.payload.to_string());
    format!("{}.{}", base64url(header), base64url(payload))
}

pub fn with_signature(token: &Token, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}", message(token), base64url(signature))
}

fn rsa_signed(token: &Token, encoding: &'static dyn RsaEncoding) -> String {
    let SigningKey::Rs256(key) = shared_rs256() else {
        panic!("an RSA key")
    };
    let message = message(token);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        encoding,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .expect("signs");
    format!("{message}.{}", base64url(signature))
}

/// The public key in every form that a library may take for a shared secret.
fn public_key_as_secret() -> Vec<(&'static str, Vec<u8>)> {
    let SigningKey::Rs256(key) = shared_rs256() else {
        panic!("an RSA key")
    };
    let public = key.public_key();
    let spki: PublicKeyX509Der<'_> = public.as_der().expect("encodes");
    let spki = spki.as_ref().to_vec();
    let pkcs1 = public.as_ref().to_vec();
    let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
    let pem = |label: &str, der: &[u8]| {
        let body = STANDARD.encode(der);
        let lines: Vec<_> = body
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    };
    let spki_pem = pem("PUBLIC KEY", &spki);
    let jwk = shared_rs256().jwk("k1");
    vec![
        ("SPKI PEM", spki_pem.clone().into_bytes()),
        (
            "SPKI PEM without the last newline",
            spki_pem.trim_end().as_bytes().to_vec(),
        ),
        ("PKCS #1 PEM", pem("RSA PUBLIC KEY", &pkcs1).into_bytes()),
        ("SPKI DER", spki),
        ("PKCS #1 DER", pkcs1),
        ("JWK", jwk.to_string().into_bytes()),
        ("JWK set", jwks(std::slice::from_ref(&jwk)).into_bytes()),
        ("n in base64url", base64url(&modulus).into_bytes()),
        ("modulus", modulus),
        ("kid", b"k1".to_vec()),
        ("nothing", Vec::new()),
    ]
}

#[test]
fn an_unsigned_token_is_refused_however_none_is_spelled() {
    let mut gate = Gate::open();
    let stolen = gate.good().signed();
    let (_, stolen) = stolen.rsplit_once('.').expect("three parts");
    for none in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\0",
        "n\u{f6}ne",
        "null",
        "",
        "0",
        "plain",
        "unsecured",
    ] {
        for kid in [Some("k1"), None, Some("")] {
            let mut token = gate.good().header("alg", none).without_header("kid");
            if let Some(kid) = kid {
                token = token.header("kid", kid);
            }
            let attack = format!("alg {none:?}, kid {kid:?}");
            let message = message(&token);
            gate.refuses(&attack, format!("{message}."), "malformed_token");
            gate.refuses(&attack, &message, "no_provider_for_opaque_token");
            for signature in ["AA", stolen] {
                let token = format!("{message}.{signature}");
                gate.refuses(&attack, token, "algorithm_not_allowed");
            }
        }
    }
    gate.still_admits_alice();
}

#[test]
fn the_public_key_is_never_a_shared_secret() {
    let mut gate = Gate::open();
    let hmacs = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    for (form, secret) in public_key_as_secret() {
        for (alg, algorithm) in hmacs {
            let key = hmac::Key::new(algorithm, &secret);
            for (header, reason) in [
                (alg, "algorithm_not_allowed"),
                ("RS256", "bad_signature"),
                ("ES256", "key_mismatch"),
            ] {
                let token = gate
                    .good()
                    .claim("preferred_username", "mallory")
                    .header("alg", header);
                let tag = hmac::sign(&key, message(&token).as_bytes());
                let attack = format!("{alg} with {form}, called {header}");
                gate.refuses(&attack, with_signature(&token, tag), reason);
            }
        }
    }
    gate.still_admits_alice();
}

#[test]
fn alg_is_one_exact_configured_name() {
    let mut gate = Gate::open();
    for alg in [
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\0",
        "RS-256",
        "RSA256",
        "SHA256withRSA",
        "es256",
        "ES256K",
        "ES512",
        "RSA-OAEP",
        "RSA1_5",
        "dir",
        "A128KW",
        "PBES2-HS256+A128KW",
        "HS256",
        "hs256",
        "*",
        "RS256,none",
        // Known to us, not allowed by this provider.
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES384",
        "EdDSA",
        "Ed25519",
    ] {
        let token = gate.good().header("alg", alg).signed();
        gate.refuses(&format!("alg {alg:?}"), token, "algorithm_not_allowed");
    }
    for alg in [
        json!(null),
        json!(256),
        json!(["RS256"]),
        json!({"alg": "RS256"}),
        json!(true),
    ] {
        let token = gate.good().header("alg", alg.clone()).signed();
        gate.refuses(&format!("alg {alg}"), token, "header_refused");
    }
    let token = gate.good().without_header("alg").signed();
    gate.refuses("no alg", token, "header_refused");
    gate.still_admits_alice();
}

/// Two providers that allow every algorithm. `open` publishes keys without `alg`, so that nothing
/// but the signature itself tells one RSA algorithm from another; `bound` publishes `alg` too.
pub fn every_algorithm() -> (Gate, SigningKey) {
    const ALL: &str = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]";
    let idp = Idp::start();
    let eddsa = SigningKey::eddsa();
    let with_alg = [
        shared_rs256().jwk("k1"),
        shared_es256().jwk("ec"),
        eddsa.jwk("ed"),
    ];
    let without_alg = with_alg.clone().map(|mut jwk| {
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    });
    idp.answer("/bound", Answer::Json(jwks(&with_alg)));
    idp.answer("/open", Answer::Json(jwks(&without_alg)));
    let config = [
        usual_provider(&idp),
        provider(&idp, "open", ALL, ""),
        provider(&idp, "bound", ALL, ""),
        APPLICATION.to_owned(),
    ]
    .concat();
    (Gate::configured(idp, &config), eddsa)
}

#[test]
fn a_signature_is_good_for_its_own_algorithm_only() {
    let (mut gate, eddsa) = every_algorithm();
    gate.settle(&token_of("open"));
    let keys = [
        ("k1", shared_rs256()),
        ("ec", shared_es256()),
        ("ed", &eddsa),
    ];
    for (kid, key) in keys {
        for provider in ["open", "bound"] {
            let token = token_of(provider)
                .header("kid", kid)
                .header("alg", key.alg());
            gate.admits(provider, &token.signed_by(key), "alice");
        }
        for alg in [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
        ] {
            if alg == key.alg() {
                continue;
            }
            let same_kind = kid == "k1" && (alg.starts_with("RS") || alg.starts_with("PS"));
            let reason = if same_kind {
                "bad_signature"
            } else {
                "key_mismatch"
            };
            let token = token_of("open").header("kid", kid).header("alg", alg);
            gate.refuses(&format!("{kid} as {alg}"), token.signed_by(key), reason);
            let token = token_of("bound").header("kid", kid).header("alg", alg);
            gate.refuses(
                &format!("{kid} as {alg}, bound"),
                token.signed_by(key),
                "key_mismatch",
            );
            // Without a kid the kind alone chooses, and no key of that kind made the signature.
            let token = token_of("open").without_header("kid").header("alg", alg);
            let reason = if alg == "ES384" {
                "unknown_key"
            } else {
                "bad_signature"
            };
            gate.refuses(
                &format!("{kid} as {alg}, no kid"),
                token.signed_by(key),
                reason,
            );
        }
    }
    gate.still_admits_alice();
}

#[test]
fn a_jwk_that_names_its_algorithm_verifies_no_other_of_its_kind() {
    let (mut gate, eddsa) = every_algorithm();
    let encodings: [(&str, &'static dyn RsaEncoding); 5] = [
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];
    for (alg, encoding) in encodings {
        let honest = token_of("open").header("alg", alg);
        gate.admits(alg, &rsa_signed(&honest, encoding), "alice");
        let bound = token_of("bound").header("alg", alg);
        gate.refuses(alg, rsa_signed(&bound, encoding), "key_mismatch");
        let swapped = token_of("open").header("alg", "RS256");
        gate.refuses(
            &format!("{alg} called RS256"),
            rsa_signed(&swapped, encoding),
            "bad_signature",
        );
    }
    // RFC 9864's name of the same algorithm.
    let token = token_of("open")
        .header("kid", "ed")
        .header("alg", "Ed25519");
    gate.admits("Ed25519", &token.signed_by(&eddsa), "alice");
    gate.still_admits_alice();
}
