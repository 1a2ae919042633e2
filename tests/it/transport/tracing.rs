//! What the service tells a real OTLP receiver, beside what the real Envoy tells it.

mod collectors;
mod documented;
mod parents;
mod secrets;

use serde_json::json;

use crate::support::{
    client,
    collector::{CLIENT, Collector, ERROR, SERVER, Seen},
    envoy::Options,
    eventually,
    idp::{Answer, DISCOVERY, Idp, JWKS},
    service::{Check, Service, config_for},
    tokens::{Token, unix_now},
    upstream::Upstream,
};

const INTROSPECT: &str = "/introspect";

/// A provider that is asked about every token, and says that it is alice's.
fn asked() -> Idp {
    let idp = Idp::start();
    let answer = json!({
        "active": true, "username": "alice", "sub": "u1", "aud": "jira-api", "client_id": "portal",
        "exp": unix_now() + 600,
    });
    idp.answer(INTROSPECT, Answer::Json(answer.to_string()));
    idp
}

fn config_of(asked: &Idp) -> String {
    format!(
        "providers:\n  - name: asked\n    introspection: {{ endpoint: \"{}{INTROSPECT}\", client_id: gateway, \
         client_secret: {{ env: PATH }} }}\n    audiences: [jira-api]\n    username: {{ claim: username }}\n\
         applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com, 127.0.0.1] }}\n",
        asked.issuer
    )
}

/// The one span whose id this is.
fn by_id<'s>(spans: &'s [Seen], id: &str) -> &'s Seen {
    let mut found = spans.iter().filter(|span| span.id == id);
    let first = found.next().unwrap_or_else(|| panic!("no span {id}"));
    assert!(found.next().is_none(), "{id} is there twice");
    first
}

#[test]
fn one_trace_has_the_gateways_span_that_of_the_check_and_the_question_to_the_provider() {
    let (idp, upstream, collector) = (asked(), Upstream::start(), Collector::start());
    let service = Service::with_config(&(config_of(&idp) + &collector.section("0")));
    let envoy = Options::new(&service.grpc, upstream.port)
        .traced(&collector.address)
        .start();
    let bearer = "Authorization: Bearer an-opaque-token";

    let answer = client::get(
        &envoy.address,
        "/rest/api/2/myself?os_destination=1",
        &[bearer],
    );
    assert_eq!(answer.status, 200);
    let question = collector.wait_for("POST", 1).remove(0);
    let spans = eventually("Envoy's spans, which it sends on its own time", || {
        let spans = collector.spans();
        let sends = spans.iter().filter(|span| span.service == "envoy");
        (sends.count() >= 2).then_some(spans)
    });

    // Client, Envoy, Envoy's call of the check, the check, its question to the provider.
    let check = by_id(&spans, &question.parent);
    let call = by_id(&spans, &check.parent);
    let ingress = by_id(&spans, &call.parent);
    assert_eq!(ingress.parent, "");
    for span in [ingress, call, check] {
        assert_eq!(span.trace, question.trace, "{span:?}");
    }
    assert_eq!((&*call.service, call.kind), ("envoy", CLIENT));
    assert_eq!((&*ingress.service, ingress.kind), ("envoy", SERVER));
    let url = ingress.attribute("http.url");
    assert_eq!(url, "/rest/api/2/myself", "clients put tokens into queries");
    assert!(check.began >= call.began, "it starts when the call arrives");
    assert!(check.ended >= check.began && question.ended <= check.ended);

    assert_eq!(
        (&*check.service, &*check.name, check.kind, check.status),
        ("atlassian-authz", "check", SERVER, 0)
    );
    let decision = &service.decisions()[0];
    for (attribute, value) in [
        ("atlassian_authz.verdict", "allow"),
        ("atlassian_authz.status", "200"),
        ("atlassian_authz.reason", "token_valid"),
        ("atlassian_authz.enforcement", "enforce"),
        ("atlassian_authz.application", "jira"),
        ("atlassian_authz.provider", "asked"),
        ("atlassian_authz.credential", "opaque"),
        ("atlassian_authz.cached", "false"),
        ("enduser.id", "alice"),
        ("http.request.method", "GET"),
    ] {
        assert_eq!(check.attribute(attribute), value, "{attribute}");
    }
    for field in ["token_id", "request_id"] {
        let attribute = check.attribute(&format!("atlassian_authz.{field}"));
        assert!(!attribute.is_empty() && decision[field] == attribute);
    }
    assert_eq!(check.attributes.len(), 12, "{:?}", check.attributes);
    assert_eq!(decision["trace_id"], check.trace);

    assert_eq!((question.kind, question.status), (CLIENT, 0));
    for (attribute, value) in [
        ("http.request.method", "POST"),
        ("server.address", "127.0.0.1"),
        ("server.port", &idp.port().to_string()),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(question.attribute(attribute), value, "{attribute}");
    }
    assert_eq!(question.attributes.len(), 4, "{:?}", question.attributes);

    let received = idp.received();
    let request = received.iter().find(|one| one.path == INTROSPECT);
    let headers = &request.expect("asked").headers;
    assert_eq!(headers["traceparent"], question.traceparent());
    assert!(!headers.contains_key("tracestate"));
    // As received, for a person: `cargo test --test it -- --nocapture one_trace_has`
    eprintln!("{}", collector.json(&question.trace));
}

