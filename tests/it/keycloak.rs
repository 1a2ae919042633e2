//! A real Keycloak: its real tokens, its real keys, rotated and removed through its own admin API.
//!
//! One test, because starting Keycloak takes longer than everything else here together.

mod introspection;

use std::{env, process::Command};

use serde_json::{Value, json};

use crate::support::{
    children::Running,
    client::{self, Answer},
    eventually,
    service::Service,
};

struct Keycloak {
    _process: Running,
    ready: Value,
}

impl Keycloak {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/keycloak/start.py");
        let mut command = Command::new(script);
        command.args(["--port", "0", "--exit-with-parent"]);
        let mut process = Running::start(command);
        let ready = process.wait_for("Keycloak", |line| {
            serde_json::from_str(line.strip_prefix("ready ")?).ok()
        });
        Self {
            _process: process,
            ready,
        }
    }

    fn url(&self, name: &str) -> &str {
        self.ready[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} in the ready line"))
    }

    /// The answer of the token endpoint.
    fn tokens(&self, form: &str) -> Value {
        let answer = http(
            "POST",
            self.url("token_endpoint"),
            None,
            "application/x-www-form-urlencoded",
            form,
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn user_token(&self, client: &str) -> String {
        let tokens = self.tokens(&format!(
            "grant_type=password&client_id={client}&username=alice&password=alice-password&scope=openid"
        ));
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin";
        let endpoint = self.url("admin_token_endpoint");
        let answer = http(
            "POST",
            endpoint,
            None,
            "application/x-www-form-urlencoded",
            form,
        );
        let tokens: Value = serde_json::from_str(&answer.body).expect("JSON");
        let token = tokens["access_token"]
            .as_str()
            .expect("the administrator's token");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        http(
            method,
            &format!("{}{path}", self.url("admin")),
            Some(token),
            "application/json",
            &body,
        )
    }

    /// Adds a signing key that is preferred to all others; returns where it can be deleted.
    fn rotate(&self, priority: u32) -> String {
        let answer = self.admin("POST", "/components", &json!({
            "name": format!("rotated-{priority}"), "providerType": "org.keycloak.keys.KeyProvider", "providerId": "rsa-generated",
            "config": {"priority": [priority.to_string()], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"], "keySize": ["2048"]},
        }));
        assert_eq!(answer.status, 201, "{}", answer.body);
        let location = answer.header("location").expect("a location");
        location.rsplit('/').next().expect("an id").to_owned()
    }
}

fn http(method: &str, url: &str, bearer: Option<&str>, kind: &str, body: &str) -> Answer {
    let rest = url.strip_prefix("http://").expect("http");
    let (address, path) = rest.split_once('/').expect("a path");
    let authorization = bearer
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    client::send(
        address,
        format!(
            "{method} /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

fn application() -> &'static str {
    "applications:\n  - { name: jira, product: jira, hosts: [jira.example.com] }\n"
}

#[test]
fn keycloak_users_pass_and_everything_else_that_keycloak_signs_does_not() {
    if env::var_os("SKIP_KEYCLOAK").is_some_and(|value| value == "1") {
        eprintln!("SKIPPED by SKIP_KEYCLOAK=1: nothing was tried against a real Keycloak");
        return;
    }
    let keycloak = Keycloak::start();
    let issuer = keycloak.url("issuer").to_owned();
    let base = issuer.split_once("/realms/").expect("a realm").0;
    let preset = format!(
        "providers:\n  - name: sso\n    preset: {{ keycloak: {{ url: \"{base}\", realm: acme }} }}\n    \
         audiences: [jira-api]\n    machine_clients: {{ MAPPED: svc-ci }}\n{}",
        application()
    );
    let mut service = Service::with_config(&preset);

    users_pass(&keycloak, &mut service);
    other_tokens_do_not(&keycloak, &mut service);
    machines_pass_only_when_mapped(&keycloak, &preset, &mut service);
    a_token_expires(&keycloak, &issuer);
    a_new_key_is_found_and_a_removed_one_forgotten(&keycloak, &preset, &mut service);
    introspection::is_asked_about_every_token(&keycloak);
    let token = keycloak.user_token("cli");
    a_disabled_realm_issues_nothing(&keycloak, &mut service);
    introspection::that_is_gone_lets_nobody_in(keycloak, &token);
}

fn users_pass(keycloak: &Keycloak, service: &mut Service) {
    let token = keycloak.user_token("cli");
    for _ in 0..2 {
        assert_eq!(service.check_token(&token).user(), Some("alice"));
    }
}

fn other_tokens_do_not(keycloak: &Keycloak, service: &mut Service) {
    let foreign = service.check_token(&keycloak.user_token("other"));
    assert_eq!((foreign.status, foreign.reason()), (401, "wrong_audience"));

    let tokens = keycloak.tokens(
        "grant_type=password&client_id=cli&username=alice&password=alice-password&scope=openid",
    );
    for kind in ["id_token", "refresh_token"] {
        let outcome = service.check_token(tokens[kind].as_str().expect(kind));
        assert_eq!(outcome.status, 401, "{kind}: {}", outcome.reason());
    }
}

fn machines_pass_only_when_mapped(keycloak: &Keycloak, preset: &str, service: &mut Service) {
    let form = "grant_type=client_credentials&client_id=ci&client_secret=ci-secret";
    let tokens = keycloak.tokens(form);
    let token = tokens["access_token"].as_str().expect("a token");
    let unmapped = service.check_token(token);
    assert_eq!(
        (unmapped.status, unmapped.reason()),
        (403, "machine_client_not_mapped")
    );

    let mut mapped = Service::with_config(&preset.replace("MAPPED", "ci"));
    assert_eq!(mapped.check_token(token).user(), Some("svc-ci"));
    assert_eq!(
        mapped.check_token(&keycloak.user_token("cli")).user(),
        Some("alice")
    );
}

/// The generic form with discovery, and no leeway, so that the end can be watched.
fn a_token_expires(keycloak: &Keycloak, issuer: &str) {
    let mut service = Service::with_config(&format!(
        "providers:\n  - name: sso\n    jwt: {{ issuer: \"{issuer}\", typ: legacy, leeway: 0s }}\n    \
         audiences: [jira-api]\n    username: {{ claim: preferred_username }}\n{}",
        application()
    ));
    let token = keycloak.user_token("short");
    let first = service.check_token(&token);
    assert!(
        first.user() == Some("alice") || first.reason() == "expired",
        "{}",
        first.reason()
    );
    eventually("the token's expiry", || {
        (service.check_token(&token).reason() == "expired").then_some(())
    });
    assert_eq!(service.check_token(&token).status, 401);
}

fn a_new_key_is_found_and_a_removed_one_forgotten(
    keycloak: &Keycloak,
    preset: &str,
    service: &mut Service,
) {
    let old = keycloak.user_token("cli");
    keycloak.rotate(200);
    let new = keycloak.user_token("cli");
    assert_eq!(
        service.check_token(&new).user(),
        Some("alice"),
        "the key is fetched on its first use"
    );
    assert_eq!(
        service.check_token(&old).user(),
        Some("alice"),
        "the old key is still published"
    );

    let removed = keycloak.rotate(300);
    let lost = keycloak.user_token("cli");
    let mut fresh = Service::with_config(preset);
    assert_eq!(fresh.check_token(&lost).user(), Some("alice"));
    assert_eq!(
        keycloak
            .admin("DELETE", &format!("/components/{removed}"), &Value::Null)
            .status,
        204
    );
    let mut after = Service::with_config(preset);
    let outcome = after.check_token(&lost);
    assert_eq!((outcome.status, outcome.reason()), (401, "unknown_key"));
    assert_eq!(after.check_token(&new).user(), Some("alice"));
}

/// Keycloak goes on publishing the keys of a disabled realm, so tokens live until they expire: a
/// fact that operators must know (docs/PROVIDERS.md).
fn a_disabled_realm_issues_nothing(keycloak: &Keycloak, service: &mut Service) {
    let token = keycloak.user_token("cli");
    assert_eq!(
        keycloak.admin("PUT", "", &json!({"enabled": false})).status,
        204
    );
    let form = "grant_type=password&client_id=cli&username=alice&password=alice-password";
    let refused = http(
        "POST",
        keycloak.url("token_endpoint"),
        None,
        "application/x-www-form-urlencoded",
        form,
    );
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(service.check_token(&token).user(), Some("alice"));
}
