//! The presets, as `config show` writes them out, against tokens as these providers make them.
//!
//! Only the places of the keys are replaced: a loopback server has them.

mod entra;
mod keycloak;

use std::{fs, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Gate;
use crate::support::{
    idp::Idp,
    keys::other_rs256,
    service::Service,
    tokens::{Token, unix_now},
};

/// When the tokens in `fixtures/` were issued.
const DOCUMENTED: i64 = 1_790_000_000;

/// A token as the provider's documentation describes it, issued just now.
fn documented(text: &str) -> Token {
    let mut token: Value = serde_json::from_str(text).expect("JSON");
    for claim in ["iat", "nbf", "exp"] {
        if let Some(date) = token["payload"].get(claim).and_then(Value::as_i64) {
            token["payload"][claim] = json!(date - DOCUMENTED + unix_now() - 5);
        }
    }
    let [header, payload] = ["header", "payload"].map(|part| token[part].take());
    Token { header, payload }
}

/// The effective configuration of a file, with these replacements.
fn shown(config: &str, replacements: &[(String, String)]) -> String {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("config.yaml");
    let text = format!(
        "{config}\nlisten: {{ grpc: 127.0.0.1:0, admin: 127.0.0.1:0 }}\nlog: {{ level: trace, format: json }}\n\
         outbound: {{ allow_loopback_http: true }}\nshutdown: {{ drain_delay: 0s }}\n\
         applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n"
    );
    fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_atlassian-authz"));
    let output = command
        .args(["config", "show"])
        .arg(&file)
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut shown = String::from_utf8(output.stdout).expect("UTF-8");
    for (from, to) in replacements {
        assert_eq!(
            shown.matches(from.as_str()).count(),
            1,
            "{from} in\n{shown}"
        );
        shown = shown.replace(from, to);
    }
    shown
}

fn started(idp: Idp, config: &str) -> Gate {
    let service = Service::with_config(config);
    Gate {
        idp,
        service,
        asked: 0,
    }
}

/// The rules of every preset, on a provider's good token of `user`.
fn common_rules(gate: &mut Gate, good: &dyn Fn() -> Token, user: &str) {
    let now = unix_now();
    gate.admits("valid_user", &good().signed(), user);
    let past = good().claim("exp", now - 60);
    gate.refuses("expired", past.signed(), "expired");
    let future = good().claim("iat", now + 600).claim("exp", now + 900);
    gate.refuses("not_yet_valid", future.signed(), "not_yet_valid");
    gate.refuses(
        "wrong_signature",
        good().signed_by(other_rs256()),
        "bad_signature",
    );
    let none = good().header("alg", "none").signed();
    gate.refuses("alg_none", none, "algorithm_not_allowed");
    let hmac = good().header("alg", "HS256").signed();
    gate.refuses("alg_hs256_with_public_key", hmac, "algorithm_not_allowed");
    for aud in [json!("other"), json!(["other", "another"]), json!("")] {
        gate.refuses(
            "foreign_audience",
            good().claim("aud", aud).signed(),
            "wrong_audience",
        );
    }
    gate.refuses(
        "no_audience",
        good().without("aud").signed(),
        "claim_missing",
    );
    for cnf in [json!({"jkt": "x"}), json!({"x5t#S256": "x"})] {
        let token = good().claim("cnf", cnf).signed();
        gate.refuses("sender_constrained_cnf", token, "sender_constrained");
    }
    for claim in ["at_hash", "c_hash", "nonce"] {
        let token = good().claim(claim, "x").signed();
        gate.refuses("id_token_instead", token, "not_an_access_token");
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt"] {
        gate.refuses(typ, good().header("typ", typ).signed(), "typ_not_accepted");
    }
    gate.admits("at+jwt", &good().header("typ", "at+jwt").signed(), user);
}
