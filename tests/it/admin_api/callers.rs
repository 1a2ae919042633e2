//! Who gets in, and who does not.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    Api,
    fixture::{bearer, order},
    problem,
};
use crate::support::{
    idp::{Answer, DISCOVERY, JWKS},
    keys::other_rs256,
    service::Check,
    tokens::Token,
};

fn basic(user: &str, password: &str) -> String {
    format!(
        "authorization: Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    )
}

#[test]
fn nobody_gets_in_without_one_good_bearer_token() {
    let api = Api::start();
    let token = api.token_of("alice");
    let good = bearer(&token);
    let expired = Token::of(&api.idp.issuer).claim("exp", 1).signed();
    let forged = Token::of(&api.idp.issuer).signed_by(other_rs256());
    let elsewhere = Token::of(&api.idp.issuer).claim("aud", "wiki").signed();
    let twice = format!("{good}\r\n{good}");
    let joined = format!("{good}, Bearer {token}");
    for (lines, code) in [
        (vec![], "no_credential"),
        (vec![bearer(&expired)], "token_expired_or_invalid"),
        (vec![bearer(&forged)], "token_expired_or_invalid"),
        (vec![bearer(&elsewhere)], "token_expired_or_invalid"),
        (vec![bearer("opaque")], "token_expired_or_invalid"),
        (vec![twice], "malformed_credential"),
        (vec![joined], "malformed_credential"),
        (
            vec!["authorization: Bearer".to_owned()],
            "malformed_credential",
        ),
        (
            vec![format!("authorization: Token {token}")],
            "unsupported_scheme",
        ),
        (
            vec![format!("cookie: authorization=Bearer%20{token}")],
            "no_credential",
        ),
        (
            vec![format!("proxy-authorization: Bearer {token}")],
            "no_credential",
        ),
        (vec!["x-remote-user: Boss".to_owned()], "no_credential"),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        problem(&api.send("GET", "/tokens", &lines, ""), 401, code);
    }
    let in_query = api.send("GET", &format!("/tokens?access_token={token}"), &[], "");
    problem(&in_query, 401, "no_credential");
    assert_eq!(api.get("/tokens", &token).status, 200);
}

#[test]
fn basic_is_never_accepted_because_a_browser_sends_it_by_itself() {
    let api = Api::start();
    let made = api.make(&api.token_of("alice"), &order());
    let own = made["token"].as_str().expect("a token");
    let password = basic("alice", "password");
    problem(
        &api.send("GET", "/tokens", &[&password], ""),
        401,
        "unsupported_scheme",
    );
    let token = basic("alice", &api.token_of("alice"));
    problem(
        &api.send("GET", "/tokens", &[&token], ""),
        401,
        "unsupported_scheme",
    );
    let own = basic("alice", own);
    problem(
        &api.send("GET", "/tokens", &[&own], ""),
        403,
        "api_token_not_accepted",
    );
}

#[test]
fn an_api_token_cannot_make_or_manage_tokens() {
    let mut api = Api::start();
    let made = api.make(&api.admin(), &order());
    let own = made["token"].as_str().expect("a token");
    assert_eq!(api.service.check_token(own).user(), Some("carol"));
    problem(
        &api.post("/tokens", own, &order()),
        403,
        "api_token_not_accepted",
    );
    problem(&api.get("/tokens", own), 403, "api_token_not_accepted");
    problem(&api.get("/tokens", "axt_x"), 403, "api_token_not_accepted");
}

#[test]
fn a_provider_that_is_not_listed_is_not_known_here() {
    let mut api = Api::start();
    let token = Token::of(&api.other.issuer).claim("groups", json!(["authz-admins"]));
    let token = token.signed();
    problem(&api.get("/events", &token), 401, "token_expired_or_invalid");
    let check = Check::new("GET", "wiki.example.com", "/x");
    assert_eq!(api.service.check(check.bearer(&token).build()).status, 200);
    // Nor does having been accepted elsewhere help.
    problem(&api.get("/events", &token), 401, "token_expired_or_invalid");
}

#[test]
fn a_provider_that_does_not_answer_is_no_refusal() {
    let api = Api::start();
    let down = Answer::status("500 Internal Server Error", &[], "");
    api.idp.answer(DISCOVERY, down.clone());
    api.idp.answer(JWKS, down);
    let token = Token::of(&api.idp.issuer).header("kid", "new");
    let token = token.signed_by(other_rs256());
    problem(&api.get("/tokens", &token), 503, "temporarily_unavailable");
}
