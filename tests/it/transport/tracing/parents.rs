//! To which trace a check belongs, and what a client can do about it.

use prost::Message;

use super::super::{CHECK, connect, end_of, framed, post, runtime};
use crate::support::{
    client,
    collector::{Collector, Seen},
    envoy::Options,
    idp::Idp,
    service::{Check, Outcome, Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const STOPPED: &str = "\"message\":\"stopped\"";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// Spans of checks that a service has sent by its end.
fn checks_at_the_end(service: &mut Service, collector: &Collector) -> Vec<Seen> {
    service.process.signal("TERM");
    assert_eq!(end_of(&mut service.process, STOPPED).0, Some(0));
    collector.named("check")
}

#[test]
fn the_gateways_own_parent_is_nearer_than_that_of_the_request() {
    let (idp, collector) = (Idp::start(), Collector::start());
    let mut service = Service::with_config(&(config_for(&idp) + &collector.section("0")));
    let token = Token::of(&idp.issuer).signed();
    let in_request = parent("01").replace(TRACE, &"1".repeat(32));
    let check = Check::get("/x")
        .bearer(&token)
        .header("traceparent", &in_request);
    let check = check.header("tracestate", "vendor=request").build();
    let message = framed(&check.encode_to_vec());
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc));
    let ask = |metadata: &[(&str, &[u8])]| {
        let raw = runtime.block_on(post(&channel, CHECK, metadata, message.clone()));
        assert_eq!(Outcome::of(raw.message()).user(), Some("alice"));
    };
    let of_call = parent("01");
    ask(&[
        ("traceparent", of_call.as_bytes()),
        ("tracestate", b"vendor=call"),
    ]);
    ask(&[]);
    ask(&[("traceparent", b"not a parent")]);
    ask(&[
        ("traceparent", of_call.as_bytes()),
        ("traceparent", of_call.as_bytes()),
    ]);
    // The gateway has decided that this one is not recorded; so has the client, whose word counts less.
    ask(&[("traceparent", parent("00").as_bytes())]);

    let checks = checks_at_the_end(&mut service, &collector);
    let seen: Vec<_> = checks
        .iter()
        .map(|it| (&*it.trace, &*it.parent, &*it.state))
        .collect();
    let requests = "1".repeat(32);
    let of_request = (&*requests, SPAN, "vendor=request");
    assert_eq!(
        seen,
        [
            (TRACE, SPAN, "vendor=call"),
            of_request,
            of_request,
            of_request
        ]
    );
}

#[test]
fn chance_decides_about_checks_without_a_parent_and_about_no_other() {
    let idp = Idp::start();
    let token = Token::of(&idp.issuer).signed();
    for (sample, recorded) in [("0", 0), ("0.0", 0), ("1", 50), ("1.0", 50)] {
        let collector = Collector::start();
        let mut service = Service::with_config(&(config_for(&idp) + &collector.section(sample)));
        let mut ask = |traceparent: Option<&str>| {
            let check = Check::get("/x").bearer(&token);
            let check = match traceparent {
                Some(text) => check.header("traceparent", text),
                None => check,
            };
            assert_eq!(service.check(check.build()).user(), Some("alice"));
        };
        for _ in 0..50 {
            ask(None);
        }
        for _ in 0..3 {
            ask(Some(&parent("00")));
        }
        ask(Some(&parent("01")));
        // What was not sent yet is sent at the end.
        let checks = checks_at_the_end(&mut service, &collector);
        let lines = service.decisions();
        let traced = lines.iter().filter(|line| line.get("trace_id").is_some());
        assert_eq!(traced.count(), checks.len(), "{sample}");
        assert_eq!(checks.len(), recorded + 1, "{sample}");
        let followed = checks.iter().filter(|check| check.trace == TRACE);
        assert_eq!(followed.count(), 1, "{sample}");
        let fetches = collector.named("fetch keys").len();
        assert_eq!(fetches, usize::from(recorded > 0), "{sample}");
    }
}

