//! From `token create` to the end.

use serde_json::json;

use super::Desk;
use crate::support::{eventually, service::Check};

#[test]
fn a_token_is_printed_once_and_works_until_it_is_revoked() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);

    let outcome = service.check_token(&made.token);
    assert_eq!(outcome.user(), Some("alice"));
    assert_eq!(outcome.metadata["credential"], "api_token");
    assert_eq!(outcome.metadata["token_id"], made.id);
    assert_eq!(outcome.metadata["application"], "jira");
    let shown = desk.token(&["show", &made.id]);
    assert_eq!(
        (&shown["user"], &shown["state"], &shown["access"]),
        (&json!("alice"), &json!("active"), &json!("read"))
    );
    assert!(
        !shown.to_string().contains(&made.token[17..60]),
        "the secret is shown once"
    );

    desk.revoke(&made.id);
    eventually("the revocation", || {
        (service.check_token(&made.token).status == 401).then_some(())
    });
    let outcome = service.check_token(&made.token);
    assert_eq!(outcome.reason(), "api_token_revoked");
    assert!(
        outcome.body.contains("token_expired_or_invalid"),
        "{}",
        outcome.body
    );
}

#[test]
fn two_replicas_on_one_file_hear_of_every_change() {
    let desk = Desk::sqlite();
    let (mut one, mut other) = (desk.service(), desk.service());
    for round in 0..20 {
        let made = desk.make(&[]);
        assert_eq!(
            one.check_token(&made.token).user(),
            Some("alice"),
            "{round}"
        );
        assert_eq!(
            other.check_token(&made.token).user(),
            Some("alice"),
            "{round}"
        );
        desk.revoke(&made.id);
        for service in [&mut one, &mut other] {
            eventually("the revocation", || {
                (service.check_token(&made.token).status == 401).then_some(())
            });
        }
    }
}

#[test]
fn an_expired_token_is_refused_though_it_is_remembered() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let fixed = [
        "create",
        "--user",
        "alice",
        "--name",
        "short",
        "--application",
        "jira",
    ];
    let made = desk.token(&[&fixed[..], &["--expires", "15s"]].concat());
    let token = made["token"].as_str().expect("a token");
    assert_eq!(service.check_token(token).user(), Some("alice"));
    eventually("the end", || {
        (service.check_token(token).status == 401).then_some(())
    });
    assert_eq!(service.check_token(token).reason(), "api_token_expired");
}

#[test]
fn a_rotated_token_works_for_the_overlap_and_its_later_use_is_told() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let old = desk.make(&["--scope", "write"]);
    let rotated = desk.token(&["rotate", &old.id, "--overlap", "15s"]);
    let new = rotated["token"].as_str().expect("a token").to_owned();
    assert_eq!(
        (&rotated["replaces"], &rotated["access"]),
        (&json!(old.id), &json!("write"))
    );
    assert_eq!(service.check_token(&new).user(), Some("alice"));
    assert_eq!(
        service.check_token(&old.token).user(),
        Some("alice"),
        "the overlap"
    );
    eventually("the end of the overlap", || {
        (service.check_token(&old.token).status == 401).then_some(())
    });
    assert_eq!(
        service.check_token(&old.token).reason(),
        "api_token_replaced"
    );
    assert_eq!(service.check_token(&new).user(), Some("alice"));
    service.process.wait_for("the alarm", |line| {
        (line.contains("\"event\":\"used_after_rotation\"") && line.contains(&old.id)).then_some(())
    });
    // A second rotation of the same token has no winner left.
    let again = desk.try_token(&["rotate", &old.id]);
    assert_eq!(
        again.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
}

