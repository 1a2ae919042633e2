//! Tokens as passwords, and passwords that are none.

use super::{
    Desk,
    fixture::{ask, basic},
};
use crate::support::service::Check;

#[test]
fn a_token_is_a_password_of_its_owner_and_of_nobody_else() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let mut as_user = |user: &[u8]| ask(&mut service, Check::get("/x"), &basic(user, &made.token));
    assert_eq!(as_user(b"alice").user(), Some("alice"));
    for other in [
        "Alice",
        "ALICE",
        "bob",
        "",
        " alice",
        "alice ",
        "alice\0",
        "admin",
        "al\u{131}ce",
        "\u{ff41}lice",
        "alice\r\nx",
        "alice'--",
        "alice\" OR \"\"=\"",
        "*",
        "%",
    ] {
        let outcome = as_user(other.as_bytes());
        assert_eq!(
            (outcome.status, outcome.reason()),
            (401, "api_token_other_user"),
            "{other:?}"
        );
    }
    assert_eq!(as_user(b"alice\xff").reason(), "api_token_other_user");
    // U+212A lower-cases into k.
    let kim = desk.make_for("kim", &["--application", "jira"], &[]);
    let outcome = ask(
        &mut service,
        Check::get("/x"),
        &basic("\u{212a}im", &kim.token),
    );
    assert_eq!(outcome.reason(), "api_token_other_user");
}

#[test]
fn a_401_asks_for_basic_so_that_git_sends_its_password() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let outcome = service.check(Check::get("/x").build());
    let challenges: Vec<_> = outcome
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        challenges,
        [
            "Bearer realm=\"atlassian-authz\"",
            "Basic realm=\"atlassian-authz\", charset=\"UTF-8\""
        ]
    );
}

#[test]
fn a_password_of_the_product_follows_the_applications_rule() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let password = basic("alice", "her password");
    let denied = ask(&mut service, Check::get("/x"), &password);
    assert_eq!(
        (denied.status, denied.reason()),
        (401, "password_not_accepted")
    );
    let wiki = || {
        Check::new("GET", "wiki.example.com", "/x")
            .header("cookie", "JSESSIONID=1")
            .header("X_Remote_User", "admin")
    };
    let passed = ask(
        &mut service,
        wiki().header("x-remote-user", "admin"),
        &password,
    );
    assert_eq!((passed.status, passed.reason()), (200, "native"));
    assert_eq!(passed.headers, [], "nobody is named");
    assert!(
        passed.removes.contains(&"x-remote-user".to_owned())
            && passed.removes.contains(&"X_Remote_User".to_owned())
    );
    assert!(
        !passed
            .removes
            .iter()
            .any(|name| name == "authorization" || name == "cookie"),
        "{:?}",
        passed.removes
    );
    assert_eq!(passed.metadata["credential"], "password");
    // Whatever begins like a token of ours is no password, whether it is good or not, wherever it stands.
    let made = desk.make(&[]);
    for (user, password) in [
        ("alice", made.token.as_str()),
        ("alice", &made.with_wrong_secret()),
        ("alice", &made.token[..65]),
        ("alice", "axt_"),
        ("alice", "AXT_secret"),
        (&made.token, "x-oauth-basic"),
        (&made.token, ""),
    ] {
        let outcome = ask(&mut service, wiki(), &basic(user, password));
        assert_ne!(outcome.status, 200, "{user} {password}");
        assert_eq!(outcome.metadata["credential"], "api_token");
    }
}

#[test]
fn two_credentials_are_never_chosen_between() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let (alice, bob) = (
        desk.make(&[]),
        desk.make_for("bob", &["--application", "jira"], &[]),
    );
    let bearer = |token: &str| format!("Bearer {token}");
    for (first, second) in [
        (bearer(&alice.token), bearer(&bob.token)),
        (bearer(&alice.token), basic("bob", &bob.token)),
        (basic("alice", &alice.token), basic("alice", &alice.token)),
    ] {
        let check = Check::get("/x")
            .header("authorization", &first)
            .header("authorization", &second);
        assert_eq!(service.check(check.clone().build()).status, 400);
        assert_eq!(service.check(check.build_joined()).status, 400);
    }
    let query = Check::get("/x?os_username=bob&os_password=x").bearer(&alice.token);
    assert_eq!(service.check(query.build()).status, 400);
}

/// Somebody's browser: the product knows its session, and nobody else's name arrives.
#[test]
fn a_request_without_a_credential_follows_the_applications_rule() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let at = |host: &str| {
        Check::new("GET", host, "/browse")
            .header("cookie", "JSESSIONID=1")
            .header("x-remote-user", "admin")
            .header("X.Remote.User", "admin")
    };
    let denied = service.check(at("jira.example.com").build());
    assert_eq!((denied.status, denied.reason()), (401, "no_credential"));
    let passed = service.check(at("wiki.example.com").build());
    assert_eq!((passed.status, passed.reason()), (200, "native"));
    assert_eq!(passed.headers, [], "nobody is named");
    assert_eq!(passed.metadata["credential"], "none");
    let gone = |name: &str| passed.removes.iter().any(|removed| removed == name);
    assert!(gone("x-remote-user") && gone("X.Remote.User") && !gone("cookie"));
    // What is a credential, however bad, is never taken for none.
    for bad in [
        "Bearer",
        "Bearer !",
        "Basic !",
        "Digest x",
        "Bearer axt_x",
        "",
    ] {
        let outcome = service.check(at("wiki.example.com").header("authorization", bad).build());
        assert_ne!(outcome.status, 200, "{bad:?}");
    }
    let query = service.check(Check::new("GET", "wiki.example.com", "/x?os_username=a").build());
    assert_eq!(query.status, 400);
}
