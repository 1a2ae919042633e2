//! Keycloak, JWT access tokens of one realm.

use serde_json::{Value, json};

use super::{common_rules, documented, shown, started};
use crate::{
    support::{
        idp::{Answer, Idp, jwks},
        keys::{other_rs256, shared_es256, shared_rs256},
        tokens::Token,
    },
    token_attacks::Gate,
};

const REALM: &str = "https://kc.example.test/realms/corp";

/// Keycloak's own key order: the encryption key may come first.
fn keycloak(rest: &str) -> Gate {
    let idp = Idp::start();
    let mut encryption = other_rs256().jwk("enc1");
    encryption["use"] = json!("enc");
    encryption["alg"] = json!("RSA-OAEP");
    let keys = [
        encryption,
        shared_rs256().jwk("kc1"),
        shared_es256().jwk("kc2"),
    ];
    idp.answer("/certs", Answer::Json(jwks(&keys)));
    let config = format!(
        "providers:\n  - {{ name: kc, preset: {{ keycloak: {{ url: https://kc.example.test, realm: corp }} }}, \
         audiences: [atlassian-gateway], {rest} }}\n"
    );
    let certs = format!("{REALM}/protocol/openid-connect/certs");
    let here = format!("{}/certs", idp.issuer);
    let config = shown(&config, &[(certs, here)]);
    started(idp, &config)
}

fn access() -> Token {
    documented(include_str!("../fixtures/keycloak/access.json"))
}

#[test]
fn keycloak_keeps_the_rules_of_every_preset() {
    let mut gate = keycloak("");
    common_rules(&mut gate, &access, "jdoe");
    for name in [json!(["jdoe"]), json!(7), Value::Null] {
        let token = access().claim("preferred_username", name).signed();
        gate.knows_nobody("username_claim_array", &token, "username_claim");
    }
    let token = access().without("preferred_username").signed();
    gate.knows_nobody("username_claim_missing", &token, "username_claim");
    for name in ["jdoe\r\nx: y", "jdoe@evil", "admin", "service account"] {
        let token = access().claim("preferred_username", name).signed();
        gate.knows_nobody("username_claim_with_crlf", &token, "username_refused");
    }
    gate.admits(
        "the next token",
        &access().claim("jti", "2").signed(),
        "jdoe",
    );
}

#[test]
fn keycloak_tokens_of_the_default_audience_are_refused() {
    let mut gate = keycloak("");
    let token = documented(include_str!(
        "../fixtures/keycloak/default_audience_only.json"
    ))
    .signed();
    gate.refuses("default_audience_only", token, "wrong_audience");
    gate.admits("with the audience mapper", &access().signed(), "jdoe");
}

#[test]
fn keycloak_payload_typ_must_be_bearer() {
    let mut gate = keycloak("");
    for kind in [
        "ID",
        "Refresh",
        "Offline",
        "Logout",
        "Serialized-ID",
        "DPoP",
        "id",
        "REFRESH",
    ] {
        let token = access().claim("typ", kind).signed();
        gate.refuses(kind, token, "not_an_access_token");
    }
    for kind in ["bearer", "Bearer ", "", "JWT", "Registration-Access-Token"] {
        let token = access().claim("typ", kind).signed();
        gate.refuses(kind, token, "required_claim");
    }
    gate.refuses("no typ", access().without("typ").signed(), "required_claim");
    gate.refuses(
        "a list",
        access().claim("typ", json!(["Bearer"])).signed(),
        "claim_type",
    );
    gate.admits("Bearer", &access().signed(), "jdoe");
}