/// Every form of header that a client could try: name, values.
fn forged() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let one = |text: &str| vec![("traceparent", text.as_bytes().to_vec())];
    let with_state = |state: &[u8]| {
        let mut headers = one(&parent("01"));
        headers.push(("tracestate", state.to_vec()));
        headers
    };
    let good = parent("01");
    let mut all = vec![
        one(""),
        one("-"),
        one("00"),
        one(&"-".repeat(55)),
        one(&"0".repeat(55)),
        one(&good.to_uppercase().replace("4B", "GG")),
        one(&good.replace(TRACE, &TRACE.to_uppercase())),
        one(&good.replace(TRACE, &"0".repeat(32))),
        one(&good.replace(SPAN, &"0".repeat(16))),
        one(&good.replace("00-4", "ff-4")),
        one(&format!("{good}-")),
        one(&format!("{good}-extra")),
        one(&format!("{good},{good}")),
        one(&good.replace("00-4", "cc-4")),
        one(&"a".repeat(20_000)),
        vec![("traceparent", vec![0xff; 55])],
        [one(&good), one(&good)].concat(),
        [one(&good), one(&parent("00"))].concat(),
        vec![("tracestate", b"a=1".to_vec())],
        vec![
            ("b3", b"1-1-1".to_vec()),
            ("baggage", b"user=admin".to_vec()),
        ],
    ];
    for state in [
        &b""[..],
        b"=",
        b",,,",
        b"a",
        b"a=1,a=2",
        b"\xff\xfe=1",
        b"a=\xf0\x9f\x92\xa9",
    ] {
        all.push(with_state(state));
    }
    all.push(with_state("a=1,".repeat(128).as_bytes()));
    all.push(with_state("a=1,".repeat(4000).as_bytes()));
    all.push(with_state("x".repeat(20_000).as_bytes()));
    all.push(with_state("a=1,".repeat(13_000).as_bytes()));
    all
}

#[test]
fn a_client_that_forges_a_parent_changes_no_answer() {
    let (idp, upstream, collector) = (Idp::start(), Upstream::start(), Collector::start());
    let mut service = Service::with_config(&(config_for(&idp) + &collector.section("1")));
    // Envoy passes what it has made of them on with its call. Were that call to fail, these would let everybody in.
    let plain = Options::new(&service.grpc, upstream.port).failing_open();
    let traced = plain.clone().traced(&collector.address).start();
    let plain = plain.start();
    let token = Token::of(&idp.issuer).signed();
    let bearer = format!("Authorization: Bearer {token}");
    let mut asked = 0;
    for headers in forged() {
        let add = |check: Check, (name, value): &(&str, Vec<u8>)| check.header(name, value);
        for check in [Check::get("/x").bearer(&token), Check::get("/x")] {
            let check = headers.iter().fold(check, add);
            for check in [check.clone().build(), check.build_joined()] {
                let has_token = format!("{check:?}").contains("authorization");
                let outcome = service.check(check);
                let user = has_token.then_some("alice");
                assert_eq!(outcome.user(), user, "{headers:?}");
                assert_eq!(outcome.status, if has_token { 200 } else { 401 });
                asked += 1;
            }
        }
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.push(&bearer);
        for envoy in [&plain, &traced] {
            let answer = client::get(&envoy.address, "/x", &lines);
            assert_eq!(answer.status, 200, "{headers:?}");
            assert_eq!(upstream.last().identities(), [("x-remote-user", "alice")]);
            let forging = "X-Remote-User: admin";
            let nobody = [&lines[..lines.len() - 1], &[forging]].concat();
            let answer = client::get(&envoy.address, "/x", &nobody);
            assert_eq!(answer.status, 401, "{headers:?}");
            asked += 2;
        }
    }
    let checks = checks_at_the_end(&mut service, &collector);
    assert!(checks.len() <= asked && checks.len() > asked / 2);
    for check in &checks {
        assert!(check.state.len() <= 512, "{check:?}");
        assert_eq!((check.trace.len(), check.id.len()), (32, 16));
        assert!(!check.attributes.values().any(|value| value.len() > 64));
    }
}
