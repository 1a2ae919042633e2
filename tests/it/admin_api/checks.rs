//! Decisions that are explained, and tokens that are looked at.

use serde_json::json;

use super::{Api, fixture::order, json_of, problem};
use crate::support::{eventually, service::Check, tokens::Token};

#[test]
fn a_check_is_what_the_service_would_decide() {
    let api = Api::start();
    let (admin, alice) = (api.admin(), api.token_of("alice"));
    let check = json!({"host": "jira.example.com", "path": "/x", "bearer": alice});
    let answer = json_of(&api.post("/check", &admin, &check));
    assert_eq!(
        (&answer["verdict"], &answer["user"]),
        (&json!("allow"), &json!("alice"))
    );
    assert_eq!(
        (&answer["provider"], &answer["status"]),
        (&json!("idp"), &json!(200))
    );
    assert_eq!(answer["sets"]["x-remote-user"], "alice");
    let check = json!({"application": "wiki", "host": "x.example", "path": "/x", "bearer": alice});
    let answer = json_of(&api.post("/check", &admin, &check));
    assert_eq!(
        (&answer["verdict"], &answer["reason"]),
        (&json!("deny"), &json!("unknown_issuer"))
    );
    let both = json!({"host": "x", "path": "/", "bearer": "x", "basic": "x:y"});
    problem(&api.post("/check", &admin, &both), 400, "invalid_request");
}

#[test]
fn a_check_of_an_api_token_is_no_use_of_it() {
    let mut api = Api::start();
    let admin = api.admin();
    let mut limited = order();
    limited["networks"] = json!(["10.0.0.0/8"]);
    let made = api.make(&admin, &limited);
    let place = format!("/tokens/{}", made["id"].as_str().expect("an id"));
    let pair = format!("carol:{}", made["token"].as_str().expect("a token"));
    for (source, status) in [("10.1.2.3", 200), ("11.1.2.3", 403)] {
        let check =
            json!({"host": "jira.example.com", "path": "/x", "basic": pair, "source": source});
        assert_eq!(
            json_of(&api.post("/check", &admin, &check))["status"],
            status
        );
    }
    // Another token is really used, and really denied: what is noted of both would be written down together.
    let other = api.make(&admin, &order());
    let other = other["token"].as_str().expect("a token");
    for (method, status) in [("GET", 200), ("POST", 403)] {
        let check = Check::new(method, "jira.example.com", "/x").bearer(other);
        assert_eq!(api.service.check(check.build()).status, status);
    }
    let kinds = eventually("the other token's denial", || {
        let events = json_of(&api.get("/events", &admin));
        let items = events["items"].as_array().expect("items").iter();
        let kinds: Vec<_> = items.map(|event| event["event"].to_string()).collect();
        kinds
            .iter()
            .any(|kind| kind.contains("denied"))
            .then_some(kinds)
    });
    assert_eq!(kinds.len(), 3, "two were made, one was denied: {kinds:?}");
    let shown = json_of(&api.get(&place, &admin));
    assert_eq!(shown.get("last_used_at"), None);
}

#[test]
fn a_provider_says_what_a_token_is() {
    let api = Api::start();
    let admin = api.admin();
    let shown = json!({"token": api.token_of("alice")});
    let inspection = json_of(&api.post("/providers/idp/inspect", &admin, &shown));
    assert_eq!(inspection["user"], "alice");
    assert!(inspection["attributes"].as_array().expect("a list").len() > 5);
    // Also of a provider whose users may not call.
    let other = Token::of(&api.other.issuer).signed();
    let inspection = api.post("/providers/other/inspect", &admin, &json!({"token": other}));
    assert_eq!(json_of(&inspection)["user"], "alice");
    problem(
        &api.post("/providers/idp/inspect", &admin, &json!({"token": other})),
        422,
        "token_refused",
    );
    problem(
        &api.post("/providers/x/inspect", &admin, &shown),
        404,
        "provider_not_found",
    );
}
