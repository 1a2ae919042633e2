//! What goes on under a changed configuration, and what must not.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tempfile::TempDir;

use super::alice;
use crate::support::{
    eventually,
    idp::{Answer, Idp, JWKS},
    service::{Check, Service, config_for, whole},
    tokens::Token,
};

/// A line that changes the configuration and nothing about providers.
const OTHERWISE: &str = "client_address: { trusted_hops: 1 }\n";

#[test]
fn providers_that_have_not_changed_keep_their_keys_and_what_is_known_of_their_tokens() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = alice(&idp);
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let hits = "atlassian_authz_cache_requests_total{result=\"hit\"}";
    assert_eq!(service.metric(hits).to_bits(), 0.0_f64.to_bits());

    service.reconfigure(&format!("{}{OTHERWISE}", config_for(&idp)));

    assert_eq!(service.check_token(&token).user(), Some("alice"));
    assert_eq!(service.metric(hits).to_bits(), 1.0_f64.to_bits());
    assert_eq!(idp.count(JWKS), 1, "no key was fetched again");
}

/// Its answer was about the old configuration: another claim names the user, another audience is asked for.
#[test]
fn a_provider_that_has_changed_is_asked_and_judged_anew_with_the_keys_that_it_has() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).claim("employee", "e-1").signed();
    assert_eq!(service.check_token(&token).user(), Some("alice"));

    let by_number = config_for(&idp).replace("preferred_username", "employee");
    service.reconfigure(&by_number);
    assert_eq!(service.check_token(&token).user(), Some("e-1"));

    service.reconfigure(&config_for(&idp).replace("[jira-api]", "[other]"));
    let outcome = service.check_token(&token);
    assert_eq!((outcome.status, outcome.reason()), (401, "wrong_audience"));

    // Back: what was known then is not dug out.
    service.reconfigure(&by_number);
    assert_eq!(service.check_token(&token).user(), Some("e-1"));
    assert_eq!(idp.count(JWKS), 1, "the keys are the same");
}

#[test]
fn a_provider_that_is_gone_is_gone_for_tokens_that_are_known() {
    let (idp, other) = (Idp::start(), Idp::start());
    let mut service = Service::start(&idp);
    let token = alice(&idp);
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    service.reconfigure(&config_for(&other));
    assert_eq!(service.check_token(&token).reason(), "unknown_issuer");
    service.reconfigure(&config_for(&idp));
    assert_eq!(service.check_token(&token).user(), Some("alice"));
}

fn introspected(idp: &Idp, more: &str) -> String {
    format!(
        "providers:\n  - name: asked\n    introspection: {{ endpoint: \"{}/introspect\", client_id: us, \
         client_secret: {{ file: secret }} }}\n    audiences: [jira-api]\n    username: {{ claim: username }}\n\
         applications:\n  - name: jira\n    product: jira\n    hosts: [jira.example.com]\n{more}",
        idp.issuer
    )
}

fn active() -> Answer {
    let answer = json!({"active": true, "aud": "jira-api", "username": "alice", "sub": "1"});
    Answer::Json(answer.to_string())
}

/// With a file beside the configuration, which names it.
fn start(config: &str, name: &str, content: &str) -> Service {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("config.yaml");
    fs::write(directory.path().join(name), content).expect("written");
    fs::write(&file, whole(config)).expect("written");
    let mut service = Service::at(file, directory);
    service.wait_until_ready();
    service
}

/// Of the questions to the introspection endpoint: who asked.
fn secrets_shown(idp: &Idp) -> Vec<String> {
    let received = idp.received();
    let asked = received.iter().filter(|one| one.path == "/introspect");
    asked
        .map(|one| one.headers["authorization"].clone())
        .collect()
}

