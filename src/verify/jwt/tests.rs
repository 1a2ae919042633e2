use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, tests::PausedClock},
    provider::{Judge, Provider},
    verify::{
        Unavailable,
        jws::tests::signed,
        keys::{
            KeySet,
            tests::signing::{SigningKey, shared_es256},
        },
    },
};

const ISSUER: &str = "https://idp.example";

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a key set")
}

fn header(change: &Value) -> Value {
    let mut header = json!({"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"});
    for (name, value) in change.as_object().expect("an object") {
        header[name] = value.clone();
    }
    header
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "jira-api", "sub": "alice", "exp": 60, "tid": "t1"})
}

/// Judges a token by the rules of a provider without settings, which takes `EdDSA` and `at+jwt`.
async fn judged(token: &str, keyring: &Keyring, patience: Duration) -> Result<String, String> {
    let provider = Provider::plain("idp");
    let Judge::Jwt(verifier) = &provider.judge else {
        panic!("it verifies here")
    };
    let jws = UnverifiedJws::parse(token).expect("readable");
    let now = PausedClock.now();
    let issuer = IssuerKeys {
        keyring,
        required: &BTreeMap::from([("tid".to_owned(), "t1".to_owned())]),
    };
    let verified = verifier.verify(jws.expect("a JWS"), issuer, now, now.instant + patience);
    match verified.await {
        Ok(verified) => Ok(verified
            .claims
            .get("sub")
            .expect("sub")
            .to_value()
            .to_string()),
        Err(TokenError::Rejected(rejection)) => Err(rejection.reason().to_owned()),
        Err(TokenError::Unavailable(unavailable)) => Err(unavailable.reason().to_owned()),
    }
}

async fn refused(key: &SigningKey, change: Value, claims: &Value, keys: &[Value]) -> String {
    let keyring = Keyring::loaded(ISSUER, key_set(keys), PausedClock.now());
    let token = signed(key, &header(&change), claims);
    let judged = judged(&token, &keyring, Duration::from_secs(1)).await;
    judged.expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_issuer_has_signed_is_verified() {
    let key = SigningKey::eddsa();
    let keyring = Keyring::loaded(ISSUER, key_set(&[key.jwk("k1")]), PausedClock.now());
    let token = signed(&key, &header(&json!({})), &claims());
    let judged = judged(&token, &keyring, Duration::from_secs(1)).await;
    assert_eq!(judged.as_deref(), Ok("\"alice\""));
}

#[tokio::test(start_paused = true)]
async fn each_step_refuses_what_the_next_one_would_not_notice() {
    let key = SigningKey::eddsa();
    let ours = [key.jwk("k1"), shared_es256().jwk("es")];
    let ours = ours.as_slice();
    let none = json!({});
    // The provider has the key, and its configuration does not take the algorithm.
    let es256 = json!({"alg": "ES256", "kid": "es"});
    let with = async |signer: &SigningKey, change: Value, claims: &Value| {
        refused(signer, change, claims, ours).await
    };
    assert_eq!(
        with(shared_es256(), es256, &claims()).await,
        "algorithm_not_allowed"
    );
    let legacy = json!({"typ": "JWT"});
    assert_eq!(with(&key, legacy, &claims()).await, "typ_not_accepted");
    let other_kind = json!({"kid": "es"});
    assert_eq!(with(&key, other_kind, &claims()).await, "key_mismatch");
    let stranger = SigningKey::eddsa();
    assert_eq!(
        with(&stranger, none.clone(), &claims()).await,
        "bad_signature"
    );
    // What the issuer demands, and what every rule demands.
    let mut changed = claims();
    changed["tid"] = json!("t2");
    assert_eq!(with(&key, none.clone(), &changed).await, "required_claim");
    let mut changed = claims();
    changed["exp"] = json!(0);
    assert_eq!(with(&key, none, &changed).await, "expired");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_being_fetched_is_waited_for_but_not_long() {
    let token = signed(&SigningKey::eddsa(), &header(&json!({})), &claims());
    for (deadline, waits) in [(1000, 100), (50, 50)] {
        let keyring = Keyring::new(ISSUER.to_owned(), Duration::from_hours(1));
        let start = PausedClock.instant();
        let judged = judged(&token, &keyring, Duration::from_millis(deadline)).await;
        assert_eq!(judged, Err(Unavailable::NoKeys.reason().to_owned()));
        let waited = PausedClock.instant() - start;
        assert_eq!(waited.as_millis(), waits, "deadline {deadline} ms");
    }
}
