use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};

use super::*;

#[path = "../../../tests/it/support/keys.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests, which use all of it"
)]
pub(crate) mod signing;

use signing::{SigningKey, base64url, shared_es256, shared_rs256};

fn parse(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a key set")
}

fn rsa_jwk(kid: &str) -> Value {
    shared_rs256().jwk(kid)
}

fn ec_jwk(kid: &str) -> Value {
    shared_es256().jwk(kid)
}

/// The JWK with some members replaced; null removes one.
fn with(mut jwk: Value, changes: Value) -> Value {
    let members = jwk.as_object_mut().expect("an object");
    let Value::Object(changes) = changes else {
        panic!("an object")
    };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    jwk
}

fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
    decode(jwk[member].as_str().expect("text")).expect("base64url")
}

fn found(set: &KeySet, kid: &str, algorithm: Algorithm) -> Arc<VerifyingKey> {
    match set.select(Some(kid), algorithm) {
        Candidates::Keys(keys) => Arc::clone(&keys[0]),
        other @ (Candidates::WrongAlgorithm | Candidates::Unknown) => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_every_supported_kind_are_used_whatever_optional_members_they_have() {
    let removed = json!({"alg": null, "use": null});
    for (jwk, algorithm) in [
        (rsa_jwk("k"), Algorithm::RS256),
        (with(rsa_jwk("k"), removed.clone()), Algorithm::PS512),
        (ec_jwk("k"), Algorithm::ES256),
        (with(ec_jwk("k"), removed), Algorithm::ES256),
        (SigningKey::eddsa().jwk("k"), Algorithm::EdDSA),
        (
            with(rsa_jwk("k"), json!({"key_ops": ["verify"]})),
            Algorithm::RS256,
        ),
        (
            with(rsa_jwk("k"), json!({"x5c": ["MIIC"], "x5t": "t", "exp": 1})),
            Algorithm::RS256,
        ),
    ] {
        let set = parse(std::slice::from_ref(&jwk));
        assert!(set.refused().is_empty(), "{jwk}");
        assert!(found(&set, "k", algorithm).may_verify(algorithm), "{jwk}");
    }
}

#[test]
fn a_key_on_p_384_verifies_its_own_signatures() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
    let jwk =
        json!({"kty": "EC", "crv": "P-384", "kid": "k", "x": base64url(x), "y": base64url(y)});
    let set = parse(std::slice::from_ref(&jwk));
    let key = found(&set, "k", Algorithm::ES384);
    let signature = pair.sign(&SystemRandom::new(), b"text").expect("signs");
    let signature = signature.as_ref().to_vec();
    assert!(key.verifies(Algorithm::ES384, "text", &signature));
    assert!(!key.verifies(Algorithm::ES384, "other", &signature));
    assert!(!key.verifies(Algorithm::ES256, "text", &signature));
}

#[test]
fn an_rsa_key_verifies_a_signature_with_its_own_algorithm_and_no_other() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    let n = base64url(n.big_endian_without_leading_zero());
    let e = base64url(e.big_endian_without_leading_zero());
    let jwk = json!({"kty": "RSA", "kid": "k", "n": n, "e": e});
    let algorithms: [(Algorithm, &dyn RsaEncoding); 6] = [
        (Algorithm::RS256, &RSA_PKCS1_SHA256),
        (Algorithm::RS384, &RSA_PKCS1_SHA384),
        (Algorithm::RS512, &RSA_PKCS1_SHA512),
        (Algorithm::PS256, &RSA_PSS_SHA256),
        (Algorithm::PS384, &RSA_PSS_SHA384),
        (Algorithm::PS512, &RSA_PSS_SHA512),
    ];
    for (signed_with, encoding) in algorithms {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), b"text", &mut signature)
            .expect("signs");
        for only in [None, Some(signed_with)] {
            let mut jwk = jwk.clone();
            if let Some(only) = only {
                jwk["alg"] = only.to_string().into();
            }
            let set = parse(std::slice::from_ref(&jwk));
            let key = found(&set, "k", signed_with);
            for (algorithm, _) in algorithms {
                let verifies = key.verifies(algorithm, "text", &signature);
                assert_eq!(verifies, algorithm == signed_with, "{algorithm} {only:?}");
                let may_verify = only.is_none_or(|only| only == algorithm);
                assert_eq!(
                    key.may_verify(algorithm),
                    may_verify,
                    "{algorithm} {only:?}"
                );
            }
            assert!(!key.verifies(signed_with, "other", &signature));
        }
    }
}

