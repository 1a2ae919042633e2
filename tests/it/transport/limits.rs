//! Whatever arrives instead of a good `CheckRequest`: the answer is a denial, never a gRPC error,
//! because Envoy lets requests pass on errors when it has been told so.

use std::collections::HashMap;

use atlassian_authz::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, attribute_context::Request as HttpAttributes,
};
use prost::Message;
use serde_json::json;

use super::{CHECK, connect, framed, post, runtime};
use crate::support::{
    client,
    envoy::Options,
    idp::Idp,
    service::{Check, Outcome, Service},
    tokens::Token,
    upstream::Upstream,
};

/// What it is, gRPC metadata, body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], Vec<u8>);

const GRPC: (&str, &[u8]) = ("content-type", b"application/grpc");

fn assert_undecided(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.status, 503, "{what}");
    assert_eq!(outcome.header("retry-after"), Some("2"), "{what}");
    assert_eq!(outcome.reason(), "internal_error", "{what}");
    assert_eq!(outcome.user(), None, "{what}");
}

#[test]
fn what_is_no_check_request_is_answered_503_and_never_a_grpc_error() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    let token = Token::of(&idp.issuer).signed();
    let good = Check::get("/x").bearer(&token).build().encode_to_vec();
    let large = Check::get("/x")
        .bearer(&token)
        .header("x-large", "a".repeat(1024 * 1024))
        .build()
        .encode_to_vec();
    let flagged = |flag: u8| {
        let mut frame = framed(&good);
        frame[0] = flag;
        frame
    };
    let announced = |length: u32| {
        let mut frame = framed(&good);
        frame[1..5].copy_from_slice(&length.to_be_bytes());
        frame
    };
    // A group that opens 10,000 groups: the decoder must not follow to the end of its stack.
    let nested = vec![0x0b; 10_000];
    // `attributes.request.http.method` that is not UTF-8.
    let not_utf8 = [0x0a, 8, 0x22, 6, 0x12, 4, 0x12, 2, 0xff, 0xfe];
    let gzip = [GRPC, ("grpc-encoding", b"gzip".as_slice())];
    let unknown = [GRPC, ("grpc-encoding", b"x".as_slice())];
    let cases: Vec<Case<'_>> = vec![
        ("over 1 MiB", &[GRPC], framed(&large)),
        ("garbage in a frame", &[GRPC], framed(&[0xff; 64])),
        ("garbage without a frame", &[GRPC], vec![0xff; 64]),
        ("text", &[GRPC], b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no bytes at all", &[GRPC], Vec::new()),
        ("a truncated head", &[GRPC], vec![0, 0, 0]),
        ("a truncated message", &[GRPC], announced(100_000)),
        ("a length of 4 GiB", &[GRPC], announced(u32::MAX)),
        (
            "a message that is cut",
            &[GRPC],
            framed(&good[..good.len() - 1]),
        ),
        ("compressed, unannounced", &[GRPC], flagged(1)),
        ("compressed as gzip", &gzip, flagged(1)),
        ("an unknown compression", &unknown, flagged(1)),
        ("an unknown flag", &[GRPC], flagged(2)),
        ("a string that is not UTF-8", &[GRPC], framed(&not_utf8)),
        ("deeply nested groups", &[GRPC], framed(&nested)),
        ("a wrong wire type", &[GRPC], framed(&[0x08, 1])),
    ];

    for (count, (what, headers, body)) in (1..).zip(cases) {
        let raw = runtime.block_on(post(&channel, CHECK, headers, body));
        assert_undecided(&Outcome::of(raw.message()), what);
        let replaced = service.metric("atlassian_authz_replaced_errors_total");
        assert_eq!(replaced, f64::from(count), "{what}");
    }
    assert_eq!(service.metric("atlassian_authz_panics_total"), 0.0);

    // Other content types may be answered or denied; errors and allows they are never.
    for kind in [
        "application/json",
        "text/plain",
        "",
        "application/grpc+json",
    ] {
        let headers = [("content-type", kind.as_bytes())];
        let raw = runtime.block_on(post(&channel, CHECK, &headers, framed(&[])));
        assert_ne!(Outcome::of(raw.message()).status, 200, "{kind:?}");
    }

    // The line is still good.
    let raw = runtime.block_on(post(&channel, CHECK, &[GRPC], framed(&good)));
    assert_eq!(Outcome::of(raw.message()).user(), Some("alice"));
}

