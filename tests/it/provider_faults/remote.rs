//! The same for providers that are asked about every token: their good, slow and broken days.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Trap, all_at_once, assert_alice, assert_undecided, check};
use atlassian_authz::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;

use crate::support::{
    client,
    envoy::{Envoy, Options, shipped},
    eventually,
    idp::{Answer, Idp},
    service::{Outcome, Service},
    tokens::{Token, unix_now},
    upstream::Upstream,
};

const PATH: &str = "/introspect";
const SECRET: &str = "the-secret-of-the-gateway";

/// A provider that is asked, beside one whose tokens are verified here.
struct Asked {
    idp: Idp,
    jwt: Idp,
    secrets: TempDir,
}

impl Asked {
    fn start() -> Self {
        let secrets = TempDir::new().expect("a directory");
        fs::write(secrets.path().join("secret"), SECRET).expect("written");
        let idp = Idp::start();
        idp.answer(PATH, active(&json!({})));
        Self {
            idp,
            jwt: Idp::start(),
            secrets,
        }
    }

    fn secret(&self) -> PathBuf {
        self.secrets.path().join("secret")
    }

    fn config(&self, members: &str) -> String {
        format!(
            "providers:\n  - name: asked\n    introspection:\n      endpoint: \"{}{PATH}\"\n      client_id: gateway\n      \
             client_secret: {{ file: {} }}\n{members}    audiences: [jira-api]\n    username: {{ claim: username }}\n  \
             - {{ name: jwt, jwt: {{ issuer: \"{}\" }}, audiences: [jira-api], username: {{ claim: preferred_username }} }}\n\
             applications:\n  - {{ name: jira, product: jira, hosts: [jira.example.com, 127.0.0.1] }}\n",
            self.idp.issuer,
            self.secret().display(),
            self.jwt.issuer,
        )
    }

    fn service(&self) -> Service {
        Service::with_config(&self.config(""))
    }

    fn jwt(&self) -> String {
        let unique: u64 = rand::random();
        Token::of(&self.jwt.issuer).claim("jti", unique).signed()
    }
}

/// The answer about a good token of alice's, changed.
fn active(change: &serde_json::Value) -> Answer {
    Answer::Json(document(change))
}

fn document(change: &serde_json::Value) -> String {
    let mut answer = json!({
        "active": true, "username": "alice", "sub": "u1", "aud": "jira-api", "client_id": "portal",
        "exp": unix_now() + 600,
    });
    for (name, value) in change.as_object().expect("an object") {
        answer[name] = value.clone();
    }
    answer.to_string()
}

#[track_caller]
fn assert_reason(outcome: &Outcome, status: i32, reason: &str) {
    assert_eq!((outcome.status, outcome.reason()), (status, reason));
}

#[test]
fn a_token_travels_in_the_body_and_our_secret_in_a_header() {
    let asked = Asked::start();
    let mut service = asked.service();
    assert_alice(&service.check_token("opaque+/~token"), "asked");
    let received = asked.idp.received();
    let request = received.iter().find(|one| one.path == PATH).expect("asked");
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.body,
        "token=opaque%2B%2F%7Etoken&token_type_hint=access_token"
    );
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("gateway:{SECRET}"),
    );
    assert_eq!(request.headers["authorization"], format!("Basic {basic}"));
    assert_eq!(request.headers["accept"], "application/json");
    for shown in [
        service.process.output(),
        service.admin_page("/metrics").1,
        service.admin_page("/statusz").1,
    ] {
        for secret in [SECRET, &basic, "opaque+/~token"] {
            assert!(!shown.contains(secret), "{secret} is shown");
        }
    }
}