#[test]
fn keycloak_issuer_is_the_realm_as_configured() {
    let mut gate = keycloak("");
    for issuer in [
        format!("{REALM}/"),
        "https://kc.example.test/realms/corp2".to_owned(),
        "https://kc.example.test/realms/master".to_owned(),
        "https://kc.example.test/realms/Corp".to_owned(),
        "https://kc.example.test/auth/realms/corp".to_owned(),
        "http://kc.example.test/realms/corp".to_owned(),
        "https://kc.example.test:443/realms/corp".to_owned(),
        "https://KC.example.test/realms/corp".to_owned(),
        "https://kc.example.test".to_owned(),
        gate.idp.issuer.clone(),
    ] {
        let token = access().claim("iss", issuer.clone()).signed();
        gate.refuses(&issuer, token, "unknown_issuer");
    }
    gate.admits("the realm", &access().signed(), "jdoe");
}

#[test]
fn keycloak_service_accounts_are_nobody_unless_mapped() {
    let account = || {
        access()
            .claim("preferred_username", "service-account-ci-portal")
            .claim("clientHost", "10.0.0.1")
            .claim("clientAddress", "10.0.0.1")
            .claim("client_id", "ci-portal")
    };
    let variants = || {
        [
            ("whole", account()),
            ("without clientHost", account().without("clientHost")),
            (
                "named like a user",
                account().claim("preferred_username", "jdoe"),
            ),
            (
                "lightweight",
                account().without("sub").without("preferred_username"),
            ),
            ("sub is the client", access().claim("sub", "ci-portal")),
        ]
    };
    let mut gate = keycloak("");
    for (which, token) in variants() {
        gate.knows_nobody(which, &token.signed(), "machine_client_not_mapped");
    }
    gate.admits("a user of that client", &access().signed(), "jdoe");

    let mut gate = keycloak("machine_clients: { ci-portal: svc-ci }");
    for (which, token) in variants() {
        gate.admits(which, &token.clone().signed(), "svc-ci");
        let other = token
            .claim("azp", "other")
            .claim("client_id", "other")
            .claim("sub", "other");
        let other = other.claim("clientHost", "10.0.0.1");
        gate.knows_nobody(which, &other.signed(), "machine_client_not_mapped");
    }
    gate.admits("a user of a mapped client", &access().signed(), "jdoe");
}

#[test]
fn keycloak_lightweight_token_names_a_user_or_nobody() {
    let mut gate = keycloak("");
    gate.admits(
        "lightweight_no_sub",
        &access().without("sub").signed(),
        "jdoe",
    );
    let bare = access()
        .without("sub")
        .without("preferred_username")
        .signed();
    gate.knows_nobody("no sub, no name", &bare, "username_claim");
    let bare = access().without("aud").without("sub").signed();
    gate.refuses("no audience", bare, "claim_missing");
}

#[test]
fn keycloak_encryption_key_first_in_the_set_changes_nothing() {
    let mut gate = keycloak("");
    gate.admits("enc_key_first_in_jwks", &access().signed(), "jdoe");
    gate.admits("no kid", &access().without_header("kid").signed(), "jdoe");
    let es = access().header("alg", "ES256").header("kid", "kc2");
    gate.admits("ES256", &es.signed_by(shared_es256()), "jdoe");
    gate.settle(&access());
    let enc = access().header("kid", "enc1").signed_by(other_rs256());
    gate.refuses("signed with the encryption key", enc, "unknown_key");
    let enc = access().without_header("kid").signed_by(other_rs256());
    gate.refuses("the same without kid", enc, "bad_signature");
    for alg in ["RS384", "RS512", "PS384", "ES384", "HS512"] {
        gate.refuses(
            alg,
            access().header("alg", alg).signed(),
            "algorithm_not_allowed",
        );
    }
    gate.admits(
        "the next token",
        &access().claim("jti", "2").signed(),
        "jdoe",
    );
}

#[test]
fn keycloak_listed_clients_only() {
    let mut gate = keycloak("clients: [ci-portal]");
    gate.admits("the listed client", &access().signed(), "jdoe");
    let other = access().claim("azp", "some-other-spa").signed();
    gate.refuses("foreign_client", other, "client_not_allowed");
    gate.refuses(
        "no azp",
        access().without("azp").signed(),
        "client_not_allowed",
    );
}