#[test]
fn a_key_with_a_private_member_is_refused_as_an_incident() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        // Even null, and even when the key could not be used for signatures anyway.
        for value in [json!("AQAB"), Value::Null] {
            let mut jwk = with(rsa_jwk("k1"), json!({"use": "enc"}));
            jwk[member] = value;
            assert_eq!(parse(&[jwk]).refused(), [RefusedKey::Secret], "{member}");
        }
    }
    let secret = json!({"kty": "oct", "kid": "k1", "alg": "HS256", "k": base64url([7; 64])});
    assert_eq!(parse(&[secret]).refused(), [RefusedKey::Secret]);
}

#[test]
fn keys_that_are_not_for_signatures_are_refused() {
    for change in [
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"use": ["sig"]}),
        json!({"use": 1}),
        json!({"key_ops": []}),
        json!({"key_ops": ["encrypt", "wrapKey"]}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": {"verify": true}}),
    ] {
        let set = parse(&[with(rsa_jwk("k1"), change.clone())]);
        assert_eq!(set.refused(), [RefusedKey::NotForSignatures], "{change}");
    }
}

#[test]
fn weak_and_broken_rsa_keys_are_refused() {
    let n = bytes(&rsa_jwk("k1"), "n");
    let even = {
        let mut even = n.clone();
        even[255] &= 0xfe;
        even
    };
    let small = SigningKey::Rs256(Box::new(
        aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key"),
    ));
    let mut weak = bytes(&small.jwk("k1"), "n")[..128].to_vec();
    weak[127] |= 1;
    let disguised = [vec![0; 200], weak.clone()].concat();
    for (what, n) in [
        ("1024 bits", weak),
        ("1024 bits behind leading zeros", disguised),
        (
            "2048 bits behind a leading zero",
            [vec![0], n.clone()].concat(),
        ),
        ("2041 bits", {
            let mut short = n;
            short[0] = 1;
            short
        }),
        ("8200 bits", [vec![0xff; 1024], vec![1]].concat()),
        ("even", even),
        ("nothing", Vec::new()),
        ("zero", vec![0; 256]),
    ] {
        let set = parse(&[with(rsa_jwk("k1"), json!({"n": base64url(n)}))]);
        assert_eq!(set.refused(), [RefusedKey::Unsupported], "modulus: {what}");
    }
    for e in [
        vec![1],
        vec![2],
        vec![1, 0, 0],
        vec![0, 1, 0, 1],
        vec![1, 0, 0, 0, 1],
        Vec::new(),
    ] {
        let set = parse(&[with(rsa_jwk("k1"), json!({"e": base64url(&e)}))]);
        assert_eq!(set.refused(), [RefusedKey::Unsupported], "exponent: {e:?}");
    }
}

#[test]
fn points_that_are_not_on_their_curve_are_refused() {
    let jwk = ec_jwk("k1");
    let (x, y) = (bytes(&jwk, "x"), bytes(&jwk, "y"));
    let mut beside = y.clone();
    beside[31] ^= 1;
    for (what, change) in [
        ("beside the curve", json!({"y": base64url(&beside)})),
        (
            "x and y exchanged",
            json!({"x": base64url(&y), "y": base64url(&x)}),
        ),
        (
            "infinity",
            json!({"x": base64url([0; 32]), "y": base64url([0; 32])}),
        ),
        ("beyond the field", json!({"x": base64url([0xff; 32])})),
        ("x too short", json!({"x": base64url(&x[1..])})),
        (
            "y too long",
            json!({"y": base64url([&[0][..], &y].concat())}),
        ),
        ("of another curve", json!({"crv": "P-384", "alg": "ES384"})),
        ("not base64url", json!({"x": "????"})),
        ("padded", json!({"x": format!("{}=", base64url(&x))})),
        ("a number", json!({"x": 1})),
        ("no y", json!({"y": null})),
    ] {
        let set = parse(&[with(ec_jwk("k1"), change)]);
        assert_eq!(set.refused(), [RefusedKey::Unsupported], "{what}");
    }
    let ed = SigningKey::eddsa().jwk("k1");
    let short = json!({"x": base64url([1; 31])});
    assert_eq!(
        parse(&[with(ed, short)]).refused(),
        [RefusedKey::Unsupported]
    );
}