#[test]
fn a_check_that_says_too_little_or_too_much_is_answered_400() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).signed();
    let attributes = |request| CheckRequest {
        attributes: Some(AttributeContext {
            source: None,
            request,
            context_extensions: HashMap::new(),
        }),
    };
    let without_headers = |mut check: CheckRequest| {
        let request = check.attributes.as_mut().and_then(|it| it.request.as_mut());
        let http = request.and_then(|it| it.http.as_mut()).expect("a request");
        http.header_map = None;
        http.headers.clear();
        check
    };
    let good = || Check::get("/x").bearer(&token);
    // The names and values of the headers that every check has.
    let filled = |bytes: usize| {
        let base = good().header("x-fill", "").build();
        let http = base
            .attributes
            .and_then(|it| it.request?.http)
            .expect("set");
        let lines = http.header_map.expect("set").headers;
        let used: usize = lines
            .iter()
            .map(|it| it.key.len() + it.raw_value.len())
            .sum();
        good().header("x-fill", "a".repeat(bytes - used))
    };
    let path = |bytes: usize| format!("/{}", "p".repeat(bytes - 1));

    let malformed = [
        ("no attributes", CheckRequest::default()),
        ("no request", attributes(None)),
        ("no http", attributes(Some(HttpAttributes { http: None }))),
        ("no headers", without_headers(good().build())),
        ("headers over 64 KiB", filled(64 * 1024 + 1).build()),
        (
            "joined headers over 64 KiB",
            filled(64 * 1024 + 1).build_joined(),
        ),
        (
            "a path over 8 KiB",
            Check::get(&path(8 * 1024 + 1)).bearer(&token).build(),
        ),
        ("no path", Check::get("").bearer(&token).build()),
        (
            "a path in absolute form",
            Check::get("http://x/").bearer(&token).build(),
        ),
        (
            "no host",
            Check::new("GET", "", "/x").bearer(&token).build(),
        ),
        (
            "two hosts",
            Check::new("GET", "a,b", "/x").bearer(&token).build(),
        ),
    ];
    for (what, check) in malformed {
        let outcome = service.check(check);
        assert_eq!(outcome.status, 400, "{what}");
        assert_eq!(outcome.reason(), "malformed_request", "{what}");
        assert_eq!(
            outcome.metadata.get("credential").map(String::as_str),
            Some("none")
        );
    }

    let accepted = [
        ("headers of 64 KiB", filled(64 * 1024).build()),
        (
            "a path of 8 KiB",
            Check::get(&path(8 * 1024)).bearer(&token).build(),
        ),
        (
            "a header that is not UTF-8",
            good().header("x-odd", [0xff, 0x80, 0]).build(),
        ),
        (
            "the same, joined",
            good().header("x-odd", [0xff, 0x80]).build_joined(),
        ),
        ("an empty header name", good().header("", "x").build()),
    ];
    for (what, check) in accepted {
        assert_eq!(service.check(check).user(), Some("alice"), "{what}");
    }
}

#[test]
fn a_thousand_headers_are_read_and_every_identity_among_them_is_removed() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let token = Token::of(&idp.issuer).signed();
    let mut check = Check::get("/x").bearer(&token);
    for number in 0..500 {
        check = check
            .header("X_Remote-User", "admin")
            .header(&format!("x-{number}"), "1");
    }

    for request in [check.clone().build(), check.build_joined()] {
        let outcome = service.check(request);
        assert_eq!(outcome.user(), Some("alice"));
        let aliases = outcome
            .removes
            .iter()
            .filter(|name| name.eq_ignore_ascii_case("x_remote-user"));
        assert!(aliases.count() > 0);
    }

    // Bytes that no credential has, where the credential should be.
    for value in [
        &b"Bearer \xff"[..],
        b"\xff\xfe",
        b"Bearer a\0b",
        b"Bearer\xc2\xa0x",
    ] {
        let outcome = service.check(Check::get("/x").header("authorization", value).build());
        assert!(
            [400, 401].contains(&outcome.status),
            "{value:?}: {}",
            outcome.status
        );
    }
}

#[test]
fn a_body_that_makes_the_check_too_large_does_not_open_an_envoy_that_fails_open() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port)
        .filter(json!({
            "failure_mode_allow": true,
            "with_request_body": {"max_request_bytes": 4 * 1024 * 1024},
        }))
        .start();

    for size in [1024 * 1024, 3 * 1024 * 1024] {
        let mut request = format!(
            "POST /x HTTP/1.1\r\nHost: jira.example.com\r\nConnection: close\r\n\
             X-Remote-User: admin\r\nContent-Length: {size}\r\n\r\n"
        )
        .into_bytes();
        request.resize(request.len() + size, b'a');
        let answer = client::send(&envoy.address, &request);
        assert_eq!(answer.status, 503, "{size}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("2"));
    }

    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
    assert_eq!(envoy.stat("http.ingress.ext_authz.denied"), 2);
}

#[test]
fn a_long_tracestate_does_not_open_an_envoy_that_traces_and_fails_open() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let upstream = Upstream::start();
    // Nobody receives its spans; it passes the client's `tracestate` on with its call all the same.
    let envoy = Options::new(&service.grpc, upstream.port)
        .failing_open()
        .traced("127.0.0.1:1")
        .start();
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    // Envoy itself takes 60 KiB of headers.
    for members in [1, 100, 4000, 8000, 14_500] {
        let state = format!("tracestate: {}", "a=1,".repeat(members));
        let headers = [parent, &state, "X-Remote-User: admin"];
        let answer = client::get(&envoy.address, "/x", &headers);
        assert_eq!(answer.status, 401, "{members}");
    }

    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
    assert_eq!(envoy.stat("http.ingress.ext_authz.denied"), 5);
}
