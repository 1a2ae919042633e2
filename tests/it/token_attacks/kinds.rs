//! One kind of token must not pass as another (RFC 8725 §2.8), nor a bound one as a bearer token.

use serde_json::{Value, json};

use super::{Gate, token_of};
use crate::support::tokens::Token;

/// As a provider before RFC 9068 sends it.
fn legacy() -> Token {
    token_of("old").header("typ", "JWT")
}

#[test]
fn an_id_refresh_or_logout_token_is_no_access_token() {
    let mut gate = Gate::with(&[("old", "typ: legacy", "")]);
    gate.admits("an access token", &legacy().signed(), "alice");
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (claim, value) in [
        ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
        ("at_hash", Value::Null),
        ("c_hash", json!("LDktKdoQak3Pk0cnXxCltA")),
        ("s_hash", json!("x")),
        ("events", logout),
        ("events", json!({})),
        ("events", Value::Null),
        ("token_use", json!("id")),
        ("token_use", json!("refresh")),
        ("token_use", json!("Access")),
        ("token_use", json!("")),
        ("typ", json!("ID")),
        ("typ", json!("id")),
        ("typ", json!("Refresh")),
        ("typ", json!("REFRESH")),
        ("typ", json!("Offline")),
        ("typ", json!("Logout")),
        ("typ", json!("Serialized-ID")),
        ("typ", json!("DPoP")),
    ] {
        for token in [legacy(), gate.good()] {
            let token = token.claim(claim, value.clone()).signed();
            gate.refuses(&format!("{claim}: {value}"), token, "not_an_access_token");
        }
    }
    for nonce in [json!("n-0S6_WzA2Mj"), json!(7), Value::Null] {
        let token = legacy().claim("nonce", nonce.clone()).signed();
        gate.refuses(&format!("nonce {nonce}"), token, "not_an_access_token");
    }
    for (claim, value) in [
        ("token_use", Value::Null),
        ("token_use", json!(["access"])),
        ("token_use", json!(true)),
        ("typ", Value::Null),
        ("typ", json!(["Bearer"])),
        ("typ", json!(1)),
    ] {
        let token = legacy().claim(claim, value.clone()).signed();
        gate.refuses(&format!("{claim}: {value}"), token, "claim_type");
    }
    let marked = legacy().claim("token_use", "access").claim("typ", "Bearer");
    gate.admits("marked as an access token", &marked.signed(), "alice");
    gate.still_admits_alice();
}

#[test]
fn a_whole_id_token_is_refused_under_either_policy() {
    let mut gate = Gate::with(&[("old", "typ: legacy", "")]);
    // Same issuer, same key, and an audience that is also the client: the worst case.
    let whole = |token: Token| {
        token
            .header("typ", "JWT")
            .claim("azp", "jira-api")
            .claim("client_id", "jira-api")
            .claim("nonce", "n-0S6_WzA2Mj")
            .claim("auth_time", 1)
            .claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ")
            .claim("email", "alice@corp.example")
    };
    gate.refuses(
        "at+jwt policy",
        whole(gate.good()).signed(),
        "typ_not_accepted",
    );
    gate.refuses(
        "legacy policy",
        whole(token_of("old")).signed(),
        "not_an_access_token",
    );
    gate.still_admits_alice();
}

#[test]
fn a_sender_constrained_token_is_no_bearer_token() {
    let mut gate = Gate::with(&[("old", "typ: legacy", "")]);
    for cnf in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        json!({"jwk": {}}),
        json!({"kid": "k1"}),
        json!({"unknown": 1}),
        json!({}),
        json!([]),
        json!(""),
        json!(false),
        Value::Null,
    ] {
        for token in [legacy(), gate.good()] {
            let token = token.claim("cnf", cnf.clone()).signed();
            gate.refuses(&format!("cnf {cnf}"), token, "sender_constrained");
        }
    }
    gate.still_admits_alice();
}
