//! The main job, through the real Envoy.

use crate::support::{
    client, envoy::Options, idp::Idp, service::Service, tokens::Token, upstream::Upstream,
};

#[test]
fn a_good_token_becomes_exactly_one_identity_header() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port).start();
    let token = Token::of(&idp.issuer).signed();

    let answer = client::get(
        &envoy.address,
        "/rest/api/2/myself",
        &[&format!("Authorization: Bearer {token}")],
    );

    assert_eq!(answer.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.identities(), [("x-remote-user", "alice")]);
    assert!(seen.values("authorization").is_empty());
}

#[test]
fn no_token_is_a_401_with_a_challenge_and_nothing_reaches_the_product() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port).start();

    let answer = client::get(
        &envoy.address,
        "/rest/api/2/myself",
        &["X-Remote-User: admin"],
    );

    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"atlassian-authz\"")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.body,
        r#"{"error":{"status":"ERROR","code":"no_credential","message":"An access token is required."}}"#
    );
    assert!(upstream.seen().is_empty());
}

#[test]
fn fetching_keys_tells_the_provider_nothing_about_a_request() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).signed();
    assert_eq!(service.check_token(&token).user(), Some("alice"));

    for request in idp.received() {
        let mut sent: Vec<_> = request.headers.keys().map(String::as_str).collect();
        sent.sort_unstable();
        assert_eq!(sent, ["accept", "host", "user-agent"], "{}", request.path);
    }
}

#[test]
fn a_remembered_refusal_still_says_who_refused() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).claim("aud", "other").signed();

    for remembered in [false, true] {
        let outcome = service.check_token(&token);
        assert_eq!((outcome.status, outcome.reason()), (401, "wrong_audience"));
        assert_eq!(outcome.metadata["provider"], "idp");
        assert_eq!(outcome.metadata["credential"], "jwt");
        let hits = service.metric("atlassian_authz_cache_requests_total{result=\"hit\"}");
        assert_eq!(hits > 0.0, remembered);
    }
}
