//! Canaries: secrets in every field of good and bad requests, and not one of them in anything that
//! the service writes, at any level, in any format.

use std::{collections::BTreeMap, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;

use super::{CHECK, framed, post, quiet::Quiet};
use crate::support::{
    client,
    collector::Collector,
    envoy::{Envoy, Options},
    idp::Idp,
    keys::{base64url, other_rs256},
    service::{Check, config_for},
    tokens::{Token, unix_now},
    upstream::Upstream,
};

/// Everything that must not be written, by what it is.
#[derive(Default)]
struct Canaries(BTreeMap<String, String>);

impl Canaries {
    /// A new secret that looks like nothing else.
    fn new_one(&mut self, what: &str) -> String {
        let secret = format!("cnry{}q{:016x}z", self.0.len(), rand::random::<u64>());
        self.keep(what, &secret);
        secret
    }

    fn keep(&mut self, what: &str, secret: &str) {
        assert!(secret.len() > 12, "{what} would be found by chance");
        self.0.insert(what.to_owned(), secret.to_owned());
    }

    /// Remembers a token and its parts.
    fn token(&mut self, what: &str, token: String) -> String {
        let mut parts = token.split('.');
        for part in ["header", "payload", "signature"] {
            let text = parts.next().unwrap_or_default();
            if text.len() > 12 {
                self.keep(&format!("{what}: its {part}"), text);
            }
        }
        self.keep(what, &token);
        token
    }

    fn found_in<'a>(&'a self, text: &str) -> Vec<(&'a str, &'a str)> {
        self.0
            .iter()
            .filter(|(_, secret)| text.contains(secret.as_str()))
            .map(|(what, secret)| (what.as_str(), secret.as_str()))
            .collect()
    }
}

/// One request, for Envoy and for the service itself.
struct Sent {
    path: String,
    headers: Vec<(String, String)>,
}

