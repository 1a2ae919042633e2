//! What tokens may not do, as attackers try it.

use super::Desk;
use crate::support::service::Check;

#[test]
fn a_token_is_good_for_its_applications_only() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let at = |host: &str| Check::new("GET", host, "/x").bearer(&made.token);
    assert_eq!(service.check(at("jira.example.com").build()).status, 200);
    let elsewhere = service.check(at("wiki.example.com").build());
    assert_eq!(
        (elsewhere.status, elsewhere.reason()),
        (403, "api_token_application")
    );
    assert!(
        elsewhere.body.contains("\"api_token_scope\""),
        "{}",
        elsewhere.body
    );
    // What Envoy's route says counts, not the host.
    let named = service.check(
        at("jira.example.com")
            .extension("application", "wiki")
            .build(),
    );
    assert_eq!(named.status, 403);
}

#[test]
fn a_reading_token_cannot_write_whatever_is_pretended() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    let check =
        |method: &str, path: &str| Check::new(method, "jira.example.com", path).bearer(&made.token);
    for method in ["POST", "PUT", "DELETE", "PATCH", "get", "TRACE", "MOVE"] {
        let outcome = service.check(check(method, "/rest/api/2/issue").build());
        assert_eq!(
            (outcome.status, outcome.reason()),
            (403, "api_token_read_only"),
            "{method}"
        );
    }
    // The header changes neither the verdict nor what the product does.
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let post = service.check(check("POST", "/x").header(name, "GET").build());
        assert_eq!(post.status, 403, "{name}");
        let get = service.check(check("GET", "/x").header(name, "DELETE").build());
        assert_eq!(get.status, 200);
        assert!(get.removes.iter().any(|removed| removed == name), "{name}");
    }
}

#[test]
fn a_path_limit_holds_against_every_spelling() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&["--path", "/rest/api/2/project", "--scope", "write"]);
    let mut ask = |path: &str| {
        service
            .check(Check::get(path).bearer(&made.token).build())
            .reason()
            .to_owned()
    };
    assert_eq!(ask("/rest/api/2/project"), "token_valid");
    assert_eq!(ask("/rest/api/2/project/P/statuses?x=/../y"), "token_valid");
    for path in [
        "/rest/api/2/user",
        "/rest/api/2/projects",
        "/REST/api/2/project",
        "/",
        "/rest/api/2",
    ] {
        assert_eq!(ask(path), "api_token_path", "{path}");
    }
    for path in [
        "/rest/api/2/project/..;/user",
        "/rest/api/2/project/..;x=y/user",
        "/rest/api/2/project/%2e%2e/user",
        "/rest/api/2/project/.%2e;/user",
        "/rest/api/2/project//../user",
        "/rest/api/2/project/../user",
        "/rest/api/2/project%2f..%2fuser",
        "/rest/api/2/project\\..\\user",
        "/rest/api/2/project;/../user",
        "/rest/api/2/project/%252e%252e/user",
        "//rest/api/2/project",
        "/rest/api/2/project/%00",
    ] {
        assert_eq!(ask(path), "path_not_canonical", "{path}");
    }
}

#[test]
fn a_network_limit_holds_against_what_the_client_says_of_itself() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&["--network", "10.0.0.0/8", "--network", "fd00::/8"]);
    let check = || Check::get("/x").bearer(&made.token);
    let mut ask = |check: Check| service.check(check.build()).reason().to_owned();
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
        assert_eq!(ask(check().from(inside)), "token_valid", "{inside}");
    }
    for outside in ["192.0.2.1", "::1", "unix", ""] {
        assert_eq!(ask(check().from(outside)), "api_token_network", "{outside}");
    }
    assert_eq!(ask(check()), "api_token_network", "no address at all");
    for name in [
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "x-envoy-external-address",
        "true-client-ip",
    ] {
        let lie = check().from("192.0.2.1").header(name, "10.1.2.3");
        assert_eq!(ask(lie), "api_token_network", "{name}");
    }
}
