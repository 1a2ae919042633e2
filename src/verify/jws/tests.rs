use serde_json::{Value, json};

use super::{
    super::keys::{
        Candidates, KeySet,
        tests::signing::{SigningKey, base64url, shared_es256},
    },
    *,
};

/// A token of these two parts, signed by a key.
pub(crate) fn signed(key: &SigningKey, header: &Value, payload: &Value) -> String {
    let parts = [header, payload].map(|part| base64url(part.to_string()));
    let signed = parts.join(".");
    let signature = base64url(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// One whose header says more, or something else.
fn with_header(change: Value) -> String {
    let mut header = json!({"alg": "ES256", "kid": "k1"});
    let Value::Object(change) = change else {
        panic!("an object")
    };
    header.as_object_mut().expect("an object").extend(change);
    signed(
        shared_es256(),
        &header,
        &json!({"iss": "https://idp.example"}),
    )
}

fn parsed(token: &str) -> UnverifiedJws<'_> {
    let parsed = UnverifiedJws::parse(token).expect("not refused");
    parsed.expect("a JWS")
}

fn refusal(token: &str) -> Option<Rejection> {
    UnverifiedJws::parse(token).err()
}

fn candidates(keys: &[&SigningKey]) -> Vec<Arc<VerifyingKey>> {
    let named = keys.iter().enumerate();
    let jwks: Vec<_> = named.map(|(at, key)| key.jwk(&at.to_string())).collect();
    let set = KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).expect("a key set");
    match set.select(None, Algorithm::ES256) {
        Candidates::Keys(keys) => keys,
        other @ (Candidates::WrongAlgorithm | Candidates::Unknown) => panic!("{other:?}"),
    }
}

#[test]
fn the_claims_belong_to_the_candidate_that_has_signed() {
    let token = with_header(json!({}));
    let (other, signer) = (SigningKey::es256(), shared_es256());
    let keys = candidates(&[&other, signer]);
    let (claims, key) = parsed(&token)
        .verify(Algorithm::ES256, &keys)
        .expect("verified");
    assert!(Arc::ptr_eq(&key, &keys[1]));
    assert_eq!(claims.text("iss"), Ok(Some("https://idp.example")));
}

#[test]
fn a_signature_that_no_candidate_has_made_opens_nothing() {
    let token = with_header(json!({}));
    let refused = |token: &str, algorithm, keys: &[Arc<VerifyingKey>]| {
        parsed(token).verify(algorithm, keys).map(drop)
    };
    let wrong = Err(Rejection::BadSignature);
    let ours = candidates(&[shared_es256()]);
    let others = candidates(&[&SigningKey::es256()]);
    assert_eq!(refused(&token, Algorithm::ES256, &others), wrong);
    assert_eq!(refused(&token, Algorithm::ES256, &[]), wrong);
    assert_eq!(refused(&token, Algorithm::ES384, &ours), wrong);
    // The signature of one token under the claims of another.
    let (header, rest) = token.split_once('.').expect("two parts");
    let signature = rest.split_once('.').expect("three parts").1;
    let claims = base64url(json!({"iss": "https://idp.example", "sub": "admin"}).to_string());
    let forged = format!("{header}.{claims}.{signature}");
    assert_eq!(refused(&forged, Algorithm::ES256, &ours), wrong);
}

#[test]
fn what_is_no_jws_is_left_to_its_provider() {
    let object = base64url("{}");
    for token in [
        "opaque",
        "a.b",
        "ghs.two.dots",
        "..",
        &format!("{object}.{object}"),
        &format!("{object}.{object}.a.b"),
        &format!("{}.{object}.c2ln", base64url("[]")),
    ] {
        assert!(matches!(UnverifiedJws::parse(token), Ok(None)), "{token}");
        assert_eq!(unverified_issuer(token), Ok(None), "{token}");
    }
}

