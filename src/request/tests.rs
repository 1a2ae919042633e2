use super::*;
use crate::pb::envoy::{
    config::core::v3::{Address, SocketAddress, address},
    service::auth::v3::{
        AttributeContext,
        attribute_context::{HttpRequest, Peer, Request as HttpAttributes},
    },
};

/// A check with joined headers.
fn check(http: HttpRequest) -> CheckRequest {
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(HttpAttributes { http: Some(http) }),
            ..AttributeContext::default()
        }),
    }
}

fn http(path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    let headers = headers.iter();
    HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: "X.example:443".to_owned(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..HttpRequest::default()
    }
}

fn refused(http: HttpRequest) -> Option<MalformedRequest> {
    Request::parse(check(http), 0).err()
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let headers = &[("x-request-id", "a-1"), ("accept", "*/*")];
    let request = Request::parse(check(http("/a?b", headers)), 0).expect("readable");
    assert_eq!(request.id.as_deref(), Some("a-1"));
    assert_eq!(request.method, "GET");
    assert_eq!(request.host.to_string(), "x.example");
    assert_eq!(request.path.path(), "/a");
    assert_eq!(request.path.query(), Some("b"));
    assert_eq!(request.headers.iter().count(), 2);
    assert_eq!(request.headers.named("Accept").count(), 1);
    assert_eq!(request.application, None);
    assert_eq!(request.source, None);
}

#[test]
fn an_id_of_a_request_is_logged_only_if_it_cannot_break_a_line() {
    let id = |value: &str| Request::plain("GET", "/", &[("x-request-id", value)]).id;
    let longest = "a".repeat(64);
    for good in ["a", "A-9", &longest] {
        assert_eq!(id(good).as_deref(), Some(good));
    }
    for bad in ["", "a b", "a\nb", "a_b", "\u{e9}", &format!("{longest}a")] {
        assert_eq!(id(bad), None, "{bad:?}");
    }
}

#[test]
fn only_envoys_own_configuration_names_the_application() {
    let named = |extensions: &[(&str, &str)]| {
        let mut check = check(http("/", &[("application", "other")]));
        let attributes = check.attributes.as_mut().expect("attributes");
        let extensions = extensions.iter();
        attributes.context_extensions = extensions
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Request::parse(check, 0).expect("readable").application
    };
    assert_eq!(named(&[]), None);
    assert_eq!(named(&[("Application", "jira"), ("x", "y")]), None);
    let both = &[("a", "b"), ("application", "jira"), ("z", "y")];
    assert_eq!(named(both).as_deref(), Some("jira"));
    assert_eq!(named(&[("application", "")]).as_deref(), Some(""));
}

#[test]
fn the_client_is_who_called_envoy_or_whom_trusted_proxies_name() {
    let from = |peer: &str, hops: u8| {
        let forwarded = &[("x-forwarded-for", "10.0.0.1, 10.0.0.2")];
        let mut check = check(http("/", forwarded));
        let socket = SocketAddress {
            address: peer.to_owned(),
        };
        check.attributes.as_mut().expect("attributes").source = Some(Peer {
            address: Some(Address {
                address: Some(address::Address::SocketAddress(socket)),
            }),
        });
        let source = Request::parse(check, hops).expect("readable").source;
        source.map(|source| source.to_string())
    };
    assert_eq!(from("192.0.2.1", 0).as_deref(), Some("192.0.2.1"));
    assert_eq!(from("::ffff:192.0.2.1", 0).as_deref(), Some("192.0.2.1"));
    assert_eq!(from("elsewhere", 0), None);
    assert_eq!(from("192.0.2.1", 1).as_deref(), Some("10.0.0.2"));
    assert_eq!(from("192.0.2.1", 2).as_deref(), Some("10.0.0.1"));
    assert_eq!(from("192.0.2.1", 3), None);
}

#[test]
fn what_is_no_http_request_is_refused() {
    let nothing = CheckRequest::default();
    assert_eq!(
        Request::parse(nothing, 0).err(),
        Some(MalformedRequest::NoHttp)
    );
    assert_eq!(refused(http("/", &[])), Some(MalformedRequest::NoHeaders));
    for path in ["", "a", "*", "http://x.example/"] {
        let relative = Some(MalformedRequest::PathNotAbsolute);
        assert_eq!(refused(http(path, &[("a", "b")])), relative, "{path}");
    }
    let connect = HttpRequest {
        method: "CONNECT".to_owned(),
        ..http("", &[("a", "b")])
    };
    assert_eq!(refused(connect), None, "a later step refuses it");
}

#[test]
fn headers_and_path_are_bounded() {
    // Names count, too.
    let of_bytes = |bytes: usize| http("/", &[("name", &"x".repeat(bytes - "name".len()))]);
    assert_eq!(refused(of_bytes(MAX_HEADER_BYTES)), None);
    for bytes in [MAX_HEADER_BYTES + 1, MAX_HEADER_BYTES + 2] {
        let too_large = Some(MalformedRequest::HeadersTooLarge);
        assert_eq!(refused(of_bytes(bytes)), too_large, "{bytes}");
    }
    let of_path = |bytes: usize| http(&"/".repeat(bytes), &[("a", "b")]);
    assert_eq!(refused(of_path(MAX_PATH_BYTES)), None);
    for bytes in [MAX_PATH_BYTES + 1, MAX_PATH_BYTES + 2] {
        let too_long = Some(MalformedRequest::PathTooLong);
        assert_eq!(refused(of_path(bytes)), too_long, "{bytes}");
    }
    assert_eq!((MAX_HEADER_BYTES, MAX_PATH_BYTES), (65_536, 8_192));
}

#[test]
fn a_connection_that_would_outlive_the_decision_is_seen() {
    let asked =
        |method: &str, headers: &[(&str, &str)]| Request::plain(method, "/", headers).tunnel();
    assert_eq!(asked("GET", &[]), None);
    assert_eq!(asked("CONNECT", &[]), Some(Tunnel::Connect));
    for (headers, tunnel) in [
        (&[("upgrade", "WebSocket")][..], Tunnel::WebSocket),
        (&[("Upgrade", "websocket")], Tunnel::WebSocket),
        (&[("upgrade", "h2c")], Tunnel::Other),
        (&[("upgrade", "websocket, h2c")], Tunnel::Other),
        (
            &[("upgrade", "websocket"), ("upgrade", "h2c")],
            Tunnel::Other,
        ),
    ] {
        assert_eq!(asked("GET", headers), Some(tunnel), "{headers:?}");
    }
}

#[test]
fn a_preflight_is_what_a_browser_sends_before_a_script() {
    let origin = ("origin", "https://a.example");
    let method = ("access-control-request-method", "PUT");
    let is =
        |verb: &str, headers: &[(&str, &str)]| Request::plain(verb, "/", headers).is_preflight();
    assert!(is("OPTIONS", &[origin, method]));
    for (verb, headers) in [
        ("GET", &[origin, method][..]),
        ("OPTIONS", &[origin]),
        ("OPTIONS", &[method]),
        ("OPTIONS", &[]),
        ("OPTIONS", &[origin, method, ("cookie", "a=b")]),
    ] {
        assert!(!is(verb, headers), "{verb} {headers:?}");
    }
}
