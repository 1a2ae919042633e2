//! Tokens through the real Envoy, as curl sends them.

use serde_json::{Value, json};

use super::{Desk, fixture::basic};
use crate::support::{
    client::{self, Answer},
    envoy::{Envoy, Options},
    eventually,
    service::Service,
    tokens::Token,
    upstream::Upstream,
};

struct Scene {
    desk: Desk,
    upstream: Upstream,
    envoy: Envoy,
    _service: Service,
}

impl Scene {
    fn start(manager: Value) -> Self {
        let desk = Desk::sqlite();
        let service = desk.service();
        let upstream = Upstream::start();
        let options = Options::new(&service.grpc, upstream.port)
            .manager(manager)
            .failing_open();
        Self {
            desk,
            upstream,
            envoy: options.start(),
            _service: service,
        }
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        client::request(
            &self.envoy.address,
            method,
            path,
            "jira.example.com",
            headers,
        )
    }
}

#[test]
fn bearer_and_basic_arrive_as_the_owner_and_nothing_else_arrives() {
    let scene = Scene::start(json!({}));
    let made = scene.desk.make(&[]);
    for authorization in [
        format!("Bearer {}", made.token),
        basic("alice", &made.token),
    ] {
        let authorization = format!("Authorization: {authorization}");
        let answer = scene.ask(
            "GET",
            "/rest/api/2/myself",
            &[
                &authorization,
                "Cookie: JSESSIONID=bobs",
                "X-Remote-User: admin",
                "X_Remote_User: admin",
            ],
        );
        assert_eq!(answer.status, 200);
        let seen = scene.upstream.last();
        assert_eq!(seen.identities(), [("x-remote-user", "alice")]);
        for gone in ["authorization", "cookie"] {
            assert!(seen.values(gone).is_empty(), "{gone}");
        }
    }
    scene.desk.revoke(&made.id);
    let authorization = format!("Authorization: Bearer {}", made.token);
    eventually("the revocation", || {
        (scene.ask("GET", "/x", &[&authorization]).status == 401).then_some(())
    });
}

/// The address that counts is that of the connection, though Envoy is told of another.
#[test]
fn a_network_limit_is_about_the_connection() {
    let scene = Scene::start(json!({"use_remote_address": false, "xff_num_trusted_hops": 0}));
    let here = scene.desk.make(&["--network", "127.0.0.0/8"]);
    let elsewhere = scene.desk.make(&["--network", "10.0.0.0/8"]);
    let ask = |token: &str, header: &str| {
        scene
            .ask(
                "GET",
                "/x",
                &[&format!("Authorization: Bearer {token}"), header],
            )
            .status
    };
    assert_eq!(ask(&here.token, "X-Forwarded-For: 192.0.2.1"), 200);
    for lie in [
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "Forwarded: for=10.0.0.1",
        "X-Envoy-External-Address: 10.0.0.1",
    ] {
        assert_eq!(ask(&elsewhere.token, lie), 403, "{lie}");
    }
}

/// Steps upwards, as they are hidden from somebody.
const UP: [&str; 13] = [
    "..",
    "..;",
    "..;x=1",
    "%2e%2e",
    "%2e%2e;",
    ".%2e",
    "%252e%252e",
    "%2e%2e%2f",
    "..%2f",
    "..%5c",
    "..\\",
    ".;/..",
    "%c0%ae%c0%ae",
];

/// What stands before and after the step.
const AROUND: [(&str, &str); 4] = [
    ("/rest/api/2/project/", "user"),
    ("/rest/api/2/project/P/../", "project/../user"),
    ("//rest/api/2/project/", "projects"),
    ("/rest/api/2/project/x//", "project;/../user"),
];

/// The most helpful that Envoy can be.
fn normalising() -> Value {
    json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
    })
}

/// A path below the limit that no reader reads otherwise.
fn is_below_the_limit(line: &str) -> bool {
    let path = line.split(' ').nth(1).expect("a target");
    let below = path == "/rest/api/2/project" || path.starts_with("/rest/api/2/project/");
    below
        && !["..", ";", "%2e", "//"]
            .iter()
            .any(|part| path.contains(part))
}

/// Whatever Envoy makes of a path, the product gets a path below the limit or nothing.
#[test]
fn no_spelling_of_a_path_gets_a_limited_token_out_of_its_limit() {
    for manager in [json!({}), normalising()] {
        let scene = Scene::start(manager);
        let limit = ["--path", "/rest/api/2/project", "--scope", "write"];
        let made = scene.desk.make(&limit);
        let authorization = format!("Authorization: Bearer {}", made.token);
        let good = scene.ask("GET", "/rest/api/2/project/P", &[&authorization]);
        assert_eq!(good.status, 200, "the limit lets something through");
        for step in UP {
            for (before, after) in AROUND {
                let path = format!("{before}{step}/{after}");
                let answer = scene.ask("GET", &path, &[&authorization]);
                assert!(
                    [200, 400, 403].contains(&answer.status),
                    "{path}: {answer:?}"
                );
            }
        }
        let seen = scene.upstream.seen();
        let outside = seen
            .iter()
            .find(|request| !is_below_the_limit(&request.line));
        assert!(outside.is_none(), "{outside:?}");
    }
}

/// A token that made another credential would live on in it.
#[test]
fn no_token_reaches_what_makes_credentials_in_any_spelling() {
    let spellings = [
        "/rest/pat/latest/tokens",
        "/REST/Pat/latest/tokens",
        "/jira/rest/pat/latest/tokens",
        "/rest/pat",
        "/rest/pat/",
        "/rest/pat?x=1",
        "//rest/pat/latest/tokens",
        "/rest//pat/latest/tokens",
        "/rest/./pat/latest/tokens",
        "/rest/x/../pat/latest/tokens",
        "/rest/x/..;/pat/latest/tokens",
        "/rest/x/%2e%2e/pat/latest/tokens",
        "/rest/x/%2e%2e;/pat/latest/tokens",
        "/rest;x=1/pat/latest/tokens",
        "/rest/pat;x=1/latest/tokens",
        "/rest/%70at/latest/tokens",
        "/rest%2fpat/latest/tokens",
        "/rest\\pat\\latest\\tokens",
        "/rest/auth/1/session",
        "/rest/oauth2/latest/token",
        "/plugins/servlet/oauth/access-token",
    ];
    for manager in [json!({}), normalising()] {
        let scene = Scene::start(manager);
        let made = scene.desk.make(&["--scope", "write"]);
        let jwt = Token::of(&scene.desk.idp().issuer).signed();
        for token in [&made.token, &jwt] {
            let authorization = format!("Authorization: Bearer {token}");
            for path in spellings {
                let answer = scene.ask("POST", path, &[&authorization, "Content-Length: 0"]);
                assert!([400, 403].contains(&answer.status), "{path}: {answer:?}");
            }
            let open = scene.ask("GET", "/rest/api/2/myself", &[&authorization]);
            assert_eq!(open.status, 200);
        }
        assert_eq!(scene.upstream.seen().len(), 2, "the two that are open");
    }
}
