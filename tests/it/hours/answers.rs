//! What time does to what a provider has said.

use std::{fs, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use super::{Hours, SECOND, assert_alice, assert_status};
use crate::support::{
    idp::{Answer, Idp},
    tokens::unix_now,
};

const PATH: &str = "/introspect";

/// A service that asks this provider.
async fn asking(idp: &Idp) -> Hours {
    let secrets = TempDir::new().expect("a directory");
    let secret = secrets.path().join("secret");
    fs::write(&secret, "the-secret-of-the-gateway").expect("written");
    Hours::start(&format!(
        "providers:\n  - name: asked\n    introspection: {{ endpoint: \"{}{PATH}\", client_id: gateway, \
         client_secret: {{ file: \"{}\" }} }}\n    audiences: [jira-api]\n    username: {{ claim: username }}\n\
         applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com] }}\n",
        idp.issuer,
        secret.display()
    ))
    .await
}

fn active() -> Answer {
    let answer = json!({
        "active": true, "username": "alice", "sub": "u1", "aud": "jira-api", "client_id": "portal",
        "exp": unix_now() + 3600,
    });
    Answer::Json(answer.to_string())
}

fn inactive() -> Answer {
    Answer::Json("{\"active\":false}".to_owned())
}

/// Fault 18: ten to learn it, then less than one in a second.
#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_for_a_minute_is_asked_seventy_times_at_most() {
    let idp = Idp::start();
    idp.answer(PATH, Answer::status("500 X", &[], ""));
    let hours = asking(&idp).await;
    let mut checks = 0;
    for _ in 0..600 {
        assert_status(
            &hours.ask(&format!("opaque-{checks}")).await,
            503,
            "it fails",
        );
        hours.pass(SECOND / 10, SECOND / 10, &idp).await;
        checks += 1;
    }
    let asked = idp.count(PATH);
    eprintln!("fault 18: {asked} questions for {checks} checks in a minute");
    assert!((20..=70).contains(&asked), "{asked}");
    idp.answer(PATH, active());
    hours.pass(SECOND * 2, SECOND / 10, &idp).await;
    assert_alice(&hours.ask("well").await, "two seconds after it is well");
}

/// Fault 20.
#[tokio::test(start_paused = true)]
async fn a_token_that_ends_at_its_provider_is_refused_after_31_seconds_however_often_it_is_shown() {
    let idp = Idp::start();
    idp.answer(PATH, active());
    let hours = asking(&idp).await;
    assert_alice(&hours.ask("often").await, "active");
    assert_alice(&hours.ask("seldom").await, "active");
    idp.answer(PATH, inactive());
    let mut allowed = 0;
    for _ in 0..62 {
        hours.pass(SECOND / 2, SECOND / 10, &idp).await;
        allowed += u32::from(hours.ask("often").await.status == 200);
    }
    eprintln!("fault 20: allowed {allowed} times, twice in a second, after its end");
    assert_status(&hours.ask("often").await, 401, "shown all the time");
    assert_status(&hours.ask("seldom").await, 401, "shown again now");
}

/// Fault 46: a provider whose replicas have not heard of a token yet.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_shown_too_early_works_five_seconds_after_its_provider_knows_it() {
    let idp = Idp::start();
    idp.answer(PATH, inactive());
    let hours = asking(&idp).await;
    for _ in 0..10 {
        assert_status(&hours.ask("early").await, 401, "not known yet");
        hours.pass(SECOND / 10, SECOND / 10, &idp).await;
    }
    idp.answer(PATH, active());
    hours.pass(SECOND * 5, SECOND / 10, &idp).await;
    assert_alice(&hours.ask("early").await, "five seconds later");
}

/// Fault 17, by the service's own clock.
#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_slow_provider_until_its_own_deadline_and_no_longer() {
    let idp = Idp::start();
    idp.answer(PATH, Answer::Hang);
    let hours = asking(&idp).await;
    let (outcome, took) = hours.timed("slow").await;
    assert_status(&outcome, 503, "no answer");
    assert!(took <= SECOND + Duration::from_millis(10), "{took:?}");
}
