use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

const ENDPOINT: &str = "https://idp.example/introspect";

#[expect(
    clippy::disallowed_methods,
    reason = "the monotonic part of now does not matter here"
)]
fn now() -> Now {
    Now {
        unix_seconds: 1000,
        instant: Instant::now(),
    }
}

/// How we prove who we are: the header, and the names of the parameters.
fn proved(client: &ClientAuthentication) -> (String, Vec<(String, String)>) {
    let endpoint = ENDPOINT.parse().expect("a URL");
    let proof = client.prove(&endpoint, now()).expect("a proof");
    let header = match proof.authorization() {
        Authorization::None => "none".to_owned(),
        Authorization::Bearer(token) => format!("bearer {token}"),
        Authorization::Basic(id, secret) => format!("basic {id} {secret}"),
    };
    let parameters = proof.parameters().into_iter();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (header, parameters.map(owned).collect())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_secret_is_in_the_header_or_in_the_form_and_never_in_both() {
    let (id, secret) = (|| "us".to_owned(), || SecretString::from("secret"));
    let basic = ClientAuthentication::SecretBasic {
        id: id(),
        secret: secret(),
    };
    assert_eq!(proved(&basic), ("basic us secret".to_owned(), Vec::new()));
    let post = ClientAuthentication::SecretPost {
        id: id(),
        secret: secret(),
    };
    let form = vec![pair("client_id", "us"), pair("client_secret", "secret")];
    assert_eq!(proved(&post), ("none".to_owned(), form));
}

fn key() -> AssertionKey {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let pem = pair.serialize_pem();
    let named = Some("k1".to_owned());
    AssertionKey::from_pem(pem.as_bytes(), Algorithm::ES256, named).expect("a usable key")
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn an_assertion_is_ours_for_this_endpoint_and_for_a_minute() {
    for (audience, aud) in [
        (None, ENDPOINT),
        (Some("https://idp.example"), "https://idp.example"),
    ] {
        let client = ClientAuthentication::PrivateKey {
            id: "us".to_owned(),
            key: Box::new(key()),
            audience: audience.map(str::to_owned),
        };
        let ((header, form), (_, other)) = (proved(&client), proved(&client));
        assert_eq!(header, "none");
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["client_id", "client_assertion_type", "client_assertion"];
        assert_eq!(names, expected);
        assert_eq!(form[0].1, "us");
        assert_eq!(form[1].1, ASSERTION_TYPE);
        assert_eq!(
            part(&form[2].1, 0),
            json!({"typ": "JWT", "alg": "ES256", "kid": "k1"})
        );
        let claims = part(&form[2].1, 1);
        for (name, value) in [
            ("iss", json!("us")),
            ("sub", json!("us")),
            ("aud", json!(aud)),
            ("iat", json!(1000)),
            ("exp", json!(1060)),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        let unique = claims["jti"].as_str().expect("text");
        assert_eq!(unique.len(), 22, "sixteen bytes");
        assert_ne!(claims["jti"], part(&other[2].1, 1)["jti"]);
    }
}

#[test]
fn a_text_that_holds_no_key_for_the_algorithm_is_refused() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let pem = pair.serialize_pem();
    for algorithm in [Algorithm::RS256, Algorithm::EdDSA] {
        let refused = AssertionKey::from_pem(pem.as_bytes(), algorithm, None);
        assert_eq!(refused.err(), Some(UnusableKey(algorithm)));
    }
    assert!(AssertionKey::from_pem(b"no key", Algorithm::ES256, None).is_err());
}
