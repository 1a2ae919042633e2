//! What a page of another site can make a browser send.

use super::{
    Api, ask,
    fixture::{bearer, order},
    problem,
};

#[test]
fn a_request_of_a_web_page_changes_nothing() {
    let api = Api::start();
    let good = bearer(&api.token_of("alice"));
    let json = "content-type: application/json";
    for line in [
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "sec-fetch-site: ",
        "origin: https://evil.example",
        "origin: null",
    ] {
        let answer = api.send(
            "POST",
            "/tokens",
            &[&good, json, line],
            &order().to_string(),
        );
        problem(&answer, 403, "cross_site");
        assert_eq!(api.send("GET", "/tokens", &[&good, line], "").status, 200);
    }
    for line in ["sec-fetch-site: none", "sec-fetch-site: same-origin"] {
        let answer = api.send(
            "POST",
            "/tokens",
            &[&good, json, line],
            &order().to_string(),
        );
        assert_eq!(answer.status, 201, "{line}");
    }
}

#[test]
fn a_preflight_is_not_answered_as_one() {
    let api = Api::start();
    let lines = [
        "origin: https://evil.example",
        "access-control-request-method: POST",
        "access-control-request-headers: authorization",
    ];
    let answer = api.send("OPTIONS", "/tokens", &lines, "");
    problem(&answer, 405, "method_not_allowed");
}

#[test]
fn only_json_by_its_exact_type_is_read() {
    let api = Api::start();
    let good = bearer(&api.token_of("alice"));
    let types: [&[&str]; 6] = [
        &[],
        &["content-type: text/plain"],
        &["content-type: application/x-www-form-urlencoded"],
        &["content-type: application/json; charset=utf-8"],
        &["content-type: text/plain, application/json"],
        &["content-type: application/json", "content-type: text/plain"],
    ];
    for kind in types {
        let lines = [&[&*good], kind].concat();
        let answer = api.send("POST", "/tokens", &lines, &order().to_string());
        problem(&answer, 415, "unsupported_media_type");
    }
}

#[test]
fn what_does_not_exist_is_a_problem_too() {
    let api = Api::start();
    let token = api.token_of("alice");
    for path in [
        "",
        "/",
        "/x",
        "/tokens/",
        "/tokens/x/y",
        "/users",
        "/openapi.yaml",
    ] {
        problem(&api.get(path, &token), 404, "not_found");
    }
    for path in ["/api", "/api/", "/api/v2/tokens"] {
        problem(&ask(&api.service, "GET", path, &[], ""), 404, "not_found");
    }
    for (method, path) in [
        ("DELETE", "/tokens"),
        ("PUT", "/tokens/x"),
        ("GET", "/check"),
    ] {
        let answer = api.send(method, path, &[&bearer(&token)], "");
        problem(&answer, 405, "method_not_allowed");
    }
}
