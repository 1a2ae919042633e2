//! Bodies and queries that are not what they should be.

use serde_json::{Value, json};

use super::{
    Api,
    fixture::{bearer, order},
    problem,
};
use crate::support::client::Answer;

#[test]
fn a_body_with_two_readings_or_none_is_refused() {
    let api = Api::start();
    let good = bearer(&api.token_of("alice"));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        r#"{"name":"a","name":"b","expires":"1d","applications":["jira"]}"#,
        "{\"name\":\"\u{1}\"}",
    ] {
        let lines = [&*good, "content-type: application/json"];
        problem(
            &api.send("POST", "/tokens", &lines, body),
            400,
            "malformed_json",
        );
    }
}

#[test]
fn a_huge_body_is_not_read() {
    let api = Api::start();
    let good = bearer(&api.token_of("alice"));
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024));
    let lines = [&*good, "content-type: application/json"];
    let answer = api.send("POST", "/tokens", &lines, &huge);
    problem(&answer, 413, "too_large");
}

#[test]
fn a_member_that_breaks_a_rule_is_named() {
    let api = Api::start();
    let token = api.token_of("alice");
    let with = |name: &str, value: Value| {
        let mut order = order();
        order[name] = value;
        order
    };
    let mut nameless = order();
    nameless.as_object_mut().expect("an object").remove("name");
    for (order, member) in [
        (nameless, "name"),
        (with("owner", json!("alice")), ""),
        (with("name", json!(7)), "name"),
        (with("name", json!("")), "name"),
        (with("name", json!("x\n")), "name"),
        (with("expires", json!("soon")), "expires"),
        (with("expires", json!("9999d")), "expires"),
        (with("access", json!("admin")), "access"),
        (with("applications", json!("jira")), "applications"),
        (with("applications", json!([])), "applications"),
        (with("applications", json!(["other"])), "applications"),
        (with("applications", json!([7])), "applications/0"),
        (with("paths", json!(["/a/../b"])), "paths"),
        (with("networks", json!(["10.0.0.1/8"])), "networks"),
        (with("user", json!("a b")), "user"),
    ] {
        let answer = api.post("/tokens", &token, &order);
        let problem = problem(&answer, 400, "invalid_request");
        assert_eq!(problem["member"], member, "{order}: {problem}");
    }
}

#[test]
fn a_query_has_known_parameters_once() {
    let api = Api::start();
    let token = api.token_of("alice");
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "after=x",
        "after=",
        "state=gone",
        "expires_within=soon",
        "owner=alice",
    ] {
        let answer = api.get(&format!("/tokens?{query}"), &token);
        problem(&answer, 400, "invalid_request");
    }
}

/// Everything that takes a text, with a secret in its place.
fn misplaced(api: &Api, admin: &str, made: &Value, secret: &str) -> Vec<Answer> {
    let text = |name: &str| made[name].as_str().expect("text");
    let (id, own) = (text("id"), text("token"));
    let mut answers = Vec::new();
    for member in [
        "user",
        "name",
        "expires",
        "access",
        "applications",
        "paths",
        "networks",
        secret,
    ] {
        for value in [json!(secret), json!([secret])] {
            let mut order = order();
            order[member] = value;
            answers.push(api.post("/tokens", admin, &order));
        }
    }
    answers.extend(misplaced_in_bodies(api, admin, (id, own), secret));
    for path in [
        format!("/tokens?state={secret}"),
        format!("/tokens?limit={secret}"),
        format!("/tokens?after={secret}"),
        format!("/tokens?expires_within={secret}"),
        format!("/tokens?{secret}=x"),
        format!("/tokens/{secret}"),
        format!("/events?token={secret}"),
    ] {
        answers.push(api.get(&path, admin));
    }
    answers
}

fn misplaced_in_bodies(
    api: &Api,
    admin: &str,
    (id, own): (&str, &str),
    secret: &str,
) -> Vec<Answer> {
    let host = "jira.example.com";
    let header = json!([{"name": "authorization", "value": secret}]);
    [
        (&*format!("/tokens/{id}/revoke"), json!({"reason": secret})),
        (&*format!("/tokens/{id}/rotate"), json!({"overlap": secret})),
        ("/leaked-tokens", json!({"token": own, "reason": secret})),
        (
            "/leaked-tokens",
            json!({"token": format!("{secret}x"), "reason": "x"}),
        ),
        ("/users/alice/disable", json!({"reason": secret})),
        (&*format!("/users/{secret}/disable"), json!({"reason": "x"})),
        (&*format!("/tokens/{secret}/rotate"), json!({})),
        (
            "/check",
            json!({"host": secret, "path": "/", "source": secret}),
        ),
        ("/check", json!({"host": host, "path": secret})),
        (
            "/check",
            json!({"host": host, "path": "/", "headers": header}),
        ),
        ("/providers/idp/inspect", json!({"token": own, "x": secret})),
        ("/providers/idp/inspect", json!({"token": own})),
        (
            &*format!("/providers/{secret}/inspect"),
            json!({"token": own}),
        ),
    ]
    .map(|(path, body)| api.post(path, admin, &body))
    .into()
}

#[test]
fn a_token_in_the_wrong_place_is_neither_repeated_nor_kept_nor_logged() {
    let mut api = Api::start();
    let admin = api.admin();
    let made = api.make(&admin, &order());
    let own = made["token"].as_str().expect("a token");
    let of_bob = api.token_of("bob");
    let mut answers = misplaced(&api, &admin, &made, own);
    answers.extend(misplaced(&api, &admin, &made, &of_bob));
    let refused = |answer: &Answer| answer.status >= 400 || answer.body.contains("\"verdict\"");
    assert!(answers.iter().all(refused), "nothing was done");
    assert_eq!(api.service.check_token(own).user(), Some("carol"));
    for path in ["/events", "/tokens"] {
        answers.push(api.get(path, &admin));
    }
    let log = api.service.process.output();
    for secret in [&own[17..60], &of_bob[of_bob.len() - 60..]] {
        for answer in &answers {
            let repeats = |(_, value): &(String, String)| value.contains(secret);
            assert!(!answer.headers.iter().any(repeats), "{:?}", answer.headers);
            assert!(!answer.body.contains(secret), "{}", answer.body);
        }
        assert!(!log.contains(secret), "the log");
    }
}