#[test]
fn a_check_that_cannot_be_decided_is_an_error_and_a_denial_is_none() {
    let (idp, collector) = (asked(), Collector::start());
    let mut service = Service::with_config(&(config_of(&idp) + &collector.section("1")));
    let of_last = |count: usize| collector.wait_for("check", count).pop().expect("a span");

    assert_eq!(service.check(Check::get("/x").build()).status, 401);
    let none = of_last(1);
    assert_eq!(
        (none.status, none.attribute("atlassian_authz.code")),
        (0, "no_credential")
    );

    idp.answer(INTROSPECT, Answer::Json("{\"active\": false}".to_owned()));
    assert_eq!(service.check_token("a-revoked-token").status, 401);
    let inactive = of_last(2);
    assert_eq!(inactive.status, 0);
    assert_eq!(
        inactive.attribute("atlassian_authz.reason"),
        "token_inactive"
    );

    idp.answer(
        INTROSPECT,
        Answer::status("500 Internal Server Error", &[], ""),
    );
    assert_eq!(service.check_token("another-token").status, 503);
    let undecided = of_last(3);
    assert_eq!(
        (undecided.status, &*undecided.message),
        (ERROR, "provider_error")
    );
    let question = collector.wait_for("POST", 2).pop().expect("a span");
    assert_eq!(question.parent, undecided.id);
    assert_eq!(question.status, ERROR);
    assert_eq!(question.attribute("http.response.status_code"), "500");

    idp.answer(INTROSPECT, Answer::Reset(Vec::new()));
    assert_eq!(service.check_token("a-third-token").status, 503);
    let question = collector.wait_for("POST", 3).pop().expect("a span");
    assert_eq!(
        (question.status, question.attribute("error.type")),
        (ERROR, "broken")
    );

    // What cannot even be read.
    assert_eq!(service.check(Check::get("x").build()).status, 400);
    let malformed = of_last(5);
    assert_eq!(
        malformed.attribute("atlassian_authz.reason"),
        "malformed_request"
    );
    assert!(!malformed.attributes.contains_key("http.request.method"));
}

#[test]
fn what_is_remembered_is_a_span_and_asks_nobody() {
    let (idp, collector) = (asked(), Collector::start());
    let mut service = Service::with_config(&(config_of(&idp) + &collector.section("1")));
    for _ in 0..2 {
        assert_eq!(service.check_token("an-opaque-token").user(), Some("alice"));
    }
    let checks = collector.wait_for("check", 2);
    let cached = |span: &Seen| span.attribute("atlassian_authz.cached").to_owned();
    assert_eq!(
        checks.iter().map(cached).collect::<Vec<_>>(),
        ["false", "true"]
    );
    assert_eq!(collector.named("POST").len(), 1);
}

