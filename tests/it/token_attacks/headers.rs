//! The JOSE header: it may say which of the provider's keys, and nothing else of consequence.

use serde_json::{Value, json};

use super::{Gate, token_of};
use crate::support::{
    idp::{Answer, jwks},
    keys::{base64url, other_rs256, shared_rs256},
};

#[test]
fn a_token_never_brings_its_own_key() {
    let mut gate = Gate::open();
    let attacker = other_rs256();
    let theirs = jwks(&[attacker.jwk("k1"), attacker.jwk("theirs")]);
    gate.idp.answer("/theirs", Answer::Json(theirs));
    let url = format!("{}/theirs", gate.idp.issuer);
    gate.settle(&gate.good());
    for kid in ["k1", "theirs"] {
        let token = gate
            .good()
            .claim("preferred_username", "mallory")
            .header("kid", kid);
        for (member, value) in [
            ("jku", json!(url)),
            ("jwk", attacker.jwk(kid)),
            ("jwk", shared_rs256().jwk("k1")),
            ("x5u", json!(url)),
            ("jku", Value::Null),
            ("jwk", json!({})),
        ] {
            let attack = format!("{member}: {value}");
            let token = token.clone().header(member, value);
            gate.refuses(&attack, token.signed_by(attacker), "header_refused");
            gate.refuses(&attack, token.signed(), "header_refused");
        }
        // Certificates are no source of keys, however they are written.
        let reason = if kid == "k1" {
            "bad_signature"
        } else {
            "unknown_key"
        };
        let certified = rcgen::generate_simple_self_signed(["mallory".to_owned()]).expect("made");
        let der = certified.cert.der().as_ref().to_vec();
        for (member, value) in [
            (
                "x5c",
                json!([base64::Engine::encode(
                    &base64::prelude::BASE64_STANDARD,
                    der
                )]),
            ),
            ("x5c", json!("MII")),
            ("x5t", json!("theirs")),
            ("x5t#S256", json!("theirs")),
            ("jwks", json!({"keys": [attacker.jwk(kid)]})),
            ("jwks_uri", json!(url)),
            ("iss", json!(url)),
        ] {
            let token = token.clone().header(member, value).signed_by(attacker);
            gate.refuses(member, token, reason);
        }
    }
    assert_eq!(gate.idp.count("/theirs"), 0, "a URL of a token was fetched");
    gate.still_admits_alice();
}

#[test]
fn a_header_that_changes_the_meaning_of_the_token_is_refused() {
    let mut gate = Gate::open();
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!(["http://example.com/UNDEFINED"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("crit", Value::Null),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("zip", Value::Null),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("cty", json!("jwt")),
        ("cty", json!("application/JWT")),
        ("cty", json!(7)),
        ("cty", json!(["JWT"])),
        // A Microsoft Graph token: its signature covers other bytes than the ones we see.
        (
            "nonce",
            json!("WTVQubis7ho6JbSilSdbM9RHrtDZEHU6eweHRYC6eDs"),
        ),
        ("nonce", Value::Null),
    ] {
        let attack = format!("{member}: {value}");
        gate.refuses(
            &attack,
            gate.good().header(member, value).signed(),
            "header_refused",
        );
    }
    // RFC 7797: the payload as it stands, which the signature covers.
    let header = r#"{"alg":"RS256","kid":"k1","typ":"at+jwt","b64":false,"crit":["b64"]}"#;
    let payload = base64url(gate.good().payload.to_string());
    let token = super::sign_parts(&base64url(header), &payload, shared_rs256());
    gate.refuses("b64 with crit", token, "header_refused");
    gate.still_admits_alice();
}

#[test]
fn only_an_access_token_type_passes() {
    let mut gate = Gate::with(&[("old", "typ: legacy", "")]);
    let always_refused = [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "id_token+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "entity-statement+jwt",
        "client-authentication+jwt",
        "kb+jwt",
        "vc+sd-jwt",
        "DPoP+JWT",
        "application/dpop+jwt",
        "JWE",
        "JOSE",
        "JOSE+JSON",
        "",
        "at+jwt ",
        " at+jwt",
        "at+jwt;v=1",
        "at+jwt\0",
        "at jwt",
        "at",
        "at+jwts",
        "text/at+jwt",
        "application/application/at+jwt",
        "application/",
        "at+jwt,JWT",
        "\u{ff41}t+jwt",
    ];
    for typ in always_refused {
        let token = gate.good().header("typ", typ).signed();
        gate.refuses(&format!("typ {typ:?}"), token, "typ_not_accepted");
        let token = token_of("old").header("typ", typ).signed();
        gate.refuses(&format!("typ {typ:?}, legacy"), token, "typ_not_accepted");
    }
    for typ in [
        Value::Null,
        json!(1),
        json!(["at+jwt"]),
        json!({}),
        json!(true),
    ] {
        let token = gate.good().header("typ", typ.clone()).signed();
        gate.refuses(&format!("typ {typ}"), token, "header_refused");
        let token = token_of("old").header("typ", typ.clone()).signed();
        gate.refuses(&format!("typ {typ}, legacy"), token, "header_refused");
    }
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+JWT",
    ] {
        gate.admits(typ, &gate.good().header("typ", typ).signed(), "alice");
        gate.admits(typ, &token_of("old").header("typ", typ).signed(), "alice");
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        gate.refuses(
            typ,
            gate.good().header("typ", typ).signed(),
            "typ_not_accepted",
        );
        gate.admits(typ, &token_of("old").header("typ", typ).signed(), "alice");
    }
    gate.refuses(
        "no typ",
        gate.good().without_header("typ").signed(),
        "typ_not_accepted",
    );
    gate.admits(
        "no typ",
        &token_of("old").without_header("typ").signed(),
        "alice",
    );
    gate.still_admits_alice();
}