#[test]
fn kinds_and_algorithms_that_do_not_belong_together_are_refused() {
    for jwk in [
        with(rsa_jwk("k1"), json!({"alg": "ES256"})),
        with(rsa_jwk("k1"), json!({"alg": "HS256"})),
        with(rsa_jwk("k1"), json!({"alg": "none"})),
        with(rsa_jwk("k1"), json!({"alg": "RSA-OAEP"})),
        with(rsa_jwk("k1"), json!({"alg": "rs256"})),
        with(rsa_jwk("k1"), json!({"alg": 1})),
        with(ec_jwk("k1"), json!({"alg": "ES384"})),
        with(ec_jwk("k1"), json!({"crv": "secp256k1", "alg": null})),
        with(ec_jwk("k1"), json!({"crv": null})),
        with(ec_jwk("k1"), json!({"kty": "OKP"})),
        with(rsa_jwk("k1"), json!({"kty": "rsa"})),
        with(rsa_jwk("k1"), json!({"kty": null})),
        with(rsa_jwk("k1"), json!({"kid": 1})),
        json!({"kty": "oct", "kid": "k1"}),
        json!("k1"),
        json!([]),
    ] {
        let set = parse(std::slice::from_ref(&jwk));
        assert_eq!(set.refused(), [RefusedKey::Unsupported], "{jwk}");
    }
}

#[test]
fn a_bad_key_does_not_take_its_neighbours_along() {
    let leaked = with(ec_jwk("leaked"), json!({"d": base64url([1; 32])}));
    let set = parse(&[leaked, rsa_jwk("good"), json!(null)]);
    assert_eq!(set.len(), 1);
    assert_eq!(set.refused(), [RefusedKey::Secret, RefusedKey::Unsupported]);
    assert!(matches!(
        set.select(Some("leaked"), Algorithm::ES256),
        Candidates::Unknown
    ));
    found(&set, "good", Algorithm::RS256);
}

#[test]
fn all_keys_that_share_a_kid_are_refused() {
    let set = parse(&[rsa_jwk("k1"), ec_jwk("k1"), ec_jwk("k2")]);
    assert_eq!(set.refused(), [RefusedKey::DuplicateKeyId; 2]);
    assert!(matches!(
        set.select(Some("k1"), Algorithm::RS256),
        Candidates::Unknown
    ));
    found(&set, "k2", Algorithm::ES256);
}

#[test]
fn a_key_serves_only_the_algorithm_of_its_jwk_and_its_kind() {
    let any = with(rsa_jwk("any"), json!({"alg": null}));
    let set = parse(&[rsa_jwk("only"), any]);
    for (kid, algorithm) in [
        ("only", Algorithm::PS256),
        ("only", Algorithm::RS512),
        ("only", Algorithm::ES256),
        ("any", Algorithm::EdDSA),
    ] {
        assert!(matches!(
            set.select(Some(kid), algorithm),
            Candidates::WrongAlgorithm
        ));
    }
    found(&set, "any", Algorithm::PS256);
    assert!(matches!(
        set.select(Some("ONLY"), Algorithm::RS256),
        Candidates::Unknown
    ));
}

#[test]
fn a_token_without_kid_is_tried_with_at_most_four_fitting_keys() {
    let ecs = (0..6).map(|number| ec_jwk(&number.to_string()));
    let keys: Vec<_> = ecs.chain([rsa_jwk("r")]).collect();
    let set = parse(&keys);
    let count = |algorithm| match set.select(None, algorithm) {
        Candidates::Keys(keys) => keys.len(),
        Candidates::WrongAlgorithm | Candidates::Unknown => 0,
    };
    assert_eq!(count(Algorithm::ES256), 4);
    assert_eq!(count(Algorithm::RS256), 1);
    assert_eq!(count(Algorithm::EdDSA), 0);
}

