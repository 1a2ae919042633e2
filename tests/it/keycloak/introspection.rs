//! Keycloak, asked about every token.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Keycloak, application, http};
use crate::support::{eventually, service::Service};

/// The preset's generic form, with a memory of one second instead of thirty.
fn config(keycloak: &Keycloak, secret: &TempDir, rest: &str) -> String {
    let issuer = keycloak.url("issuer");
    format!(
        "providers:\n  - name: sso\n    introspection:\n      endpoint: \"{issuer}/protocol/openid-connect/token/introspect\"\n      \
         client_id: jira-api\n      client_secret: {{ file: {} }}\n      \
         tokens: {{ issuers: [\"{issuer}\"], opaque: false }}\n      required_claims: {{ typ: Bearer }}\n      \
         machine_if: [{{ claim: username, starts_with: service-account- }}]\n      cache_ttl: 1s\n    \
         audiences: [jira-api]\n    username: {{ claim: username }}\n    \
         groups: {{ claims: [/realm_access/roles, groups] }}\n{rest}{}",
        secret.path().join("secret").display(),
        application()
    )
}

fn secret(text: &str) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    fs::write(directory.path().join("secret"), text).expect("written");
    directory
}

pub fn is_asked_about_every_token(keycloak: &Keycloak) {
    let secret = secret("jira-api-secret\n");
    let mut service = Service::with_config(&config(keycloak, &secret, ""));
    users_pass(keycloak, &mut service);
    other_tokens_do_not(keycloak, &mut service);
    machines_pass_only_when_mapped(keycloak, &secret, &mut service);
    the_preset_decides_the_same(keycloak, &secret);
    what_is_revoked_ends(keycloak, &mut service);
    our_own_wrong_secret_is_nobodys_401(keycloak);
}

/// Also with a lightweight token, in which nothing stands but what the issuer needs.
fn users_pass(keycloak: &Keycloak, service: &mut Service) {
    let light = keycloak.user_token("light");
    let payload = light.split('.').nth(1).expect("a payload");
    let payload =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    let payload: Value = serde_json::from_slice(&payload.expect("base64url")).expect("JSON");
    assert_eq!(payload.get("preferred_username"), None, "{payload}");
    for token in [keycloak.user_token("cli"), light] {
        for _ in 0..2 {
            let outcome = service.check_token(&token);
            assert_eq!(outcome.user(), Some("alice"), "{}", outcome.reason());
            assert_eq!(outcome.metadata["credential"], "opaque");
        }
    }
}

fn other_tokens_do_not(keycloak: &Keycloak, service: &mut Service) {
    // Since 26.6.2 Keycloak itself says no when the client that asks is not in the audience.
    let foreign = service.check_token(&keycloak.user_token("other"));
    assert_eq!((foreign.status, foreign.reason()), (401, "token_inactive"));

    let tokens = keycloak.tokens(
        "grant_type=password&client_id=cli&username=alice&password=alice-password&scope=openid",
    );
    for kind in ["id_token", "refresh_token"] {
        let outcome = service.check_token(tokens[kind].as_str().expect(kind));
        assert_eq!(outcome.status, 401, "{kind}: {}", outcome.reason());
    }

    let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin";
    let answer = http(
        "POST",
        keycloak.url("admin_token_endpoint"),
        None,
        "application/x-www-form-urlencoded",
        form,
    );
    let tokens: Value = serde_json::from_str(&answer.body).expect("JSON");
    let other_realm = service.check_token(tokens["access_token"].as_str().expect("a token"));
    assert_eq!(
        (other_realm.status, other_realm.reason()),
        (401, "unknown_issuer")
    );
}

fn machines_pass_only_when_mapped(keycloak: &Keycloak, secret: &TempDir, service: &mut Service) {
    let form = "grant_type=client_credentials&client_id=ci&client_secret=ci-secret";
    let tokens = keycloak.tokens(form);
    let token = tokens["access_token"].as_str().expect("a token");
    let unmapped = service.check_token(token);
    assert_eq!(
        (unmapped.status, unmapped.reason()),
        (403, "machine_client_not_mapped")
    );
    let rest = "    machine_clients: { ci: svc-ci }\n";
    let mut mapped = Service::with_config(&config(keycloak, secret, rest));
    assert_eq!(mapped.check_token(token).user(), Some("svc-ci"));
}

fn the_preset_decides_the_same(keycloak: &Keycloak, secret: &TempDir) {
    let issuer = keycloak.url("issuer");
    let base = issuer.split_once("/realms/").expect("a realm").0;
    let mut preset = Service::with_config(&format!(
        "providers:\n  - name: sso\n    preset: {{ keycloak_introspection: {{ url: \"{base}\", realm: acme, \
         client_id: jira-api, client_secret: {{ file: {} }} }} }}\n{}",
        secret.path().join("secret").display(),
        application()
    ));
    for client in ["cli", "light"] {
        let outcome = preset.check_token(&keycloak.user_token(client));
        assert_eq!(
            outcome.user(),
            Some("alice"),
            "{client}: {}",
            outcome.reason()
        );
    }
    let foreign = preset.check_token(&keycloak.user_token("other"));
    assert_eq!(foreign.status, 401, "{}", foreign.reason());
}

/// A session that is ended, and a user who is disabled: a signed token cannot tell, its issuer can.
fn what_is_revoked_ends(keycloak: &Keycloak, service: &mut Service) {
    let found = keycloak.admin("GET", "/users?username=alice&exact=true", &Value::Null);
    let found: Value = serde_json::from_str(&found.body).expect("JSON");
    let user = format!("/users/{}", found[0]["id"].as_str().expect("an id"));

    let token = keycloak.user_token("cli");
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let ended = keycloak.admin("POST", &format!("{user}/logout"), &Value::Null);
    assert_eq!(ended.status, 204, "{}", ended.body);
    eventually("the end of the session", || {
        let outcome = service.check_token(&token);
        (outcome.reason() == "token_inactive").then_some(())
    });

    let token = keycloak.user_token("light");
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let disabled = keycloak.admin("PUT", &user, &json!({"enabled": false}));
    assert_eq!(disabled.status, 204, "{}", disabled.body);
    eventually("the end of the user", || {
        let outcome = service.check_token(&token);
        (outcome.reason() == "token_inactive").then_some(())
    });
    keycloak.admin("PUT", &user, &json!({"enabled": true}));
}

fn our_own_wrong_secret_is_nobodys_401(keycloak: &Keycloak) {
    let wrong = secret("another-secret");
    let mut service = Service::with_config(&config(keycloak, &wrong, ""));
    let outcome = service.check_token(&keycloak.user_token("cli"));
    assert_eq!(
        (outcome.status, outcome.reason()),
        (503, "provider_credentials_refused")
    );
}

/// The realm is disabled or Keycloak is gone: nobody passes, and nobody is told that their token is
/// bad.
pub fn that_is_gone_lets_nobody_in(keycloak: Keycloak, token: &str) {
    let secret = secret("jira-api-secret");
    let mut service = Service::with_config(&config(&keycloak, &secret, ""));
    let disabled = service.check_token(token);
    assert_eq!(disabled.status, 503, "{}", disabled.reason());
    drop(keycloak);
    eventually("the end of Keycloak", || {
        let gone = service.check_token(token);
        assert_eq!(gone.status, 503, "{}", gone.reason());
        (gone.reason() == "provider_error").then_some(())
    });
}
