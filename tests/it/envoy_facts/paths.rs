//! One spelling of a path: what Envoy asks about is what the product gets, and no odd spelling is
//! the public path.

use serde_json::{Value, json};

use super::{LINGER, authorizer::Authorizer};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    idp::Idp,
    service::{Service, config_for},
    tokens::Token,
    upstream::{Seen, Upstream},
};

/// Targets that some reader understands differently from another.
const TARGETS: [&str; 47] = [
    "/a//b",
    "/a/../b",
    "/a/%2e%2e/b",
    "/.%2e/x",
    "/a%2Fb",
    "/a%5Cb",
    "/a/%2f../b",
    "/a\\b",
    "/%61dmin",
    "/A%7Eb%41",
    "/a/;x=1/b",
    "/rest;jsessionid=1/api",
    "/rest/api/2/;/x",
    "/a%3Bx=1/b",
    "/rest/..;/admin",
    "/rest/%2e%2e;/admin",
    "/a;%2e%2e/b",
    "/a%252fb",
    "/a%zz",
    "/a/%c0%af/b",
    "/x%3Fy",
    "/x%23y",
    "/a%00b",
    "/a?q=/../x%2F",
    "//host/x",
    "///",
    "/.",
    "/..",
    "/%2e",
    "/a/.",
    "/a/..",
    "/a/...",
    "/a/b/../../../c",
    "/s/x/_/;/WEB-INF/web.xml",
    "/secure/Admin.jspa;",
    "/secure/Admin.jspa;.css",
    "/a%0d%0ab",
    "/a%20b",
    "/a+b",
    "/a%c3%bcb",
    "/a%25",
    "/a?",
    "/a??b",
    "/?",
    "/",
    "/a%2e%2e%2fb",
    "/a/%2E%2E\\b",
];

/// Spellings near the public path, and ways from it to somewhere else.
const NEAR_STATUS: [&str; 46] = [
    "/status/",
    "/status//",
    "//status",
    "///status",
    "/./status",
    "/status/.",
    "/status/./",
    "/x/../status",
    "/../status",
    "/%2e/status",
    "/%2e%2e/status",
    "/x/%2e%2e/status",
    "/.;/status",
    "/..;/status",
    "/;/status",
    "/rest/..;/status",
    "/rest/%2e%2e;/status",
    "/rest/..%3b/status",
    "/%73tatus",
    "/statu%73",
    "/STATUS",
    "/Status",
    "/status%20",
    "/status%09",
    "/status%00",
    "/status%0a",
    "/status;",
    "/status;x",
    "/status;x=/../..",
    "/status%3b",
    "/status.",
    "/status.json",
    "/status\\",
    "\\status",
    "/status\\..\\rest",
    "/status%5c..%5crest",
    "/status%2f",
    "/%2fstatus",
    "/status%2f..%2frest",
    "/status/..",
    "/status/../rest",
    "/status/..;/rest",
    "/status/%2e%2e/rest",
    "/status%3f/rest",
    "/status%23/rest",
    "/status#/rest",
];

/// Ways out of `/public/*`, which is public as a whole.
const NEAR_PUBLIC: [&str; 27] = [
    "/public/a",
    "/public/a/b.c",
    "/public/",
    "/public",
    "/publicx/a",
    "/PUBLIC/a",
    "/public/../rest",
    "/public/..",
    "/public/.../rest",
    "/public/a/../../rest",
    "/public/%2e%2e/rest",
    "/public/.%2e/rest",
    "/public/..;/rest",
    "/public/..;x=1/rest",
    "/public/%2e%2e;/rest",
    "/public/..%3b/rest",
    "/public/;/../rest",
    "/public/;x/a",
    "/public/a;/../../rest",
    "/public//rest",
    "/public/..%2frest",
    "/public/%2e%2e%2frest",
    "/public/..%5crest",
    "/public\\..\\rest",
    "/public/%252e%252e/rest",
    "/public/%c0%ae%c0%ae/rest",
    "/public/%00/../../rest",
];