#[test]
fn a_leaked_token_is_ended_with_its_family_by_whoever_has_found_it() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let old = desk.make(&[]);
    let new = desk.token(&["rotate", &old.id]);
    let new = new["token"].as_str().expect("a token").to_owned();
    let found = desk.directory().join("found");
    std::fs::write(&found, format!("{}\n", old.token)).expect("written");
    let found = found.to_str().expect("text");
    desk.token(&[
        "revoke",
        "--leaked-file",
        found,
        "--reason",
        "in a public repository",
    ]);
    for token in [&old.token, &new] {
        eventually("the end", || {
            (service.check_token(token).status == 401).then_some(())
        });
    }
    // An id is not enough.
    let other = desk.make(&[]);
    std::fs::write(found, other.with_wrong_secret()).expect("written");
    let refused = desk.try_token(&["revoke", "--leaked-file", found, "--reason", "a guess"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(service.check_token(&other.token).user(), Some("alice"));
}

#[test]
fn a_disabled_user_has_no_tokens_and_gets_none() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made: Vec<_> = (0..3).map(|_| desk.make(&[])).collect();
    let bobs = desk.make_for("bob", &["--application", "jira"], &[]);
    desk.token(&["disable-user", "Alice", "--reason", "has left"]);
    for made in &made {
        eventually("the end", || {
            (service.check_token(&made.token).status == 401).then_some(())
        });
    }
    assert_eq!(service.check_token(&bobs.token).user(), Some("bob"));
    let order = [
        "create",
        "--user",
        "alice",
        "--name",
        "x",
        "--expires",
        "1d",
        "--application",
        "jira",
    ];
    assert_eq!(desk.try_token(&order).status.code(), Some(1));
    desk.token(&["enable-user", "alice"]);
    assert_eq!(
        service.check_token(&made[0].token).status,
        401,
        "what was ended stays ended"
    );
    assert_eq!(
        service.check_token(&desk.make(&[]).token).user(),
        Some("alice")
    );
}

#[test]
fn uses_are_written_down_and_so_are_new_networks() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let from = |address: &str| Check::get("/x").bearer(&made.token).from(address).build();
    assert_eq!(service.check(from("10.0.0.1")).status, 200);
    eventually("the last use", || {
        (desk.token(&["show", &made.id])["last_used_from"] == json!("10.0.0.1")).then_some(())
    });
    assert_eq!(
        service.check(from("10.0.0.200")).status,
        200,
        "the same network"
    );
    assert_eq!(service.check(from("192.0.2.7")).status, 200);
    let events = eventually("the new network", || {
        let events = desk.token(&["events", "--token", &made.id]);
        events
            .to_string()
            .contains("first_use_from_new_network")
            .then_some(events)
    });
    let news = events.as_array().expect("a list").iter();
    let news: Vec<_> = news
        .filter(|event| event["event"] == "first_use_from_new_network")
        .collect();
    assert_eq!(news.len(), 1, "{events}");
    assert!(news[0].to_string().contains("192.0.2.0/24"), "{events}");
}

#[test]
fn the_audit_trail_tells_who_did_what_and_no_secret() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let denied = service.check(
        Check::new("POST", "jira.example.com", "/x")
            .bearer(&made.token)
            .build(),
    );
    assert_eq!(denied.reason(), "api_token_read_only");
    let new = desk.token(&["rotate", &made.id]);
    desk.token(&[
        "revoke",
        &made.id,
        "--reason",
        "it's \"over\"; DROP TABLE api_token;--",
    ]);
    let events = eventually("the denial", || {
        let events = desk.token(&["events", "--user", "alice"]);
        events
            .to_string()
            .contains("api_token_read_only")
            .then_some(events)
    });
    let kinds: Vec<_> = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["event"].as_str().expect("a word"))
        .collect();
    for kind in ["created", "rotated", "revoked"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let text = events.to_string();
    assert!(
        text.contains("DROP TABLE") && text.contains("cli:"),
        "{text}"
    );
    for secret in [&made.token, new["token"].as_str().expect("a token")] {
        assert!(!text.contains(&secret[17..60]), "no secret");
    }
}
