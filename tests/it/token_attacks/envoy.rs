//! The attacks that matter most, through the real Envoy, set up to let everything pass on an error.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{Gate, sign_parts};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    keys::{base64url, other_rs256, shared_rs256},
    tokens::{Token, sign_raw, unix_now},
    upstream::Upstream,
};

fn attacks(good: &dyn Fn() -> Token) -> Vec<(&'static str, u16, String)> {
    let now = unix_now();
    let message = |token: &Token| {
        let (header, payload) = (token.header.to_string(), token.payload.to_string());
        format!("{}.{}", base64url(header), base64url(payload))
    };
    let none = good().header("alg", "none");
    let hmac_token = good().header("alg", "HS256");
    let secret = shared_rs256().jwk("k1").to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, message(&hmac_token).as_bytes());
    let twice = good()
        .payload
        .to_string()
        .replacen('{', r#"{"preferred_username":"bob","#, 1);
    let two_parts = good()
        .signed()
        .rsplit_once('.')
        .expect("parts")
        .0
        .to_owned();
    let nested = sign_parts(
        &base64url(good().header.to_string()),
        &base64url(good().signed()),
        shared_rs256(),
    );
    let name = |name: Value| good().claim("preferred_username", name).signed();
    vec![
        ("none", 401, format!("{}.", message(&none))),
        ("none, a signature", 401, none.signed()),
        (
            "HS256",
            401,
            format!("{}.{}", message(&hmac_token), base64url(tag)),
        ),
        ("another key", 401, good().signed_by(other_rs256())),
        (
            "its own key",
            401,
            good()
                .header("jwk", other_rs256().jwk("k1"))
                .signed_by(other_rs256()),
        ),
        ("crit", 401, good().header("crit", json!(["x"])).signed()),
        ("no signature", 401, two_parts),
        (
            "a claim twice",
            401,
            sign_raw(&good().header.to_string(), &twice, shared_rs256()),
        ),
        ("a token in a token", 401, nested),
        ("expired", 401, good().claim("exp", now - 1).signed()),
        (
            "exp as text",
            401,
            good().claim("exp", (now + 60).to_string()).signed(),
        ),
        (
            "another audience",
            401,
            good().claim("aud", "other").signed(),
        ),
        (
            "another issuer",
            401,
            good().claim("iss", "https://other.test").signed(),
        ),
        (
            "an ID token",
            401,
            good().header("typ", "JWT").claim("nonce", "x").signed(),
        ),
        (
            "a logout token",
            401,
            good().header("typ", "logout+jwt").signed(),
        ),
        (
            "a bound token",
            401,
            good().claim("cnf", json!({"jkt": "x"})).signed(),
        ),
        ("API token", 401, format!("axt_{}", good().signed())),
        (
            "a machine",
            403,
            good()
                .claim("sub", "admin")
                .claim("client_id", "admin")
                .signed(),
        ),
        ("CRLF", 403, name(json!("alice\r\nX-Remote-User: admin"))),
        ("a comma", 403, name(json!("admin,alice"))),
        ("a domain", 403, name(json!("admin@corp.example"))),
        ("reserved", 403, name(json!("Admin"))),
        ("a list", 403, name(json!(["alice"]))),
        (
            "16 KiB and more",
            400,
            format!("{}{}", good().signed(), "A".repeat(16 * 1024)),
        ),
        (
            "two tokens",
            400,
            format!("{},{}", good().signed(), good().signed()),
        ),
        (
            "padding inside",
            400,
            good().signed().replacen('.', "=.", 1),
        ),
    ]
}

fn send(envoy: &Envoy, token: &str) -> client::Answer {
    let credential = format!("Authorization: Bearer {token}");
    let spoofed = ["X-Remote-User: admin", "X_Remote_User: admin", &credential];
    client::get(&envoy.address, "/rest/api/2/myself", &spoofed)
}

#[test]
fn no_bad_token_reaches_the_product_through_envoy() {
    let gate = Gate::open();
    let upstream = Upstream::start();
    for raw in [true, false] {
        let options = Options::new(&gate.service.grpc, upstream.port);
        let envoy = options
            .filter(json!({"failure_mode_allow": true, "encode_raw_headers": raw}))
            .start();
        let before = upstream.seen().len();
        let attacks = attacks(&|| gate.good());
        for (attack, status, token) in &attacks {
            refuses(&envoy, attack, *status, token);
            assert_eq!(
                upstream.seen().len(),
                before,
                "{attack} reached the product"
            );
        }
        // Envoy itself refuses what is larger than it takes.
        let answer = send(&envoy, &"A".repeat(1024 * 1024));
        assert_ne!(answer.status, 200, "1 MiB");
        assert_eq!(upstream.seen().len(), before, "1 MiB reached the product");

        assert_eq!(send(&envoy, &gate.good().signed()).status, 200);
        assert_eq!(upstream.last().identities(), [("x-remote-user", "alice")]);
        let counts = ["ok", "denied", "failure_mode_allowed", "error"]
            .map(|what| envoy.stat(&format!("cluster.upstream.ext_authz.{what}")));
        assert_eq!(counts, [1, attacks.len() as u64, 0, 0], "raw headers {raw}");
    }
}

fn refuses(envoy: &Envoy, attack: &str, status: u16, token: &str) {
    let answer = send(envoy, token);
    assert_eq!(answer.status, status, "{attack}: {}", answer.body);
    if status == 401 {
        assert_eq!(answer.body, super::BAD_TOKEN_BODY, "{attack}");
    }
}