fn sent(path: &str, headers: &[(&str, &str)]) -> Sent {
    Sent {
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

/// Good tokens and bad ones, every kind of refusal among them.
fn tokens(canaries: &mut Canaries, idp: &Idp) -> Vec<String> {
    let good = || Token::of(&idp.issuer).header("typ", "at+jwt");
    let now = unix_now();
    let mut kinds: Vec<(&str, Token)> = vec![
        ("a good token", good()),
        ("an expired token", good().claim("exp", now - 100)),
        ("a token of the future", good().claim("nbf", now + 1000)),
        ("a token without exp", good().without("exp")),
    ];
    for claim in [
        "email",
        "name",
        "sub",
        "jti",
        "sid",
        "nonce_hint",
        "groups",
        "scope",
    ] {
        let secret = canaries.new_one(&format!("claim {claim}"));
        kinds.push(("a token with a personal claim", good().claim(claim, secret)));
    }
    for claim in [
        "aud",
        "iss",
        "azp",
        "client_id",
        "typ",
        "exp",
        "cnf",
        "nonce",
        "token_use",
    ] {
        let secret = canaries.new_one(&format!("wrong claim {claim}"));
        kinds.push(("a token with a wrong claim", good().claim(claim, secret)));
    }
    for member in [
        "kid", "alg", "typ", "jku", "x5u", "crit", "cty", "zip", "b64", "odd",
    ] {
        let secret = canaries.new_one(&format!("header {member}"));
        kinds.push((
            "a token with a header member",
            good().header(member, secret),
        ));
    }
    let refused = canaries.new_one("a user name that is refused");
    kinds.push((
        "a refused name",
        good().claim("preferred_username", format!("{refused}@x")),
    ));
    let mut made = Vec::new();
    for (number, (what, token)) in kinds.into_iter().enumerate() {
        made.push(canaries.token(&format!("{what} ({number})"), token.signed()));
    }
    let forged = good().claim("email", canaries.new_one("a forged claim"));
    made.push(canaries.token("a forged token", forged.signed_by(other_rs256())));
    let cut = good().signed();
    made.push(canaries.token("a cut token", cut[..cut.len() - 20].to_owned()));
    let no_json = base64url(canaries.new_one("what is no JSON"));
    made.push(canaries.token("no JSON", format!("{no_json}.{no_json}.{no_json}")));
    for prefix in ["", "axt_", "axs_", "ghp_", "xoxb-"] {
        let opaque = canaries.new_one(&format!("opaque token {prefix}"));
        made.push(format!("{prefix}{opaque}"));
    }
    made
}

/// Secrets in every place but those that are logged by design (path, host, method, request id).
fn requests(canaries: &mut Canaries, idp: &Idp) -> Vec<Sent> {
    let mut all: Vec<Sent> = tokens(canaries, idp)
        .iter()
        .map(|token| {
            sent(
                "/rest/api/2/myself",
                &[("authorization", &format!("Bearer {token}"))],
            )
        })
        .collect();
    let good = canaries.token("another good token", Token::of(&idp.issuer).signed());
    let bearer = format!("Bearer {good}");
    let password = canaries.new_one("a password");
    let basic = STANDARD.encode(format!("alice:{password}"));
    canaries.keep("a Basic credential", &basic);
    all.push(sent("/x", &[("authorization", &format!("Basic {basic}"))]));
    for scheme in [
        "",
        "DPoP ",
        "Digest response=",
        "Bearer  ",
        "Negotiate ",
        "bearer=",
        "Bearer,",
    ] {
        let secret = canaries.new_one(&format!("a credential after {scheme:?}"));
        all.push(sent(
            "/x",
            &[("authorization", &format!("{scheme}{secret} x"))],
        ));
        all.push(sent(
            "/x",
            &[("authorization", &bearer), ("authorization", &secret)],
        ));
    }
    for name in [
        "cookie",
        "x-remote-user",
        "X_Remote_User",
        "x-forwarded-user",
        "proxy-authorization",
        "dpop",
        "x-api-key",
        "x-forwarded-access-token",
        "private-token",
        "x-atlassian-token",
        "x-csrf-token",
        "referer",
        "user-agent",
        "x-forwarded-for",
        "baggage",
        "traceparent",
    ] {
        let secret = canaries.new_one(&format!("header {name}"));
        all.push(sent("/x", &[(name, &secret)]));
        all.push(sent("/status", &[(name, &secret)]));
        all.push(sent("/x", &[(name, &secret), ("authorization", &bearer)]));
    }
    for (before, after) in [
        ("/x?os_username=", ""),
        ("/x?os_username=alice&os_password=", ""),
        ("/x?os_cookie=", ""),
        ("/x?access_token=", "&x=1"),
        ("/status?token=", ""),
        ("/status?", ""),
        ("/x?x=1?os_password=", ""),
        ("/browse;jsessionid=", "/y"),
        ("/browse;jsessionid=", "?x=1"),
        ("/x;a;", ""),
    ] {
        let secret = canaries.new_one(&format!("path {before}"));
        let path = format!("{before}{secret}{after}");
        all.push(sent(&path, &[]));
        all.push(sent(&path, &[("authorization", &bearer)]));
    }
    all
}

/// What no Envoy would send.
fn ask_directly(service: &Quiet, canaries: &mut Canaries, token: &str) {
    let mut secret = |what: &str| canaries.new_one(what);
    let fragment = format!("/x#access_token={}", secret("a fragment"));
    service.check(Check::get(&fragment).bearer(token).build());
    let userinfo = format!(
        "alice:{}@jira.example.com",
        secret("a password in the host")
    );
    service.check(Check::new("GET", &userinfo, "/x").build());
    let absolute = format!(
        "https://alice:{}@jira.example.com/",
        secret("an absolute path")
    );
    service.check(Check::get(&absolute).build());
    let mut odd = Check::get("/x")
        .bearer(token)
        .extension("secret", &secret("an extension"));
    odd.http.id = secret("http.id");
    odd.http.scheme = secret("http.scheme");
    odd.http.protocol = secret("http.protocol");
    service.check(odd.clone().build());
    service.check(odd.build_joined());
    let name = secret("a header name");
    service.check(Check::get("/x").header(&name, "x").build());
    let id = format!("{}.{}", secret("an unsafe x-request-id"), token);
    service.check(Check::get("/x").header("x-request-id", id).build());

    // gRPC metadata, methods, and messages that cannot be read.
    let check = Check::get("/x").build().encode_to_vec();
    let raw = |path: &str, headers: &[(&str, &[u8])], body: Vec<u8>| {
        service
            .runtime
            .block_on(post(&service.channel, path, headers, body))
    };
    for name in [
        "authorization",
        "cookie",
        "grpc-timeout",
        "grpc-encoding",
        "x-odd-bin",
        "traceparent",
    ] {
        let value = secret(&format!("gRPC metadata {name}"));
        raw(CHECK, &[(name, value.as_bytes())], framed(&check));
    }
    raw(
        CHECK,
        &[("authorization", format!("Bearer {token}").as_bytes())],
        framed(&check),
    );
    raw(
        &format!("/{}/Check", secret("a gRPC service")),
        &[],
        framed(&check),
    );
    raw(
        &format!("{CHECK}?token={}", secret("a gRPC query")),
        &[],
        framed(&check),
    );
    raw(CHECK, &[], framed(secret("garbage in a frame").as_bytes()));
    raw(CHECK, &[], secret("garbage").into_bytes());
    // `attributes.request.http.method`, and an unknown field after it, with bytes that are no UTF-8.
    let text = format!("{}\u{e9}", secret("a string that is no UTF-8"));
    let latin = [text.as_bytes(), &[0xff]].concat();
    let field = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8], inner].concat();
    let nested = field(0x0a, &field(0x22, &field(0x12, &field(0x12, &latin))));
    raw(CHECK, &[], framed(&nested));
    let large = secret("a message that is too large").repeat(50_000);
    raw(CHECK, &[], framed(large.as_bytes()));
}