#[test]
fn one_question_belongs_to_the_check_that_was_first() {
    let (idp, collector) = (asked(), Collector::start());
    let mut service = Service::with_config(&(config_of(&idp) + &collector.section("1")));
    let answer = json!({
        "active": true, "username": "alice", "aud": "jira-api", "client_id": "c", "exp": unix_now() + 60,
    });
    idp.answer(INTROSPECT, Answer::Held(answer.to_string()));
    let check = || Check::get("/x").bearer("an-opaque-token").build();
    let mut asker = service.asker();
    let first = std::thread::spawn(move || asker.check(check()));
    eventually("the question", || {
        (idp.count(INTROSPECT) == 1).then_some(())
    });
    let mut asker = service.asker();
    let second = std::thread::spawn(move || asker.check(check()));
    idp.release();
    for outcome in [first, second] {
        assert_eq!(outcome.join().expect("ends").user(), Some("alice"));
    }
    let checks = collector.wait_for("check", 2);
    let questions = collector.wait_for("POST", 1);
    assert_eq!((questions.len(), idp.count(INTROSPECT)), (1, 1));
    let first = by_id(&checks, &questions[0].parent);
    assert!(checks.iter().all(|check| check.began >= first.began));
    assert_eq!(service.check(check()).user(), Some("alice"));
}

#[test]
fn a_fetch_of_keys_is_a_trace_of_its_own() {
    let (idp, collector) = (Idp::start(), Collector::start());
    let service = Service::with_config(&(config_for(&idp) + &collector.section("1")));
    let fetch = collector.wait_for("fetch keys", 1).remove(0);
    assert_eq!((&*fetch.parent, fetch.status), ("", 0));
    assert_eq!(fetch.attribute("atlassian_authz.provider"), "idp");
    assert_eq!(fetch.attribute("atlassian_authz.issuer"), idp.issuer);
    let gets = collector.wait_for("GET", 2);
    for get in &gets {
        assert_eq!((&get.parent, &get.trace), (&fetch.id, &fetch.trace));
    }
    let told = |path: &str| {
        let received = idp.received();
        let request = received.iter().find(|one| one.path == path);
        request.expect("fetched").headers["traceparent"].clone()
    };
    let mut told = [told(DISCOVERY), told(JWKS)];
    let mut sent = [gets[0].traceparent(), gets[1].traceparent()];
    told.sort();
    sent.sort();
    assert_eq!(told, sent);
    drop(service);

    // One that fails says why, and nothing of what the server said.
    idp.answer(
        JWKS,
        Answer::status("404 Not Found", &[], "a text of the server"),
    );
    let collector = Collector::start();
    let _service = Service::with_config(&(config_for(&idp) + &collector.section("1")));
    let failed = collector.wait_for("fetch keys", 1).remove(0);
    assert_eq!(failed.status, ERROR);
    assert_eq!(failed.message, "the server answered with status 404");
}

#[test]
fn a_user_who_is_refused_is_named_as_in_the_log() {
    let (idp, collector) = (Idp::start(), Collector::start());
    let config = config_for(&idp).replace(
        "product: jira\n",
        "product: jira\n    enforcement: report_only\n",
    ) + &collector.section("1");
    let mut service = Service::with_config(&config);
    let token = Token::of(&idp.issuer).signed();
    let denied = Check::new("BREW", "jira.example.com", "/rest/pat/latest/tokens").bearer(&token);
    assert_eq!(service.check(denied.build()).status, 200);
    let check = collector.wait_for("check", 1).remove(0);
    let decision = &service.decisions()[0];
    for (attribute, value) in [
        ("atlassian_authz.verdict", "allow"),
        ("atlassian_authz.status", "200"),
        ("atlassian_authz.would_be", "403"),
        ("atlassian_authz.enforcement", "report_only"),
        ("atlassian_authz.refused_user", "alice"),
        ("enduser.id", ""),
        // Text of a client is not sent.
        ("http.request.method", "_OTHER"),
    ] {
        assert_eq!(check.attribute(attribute), value, "{attribute}");
    }
    assert_eq!(decision["refused_user"], "alice");
    assert_eq!(
        decision["reason"],
        check.attribute("atlassian_authz.reason")
    );
}
