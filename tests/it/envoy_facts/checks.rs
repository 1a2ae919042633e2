//! What Envoy tells an authorizer about a request. Each fact is the reason for a rule in
//! src/request.rs or src/credential.rs.

use serde_json::json;

use super::authorizer::{Asked, Authorizer};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    upstream::Upstream,
};

/// Everything that has a form of its own in a check.
const REQUEST: &[u8] = b"GET /a/./b?q=/../%2F HTTP/1.1\r\n\
    Host: Jira.Example.com:80\r\n\
    Connection: close, x-nominated\r\n\
    Authorization: Bearer one\r\n\
    authorization: Bearer two\r\n\
    Cookie: a=1\r\n\
    Cookie: b=2\r\n\
    X-Remote-User: evil1\r\n\
    x-ReMoTe-uSeR: evil2\r\n\
    X-Nominated: 1\r\n\
    X-Bytes: a\xff\xfeb\r\n\
    X-Blank: \t v \t\r\n\
    \r\n";

struct Scene {
    authorizer: Authorizer,
    upstream: Upstream,
    envoy: Envoy,
}

impl Scene {
    fn with(configure: impl FnOnce(Options) -> Options) -> Self {
        let authorizer = Authorizer::start();
        let upstream = Upstream::start();
        let envoy = configure(Options::new(&authorizer.address, upstream.port)).start();
        Self {
            authorizer,
            upstream,
            envoy,
        }
    }

    fn asked_about(&self, request: &[u8]) -> Asked {
        let answer = client::send(&self.envoy.address, request);
        assert_eq!(answer.status, 200);
        let mut asked = self.authorizer.asked();
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }
}

#[test]
fn joined_headers_hide_repetition_behind_commas_and_bytes_behind_marks() {
    let scene = Scene::with(|options| options);
    let http = scene.asked_about(REQUEST).http;
    let expected = [
        (":method", "GET"),
        (":path", "/a/./b?q=/../%2F"),
        (":authority", "Jira.Example.com:80"),
        (":scheme", "http"),
        ("authorization", "Bearer one,Bearer two"),
        ("cookie", "a=1,b=2"),
        ("x-remote-user", "evil1,evil2"),
        ("x-bytes", "a!!b"),
        ("x-blank", "v"),
    ];
    for (name, value) in expected {
        let found = http.headers.get(name).map(String::as_str);
        assert_eq!(found, Some(value), "{name}");
    }
    assert!(!http.headers.contains_key("x-nominated"), "hop by hop");
    assert_eq!(http.header_map, None);
    assert_eq!(http.method, "GET");
    assert_eq!(http.path, "/a/./b?q=/../%2F");
    assert_eq!(http.host, "Jira.Example.com:80");
    assert_eq!(http.protocol, "HTTP/1.1");
}

#[test]
fn raw_headers_come_as_bytes_in_order_except_a_repeated_authorization() {
    let scene = Scene::with(|options| options.filter(json!({"encode_raw_headers": true})));
    let http = scene.asked_about(REQUEST).http;
    assert!(http.headers.is_empty(), "never both");
    let lines = http.header_map.expect("the other form").headers;
    assert!(lines.iter().all(|line| line.value.is_empty()));
    let values = |name: &str| -> Vec<&[u8]> {
        let lines = lines.iter().filter(|line| line.key == name);
        lines.map(|line| line.raw_value.as_ref()).collect()
    };
    let path: &[u8] = b"/a/./b?q=/../%2F";
    assert_eq!(values(":path"), [path]);
    assert_eq!(values("x-remote-user"), [b"evil1", b"evil2"]);
    assert_eq!(values("cookie"), [b"a=1", b"b=2"]);
    assert_eq!(values("x-bytes"), [b"a\xff\xfeb"]);
    // Envoy merges this one itself, so that a comma is the only trace of two credentials.
    let merged: &[u8] = b"Bearer one,Bearer two";
    assert_eq!(values("authorization"), [merged]);
    assert_eq!(scene.upstream.last().values("authorization").len(), 1);
}

#[test]
fn two_host_lines_are_one_host_with_a_comma_and_an_absolute_target_beats_the_host() {
    let scene = Scene::with(|options| options);
    for (target, hosts, expected) in [
        ("/x", "Host: a\r\nHost: b\r\n", "a,b"),
        ("/x", "Host: user@a\r\n", "user@a"),
        ("/x", "Host: a.\r\n", "a."),
        ("http://a/x", "Host: b\r\n", "a"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let asked = scene.asked_about(request.as_bytes());
        assert_eq!(asked.http.host, expected, "{target} {hosts}");
        assert_eq!(asked.http.path, "/x");
        // What was asked about is what the product gets.
        assert_eq!(scene.upstream.last().values("host"), [expected]);
    }
}

#[test]
fn envoy_says_how_long_it_waits_and_by_default_that_is_200_ms() {
    for (configured, told) in [(json!(null), "200m"), (json!("7s"), "7000m")] {
        let timeout = json!({"grpc_service": {"timeout": configured}});
        let scene = Scene::with(|options| options.filter(timeout));
        // On a busy machine the answer may be too late; only the question matters here.
        drop(client::get(&scene.envoy.address, "/x", &[]));
        let asked = scene.authorizer.asked();
        assert_eq!(asked[0].metadata["grpc-timeout"], told);
    }
}