#[test]
fn a_secret_that_changes_is_used_from_then_on() {
    let idp = Idp::start();
    idp.answer("/introspect", active());
    let mut service = start(&introspected(&idp, ""), "secret", "first");
    assert_eq!(service.check_token("opaque-1").user(), Some("alice"));

    // The configuration itself stays as it is.
    fs::write(service.directory().join("secret"), "second").expect("written");
    service.wait_for_generation(2.0);

    assert_eq!(service.check_token("opaque-2").user(), Some("alice"));
    let shown = secrets_shown(&idp);
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    assert_eq!(shown, [basic("us:first"), basic("us:second")]);
    let output = service.process.output();
    assert!(!output.contains("second") && !output.contains("first"));
}

#[test]
fn answers_of_a_provider_outlive_a_change_of_something_else() {
    let idp = Idp::start();
    idp.answer("/introspect", active());
    let mut service = start(&introspected(&idp, ""), "secret", "first");
    assert_eq!(service.check_token("opaque").user(), Some("alice"));
    service.reconfigure(&introspected(&idp, OTHERWISE));
    assert_eq!(service.check_token("opaque").user(), Some("alice"));
    assert_eq!(secrets_shown(&idp).len(), 1);
}

/// One check, one configuration: the old one names the header, and the old provider's answer is what it waits for.
#[test]
fn a_check_ends_under_the_configuration_under_which_it_began() {
    let idp = Idp::start();
    let held = json!({"active": true, "aud": "jira-api", "username": "alice", "sub": "1"});
    idp.answer("/introspect", Answer::Held(held.to_string()));
    let slow = "limits: { check_timeout: 30s }\n";
    let mut service = start(&introspected(&idp, slow), "secret", "first");
    let mut asker = service.asker();
    let waiting = std::thread::spawn(move || asker.check_token("opaque"));
    eventually("the question", || {
        (idp.count("/introspect") == 1).then_some(())
    });

    let other = Idp::start();
    service.reconfigure(&format!("{}identity_header: x-user\n", config_for(&other)));
    idp.release();

    let outcome = waiting.join().expect("an answer");
    let header = ("x-remote-user".to_owned(), "alice".to_owned());
    assert_eq!((outcome.status, outcome.headers), (200, vec![header]));
    let outcome = service.check(Check::get("/rest").bearer(&alice(&other)).build());
    assert_eq!(outcome.headers, [("x-user".to_owned(), "alice".to_owned())]);
}

#[test]
fn api_tokens_go_on_and_another_store_is_another_store() {
    let idp = Idp::start();
    let config = |store: &str, more: &str| {
        format!(
            "{}api_tokens: {{ store: sqlite://{store}.db, pepper: {{ file: pepper }} }}\n{more}",
            config_for(&idp)
        )
    };
    let mut service = start(&config("one", ""), "pepper", &"p".repeat(32));
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_atlassian-authz"))
        .args([
            "token",
            "create",
            "--user",
            "alice",
            "--name",
            "ci",
            "--expires",
            "1d",
        ])
        .args([
            "--scope",
            "write",
            "--application",
            "jira",
            "--json",
            "--config",
        ])
        .arg(service.directory().join("config.yaml"))
        .output()
        .expect("runs");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token").to_owned();
    let lookups = "atlassian_authz_api_token_lookups_total{result=\"found\"}";
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let before = service.metric(lookups);

    service.reconfigure(&config("one", OTHERWISE));
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    assert_eq!(
        service.metric(lookups).to_bits(),
        before.to_bits(),
        "remembered"
    );

    service.reconfigure(&config("two", ""));
    assert_eq!(service.check_token(&token).reason(), "api_token_unknown");

    service.reconfigure(&config("one", ""));
    assert_eq!(service.check_token(&token).user(), Some("alice"));
    let up = "atlassian_authz_token_store_up{}";
    assert!(service.metric(up) > 0.0);

    service.reconfigure(&config_for(&idp));
    assert_eq!(service.check_token(&token).reason(), "api_tokens_disabled");
    assert!(!service.admin_page("/metrics").1.contains(up));
}