/// What Tomcat makes of a path (Servlet 6 §3.5.1): parameters dropped, decoded, then empty and dot
/// segments resolved. `None`: it refuses it, or two versions of it differ.
fn as_tomcat_reads(path: &str) -> Option<String> {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.strip_prefix('/')?.split('/') {
        let bare = segment.split(';').next()?;
        match decoded(bare)?.as_str() {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            structural if structural.contains(['/', '\\', ';', '%', '\0']) => return None,
            plain => segments.push(plain.to_owned()),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn decoded(segment: &str) -> Option<String> {
    let mut pieces = segment.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Whether the product, too, would find the path below what is public, and nobody could doubt it.
fn is_public_to_all(path: &str) -> bool {
    let plain = !path.contains([';', '\\']) && !path.contains("//") && !path.contains("/..");
    let below =
        |read: String| read == "/status" || read == "/public" || read.starts_with("/public/");
    plain && as_tomcat_reads(path).is_some_and(below)
}

/// Where we listen to what Envoy asks.
struct Scene {
    authorizer: Authorizer,
    upstream: Upstream,
    envoy: Envoy,
}

impl Scene {
    fn with(service: &Service, manager: Value) -> Self {
        let authorizer = Authorizer::before(&service.grpc);
        let upstream = Upstream::start();
        let envoy = Options::new(&authorizer.address, upstream.port)
            .manager(manager)
            .start();
        Self {
            authorizer,
            upstream,
            envoy,
        }
    }

    /// Sends one request; returns the status, the path that was asked about and the request that
    /// got through, and holds the two against each other.
    fn ask(&self, target: &str, lines: &[&str]) -> (u16, Option<Seen>) {
        let before = self.upstream.seen().len();
        let answer = client::get(&self.envoy.address, target, lines);
        let asked = self.authorizer.asked();
        let arrived = self.upstream.seen().split_off(before);
        assert!(arrived.len() <= 1, "{target}: {arrived:?}");
        let seen = arrived.into_iter().next();
        assert_eq!(seen.is_some(), answer.status == 200, "{target}");
        if let Some(seen) = &seen {
            let judged = format!("GET {} HTTP/1.1", asked[0].http.path);
            assert_eq!(seen.line, judged, "{target}");
            assert_eq!(asked.len(), 1, "{target}");
        }
        (answer.status, seen)
    }
}

impl Scene {
    /// Whether the target needs no token; then the product must find it public, too.
    fn is_open(&self, target: &str) -> bool {
        let (status, seen) = self.ask(target, &["X-Remote-User: admin"]);
        assert!([200, 307, 400, 401].contains(&status), "{target}: {status}");
        if let Some(seen) = &seen {
            assert!(is_public_to_all(path_of(seen)), "{target}: {}", seen.line);
            assert_eq!(seen.identities(), [], "{target}");
        }
        seen.is_some()
    }

    /// Whether the target needs a token, and alice's is enough.
    fn is_alices(&self, target: &str, alice: &str) -> bool {
        let (status, seen) = self.ask(target, &[alice, "X-Remote-User: admin"]);
        assert!([200, 307, 400].contains(&status), "{target}: {status}");
        let identities = seen.as_ref().map(Seen::identities).unwrap_or_default();
        let users: Vec<&str> = identities.iter().map(|(_, user)| *user).collect();
        assert!(
            users.is_empty() || users == ["alice"],
            "{target}: {users:?}"
        );
        let as_nobody = seen.as_ref().is_some_and(|_| users.is_empty());
        assert!(
            !as_nobody || self.is_open(target),
            "{target} has lost alice"
        );
        !users.is_empty()
    }
}

/// The path of a request line, without the query.
fn path_of(seen: &Seen) -> &str {
    let target = seen.line.split(' ').nth(1).expect("a target");
    target.split('?').next().expect("a path")
}

/// How Envoy may be told to treat paths.
fn normalisations() -> [(&'static str, Value); 5] {
    let normalised = |slashes: &str| {
        json!({"normalize_path": true, "merge_slashes": true,
            "path_with_escaped_slashes_action": slashes, "delayed_close_timeout": LINGER})
    };
    let none = json!({"normalize_path": false, "merge_slashes": false,
        "delayed_close_timeout": LINGER});
    [
        ("none", none),
        ("slashes kept", normalised("KEEP_UNCHANGED")),
        ("slashes decoded", normalised("UNESCAPE_AND_FORWARD")),
        ("slashes refused", normalised("REJECT_REQUEST")),
        ("slashes redirected", normalised("UNESCAPE_AND_REDIRECT")),
    ]
}

/// A service with a public path and a public tree, that closes no path: the more gets through, the more is proved.
fn service_for(idp: &Idp) -> Service {
    let config = config_for(idp);
    let public = config.replace(
        "[/status]",
        "[/status, \"/public/*\"]\n    denied_paths: []",
    );
    assert_ne!(config, public);
    Service::with_config(&public)
}

#[test]
fn the_judged_path_is_the_served_path_and_only_what_is_public_is_public() {
    let idp = Idp::start();
    let service = service_for(&idp);
    let alice = format!("Authorization: Bearer {}", Token::of(&idp.issuer).signed());
    for (name, manager) in normalisations() {
        let scene = Scene::with(&service, manager);
        let targets = || TARGETS.iter().chain(&NEAR_STATUS).chain(&NEAR_PUBLIC);
        let as_nobody = targets().filter(|target| scene.is_open(target));
        let as_nobody = as_nobody.count();
        let as_alice = targets().filter(|target| scene.is_alices(target, &alice));
        let as_alice = as_alice.count();
        // Enough of the targets get as far as to us, and some to the product.
        assert!(as_alice > 50, "{name}: {as_alice}");
        assert!(as_nobody >= 3, "{name}: {as_nobody}");
        for target in [
            "/status",
            "/status?",
            "/status?x=/../../rest",
            "/status?;/rest",
        ] {
            let (_, seen) = scene.ask(target, &["X-Remote-User: admin"]);
            let seen = seen.expect("public");
            assert_eq!(path_of(&seen), "/status", "{name}: {target}");
            assert_eq!(seen.identities(), [], "{name}: {target}");
        }
        let errors = scene.envoy.stat("http.ingress.ext_authz.error");
        assert_eq!(errors, 0, "{name}");
    }
}

/// Envoy resolves an escaped dot segment before parameters and then leaves it: whoever drops
/// parameters before resolving dots, as Tomcat does, serves `/admin`.
#[test]
fn envoy_normalises_dot_segments_with_parameters_only_half_way() {
    let idp = Idp::start();
    let service = service_for(&idp);
    let scene = Scene::with(&service, normalisations()[1].1.clone());
    let alice = format!("Authorization: Bearer {}", Token::of(&idp.issuer).signed());
    for (target, forwarded) in [
        ("/rest/..;/admin", "/admin"),
        ("/rest/%2e%2e;/admin", "/rest/..;/admin"),
        ("/a;%2e%2e/b", "/a;../b"),
        ("/a/../b", "/b"),
        ("/%61dmin", "/admin"),
        ("/a\\b", "/a/b"),
        ("/a%252fb", "/a%252fb"),
    ] {
        let (_, seen) = scene.ask(target, &[&alice]);
        let seen = seen.expect("got through");
        assert_eq!(path_of(&seen), forwarded, "{target}");
    }
}
