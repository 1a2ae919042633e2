//! The operator's worst mistake, `failure_mode_allow: true`, and what an attacker would make of it:
//! nothing that the service answers is an error to Envoy, so nothing opens the door.

use serde_json::{Value, json};

use super::{ENCODINGS, h2};
use crate::support::{
    client::{self, Answer},
    envoy::{Envoy, Options},
    eventually,
    idp::{self, Idp},
    service::{Service, config_for},
    tokens::Token,
    upstream::Upstream,
};

/// Sent with every request: what the product would believe if the door opened.
const ADMIN: &str = "X-Remote-User: admin";

/// Two good providers, of which one answers once and never again, and one that has never answered.
struct Gate {
    good: Idp,
    silent: Idp,
    dead: Idp,
    service: Service,
    upstream: Upstream,
}

impl Gate {
    fn start() -> Self {
        let (good, silent, dead) = (Idp::start(), Idp::start(), Idp::start());
        let unavailable = idp::Answer::status("503 Service Unavailable", &[], "");
        dead.answer(idp::DISCOVERY, unavailable);
        let provider = |name: &str, idp: &Idp| {
            format!(
                "  - name: {name}\n    jwt: {{ issuer: \"{}\", leeway: 0s }}\n    audiences: [jira-api]\n    \
                 username: {{ claim: preferred_username }}\n",
                idp.issuer
            )
        };
        let providers = [
            provider("good", &good),
            provider("silent", &silent),
            provider("dead", &dead),
        ];
        let service = Service::with_config(&format!(
            "providers:\n{}applications:\n  - name: jira\n    product: jira\n    \
             hosts: [jira.example.com]\n    public_paths: [/status]\n",
            providers.concat()
        ));
        silent.answer(idp::JWKS, idp::Answer::Hang);
        silent.answer(idp::DISCOVERY, idp::Answer::Hang);
        Self {
            good,
            silent,
            dead,
            service,
            upstream: Upstream::start(),
        }
    }

    /// Envoy that opens on errors and lets everything in that it can.
    fn envoy(&self, raw: bool) -> Envoy {
        let filter = json!({"failure_mode_allow": true, "encode_raw_headers": raw,
            "failure_mode_allow_header_add": true});
        Options::new(&self.service.grpc, self.upstream.port)
            .filter(filter)
            .manager(generous())
            .start()
    }

    #[track_caller]
    fn assert_refused(&self, answer: &Answer, case: &Case) {
        let what = case.what;
        assert_eq!(answer.status, case.status, "{what}: {}", answer.body);
        if case.status == 401 {
            assert!(answer.header("www-authenticate").is_some(), "{what}");
        }
        let retry = answer.header("retry-after");
        assert_eq!(retry, (case.status == 503).then_some("2"), "{what}");
        assert!(self.upstream.seen().is_empty(), "{what} opened the door");
    }

    fn bearer(&self, change: impl FnOnce(Token) -> Token) -> String {
        let token = change(Token::of(&self.good.issuer)).signed();
        format!("Authorization: Bearer {token}")
    }
}