fn ask_through(envoy: &Envoy, service: &Quiet, requests: &[Sent]) {
    for request in requests {
        let headers: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        client::get(&envoy.address, &request.path, &lines);
        let add = |check: Check, (name, value): &(String, String)| check.header(name, value);
        let check = request.headers.iter().fold(Check::get(&request.path), add);
        service.check(check.clone().build());
        service.check(check.build_joined());
    }
}

/// The number of checks that were answered by a decision.
fn decided(metrics: &str) -> usize {
    let lines = metrics.lines();
    let decisions = lines.filter(|line| line.starts_with("atlassian_authz_decisions_total{"));
    let counts = decisions.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    counts.sum()
}

#[test]
fn no_secret_is_ever_written() {
    let idp = Idp::start();
    let upstream = Upstream::start();
    let directory = TempDir::new().expect("a directory");
    let mut canaries = Canaries::default();
    let requests = requests(&mut canaries, &idp);
    let token = canaries.token("a third good token", Token::of(&idp.issuer).signed());
    let socket = format!("unix:{}", directory.path().join("check.sock").display());
    // One Envoy for all: every service listens where the one before it did.
    let envoy = Options::new(&socket, upstream.port).start();
    let collector = Collector::start();
    let config = format!(
        "{}limits: {{ check_timeout: 5s }}\n{}",
        config_for(&idp),
        collector.section("1")
    );
    let mut hits = String::new();
    let mut told = 0;

    for level in ["error", "warn", "info", "debug", "trace"] {
        for format in ["json", "human"] {
            let service = Quiet::start(&config, level, format, &directory);
            assert_eq!(service.grpc, socket);
            let allowed = service.check(Check::get("/x").bearer(&token).build());
            assert_eq!(allowed.user(), Some("alice"), "the good tokens are good");
            ask_through(&envoy, &service, &requests);
            ask_directly(&service, &mut canaries, &token);

            let (metrics, statusz) = (service.page("/metrics"), service.page("/statusz"));
            let decided = decided(&metrics);
            assert!(decided > 2 * requests.len(), "{decided}");
            let output = service.stop();
            // The last spans are sent before the end.
            told += decided;
            assert_eq!(collector.named("check").len(), told);
            let spans = String::from_utf8_lossy(&collector.bytes()).into_owned();
            for (place, text) in [
                ("log", &output),
                ("spans", &spans),
                ("/metrics", &metrics),
                ("/statusz", &statusz),
            ] {
                for (what, secret) in canaries.found_in(text) {
                    let line = text.lines().find(|line| line.contains(secret));
                    let line = line.unwrap_or_default().chars().take(400);
                    let line: String = line.collect();
                    writeln!(hits, "{level} {format} {place}: {what}: {line:?}").expect("written");
                }
            }
            let informs = !["error", "warn"].contains(&level);
            let lines = output
                .lines()
                .filter(|line| line.contains("atlassian_authz::decision"));
            assert_eq!(
                lines.count(),
                if informs { decided } else { 0 },
                "{level} {format}"
            );
            if format == "json" {
                let parses =
                    |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|it| it.is_object());
                assert!(output.lines().all(parses), "{level}");
            }
        }
    }

    assert!(hits.is_empty(), "{hits}");
    // The search finds what is there.
    let leak = format!("{{\"detail\":\"{token}\"}}");
    let found: Vec<_> = canaries
        .found_in(&leak)
        .into_iter()
        .map(|(what, _)| what)
        .collect();
    for part in ["", ": its header", ": its payload", ": its signature"] {
        let what = format!("a third good token{part}");
        assert!(found.contains(&&*what), "{what}");
    }
}
