//! The life of tokens over HTTP.

use serde_json::{Value, json};

use super::{Api, fixture::order, json_of, problem};
use crate::support::eventually;

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name}: {value}"))
}

#[test]
fn a_token_is_made_shown_replaced_and_ended() {
    let mut api = Api::start();
    let alice = api.token_of("alice");
    let answer = api.post("/tokens", &alice, &order());
    let made = json_of(&answer);
    let place = format!("/tokens/{}", text(&made, "id"));
    assert_eq!(answer.header("location"), Some(&*format!("/api/v1{place}")));
    assert_eq!(
        (text(&made, "access"), text(&made, "created_by")),
        ("read", "alice")
    );
    assert_eq!(
        api.service.check_token(text(&made, "token")).user(),
        Some("alice")
    );

    let shown = json_of(&api.get(&place, &alice));
    assert_eq!(shown.get("token"), None);
    assert_eq!(
        (text(&shown, "state"), text(&shown, "name")),
        ("active", "ci")
    );

    let rotation = json!({"expires": "10d", "overlap": "1h"});
    let answer = api.post(&format!("{place}/rotate"), &alice, &rotation);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let new = json_of(&answer);
    assert_eq!(new["replaces"], made["id"]);
    let again = api.post(&format!("{place}/rotate"), &alice, &json!({}));
    problem(&again, 409, "already_replaced");
    for token in [&made, &new] {
        assert_eq!(
            api.service.check_token(text(token, "token")).user(),
            Some("alice")
        );
    }

    let new_place = format!("/tokens/{}", text(&new, "id"));
    let end = json!({"reason": "not needed", "family": true});
    let ended = json_of(&api.post(&format!("{new_place}/revoke"), &alice, &end));
    assert_eq!(ended, json!({"id": new["id"], "was_revoked": false}));
    let ended = json_of(&api.post(&format!("{new_place}/revoke"), &alice, &end));
    assert_eq!(ended["was_revoked"], true);
    for token in [&made, &new] {
        eventually("the end of both", || {
            (api.service.check_token(text(token, "token")).status == 401).then_some(())
        });
    }
    let shown = json_of(&api.get(&place, &alice));
    assert_eq!(
        (text(&shown, "state"), text(&shown, "revoked_reason")),
        ("revoked", "not needed")
    );
}

#[test]
fn lists_are_read_page_by_page() {
    let api = Api::start();
    let (admin, alice) = (api.admin(), api.token_of("alice"));
    let mut wanted: Vec<String> = (0..7)
        .map(|_| text(&api.make(&alice, &order()), "id").to_owned())
        .collect();
    let mut for_bob = order();
    for_bob["user"] = json!("bob");
    for_bob["expires"] = json!("2d");
    api.make(&admin, &for_bob);
    let mut found = Vec::new();
    let mut path = "/tokens?user=alice&limit=3".to_owned();
    let mut pages = 0;
    loop {
        let page = json_of(&api.get(&path, &admin));
        let items = page["items"].as_array().expect("items");
        found.extend(items.iter().map(|item| text(item, "id").to_owned()));
        pages += 1;
        match page.get("next") {
            Some(next) => {
                let next = next.as_str().expect("text");
                path = format!("/tokens?user=alice&limit=3&after={next}");
            }
            None => break,
        }
    }
    assert_eq!((pages, found.len()), (3, 7));
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);

    let count = |query: &str| {
        let page = json_of(&api.get(&format!("/tokens?{query}"), &admin));
        page["items"].as_array().expect("items").len()
    };
    assert_eq!(count("application=jira"), 8);
    assert_eq!(count("application=wiki"), 0);
    assert_eq!(count("expires_within=7d"), 1);
    assert_eq!(count("state=revoked"), 0);
    assert_eq!(count("state=active&limit=200"), 8);
    assert_eq!(
        json_of(&api.get("/tokens", &alice))["items"]
            .as_array()
            .expect("items")
            .len(),
        7
    );
}

#[test]
fn a_user_can_be_ended_as_a_whole() {
    let api = Api::start();
    let (admin, bob) = (api.admin(), api.token_of("bob"));
    let one = api.make(&bob, &order());
    let reason = json!({"reason": "a lost laptop"});
    let ended = json_of(&api.post("/users/bob/revoke-tokens", &bob, &reason));
    assert_eq!(ended, json!({"revoked": [one["id"]]}));
    let two = api.make(&bob, &order());
    let ended = json_of(&api.post("/users/BOB/disable", &admin, &json!({"reason": "left"})));
    let ended = ended["revoked"].as_array().expect("ids").clone();
    assert!(ended.contains(&two["id"]), "{ended:?}");
    problem(&api.post("/tokens", &bob, &order()), 409, "user_disabled");
    assert_eq!(
        api.post("/users/bob/enable", &admin, &json!({})).status,
        204
    );
    api.make(&bob, &order());
}

#[test]
fn the_audit_trail_says_who_and_from_where() {
    let api = Api::start();
    let (admin, alice) = (api.admin(), api.token_of("alice"));
    let made = api.make(&alice, &order());
    let id = text(&made, "id");
    api.post(
        &format!("/tokens/{id}/revoke"),
        &admin,
        &json!({"reason": "a test"}),
    );
    let page = json_of(&api.get(&format!("/events?token={id}&limit=1"), &admin));
    let newest = &page["items"][0];
    assert_eq!(
        (text(newest, "actor"), text(newest, "source")),
        ("carol", "127.0.0.1")
    );
    let next = text(&page, "next");
    let page = json_of(&api.get(&format!("/events?token={id}&limit=1&after={next}"), &admin));
    let oldest = &page["items"][0];
    assert_eq!(
        (text(oldest, "event"), text(oldest, "actor")),
        ("created", "alice")
    );
    assert_eq!((text(oldest, "user"), page.get("next")), ("alice", None));
    let of_alice = json_of(&api.get("/events?user=alice", &admin));
    assert_eq!(of_alice["items"].as_array().expect("items").len(), 2);
}