#[test]
fn an_answer_that_is_not_exactly_right_never_opens_the_door() {
    let asked = Asked::start();
    let good = document(&json!({}));
    let other_type =
        |kind: &str| Answer::status("200 OK", &[&format!("content-type: {kind}")], &good);
    let raw = |text: &str| Answer::Json(text.to_owned());
    let cases: Vec<(&str, Answer, &str)> = vec![
        ("an empty object", raw("{}"), "provider_error"),
        ("text", active(&json!({"active": "true"})), "provider_error"),
        ("a number", active(&json!({"active": 1})), "provider_error"),
        ("null", active(&json!({"active": null})), "provider_error"),
        ("a list", active(&json!({"active": [true]})), "provider_error"),
        ("twice", raw(&good.replacen('{', "{\"active\":false,", 1)), "provider_error"),
        ("an array", raw("[{\"active\":true}]"), "provider_error"),
        ("RFC 9701", other_type("application/token-introspection+jwt"), "provider_error"),
        ("a page", other_type("text/html"), "provider_error"),
        ("created", Answer::status("201 Created", &["content-type: application/json"], &good), "provider_error"),
        ("not UTF-8", Answer::Raw([b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 29\r\n\r\n", &b"{\"active\":true,\"username\":\"\xff\"}"[..29]].concat()), "provider_error"),
        ("a bomb", Answer::status("200 OK", &["content-type: application/json", "content-encoding: gzip"], "\u{1f}"), "provider_error"),
        ("another audience", active(&json!({"aud": ["other"]})), "wrong_audience"),
        ("no audience", active(&json!({"aud": null})), "claim_type"),
        ("the past", active(&json!({"exp": unix_now() - 60})), "expired"),
        ("exp as text", active(&json!({"exp": "9999999999"})), "claim_type"),
        ("exp out of range", active(&json!({"exp": 1e300})), "claim_type"),
        ("the future", active(&json!({"nbf": unix_now() + 600})), "not_yet_valid"),
        ("bound", active(&json!({"cnf": {"jkt": "x"}})), "sender_constrained"),
        ("DPoP", active(&json!({"token_type": "DPoP"})), "sender_constrained"),
        ("a refresh token", active(&json!({"token_type": "refresh_token"})), "not_an_access_token"),
        ("an ID token", active(&json!({"typ": "ID"})), "not_an_access_token"),
        ("a machine", active(&json!({"sub": "portal"})), "machine_client_not_mapped"),
        ("a reserved name", active(&json!({"username": "admin"})), "username_refused"),
        ("a line", active(&json!({"username": "alice\r\nx: y"})), "username_refused"),
    ];
    let mut service = asked.service();
    for (number, (what, answer, reason)) in cases.into_iter().enumerate() {
        // Ten failures open the breaker.
        if number % 8 == 0 {
            service = asked.service();
        }
        let token = format!("token-of-case-{number}");
        asked.idp.answer_about(&token, PATH, answer);
        let outcome = service.check_token(&token);
        assert_eq!((outcome.reason(), outcome.user()), (reason, None), "{what}");
        assert_ne!(outcome.status, 200, "{what}");
    }
    assert_alice(&service.check_token("a-good-one"), "after all that");
}

#[test]
fn a_redirect_takes_no_token_anywhere() {
    let asked = Asked::start();
    let trap = Trap::set("127.0.0.1:0");
    let location = format!("location: http://127.0.0.1:{}/", trap.port());
    let mut service = asked.service();
    for status in [301, 302, 303, 307, 308] {
        let token = format!("redirected-{status}");
        let answer = Answer::status(&format!("{status} X"), &[&location], "");
        asked.idp.answer_about(&token, PATH, answer);
        assert_undecided(&service.check_token(&token), &token);
    }
    trap.assert_untouched();
}

#[test]
fn addresses_that_must_not_be_called_are_not() {
    let asked = Asked::start();
    let trap = Trap::set("127.0.0.1:0");
    let endpoint = format!("{}{PATH}", asked.idp.issuer);
    let config = asked
        .config("")
        .replace(&endpoint, &format!("https://localhost:{}/", trap.port()))
        .replace(&asked.jwt.issuer, "https://idp.example.invalid")
        + "outbound: { allow_loopback_http: false }\n";
    let mut service = Service::with_config(&config);
    assert_undecided(&service.check_token("opaque"), "a name of loopback");
    trap.assert_untouched();
}

#[test]
fn a_token_is_shown_to_its_provider_and_to_no_other() {
    let asked = Asked::start();
    let mut service = asked.service();
    for (token, reason) in [
        ("axt_0123456789", "api_tokens_disabled"),
        ("glpat-0123456789", "foreign_token"),
        ("ghp_0123456789", "foreign_token"),
        ("xoxb-0123456789", "foreign_token"),
        ("ya29.0123456789", "foreign_token"),
    ] {
        assert_reason(&service.check_token(token), 401, reason);
    }
    let foreign = Token::of("https://another.example").signed();
    assert_reason(&service.check_token(&foreign), 401, "unknown_issuer");
    let forged = Token::of(&asked.jwt.issuer).header("alg", "none").signed();
    assert_reason(&service.check_token(&forged), 401, "algorithm_not_allowed");
    assert_eq!(asked.idp.count(PATH), 0, "nobody was asked");

    asked.idp.answer(PATH, Answer::status("500 X", &[], ""));
    let keys = asked.jwt.received().len();
    assert_undecided(&service.check_token("opaque"), "its own provider fails");
    assert_eq!(asked.jwt.received().len(), keys, "and no other was tried");
}

#[test]
fn a_thousand_first_uses_of_a_token_ask_once() {
    let asked = Asked::start();
    asked.idp.answer(PATH, Answer::Held(document(&json!({}))));
    let config = asked.config("") + "limits: { check_timeout: 30s }\n";
    let service = Service::with_config(&config);
    let outcomes = std::thread::scope(|scope| {
        let checks = (0..1000).map(|_| check("opaque")).collect();
        let calls = scope.spawn(|| all_at_once(&service, checks));
        eventually("the question", || {
            (asked.idp.count(PATH) == 1).then_some(())
        });
        asked.idp.release();
        calls.join().expect("joined")
    });
    for outcome in &outcomes {
        assert_alice(outcome, "one of a thousand");
    }
    eprintln!("1,000 first uses: {} question", asked.idp.count(PATH));
    assert_eq!(asked.idp.count(PATH), 1);
}

#[test]
fn clients_that_go_away_cancel_nobodys_question() {
    let asked = Asked::start();
    asked.idp.answer(PATH, Answer::Held(document(&json!({}))));
    let mut service =
        Service::with_config(&(asked.config("") + "limits: { check_timeout: 30s }\n"));
    let runtime = Runtime::new().expect("a runtime");
    let address = format!("http://{}", service.grpc);
    let leader = runtime.spawn(async move {
        let client = AuthorizationClient::connect(address).await;
        client.expect("connects").check(check("opaque")).await
    });
    eventually("the question", || {
        (asked.idp.count(PATH) == 1).then_some(())
    });
    leader.abort();
    drop(runtime);
    asked.idp.release();
    eventually("the answer", || {
        let outcome = service.check_token("opaque");
        assert_alice(&outcome, "a follower");
        let hits = service.metric("atlassian_authz_cache_requests_total{result=\"hit\"}");
        (hits >= 1.0).then_some(())
    });
    assert_eq!(
        asked.idp.count(PATH),
        1,
        "the abandoned answer was remembered"
    );
}

#[test]
fn a_hanging_provider_takes_sixty_four_connections_and_harms_no_other() {
    let asked = Asked::start();
    asked.idp.answer(PATH, Answer::Hang);
    let service = asked.service();
    let checks = (0..600).map(|number| match number % 3 {
        0 => check(&asked.jwt()),
        _ => check(&format!("opaque-{number}")),
    });
    let outcomes = all_at_once(&service, checks.collect());
    let mut reasons = std::collections::BTreeMap::new();
    for (number, outcome) in outcomes.iter().enumerate() {
        if number % 3 == 0 {
            assert_alice(outcome, "the other provider");
        } else {
            assert_undecided(outcome, "the hanging provider");
            *reasons.entry(outcome.reason().to_owned()).or_insert(0) += 1;
        }
    }
    eprintln!("hanging: {} questions, {reasons:?}", asked.idp.count(PATH));
    assert!(asked.idp.count(PATH) <= 64, "{}", asked.idp.count(PATH));
    assert!(reasons["overloaded"] > 0, "{reasons:?}");
}

#[test]
fn envoys_deadline_gets_our_own_answer_while_a_provider_hangs() {
    let asked = Asked::start();
    asked.idp.answer(PATH, Answer::Hang);
    let service = asked.service();
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port)
        .failing_open()
        .filter(json!({"failure_mode_allow": true, "grpc_service": {"timeout": "0.2s"}}))
        .start();
    for number in 0..8 {
        let bearer = format!("Authorization: Bearer opaque-{number}");
        let answer = client::get(&envoy.address, "/rest/api/2/myself", &[&bearer]);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.body.contains("temporarily_unavailable"),
            "{answer:?}"
        );
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
    assert_eq!(envoy.stat("http.ingress.ext_authz.failure_mode_allowed"), 0);
}

