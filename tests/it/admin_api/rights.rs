//! Who may do what.

use serde_json::{Value, json};

use super::{Api, fixture::order, json_of, problem};
use crate::support::tokens::Token;

#[test]
fn administrators_are_those_whom_the_configuration_names() {
    let api = Api::start();
    let with = |user: &str, claims: &[(&str, Value)]| {
        let mut token = Token::of(&api.idp.issuer).claim("preferred_username", user);
        for (name, value) in claims {
            token = token.claim(name, value.clone());
        }
        token.signed()
    };
    for (token, status) in [
        (with("boss", &[]), 200),
        (with("BOSS", &[]), 200),
        (with("alice", &[("groups", json!(["authz-admins"]))]), 200),
        (with("alice", &[]), 403),
        (
            with(
                "alice",
                &[("groups", json!(["Authz-Admins", "authz-admins2"]))],
            ),
            403,
        ),
        (with("alice", &[("groups", json!("authz-admins"))]), 403),
        // Groups that did not all fit into the token are unknown, whatever is there.
        (
            with(
                "alice",
                &[
                    ("groups", json!(["authz-admins"])),
                    ("hasgroups", json!(true)),
                ],
            ),
            403,
        ),
        (with("bossy", &[]), 403),
    ] {
        assert_eq!(api.get("/events", &token).status, status);
    }
}

#[test]
fn what_is_for_administrators_is_refused_to_users() {
    let api = Api::start();
    let alice = api.token_of("alice");
    let reason = json!({"reason": "x"});
    for (path, body) in [
        ("/users/bob/revoke-tokens", &reason),
        ("/users/bob/disable", &reason),
        ("/users/alice/disable", &reason),
        ("/users/alice/enable", &json!({})),
        ("/check", &json!({"host": "jira.example.com", "path": "/"})),
        ("/providers/idp/inspect", &json!({"token": "x"})),
    ] {
        problem(&api.post(path, &alice, body), 403, "not_permitted");
    }
    problem(&api.get("/events", &alice), 403, "not_permitted");
    problem(&api.get("/tokens?user=bob", &alice), 403, "not_permitted");
    assert_eq!(api.get("/tokens?user=Alice", &alice).status, 200);
}

#[test]
fn tokens_of_others_do_not_exist_for_a_user() {
    let mut api = Api::start();
    let (alice, bob) = (api.token_of("alice"), api.token_of("bob"));
    let made = api.make(&alice, &order());
    let id = made["id"].as_str().expect("an id");
    let reason = json!({"reason": "x"});
    problem(
        &api.get(&format!("/tokens/{id}"), &bob),
        404,
        "token_not_found",
    );
    problem(
        &api.post(&format!("/tokens/{id}/rotate"), &bob, &json!({})),
        404,
        "token_not_found",
    );
    problem(
        &api.post(&format!("/tokens/{id}/revoke"), &bob, &reason),
        404,
        "token_not_found",
    );
    problem(
        &api.get("/tokens/abcdefghijkl", &bob),
        404,
        "token_not_found",
    );
    assert_eq!(json_of(&api.get("/tokens", &bob))["items"], json!([]));
    let token = made["token"].as_str().expect("a token");
    assert_eq!(api.service.check_token(token).user(), Some("alice"));
    // An administrator sees it, and a name in another case is the same user.
    assert_eq!(api.get(&format!("/tokens/{id}"), &api.admin()).status, 200);
    assert_eq!(
        api.get(&format!("/tokens/{id}"), &api.token_of("ALICE"))
            .status,
        200
    );
}

#[test]
fn users_make_tokens_for_themselves_and_for_what_they_can_use() {
    let api = Api::start();
    let alice = api.token_of("alice");
    let mut for_bob = order();
    for_bob["user"] = json!("bob");
    let mut for_wiki = order();
    for_wiki["applications"] = json!(["jira", "wiki"]);
    problem(&api.post("/tokens", &alice, &for_bob), 403, "not_permitted");
    problem(
        &api.post("/tokens", &alice, &for_wiki),
        403,
        "not_permitted",
    );
    assert_eq!(api.make(&alice, &order())["user"], "alice");
    assert_eq!(api.make(&api.admin(), &for_bob)["user"], "bob");
    assert_eq!(
        api.make(&api.admin(), &for_wiki)["applications"],
        json!(["jira", "wiki"])
    );
}

#[test]
fn without_self_service_users_may_only_report_what_has_leaked() {
    let api = Api::with(
        "admin: { providers: [idp], access: { users: [boss] } }\n",
        "",
    );
    let (alice, boss) = (api.token_of("alice"), api.token_of("boss"));
    problem(&api.post("/tokens", &alice, &order()), 403, "not_permitted");
    problem(&api.get("/tokens", &alice), 403, "not_permitted");
    let made = api.make(&boss, &order());
    let leaked = json!({"token": made["token"], "reason": "found in a mail"});
    assert_eq!(api.post("/leaked-tokens", &alice, &leaked).status, 200);
    let shown = api.get(
        &format!("/tokens/{}", made["id"].as_str().expect("an id")),
        &boss,
    );
    assert_eq!(json_of(&shown)["revoked_by"], "alice");
}

#[test]
fn the_limits_of_a_user_are_no_limits_of_administrators() {
    let api = Api::with(
        "admin: { providers: [idp], access: { users: [boss] }, self_service: true }\n",
        "  max_created_per_hour: 1\n  max_per_user: 2\n",
    );
    let alice = api.token_of("alice");
    api.make(&alice, &order());
    problem(
        &api.post("/tokens", &alice, &order()),
        429,
        "too_many_created",
    );
    let boss = api.token_of("boss");
    let mut for_alice = order();
    for_alice["user"] = json!("alice");
    api.make(&boss, &for_alice);
    problem(
        &api.post("/tokens", &boss, &for_alice),
        409,
        "too_many_active",
    );
}

#[test]
fn without_api_tokens_the_rest_still_works() {
    let api = Api::without_tokens();
    let admin = api.admin();
    let reason = json!({"reason": "x"});
    for answer in [
        api.get("/tokens", &admin),
        api.post("/tokens", &admin, &order()),
        api.get("/events", &admin),
        api.post("/users/bob/disable", &admin, &reason),
        api.post(
            "/leaked-tokens",
            &admin,
            &json!({"token": "x", "reason": "x"}),
        ),
    ] {
        problem(&answer, 404, "api_tokens_disabled");
    }
    let check = json!({"host": "jira.example.com", "path": "/x", "bearer": admin});
    assert_eq!(
        json_of(&api.post("/check", &admin, &check))["user"],
        "carol"
    );
}