#[test]
fn what_begins_as_a_jws_must_be_a_whole_one() {
    let header = base64url(json!({"alg": "ES256"}).to_string());
    // JSON may begin with white space, which `ey` does not show.
    let spaced = base64url(" {\"alg\":\"ES256\"}");
    let payload = base64url("{}");
    for token in [
        format!("{header}..c2ln"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.c2ln="),
        format!("{header}.{payload}=.c2ln"),
        format!("{header}.{payload}.c2+n"),
        format!("{spaced}.{payload}."),
        format!("ey!.{payload}.c2ln"),
    ] {
        assert_eq!(refusal(&token), Some(Rejection::MalformedJws), "{token}");
    }
    let refused = |part, error| Some(Rejection::Json { part, error });
    let token = format!("{}.{payload}.c2ln", base64url("{\"a\":1,\"a\":1}"));
    assert_eq!(
        refusal(&token),
        refused("header", strict_json::JsonError::Duplicate)
    );
    let token = format!("{header}.{}.c2ln", base64url("[]"));
    assert_eq!(
        refusal(&token),
        refused("payload", strict_json::JsonError::NotAnObject)
    );
}

#[test]
fn a_header_that_brings_a_key_or_another_meaning_is_refused() {
    for name in REFUSED_HEADER_MEMBERS {
        for value in [json!("x"), json!(null)] {
            let token = with_header(json!({ name: value }));
            assert_eq!(refusal(&token), Some(Rejection::HeaderMember(name)));
        }
    }
    for cty in ["JWT", "application/jwt"] {
        let token = with_header(json!({ "cty": cty }));
        assert_eq!(refusal(&token), Some(Rejection::HeaderMember("cty")));
    }
    let token = with_header(json!({"cty": "json", "x5c": []}));
    assert_eq!(refusal(&token), None);
    for name in ["alg", "kid", "typ", "cty", "x5t"] {
        let token = with_header(json!({ name: 1 }));
        assert_eq!(refusal(&token), Some(Rejection::HeaderValue(name)));
    }
}

#[test]
fn the_header_names_key_kind_and_algorithm() {
    let token = with_header(json!({"typ": "application/AT+JWT"}));
    let header = parsed(&token).header;
    assert_eq!(header.algorithm, Ok(Algorithm::ES256));
    assert_eq!(header.key_id.as_deref(), Some("k1"));
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    for unknown in ["none", "HS256", "es256"] {
        let token = with_header(json!({ "alg": unknown }));
        assert_eq!(parsed(&token).header().algorithm, Err(Rejection::Algorithm));
    }
    let token = signed(shared_es256(), &json!({"kid": "k1"}), &json!({}));
    assert_eq!(refusal(&token), Some(Rejection::HeaderValue("alg")));
    let by_certificate = json!({"alg": "ES256", "x5t": "t"});
    let token = signed(shared_es256(), &by_certificate, &json!({}));
    assert_eq!(parsed(&token).header().key_id.as_deref(), Some("t"));
}

#[test]
fn a_kid_is_bounded() {
    let of_length = |length| with_header(json!({"kid": "k".repeat(length)}));
    assert_eq!(refusal(&of_length(256)), None);
    for length in [257, 1000] {
        let refused = Some(Rejection::HeaderValue("kid"));
        assert_eq!(refusal(&of_length(length)), refused, "{length}");
    }
}

#[test]
fn the_issuer_is_one_string() {
    let of = |payload: Value| signed(shared_es256(), &json!({"alg": "ES256"}), &payload);
    let token = of(json!({"iss": "https://idp.example"}));
    assert_eq!(
        parsed(&token).unverified_issuer(),
        Ok("https://idp.example")
    );
    assert_eq!(
        unverified_issuer(&token).as_ref().map(Option::as_deref),
        Ok(Some("https://idp.example"))
    );
    let token = of(json!({}));
    assert_eq!(
        parsed(&token).unverified_issuer(),
        Err(Rejection::ClaimMissing("iss"))
    );
    assert_eq!(unverified_issuer(&token), Ok(None));
    for bad in [json!(["https://idp.example"]), json!(null), json!(1)] {
        let token = of(json!({ "iss": bad }));
        assert_eq!(
            parsed(&token).unverified_issuer(),
            Err(Rejection::ClaimType("iss"))
        );
        assert_eq!(unverified_issuer(&token), Ok(None), "{bad}");
    }
}
