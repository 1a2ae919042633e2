//! `kid`: an opaque name for one of the provider's keys.

use serde_json::{Value, json};

use super::{APPLICATION, Gate, provider, sign_bytes, token_of, usual_provider};
use crate::support::{
    idp::{Answer, Idp, JWKS, jwks},
    keys::{SigningKey, other_rs256, shared_es256, shared_rs256},
    tokens::sign_raw,
};

#[test]
fn a_kid_is_compared_and_never_interpreted() {
    let mut gate = Gate::open();
    gate.settle(&gate.good());
    let fetched = gate.idp.count(JWKS);
    let long = "k".repeat(256);
    for kid in [
        "",
        "K1",
        "k1 ",
        " k1",
        "k1\0",
        "\0",
        "k",
        "k11",
        "k1/",
        "k1?",
        "k1#",
        "./k1",
        "k1'",
        "k1\"",
        "' OR '1'='1",
        "k1' UNION SELECT 'AA';--",
        "k1; DROP TABLE keys",
        "../../../../dev/null",
        "/dev/null",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/jwks",
        "\\\\host\\k1",
        "k1\r\nx: y",
        "$(id)",
        "`id`",
        "|id",
        "{{7*7}}",
        "%s%n",
        "${jndi:ldap://x}",
        "\u{212a}1",
        "k\u{661}",
        "*",
        ".*",
        "null",
        "0",
        &long,
    ] {
        for key in [shared_rs256(), other_rs256()] {
            let token = gate.good().header("kid", kid).signed_by(key);
            gate.refuses(&format!("kid {kid:?}"), token, "unknown_key");
        }
    }
    for (size, reason) in [
        (257, "header_refused"),
        (4096, "header_refused"),
        (10_240, "malformed_token"),
    ] {
        let token = gate.good().header("kid", "k".repeat(size)).signed();
        gate.refuses(&format!("kid of {size} bytes"), token, reason);
    }
    for kid in [
        Value::Null,
        json!(1),
        json!(["k1"]),
        json!({"k1": "k1"}),
        json!(true),
    ] {
        let token = gate.good().header("kid", kid.clone()).signed();
        gate.refuses(&format!("kid {kid}"), token, "header_refused");
    }
    // Escapes are spelling, not meaning.
    let payload = gate.good().payload.to_string();
    let header = r#"{"alg":"RS256","kid":"\u006b1","typ":"at+jwt"}"#;
    gate.admits(
        "k1, escaped",
        &sign_raw(header, &payload, shared_rs256()),
        "alice",
    );
    let header = b"{\"alg\":\"RS256\",\"kid\":\"k1\xff\",\"typ\":\"at+jwt\"}";
    let token = sign_bytes(header, payload.as_bytes(), shared_rs256());
    gate.refuses("kid not UTF-8", token, "malformed_token");
    assert_eq!(
        gate.idp.count(JWKS),
        fetched,
        "an attacker's kids made us fetch"
    );
    gate.still_admits_alice();
}

#[test]
fn a_token_without_kid_is_tried_with_few_keys_and_a_shared_kid_is_nobodys() {
    let idp = Idp::start();
    let keys: Vec<SigningKey> = (0..5).map(|_| SigningKey::es256()).collect();
    let published: Vec<Value> = (0..5).map(|at| keys[at].jwk(&format!("e{at}"))).collect();
    idp.answer("/several", Answer::Json(jwks(&published)));
    idp.answer("/one", Answer::Json(jwks(&published[..1])));
    let shared_kid = [
        keys[0].jwk("dup"),
        keys[1].jwk("dup"),
        shared_es256().jwk("own"),
    ];
    idp.answer("/shared", Answer::Json(jwks(&shared_kid)));
    let twice = [
        shared_rs256().jwk("k1"),
        other_rs256().jwk("k1"),
        shared_es256().jwk("k1"),
    ];
    let twice = [&twice[..], &[keys[0].jwk("own")]].concat();
    idp.answer("/twice", Answer::Json(jwks(&twice)));
    let mut config = usual_provider(&idp);
    for name in ["several", "one", "shared", "twice"] {
        config.push_str(&provider(&idp, name, "", ""));
    }
    let mut gate = Gate::configured(idp, &(config + APPLICATION));

    let bare = |provider: &str| {
        token_of(provider)
            .without_header("kid")
            .header("alg", "ES256")
    };
    gate.admits("one key, no kid", &bare("one").signed_by(&keys[0]), "alice");
    gate.refuses(
        "another's, no kid",
        bare("one").signed_by(&keys[1]),
        "bad_signature",
    );
    for key in &keys[..4] {
        gate.admits(
            "several keys, no kid",
            &bare("several").signed_by(key),
            "alice",
        );
    }
    gate.refuses(
        "the fifth key, no kid",
        bare("several").signed_by(&keys[4]),
        "bad_signature",
    );
    gate.refuses(
        "none's, no kid",
        bare("several").signed_by(shared_es256()),
        "bad_signature",
    );
    let named = bare("several").header("kid", "e4").signed_by(&keys[4]);
    gate.admits("the fifth key by its kid", &named, "alice");

    gate.settle(&token_of("shared"));
    gate.settle(&token_of("twice"));
    for key in &keys[..2] {
        let token = bare("shared").header("kid", "dup").signed_by(key);
        gate.refuses("a kid that two keys share", token, "unknown_key");
        gate.refuses(
            "such a key, no kid",
            bare("shared").signed_by(key),
            "bad_signature",
        );
    }
    let token = bare("shared")
        .header("kid", "own")
        .signed_by(shared_es256());
    gate.admits("the key beside them", &token, "alice");
    for key in [shared_rs256(), other_rs256(), shared_es256()] {
        let token = token_of("twice").header("alg", key.alg()).signed_by(key);
        gate.refuses(
            "a kid that three keys of two kinds share",
            token,
            "unknown_key",
        );
    }
    gate.still_admits_alice();
}
