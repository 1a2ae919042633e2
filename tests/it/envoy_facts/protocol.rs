//! Tunnels, methods and hosts.

use serde_json::{Value, json};

use super::{ENCODINGS, LINGER, Lab, authorizer::Authorizer, h2};
use crate::support::{
    client, envoy::Options, idp::Idp, service::Service, tokens::Token, upstream::Upstream,
};

/// Envoy would tunnel, if we let it: WebSocket, CONNECT and extended CONNECT.
fn tunnels() -> Value {
    let route = json!({"cluster": "upstream", "upgrade_configs": [
        {"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}]});
    json!({
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}],
        "http2_protocol_options": {"allow_connect": true},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"connect_matcher": {}}, "route": route},
            {"match": {"prefix": "/"}, "route": route},
        ]}]},
    })
}

#[test]
fn nothing_that_outlives_its_decision_is_allowed() {
    for raw in ENCODINGS {
        let lab = Lab::with(|options| {
            let options = options.manager(tunnels());
            options.filter(json!({"encode_raw_headers": raw}))
        });
        let alice = lab.alice();
        let websocket: [&[u8]; 4] = [
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"X-Remote-User: admin",
        ];
        let connections: [&[u8]; 3] = [
            b"Connection: Upgrade",
            b"Connection: keep-alive, upgrade",
            b"Connection: Upgrade, X-Remote-User, authorization",
        ];
        for target in ["/status", "/rest", "/plugins/servlet/ws"] {
            for connection in connections {
                let lines = [&[connection, alice.as_bytes()], &websocket[..]].concat();
                let answer = lab.send("GET", target, "jira.example.com", &lines);
                let code = lab.assert_refused(&answer, 403, target);
                assert_eq!(code, "upgrade_not_allowed");
            }
        }
        let lines: [&[u8]; 2] = [b"Connection: close", alice.as_bytes()];
        for (target, word) in [
            ("jira.example.com:443", "upgrade_not_allowed"),
            ("evil.example.com:443", "unknown_application"),
            ("127.0.0.1:80", "upgrade_not_allowed"),
        ] {
            let answer = lab.send("CONNECT", target, target, &lines);
            let code = lab.assert_refused(&answer, 403, target);
            assert_eq!(code, word, "{target}");
        }

        let bearer = format!("Bearer {}", lab.token);
        let fields: [(&str, &[u8]); 2] = [
            ("authorization", bearer.as_bytes()),
            ("sec-websocket-version", b"13"),
        ];
        for target in ["/status", "/rest"] {
            let mut request = h2::request("CONNECT", target, &fields);
            let websocket = ::h2::ext::Protocol::from_static("websocket");
            request.extensions_mut().insert(websocket);
            let answer = h2::exchange(&lab.envoy.address, request, None);
            let code = lab.assert_refused(&answer, 403, "extended CONNECT");
            assert_eq!(code, "upgrade_not_allowed");
        }
        lab.assert_no_errors();
    }
}

#[test]
fn no_method_is_an_exception() {
    let lab = Lab::start();
    let alice = lab.alice();
    let preflight: [&[u8]; 4] = [
        b"Origin: https://evil.example.com",
        b"Access-Control-Request-Method: DELETE",
        b"Access-Control-Request-Headers: authorization, x-remote-user",
        b"X-Remote-User: admin",
    ];
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND", "TRACE"] {
        let with_token = [&[alice.as_bytes()], &preflight[..]].concat();
        let answer = lab.send(method, "/rest", "jira.example.com", &with_token);
        let seen = lab.assert_alice(&answer, method);
        assert_eq!(seen.line, format!("{method} /rest HTTP/1.1"));
        let answer = lab.send(method, "/rest", "jira.example.com", &preflight);
        lab.assert_refused(&answer, 401, method);
        if method == "HEAD" {
            assert_eq!(answer.body, "");
        }
        assert!(answer.header("www-authenticate").is_some(), "{method}");
    }
    // HTTP/2 lets any word through, and so does Envoy: it arrives as it was judged.
    let bearer = format!("Bearer {}", lab.token);
    for method in ["GET", "HEAD", "OPTIONS", "FOO", "get", "Get", "connect"] {
        let fields: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
        let ask = |fields: &[(&str, &[u8])]| {
            let request = h2::request(method, "/rest", fields);
            h2::exchange(&lab.envoy.address, request, None)
        };
        let seen = lab.assert_alice(&ask(&fields), method);
        assert_eq!(seen.line, format!("{method} /rest HTTP/1.1"));
        lab.assert_refused(&ask(&[("x-remote-user", b"admin")]), 401, method);
    }
    let answer = lab.send("FOO", "/rest", "jira.example.com", &[alice.as_bytes()]);
    lab.assert_refused(&answer, 400, "unknown to HTTP/1.1");
    lab.assert_no_errors();
}