/// The largest limits that Envoy knows, upgrades, and a route to an application that we do not
/// know.
fn generous() -> Value {
    let route = |extra: Value| {
        let mut route = json!({"cluster": "upstream", "timeout": "60s"});
        if let Some(extra) = extra.as_object() {
            route.as_object_mut().unwrap().extend(extra.clone());
        }
        route
    };
    let connect = route(json!({"upgrade_configs": [{"upgrade_type": "CONNECT"}]}));
    let routes = json!([
        {"match": {"connect_matcher": {}}, "route": connect},
        {"match": {"prefix": "/"}, "route": route(Value::Null)},
    ]);
    json!({
        "max_request_headers_kb": 8192,
        "common_http_protocol_options": {"max_headers_count": 10_000},
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
        "http2_protocol_options": {"allow_connect": true},
        "route_config": {"virtual_hosts": [
            {"name": "unknown", "domains": ["unknown.example.com"], "routes": routes,
             "typed_per_filter_config": {"envoy.filters.http.ext_authz": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": {"context_extensions": {"application": "unknown"}}}}},
            {"name": "all", "domains": ["*"], "routes": routes},
        ]},
    })
}

/// One request and the status that it must be refused with.
struct Case {
    what: &'static str,
    status: u16,
    method: &'static str,
    target: String,
    host: &'static str,
    lines: Vec<String>,
}

fn case(what: &'static str, status: u16, lines: &[&str]) -> Case {
    Case {
        what,
        status,
        method: "GET",
        target: "/rest/api/2/myself".to_owned(),
        host: "jira.example.com",
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

impl Case {
    fn target(self, target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            ..self
        }
    }

    fn host(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    fn send(&self, envoy: &Envoy) -> Answer {
        let lines = self.lines.iter().map(String::as_str);
        let lines: Vec<&str> = lines.chain([ADMIN]).collect();
        client::request(&envoy.address, self.method, &self.target, self.host, &lines)
    }
}

/// Requests that a token cannot save; the token is good.
fn unreadable(alice: &str) -> Vec<Case> {
    let large = |bytes: usize| format!("X-Large: {}", "a".repeat(bytes));
    let many: Vec<String> = (0..900)
        .map(|count| format!("X-{count}: {}", "a".repeat(100)))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([alice]).collect();
    vec![
        case("over 1 MiB", 503, &[alice, &large(1_200_000)]),
        case("over 4 MiB", 503, &[alice, &large(4_300_000)]),
        case("over 64 KiB", 400, &[alice, &large(70_000)]),
        case("900 headers", 400, &many),
        case("a path over 8 KiB", 400, &[alice]).target(format!("/{}", "a".repeat(8192))),
        case("a query over 8 KiB", 400, &[alice]).target(format!("/x?{}", "a".repeat(8192))),
        case("a path over 1 MiB", 503, &[alice]).target(format!("/{}", "a".repeat(1_100_000))),
        case(
            "a token over 16 KiB",
            400,
            &[&format!("Authorization: Bearer {}", "a".repeat(17_000))],
        ),
        case("another host", 403, &[alice]).host("evil.example.com"),
        case("an unknown application", 403, &[alice]).host("unknown.example.com"),
        case("two hosts", 400, &[alice]).host("jira.example.com\r\nHost: evil.example.com"),
        case("a user in the host", 400, &[alice]).host("admin@jira.example.com"),
        case("no host", 400, &[alice]).host(""),
        case("a login in the query", 400, &[alice]).target("/x?os_username=admin"),
        Case {
            method: "CONNECT",
            ..case("CONNECT", 403, &[alice]).target("jira.example.com:443")
        },
    ]
}

/// Requests whose token says too little, too much, or something wrong.
fn unproven(gate: &Gate, alice: &str) -> Vec<Case> {
    let with = |change: fn(Token) -> Token| gate.bearer(change);
    let of = |idp: &Idp, key: &str| {
        let token = Token::of(&idp.issuer).header("kid", key).signed();
        format!("Authorization: Bearer {token}")
    };
    vec![
        case("no token", 401, &[]),
        case("an empty token", 401, &["Authorization:"]),
        case("garbage", 401, &["Authorization: Bearer a.b.c"]),
        case(
            "another scheme",
            401,
            &["Authorization: Basic YWRtaW46YWRtaW4="],
        ),
        case("two tokens", 400, &[alice, alice]),
        case("not even a token", 400, &["Authorization: Bearer \u{fc}"]),
        case("expired", 401, &[&with(|token| token.claim("exp", 1))]),
        case(
            "for another audience",
            401,
            &[&with(|token| token.claim("aud", "other"))],
        ),
        case(
            "of an unknown issuer",
            401,
            &[&with(|token| token.claim("iss", "https://evil"))],
        ),
        case(
            "of no user",
            403,
            &[&with(|token| token.without("preferred_username"))],
        ),
        case(
            "of a strange user",
            403,
            &[&with(|token| {
                token.claim("preferred_username", "alice\r\nx-remote-user: admin")
            })],
        ),
        case("keys that never came", 503, &[&of(&gate.dead, "k1")]),
        case(
            "a key that does not come in time",
            503,
            &[&of(&gate.silent, "k9")],
        ),
    ]
}

#[test]
fn with_failure_mode_allow_nothing_that_we_answer_opens_the_door() {
    let gate = Gate::start();
    let alice = gate.bearer(|token| token);
    for raw in ENCODINGS {
        let envoy = gate.envoy(raw);
        let mut cases = unreadable(&alice);
        cases.extend(unproven(&gate, &alice));
        for case in &cases {
            gate.assert_refused(&case.send(&envoy), case);
        }
        let stat = |name: &str| envoy.stat(&format!("http.ingress.ext_authz.{name}"));
        for counter in ["error", "failure_mode_allowed", "invalid", "ok"] {
            assert_eq!(stat(counter), 0, "{counter}");
        }
        assert_eq!(stat("denied"), cases.len() as u64);
    }

    // The door is where it should be.
    let envoy = gate.envoy(true);
    let answer = client::get(&envoy.address, "/rest", &[&alice, ADMIN]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        gate.upstream.last().identities(),
        [("x-remote-user", "alice")]
    );
    let answer = client::get(&envoy.address, "/status", &[ADMIN]);
    assert_eq!(answer.status, 200);
    assert_eq!(gate.upstream.last().identities(), []);
    let token = alice.strip_prefix("Authorization: ").expect("a token");
    let fields: [(&str, &[u8]); 2] = [
        ("authorization", token.as_bytes()),
        ("x-remote-user", b"admin"),
    ];
    assert_eq!(
        h2::exchange(&envoy.address, h2::get("/rest", &fields), None).status,
        200
    );
    assert_eq!(
        gate.upstream.last().identities(),
        [("x-remote-user", "alice")]
    );
}

#[test]
fn with_failure_mode_allow_a_service_without_keys_opens_nothing() {
    let idp = Idp::start();
    idp.answer(idp::DISCOVERY, idp::Answer::Hang);
    // Listening, and not ready: its provider has not been heard of.
    let service = Service::unready(&config_for(&idp));
    let upstream = Upstream::start();
    let envoy = Options::new(&service.grpc, upstream.port)
        .failing_open()
        .start();
    let token = Token::of(&idp.issuer).signed();
    let alice = format!("Authorization: Bearer {token}");
    let answer = client::get(&envoy.address, "/rest", &[&alice, ADMIN]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(upstream.seen().is_empty());
    assert_eq!(envoy.stat("http.ingress.ext_authz.denied"), 1);
    assert_eq!(envoy.stat("http.ingress.ext_authz.failure_mode_allowed"), 0);
    let decision = eventually("the log line", || service.decisions().pop());
    assert_eq!(decision["reason"], "provider_keys_not_loaded");
}