/// Envoy gives up each try after `retry_back_off.max_interval`: were that less than its timeout, a check that has to
/// wait for a provider would be cut off, and the provider asked again by another replica.
#[test]
fn the_shipped_envoy_waits_for_a_slow_provider_which_is_asked_once() {
    let asked = Asked::start();
    let late = Answer::Late(|_| document(&json!({})), Duration::from_millis(500));
    asked.idp.answer(PATH, late);
    let service = Service::with_config(&asked.config("      timeout: 900ms\n"));
    let upstream = Upstream::start();
    let envoy = Envoy::with_config("envoy.yaml", &shipped(upstream.port, &[&service.grpc]));

    let bearer = "Authorization: Bearer opaque";
    let host = "jira-api.example.com";
    let answer = client::request(&envoy.address, "GET", "/rest/api/2/myself", host, &[bearer]);

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(asked.idp.count(PATH), 1);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_failing_provider_is_left_alone_and_used_again_when_it_is_well() {
    let asked = Asked::start();
    for (what, failure) in [
        ("500", Answer::status("500 X", &[], "")),
        ("429", Answer::status("429 X", &[], "")),
        (
            "reset",
            Answer::Reset(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"act".to_vec()),
        ),
    ] {
        asked.idp.answer(PATH, failure);
        let mut service = asked.service();
        let before = asked.idp.count(PATH);
        for number in 0..200 {
            assert_undecided(&service.check_token(&format!("{what}-{number}")), what);
        }
        let asked_in_vain = asked.idp.count(PATH) - before;
        let open = "atlassian_authz_provider_circuit_open{provider=\"asked\"}";
        assert!(service.metric(open) > 0.0, "{what}");
        // 200 checks take a moment, in which one probe a second is allowed.
        assert!(
            (10..=20).contains(&asked_in_vain),
            "{what}: {asked_in_vain}"
        );
        asked.idp.answer(PATH, active(&json!({})));
        eventually("the provider's return", || {
            let token = format!("{what}-well-{}", rand::random::<u64>());
            (service.check_token(&token).user() == Some("alice")).then_some(())
        });
        assert_eq!(service.metric(open).to_bits(), 0.0_f64.to_bits(), "{what}");
        eprintln!("{what}: {asked_in_vain} questions for 200 checks");
    }
}

#[test]
fn a_provider_that_says_when_to_come_back_is_left_alone_until_then() {
    let asked = Asked::start();
    asked
        .idp
        .answer(PATH, Answer::status("429 X", &["retry-after: 30"], ""));
    let mut service = asked.service();
    assert_reason(&service.check_token("one"), 503, "provider_throttled");
    for number in 0..20 {
        let outcome = service.check_token(&format!("more-{number}"));
        assert_reason(&outcome, 503, "provider_circuit_open");
    }
    assert_eq!(asked.idp.count(PATH), 1);
}

#[test]
fn a_revoked_token_ends_within_the_time_that_answers_are_believed() {
    let asked = Asked::start();
    let mut service = Service::with_config(&asked.config("      cache_ttl: 1s\n"));
    assert_alice(&service.check_token("opaque"), "active");
    asked
        .idp
        .answer(PATH, Answer::Json("{\"active\":false}".to_owned()));
    eventually("the end of the token", || {
        let outcome = service.check_token("opaque");
        (outcome.reason() == "token_inactive").then_some(())
    });
    // The answer that was renewed ahead of its end is gone too.
    assert_reason(&service.check_token("opaque"), 401, "token_inactive");
}

#[test]
fn an_answer_is_renewed_before_its_end_without_a_request_waiting() {
    let asked = Asked::start();
    let mut service = Service::with_config(&asked.config("      cache_ttl: 2s\n"));
    assert_alice(&service.check_token("opaque"), "first");
    let misses = "atlassian_authz_cache_requests_total{result=\"miss\"}";
    eventually("three renewals", || {
        assert_alice(&service.check_token("opaque"), "later");
        (asked.idp.count(PATH) >= 4).then_some(())
    });
    assert_eq!(
        service.metric(misses).to_bits(),
        1.0_f64.to_bits(),
        "only the first waited"
    );
}

#[test]
fn a_failure_is_not_remembered_and_what_was_known_lasts_until_its_end() {
    let asked = Asked::start();
    let mut service = Service::with_config(&asked.config("      cache_ttl: 2s\n"));
    assert_alice(&service.check_token("known"), "while it is well");
    asked.idp.answer(PATH, Answer::status("503 X", &[], ""));
    assert_alice(&service.check_token("known"), "from memory");
    assert_undecided(&service.check_token("unknown"), "a failure");
    asked.idp.answer(PATH, active(&json!({})));
    assert_alice(&service.check_token("unknown"), "asked again at once");
    asked.idp.answer(PATH, Answer::status("503 X", &[], ""));
    eventually("the end of what was known", || {
        let outcome = service.check_token("known");
        assert_ne!(
            outcome.status, 401,
            "nobody is told that their token is bad"
        );
        (outcome.status == 503).then_some(())
    });
}