const URL: &str = "http://jira.example.com/rest";
const OTHER_URL: &str = "http://evil.example.com/rest";
/// Target, header lines, and the answer to alice.
const HOSTS: [(&str, &str, u16); 22] = [
    ("/rest", "Host: jira.example.com", 200),
    ("/rest", "Host: JIRA.Example.COM:8443", 200),
    ("/rest", "Host: jira.example.com.", 200),
    (URL, "Host: jira.example.com", 200),
    (URL, "Host: evil.example.com", 200),
    (OTHER_URL, "Host: jira.example.com", 403),
    ("/rest", "Host: evil.example.com", 403),
    (
        "/rest",
        "Host: jira.example.com\r\nHost: evil.example.com",
        400,
    ),
    (
        "/rest",
        "Host: evil.example.com\r\nHost: jira.example.com",
        400,
    ),
    (
        "/rest",
        "Host: jira.example.com\r\nHost: jira.example.com",
        400,
    ),
    ("/rest", "Host: jira.example.com,evil.example.com", 400),
    ("/rest", "Host: jira.example.com, evil.example.com", 400),
    ("/rest", "Host: admin@jira.example.com", 400),
    ("/rest", "Host: evil.example.com@jira.example.com", 400),
    // Envoy drops the user before it asks and before it forwards.
    (
        "http://admin@jira.example.com/rest",
        "Host: evil.example.com",
        200,
    ),
    ("/rest", "Host: jira.example.com:80:90", 400),
    ("/rest", "Host: jira.example.com/rest", 400),
    ("/rest", "Host:", 400),
    ("/rest", "X-No-Host: 1", 400),
    // None of these decides about anything.
    (
        "/rest",
        "Host: evil.example.com\r\nX-Forwarded-Host: jira.example.com",
        403,
    ),
    (
        "/rest",
        "Host: evil.example.com\r\nX-Original-Host: jira.example.com",
        403,
    ),
    (
        "/rest",
        "Host: evil.example.com\r\nForwarded: host=jira.example.com",
        403,
    ),
];

#[test]
fn the_product_gets_the_host_that_was_judged() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let authorizer = Authorizer::before(&service.grpc);
    let upstream = Upstream::start();
    let envoy = Options::new(&authorizer.address, upstream.port)
        .manager(json!({"delayed_close_timeout": LINGER}))
        .start();
    let alice = format!("Authorization: Bearer {}", Token::of(&idp.issuer).signed());
    for (target, hosts, status) in HOSTS {
        let what = format!("{target} {hosts}");
        let before = upstream.seen().len();
        let request = format!(
            "GET {target} HTTP/1.1\r\n{hosts}\r\nConnection: close\r\n{alice}\r\n\
             X-Remote-User: admin\r\n\r\n"
        );
        let answer = client::send(&envoy.address, request.as_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        let asked = authorizer.asked();
        let arrived = upstream.seen().split_off(before);
        assert_eq!(arrived.len(), usize::from(status == 200), "{what}");
        for seen in arrived {
            assert_eq!(seen.values("host"), [&*asked[0].http.host], "{what}");
            assert_eq!(seen.line, "GET /rest HTTP/1.1", "{what}");
            assert_eq!(seen.identities(), [("x-remote-user", "alice")], "{what}");
        }
    }
    assert_eq!(envoy.stat("http.ingress.ext_authz.error"), 0);
}

#[test]
fn no_header_of_the_client_changes_which_path_was_asked_for() {
    let lab = Lab::start();
    for line in [
        "X-Original-URL: /status",
        "X-Rewrite-URL: /status",
        "X-Forwarded-Uri: /status",
        "X-Forwarded-Path: /status",
        "X-Envoy-Original-Path: /status",
        "X-HTTP-Method-Override: OPTIONS",
        "User-Agent: kube-probe/1.30",
        "X-Envoy-Internal: true",
        "X-Forwarded-For: 127.0.0.1",
        "X-Envoy-Auth-Failure-Mode-Allowed: true",
    ] {
        let code = lab.assert_refused(&lab.get("/rest", &[line]), 401, line);
        assert_eq!(code, "no_credential", "{line}");
    }
    lab.assert_no_errors();
}