#[test]
fn documents_that_are_no_key_sets_are_refused_whole() {
    let key = rsa_jwk("k1");
    let deep = format!(
        "{{\"keys\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let many = |count| json!({"keys": vec![json!({}); count]}).to_string();
    for (document, error) in [
        (String::new(), JsonError::Syntax.into()),
        ("<html>not here</html>".to_owned(), JsonError::Syntax.into()),
        (format!("{{\"keys\":[{key}]"), JsonError::Syntax.into()),
        (format!("{{\"keys\":[{key}]}}x"), JsonError::Syntax.into()),
        (
            format!("{{\"keys\":[{key}],\"keys\":[{key}]}}"),
            JsonError::Duplicate.into(),
        ),
        (
            format!(r#"{{"keys":[{{"kid":"a","kid":"b"}},{key}]}}"#),
            JsonError::Duplicate.into(),
        ),
        (deep, JsonError::TooLarge.into()),
        (many(10_000), JsonError::TooLarge.into()),
        (many(101), KeySetError::TooManyKeys),
        (format!("[{key}]"), JsonError::NotAnObject.into()),
        ("null".to_owned(), JsonError::NotAnObject.into()),
        ("{}".to_owned(), KeySetError::NoKeys),
        (key.to_string(), KeySetError::NoKeys),
        (format!("{{\"keys\":{key}}}"), KeySetError::NoKeys),
        ("{\"keys\":null}".to_owned(), KeySetError::NoKeys),
    ] {
        let outcome = KeySet::parse(document.as_bytes()).map(|set| set.len());
        let start: String = document.chars().take(80).collect();
        assert_eq!(outcome, Err(error), "{start}");
    }
    assert!(KeySet::parse(many(100).as_bytes()).is_ok_and(|set| set.is_empty()));
}

#[test]
fn a_key_that_is_not_published_any_more_is_withdrawn_and_may_come_back() {
    let first = parse(&[rsa_jwk("k1"), ec_jwk("k2")]);
    let (k1, k2) = (
        found(&first, "k1", Algorithm::RS256),
        found(&first, "k2", Algorithm::ES256),
    );

    let second = parse(&[ec_jwk("k2")]).succeed(&first);
    assert!(k1.is_withdrawn());
    assert!(!k2.is_withdrawn());
    assert!(
        Arc::ptr_eq(&k2, &found(&second, "k2", Algorithm::ES256)),
        "cached identities of a key that stays must stay"
    );

    let third = parse(&[rsa_jwk("k1"), ec_jwk("k2")]).succeed(&second);
    assert!(!found(&third, "k1", Algorithm::RS256).is_withdrawn());
    assert!(k1.is_withdrawn(), "what was withdrawn stays withdrawn");
}

#[test]
fn other_material_under_the_same_kid_withdraws_the_old_key() {
    let other = SigningKey::es256().jwk("k1");
    for changed in [
        other,
        with(ec_jwk("k1"), json!({"alg": null})),
        with(ec_jwk("k1"), json!({"kid": "k2"})),
    ] {
        let first = parse(&[ec_jwk("k1")]);
        let key = found(&first, "k1", Algorithm::ES256);
        let _second = parse(std::slice::from_ref(&changed)).succeed(&first);
        assert!(key.is_withdrawn(), "{changed}");
    }
}

#[test]
fn a_key_that_names_another_issuer_signs_for_nobody_here() {
    let ours = "https://login.microsoftonline.com/8eaef023/v2.0";
    let consumers = "https://login.microsoftonline.com/9188040d/v2.0";
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let jwk = |kid: &str, issuer: Option<&str>| {
        // RFC 8037 §A.2.
        let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid,
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        if let Some(issuer) = issuer {
            jwk["issuer"] = json!(issuer);
        }
        jwk
    };
    let keys = json!({"keys": [
        jwk("ours", Some(ours)), jwk("theirs", Some(consumers)), jwk("any", Some(template)), jwk("plain", None),
        jwk("also theirs", Some(consumers)),
    ]});
    let set = KeySet::parse(keys.to_string().as_bytes()).expect("a key set");
    let set = set.of_issuer(ours);
    assert_eq!(
        (set.len(), set.refused()),
        (3, &[RefusedKey::OtherIssuer; 2][..])
    );
    let found = set.select(Some("theirs"), Algorithm::EdDSA);
    assert!(matches!(found, Candidates::Unknown), "{found:?}");
}

#[test]
fn a_key_without_kid_is_found_by_its_certificate() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x5t": "jeeQjLUam_5jJgqW1jVLeYl8Gik",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a key set");
    let found = set.select(Some("jeeQjLUam_5jJgqW1jVLeYl8Gik"), Algorithm::EdDSA);
    assert!(matches!(found, Candidates::Keys(_)), "{found:?}");
    let other = set.select(Some("another"), Algorithm::EdDSA);
    assert!(matches!(other, Candidates::Unknown), "{other:?}");
}
